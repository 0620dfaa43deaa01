"""The server: requests, openings, and a thread for each connection. Knows no chat, but for its command."""
