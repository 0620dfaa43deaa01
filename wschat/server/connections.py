"""The connections: every connection of a server from the moment it is accepted until its handler has returned.

It says who may come in (how many in all, how many from one address) and closes everybody in the end. What a connection is
for is not known here.

A connection that waits between two HTTP requests is idle, and not counted for its address: a browser keeps six of them for some
seconds, and many browsers share an address. As many again may be idle, and when there is no room, the longest idle is closed.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections import Counter
from weakref import WeakValueDictionary

from wschat.connection.connection import Connection
from wschat.connection.event_stream import EventStream
from wschat.connection.quota import Quota
from wschat.counters import Load, counters
from wschat.limits import Limits
from wschat.protocol.frames import CloseCode
from wschat.server.idle_connections import IdleConnections

Peer = Connection | EventStream
"""Whom a server has open."""

logger = logging.getLogger("wschat.server")

# What a handler may take to return once its connection has been closed, in seconds.
_GRACE = 1.0


class Connections:
    """The connections of one server. Every method may be called from any thread; only `close_all` waits."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        # Guards all below, and is told when the last connection is taken out; reentrant. Taken before the locks of outboxes.
        self._changed = threading.Condition()
        self._active: dict[socket.socket, Peer | None] = {}  # None until it is open
        self._opening: set[socket.socket] = set()  # those that are neither a WebSocket nor a stream of events, and may be cut
        self._counted: dict[socket.socket, str] = {}  # the address that each counts for
        self._counts: Counter[str] = Counter()
        self._idle = IdleConnections()  # of those that are opening
        self._cut_idle: set[socket.socket] = set()  # which leave as soon as their threads notice
        total = limits.outbox_bytes_total
        self._quota_of_all = (Quota(total),) if total else ()
        self._quotas: WeakValueDictionary[str, Quota] = WeakValueDictionary()  # of each address, as long as somebody has it
        self._stopping: set[socket.socket] = set()  # those whose threads are in `close_all`, and wait for the others
        self._own: dict[int, socket.socket] = {}  # by the identifier of each connection's thread, for that thread only
        self._is_closing = False
        self._drain: float | None = None

    @property
    def is_closing(self) -> bool:
        """Whether `close_all` has been called."""
        return self._is_closing

    def __len__(self) -> int:
        """Return the number of connections, whatever they are for."""
        with self._changed:
            return len(self._active)

    def load(self) -> Load:
        """Who is here, and what waits for them. Takes milliseconds where ten thousand are, but not with the lock held."""
        with self._changed:
            active = list(self._active.values())
        peers = [peer for peer in active if peer is not None]
        websockets = sum(isinstance(peer, Connection) for peer in peers)
        kinds = {"websocket": websockets, "events": len(peers) - websockets, "http": len(active) - len(peers)}
        return Load(kinds, sum(peer.waiting_bytes for peer in peers))

    def enter(self, sock: socket.socket, address: str | None) -> bool:
        """Take in an accepted connection, counted for the address that it comes from; False if there are too many."""
        with self._changed:
            limit = self._limits.max_connections
            is_full = limit > 0 and len(self._active) - len(self._cut_idle) >= limit
            if is_full and not self._idle:
                return False
            if address is not None and not self._count(sock, address):
                return False
            if is_full:
                self._cut(self._idle.longest())
            self._active[sock] = None
            self._opening.add(sock)
            return True

    def rest(self, sock: socket.socket, address: str | None) -> None:
        """It is idle from here on: it waits for another HTTP request. No address is given for a proxy that asks for others."""
        with self._changed:
            self._uncount(sock)
            self._idle.add(sock, address)
            limit = self._limits.max_connections_per_address
            if address is not None and limit and self._idle.count(address) > limit:
                self._cut(self._idle.longest_from(address))

    def resume(self, sock: socket.socket) -> bool:
        """It is not idle any more, and counts for its address again. Return False if there are too many."""
        with self._changed:
            address = self._idle.remove(sock)
            return address is None or self._count(sock, address)

    def make_room(self) -> bool:
        """Close the connection that has been idle for longest. Return False if none is."""
        with self._changed:
            if not self._idle:
                return False
            self._cut(self._idle.longest())
            return True

    def _cut(self, sock: socket.socket) -> None:
        self._idle.remove(sock)
        self._cut_idle.add(sock)
        self.cut(sock)

    def count_for(self, sock: socket.socket, address: str) -> bool:
        """Count a connection that is in for the address that it turned out to come from; False if there are too many."""
        with self._changed:
            return self._count(sock, address)

    def _count(self, sock: socket.socket, address: str) -> bool:
        if self._counted.get(sock) == address:
            return True
        limit = self._limits.max_connections_per_address
        if limit and self._counts[address] >= limit:
            return False
        self._uncount(sock)  # a proxy may ask for one after the other on the same connection
        self._counts[address] += 1
        self._counted[sock] = address
        return True

    def _uncount(self, sock: socket.socket) -> None:
        address = self._counted.pop(sock, None)
        if address is not None:
            self._counts[address] -= 1
            if not self._counts[address]:
                del self._counts[address]

    def quotas(self, sock: socket.socket) -> tuple[Quota, ...]:
        """What bounds that which waits for this connection's peer and others: of its address, and of all."""
        if not self._limits.max_connections_per_address or not self._limits.outbox_bytes_per_address:
            return self._quota_of_all
        with self._changed:
            address = self._counted.get(sock)
            if address is None:
                return self._quota_of_all
            quota = self._quotas.get(address)
            if quota is None:
                quota = self._quotas[address] = Quota(self._limits.outbox_bytes_per_address)
            return quota, *self._quota_of_all

    def work_for(self, sock: socket.socket) -> None:
        """The calling thread is this connection's, from here to its end."""
        self._own[threading.get_ident()] = sock

    def answer(self, sock: socket.socket) -> None:
        """It is about to become a WebSocket or a stream of events: from here on it is closed as such, and not cut."""
        with self._changed:
            self._opening.discard(sock)

    def open(self, sock: socket.socket, ws: Peer) -> None:
        """It is open."""
        counters.count_opened()
        with self._changed:
            self._active[sock] = ws
            is_too_late = self._is_closing
            drain = self._drain
        if is_too_late:
            _go_away(ws, drain)

    def leave(self, sock: socket.socket) -> Peer | None:
        """The connection is over, and its handler has returned; what it was, if it was open."""
        with self._changed:
            ws = self._active.pop(sock, None)
            self._own.pop(threading.get_ident(), None)
            self._opening.discard(sock)
            self._idle.remove(sock)
            self._cut_idle.discard(sock)
            self._uncount(sock)
            if len(self._active) <= len(self._stopping):
                self._changed.notify_all()
        if ws is not None:
            counters.count_closed()
        return ws

    def cut(self, sock: socket.socket) -> None:
        """End a connection that is still reading or answering plain requests; do nothing to others."""
        self._end_opening(sock, socket.SHUT_RDWR)

    def close_all(self, drain: float | None) -> None:
        """Close every connection with 1001, and wait until their handlers have returned.

        What waits for slow peers is sent for at most `drain` seconds, or without a limit. Whoever is still opening reads
        the end of its request, and finds `is_closing`.
        """
        with self._changed:
            self._is_closing = True
            self._drain = drain
            active = list(self._active.items())
        for sock, ws in active:
            if ws is None:
                self._end_opening(sock, socket.SHUT_RD)
            else:
                _go_away(ws, drain)
        with self._changed:
            own = self._own.get(threading.get_ident())
            if own is not None and own in self._active:
                self._stopping.add(own)
                self._changed.notify_all()
            if not self._changed.wait_for(lambda: self._active.keys() <= self._stopping, None if drain is None else drain + _GRACE):
                logger.warning("%d handlers are still running", len(self._active))

    def _end_opening(self, sock: socket.socket, how: int) -> None:
        with self._changed:
            if sock in self._opening:
                with contextlib.suppress(OSError):
                    # Not SSLSocket's own, which would throw its TLS object away under the thread that uses it.
                    socket.socket.shutdown(sock, how)


def _go_away(ws: Peer, timeout: float | None) -> None:
    ws.begin_close(CloseCode.GOING_AWAY, "the server is stopping", timeout=timeout)
