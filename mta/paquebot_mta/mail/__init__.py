"""The vocabulary: RFC words as frozen values. Imports nothing of the project and does no I/O."""
