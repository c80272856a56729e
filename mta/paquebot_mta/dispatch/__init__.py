"""Joins the outbound stages: what is due is loaded, routed and delivered, its outcome stored, told, rescheduled."""
