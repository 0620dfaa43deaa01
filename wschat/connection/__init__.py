"""Open connections: streams, the outbox, timers, closing. Imports nothing of servers, clients or the chat."""
