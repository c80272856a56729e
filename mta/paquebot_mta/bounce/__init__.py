"""Delivery status notifications (RFC 3464) as values; queuing them is the dispatcher's work."""
