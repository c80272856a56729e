"""Sendmail's mail filter protocol, version 6, as an MTA speaks it."""
