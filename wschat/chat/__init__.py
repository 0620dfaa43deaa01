"""The chat: rooms, names, requests and events, commands, moderation. Knows connections, brokers and hubs, but no sockets.

A message's path: `dialects` make a request of it (`v1` of JSON, `plain` of a line), `requests` and `commands` say which there
are, `handlers` carry it out if `budgets` allow, a broker makes it durable, `rooms` hand it to the hubs, and `events` are what people get.
"""
