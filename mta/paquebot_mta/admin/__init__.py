"""Health, metrics, control socket and command line."""
