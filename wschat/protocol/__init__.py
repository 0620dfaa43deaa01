"""The protocol: bytes in, messages out (RFC 6455, RFC 7692). No sockets, no threads, no clocks."""
