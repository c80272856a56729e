"""The loop that joins the outbound stages: schedule, route, deliver, bounce."""
