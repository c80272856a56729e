"""Wiring: makes clock, randomness, resolver and disk, joins the stages, handles signals and drain."""
