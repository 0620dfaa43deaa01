"""Brokers: the log of every room. Know no connections, and nothing of what a message means."""
