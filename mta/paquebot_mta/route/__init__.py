"""From a destination to an ordered list of next hops."""
