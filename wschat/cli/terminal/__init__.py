"""`wschat connect` on a terminal: a screen with the messages, a status line and a prompt."""
