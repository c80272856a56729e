"""Paquebot as its users have it: installed by Helm on a real cluster of two nodes, and looked at from outside."""
