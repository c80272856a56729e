"""Real and scripted peers for integration tests and benchmarks, and Paquebot itself as they see it.

Promises: everything listens on loopback, writes only under the directory it is given, and is ended by process id.
Must not know: Paquebot's own packages; a peer that shared our code would agree with our mistakes. Only `paquebot` and
`paquebot_config` know one of them, the configuration's contract.
"""
