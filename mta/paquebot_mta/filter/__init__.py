"""Conditions and actions on sessions and messages, before they are spooled."""
