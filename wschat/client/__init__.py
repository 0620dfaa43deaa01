"""The client: `connect`, and a command. Knows no server."""
