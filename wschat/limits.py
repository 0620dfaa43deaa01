"""How much, how long, how many: every limit that wschat keeps, with its default, in one table."""

from __future__ import annotations

import sys
from dataclasses import dataclass, fields

from wschat.errors import UsageError
from wschat.settings import Option, setting

# Longer waits overflow in system calls, and greater sizes in zlib.
MAX_SECONDS = 2_000_000.0
MAX_BYTES = sys.maxsize // 2
SLOW_PEER_POLICIES = ("evict", "drop-oldest")


@dataclass(frozen=True)
class Limits:
    """The limits of a server or of a connection. Times are in seconds, at most 2,000,000, sizes in bytes; 0 means no limit."""

    max_connections: int = setting(10_000, option=Option("--max-connections", help="Connections in all; 0 for no limit."))
    """The connections of a server. Above it, connections that are idle between two HTTP requests are closed, the longest idle first;
    if there are none, the response is 503."""
    max_connections_per_address: int = setting(
        200, option=Option("--max-connections-per-ip", help="Connections from one address; 0 for no limit.")
    )
    """The connections from one address. Above it, the response is 503. As many again may be idle between two HTTP requests."""
    max_message_bytes: int = setting(
        1 << 20,
        option=Option("--max-message-bytes", help="Size of a message in bytes, inflated; 0 for no limit. Above it: close code 1009."),
    )
    """The size of a received message after decompression. Above it, the connection is closed (1009)."""
    max_fragments: int = 131_072
    """The fragments of one received message. Above it, the connection is closed (1008)."""
    max_control_frames_per_second: int = setting(
        20_000,
        option=Option("--max-control-frames-per-second", help="Pings and pongs from one peer; 0 for no limit. Above it: close code 1008."),
    )
    """The pings, pongs and close frames that are received within a second. Above it, the connection is closed (1008)."""
    opening_timeout: float = 10.0
    """The time from accepting or beginning a TCP connection to an open WebSocket, or to the end of the first plain request. After it,
    the socket is closed."""
    keep_alive_timeout: float = 10.0
    """The time from one HTTP response to the end of the next request. After it, the socket is closed."""
    max_head_bytes: int = 16 * 1024
    """The size of the head of a request. Above it, the response is 431. For a client, that of the response: `connect` raises
    OpeningFailed."""
    max_headers: int = 100
    """The number of headers of a request. Above it, the response is 431."""
    max_body_bytes: int = 1 << 32
    """The size of the body of a request, besides the limit that an `http` handler gives `Request.read_body`; 0 for no limit. Above it, the
    response is 413."""
    ping_interval: float = setting(20.0, option=Option("--ping-interval", help="Seconds between two pings; 0 for no pings."))
    """The time between two pings. With 0, no pings are sent, and nothing is read while no thread receives: a handler that only sends
    then neither answers pings nor notices the end until a send fails."""
    ping_timeout: float = setting(20.0, option=Option("--ping-timeout", help="Seconds to wait for a pong; 0 to wait forever."))
    """The time within which anything must come from the peer after a ping. After it, the connection is closed (1011)."""
    close_timeout: float = 5.0
    """The time for the closing handshake. After it, the socket is closed."""
    outbox_bytes: int = setting(1 << 20, option=Option("--outbox-bytes", help="Bytes that may wait for one slow peer; 0 for no limit."))
    """The bytes that may wait for one peer. Above it, a broadcast evicts the peer (1008), and a send waits."""
    outbox_bytes_per_address: int = setting(
        32 << 20, option=Option("--outbox-bytes-per-ip", help="Bytes that may wait for all peers of one address; 0 for no limit.")
    )
    """The bytes that may wait for all peers of one address. Above it, they are evicted as with `outbox_bytes`. Has no effect if
    `max_connections_per_address` is 0."""
    outbox_bytes_total: int = setting(
        256 << 20, option=Option("--outbox-bytes-total", help="Bytes that may wait for all peers; 0 for no limit.")
    )
    """The bytes that may wait for all peers of a server. Above it, slow peers are evicted."""
    outbox_seconds: float = 10.0
    """The time that a message may wait for one peer. After it, the peer is evicted (1008)."""
    slow_peer: str = setting(
        "evict",
        option=Option(
            "--slow-peer",
            choices={name: name for name in SLOW_PEER_POLICIES},
            help="What happens to a peer above these limits: it is closed with 1008, or loses the oldest broadcasts that wait for it.",
        ),
    )
    """What happens to a peer above `outbox_bytes` or `outbox_seconds`: `evict`, or `drop-oldest`, by which it loses the oldest
    broadcasts that wait for it, and stays as long as it answers pings."""
    send_timeout: float = 10.0
    """The time that a send may wait for room. After it, the peer is evicted (1008)."""

    def __post_init__(self) -> None:
        if self.slow_peer not in SLOW_PEER_POLICIES:
            raise UsageError(f"slow_peer must be one of {', '.join(SLOW_PEER_POLICIES)}, not {self.slow_peer!r}")
        for field in fields(self):
            if field.name != "slow_peer":
                _check_number(field.name, getattr(self, field.name), MAX_SECONDS if isinstance(field.default, float) else MAX_BYTES)


def _check_number(name: str, value: object, greatest: float) -> None:
    # In this form, NaN is refused, too.
    if not isinstance(value, (int, float)) or not 0 <= value <= greatest:
        raise UsageError(f"{name} must be a number from 0 (no limit) to {greatest:g}, not {value!r}")


DEFAULT_LIMITS = Limits()
"""The limits with their defaults."""
