"""`Bot`: commands, handlers and timers on top of a `ChatClient`."""
