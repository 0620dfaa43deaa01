"""The chat: rooms, names, commands. Knows connections and the hub, but no sockets."""
