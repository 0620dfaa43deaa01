"""The pings of one connection: which are on their way, how long the last took, and whether the peer is still there."""

from __future__ import annotations

import itertools
import struct
from time import monotonic

from wschat.limits import Limits


class SentPing:
    """A ping on its way; `took` is set, in seconds, when it has been answered."""

    __slots__ = ("payload", "sent_at", "took")

    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        self.sent_at = monotonic()
        self.took: float | None = None


class Pings:
    """Keeps account of pings; sends nothing itself."""

    __slots__ = ("_due_at", "_last_probe", "_limits", "_numbers", "_on_their_way", "_probe", "has_heard", "latency", "period")

    def __init__(self, limits: Limits) -> None:
        self.has_heard = False  # anything from the peer, since the last probe; set by whoever reads
        self.latency: float | None = None
        self.period = min(limits.ping_interval, limits.ping_timeout or limits.ping_interval) / 2
        self._limits = limits
        self._numbers = itertools.count(1)
        self._on_their_way: dict[bytes, SentPing] = {}
        self._probe: SentPing | None = None  # the ping that asks whether the peer is there, until that is known
        self._last_probe: SentPing | None = None
        self._due_at = monotonic() + limits.ping_interval

    def new(self) -> SentPing:
        """A ping to be sent now."""
        ping = SentPing(struct.pack("!I", next(self._numbers) & 0xFFFFFFFF))
        self._on_their_way[ping.payload] = ping
        return ping

    def forget(self, ping: SentPing) -> None:
        """Nobody waits for this one any more."""
        self._on_their_way.pop(ping.payload, None)

    def answer(self, payload: bytes) -> None:
        """A pong came: it answers its ping, and all that were sent before (RFC 6455, section 5.5.3)."""
        if payload not in self._on_their_way:
            return
        now = monotonic()
        for earlier in list(self._on_their_way):
            ping = self._on_their_way.pop(earlier, None)
            if ping is not None:
                self.latency = ping.took = now - ping.sent_at
            if earlier == payload:
                return

    def due(self) -> SentPing | None:
        """The ping that it is time to send in order to keep the connection alive, if it is."""
        now = monotonic()
        if self._probe is not None or now < self._due_at:
            return None
        self._due_at = now + self._limits.ping_interval
        self.has_heard = False
        if self._last_probe is not None:
            self.forget(self._last_probe)  # whose pong never came, although the peer is there
        self._probe = self._last_probe = self.new()
        return self._probe

    def is_peer_gone(self) -> bool:
        """Whether a ping has been answered by nothing at all for too long."""
        probe = self._probe
        if probe is None:
            return False
        if self.has_heard:
            self._probe = None
            return False
        return bool(self._limits.ping_timeout) and monotonic() - probe.sent_at >= self._limits.ping_timeout
