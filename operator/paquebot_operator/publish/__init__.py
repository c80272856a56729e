"""What a hosted domain publishes in DNS: the exact records, whether they are there, and the DKIM keys behind them.

It writes nothing to the cluster: manifests and states are values. It knows DNS only through ``questions.Asks``.
"""
