"""Filters that ask DNS about the client's address: lists (RFC 5782) and reputations."""
