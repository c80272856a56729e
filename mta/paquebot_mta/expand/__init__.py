"""From a recipient to deliveries: aliases, virtual users, catch-all, sub-addresses."""
