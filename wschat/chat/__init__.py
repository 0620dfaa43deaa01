"""The chat: rooms, users, actions, events, moderation. Knows connections, brokers and hubs, but no sockets.

The way of a message: a dialect parses it to an action (`v1` from JSON, `plain` from a line), a `Conversation` runs the action if
the budget allows, a broker makes the message durable, and a `Room` hands it to the hubs, as a text of each dialect.
"""
