"""Brokers: the log, the subscribers, the members and the rules of every room.

A broker knows no connections, and does not interpret messages. `base` has its contracts, `opening` opens one by a URL.
"""
