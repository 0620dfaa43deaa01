"""The HTTP surface of the chat: the page, the API, events, health, metrics."""
