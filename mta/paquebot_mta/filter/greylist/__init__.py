"""Greylisting (RFC 6647): strangers come again, and are known from then on."""
