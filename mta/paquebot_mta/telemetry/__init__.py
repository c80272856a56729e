"""The event bus of sessions and transactions, and its consumers: log and metrics."""
