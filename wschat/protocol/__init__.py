"""The WebSocket protocol (RFC 6455, RFC 7692): bytes in, messages out. No sockets, threads or clocks."""
