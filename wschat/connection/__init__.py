"""One open WebSocket: its stream, its outbox, its timers. Knows no servers, no clients, no chat."""
