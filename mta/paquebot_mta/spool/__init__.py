"""The durable queue on disk: envelopes and content, written once, results appended."""
