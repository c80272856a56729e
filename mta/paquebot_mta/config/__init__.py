"""The contract between operator and MTA: the reader owns the document. Imports ``mail`` and msgspec only."""
