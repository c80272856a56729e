"""Asynchronous DNS with a cache; the only place that knows the DNS library."""
