"""The contract between the operator and the MTA: a typed, versioned document."""
