"""One open WebSocket: its stream, its outbox, its deadlines. Knows no servers, no clients, no chat."""
