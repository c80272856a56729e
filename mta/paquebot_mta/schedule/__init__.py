"""When to attempt what: ids and times, never content."""
