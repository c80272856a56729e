"""Joins people and machines to a running worker: health, metrics, control socket, command line."""
