"""Self-tests of the peers that integration tests use."""
