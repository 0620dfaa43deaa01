"""The pings of one connection: those without a pong yet, the latency, and whether the peer is still there. Sends nothing itself."""

from __future__ import annotations

import itertools
from time import monotonic

from wschat.limits import Limits


class SentPing:
    """A ping that was sent."""

    __slots__ = ("latency", "number", "sent_at")

    def __init__(self, number: int) -> None:
        self.number = number
        """The payload, by which its pong is known: 32 bits."""
        self.sent_at = monotonic()
        """When it was sent, by `monotonic`."""
        self.latency: float | None = None
        """The seconds until its pong; None before."""

    def has_pong(self) -> bool:
        """Return True if its pong has come, or the pong of a later ping."""
        return self.latency is not None


class Pings:
    """The pings of one connection. Methods may be called from any thread; the keep-alive ones from the timers thread only."""

    __slots__ = ("_due_at", "_keepalive", "_last_keepalive", "_limits", "_numbers", "_unanswered", "has_received", "latency", "period")

    def __init__(self, limits: Limits) -> None:
        self.has_received = False
        """True if anything came from the peer since the last keep-alive ping. Set by the thread that reads."""
        self.latency: float | None = None
        """The seconds from the last answered ping to its pong; None before the first."""
        self.period = min(limits.ping_interval, limits.ping_timeout or limits.ping_interval) / 2
        """Seconds between two calls of `due_keepalive`."""
        self._limits = limits
        self._numbers = itertools.count(1)
        self._unanswered: dict[int, SentPing] = {}
        self._keepalive: SentPing | None = None  # until anything comes from the peer after it
        self._last_keepalive: SentPing | None = None
        self._due_at = monotonic() + limits.ping_interval

    def create(self) -> SentPing:
        """Return a new ping, to be sent now."""
        ping = SentPing(next(self._numbers) & 0xFFFFFFFF)
        self._unanswered[ping.number] = ping
        return ping

    def discard(self, ping: SentPing) -> None:
        """Forget a ping: no thread waits for its pong any more."""
        self._unanswered.pop(ping.number, None)

    def receive_pong(self, payload: bytes) -> None:
        """Process a pong: it answers its ping and all that were sent before (RFC 6455, section 5.5.3)."""
        number = int.from_bytes(payload, "big")
        if number not in self._unanswered or len(payload) != 4:
            return
        now = monotonic()
        for earlier in list(self._unanswered):
            ping = self._unanswered.pop(earlier, None)
            if ping is not None:
                self.latency = ping.latency = now - ping.sent_at
            if earlier == number:
                return

    def due_keepalive(self) -> SentPing | None:
        """Return the keep-alive ping to send now, or None if none is due."""
        now = monotonic()
        if self._keepalive is not None or now < self._due_at:
            return None
        self._due_at = now + self._limits.ping_interval
        self.has_received = False
        if self._last_keepalive is not None:
            self.discard(self._last_keepalive)  # its pong never came, although the peer is there
        self._keepalive = self._last_keepalive = self.create()
        return self._keepalive

    def is_peer_gone(self) -> bool:
        """Return True if nothing at all came from the peer within `Limits.ping_timeout` after a keep-alive ping."""
        keepalive = self._keepalive
        if keepalive is None:
            return False
        if self.has_received:
            self._keepalive = None
            return False
        return bool(self._limits.ping_timeout) and monotonic() - keepalive.sent_at >= self._limits.ping_timeout
