"""Paquebot's mail transfer agent: accept, filter, expand, spool, schedule, route, deliver, bounce.

It runs with or without Kubernetes and knows nothing of the operator: a directory of configuration is all it reads.
"""

__version__ = "0.1.0.dev0"
