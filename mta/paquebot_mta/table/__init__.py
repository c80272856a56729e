"""Lookup data: aliases, domains, credentials, networks, whatever holds them."""
