"""All connections of a server, from `accept()` until their handlers have returned.

Limits the number of connections, in all and per address, and closes them when the server stops. A connection that waits between
two HTTP requests is idle and does not count for its address: a browser keeps six of them for some seconds, and many browsers may
share an address. An address may have as many idle connections again; at a limit, the connection idle for longest is closed.
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
from wschat.forks import ForkAware, close_copy
from wschat.limits import Limits
from wschat.protocol.frames import CloseCode
from wschat.server.idle_connections import IdleConnections

Peer = Connection | EventStream
"""What a connection may become: a WebSocket or an event stream."""

logger = logging.getLogger("wschat.server")

# Seconds that a handler has to return after its connection was closed.
_HANDLER_GRACE = 1.0


class Connections(ForkAware):
    """The connections of one server. Thread-safe; only `close_all` and `wait_for_openings` wait."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._make_locks()
        self._peers: dict[socket.socket, Peer | None] = {}  # all connections; None while a connection is plain HTTP
        self._http: set[socket.socket] = set()  # those that are plain HTTP and may be shut down without a close frame
        self._addresses: dict[socket.socket, str] = {}  # the address that a connection counts for
        self._counts: Counter[str] = Counter()  # connections by address
        self._idle = IdleConnections()  # a part of _http
        self._aborted_idle: set[socket.socket] = set()  # shut down to make room, and not yet removed
        total = limits.outbox_bytes_total
        self._total_quota = (Quota(total),) if total else ()
        self._address_quotas: WeakValueDictionary[str, Quota] = WeakValueDictionary()  # an entry lives as long as a connection uses it
        self._stopping: set[socket.socket] = set()  # those whose own threads are in `close_all` and must not wait for themselves
        self._socket_of_thread: dict[int, socket.socket] = {}  # by thread identifier; used by that thread only
        self._is_closing = False
        self._drain: float | None = None
        self._watch_forks()

    def _make_locks(self) -> None:
        # Guards all other attributes. Reentrant, because a signal handler may stop the server. Taken before those of outboxes and counters.
        # A plain lock for `with`: entering a Condition costs two more calls, and each opening enters it several times.
        self._connections_lock = threading.RLock()
        self._changed = threading.Condition(self._connections_lock)  # notified when a method that waits may return

    def _leave_to_parent(self) -> None:
        super()._leave_to_parent()
        self._make_locks()
        for sock in self._peers:
            close_copy(sock)
        self._peers.clear()

    @property
    def is_closing(self) -> bool:
        """True once `close_all` has been called."""
        return self._is_closing

    def __len__(self) -> int:
        """Return the number of connections of all kinds."""
        with self._connections_lock:
            return len(self._peers)

    def load(self) -> Load:
        """Return the number of connections by kind, and the bytes that wait for them. Takes milliseconds for ten thousand of them."""
        with self._connections_lock:
            active = list(self._peers.values())
        peers = [peer for peer in active if peer is not None]
        websockets = sum(isinstance(peer, Connection) for peer in peers)
        kinds = {"websocket": websockets, "events": len(peers) - websockets, "http": len(active) - len(peers)}
        return Load(kinds, sum(peer.waiting_bytes for peer in peers))

    def add(self, sock: socket.socket, address: str | None) -> bool:
        """Add an accepted connection and count it for its address, if one is given. Return False if there are too many."""
        with self._connections_lock:
            limit = self._limits.max_connections
            is_full = limit > 0 and len(self._peers) - len(self._aborted_idle) >= limit
            if is_full and not self._idle:
                return False
            if address is not None and not self._count(sock, address):
                return False
            if is_full:
                self._abort_idle(self._idle.oldest())
            self._peers[sock] = None
            self._http.add(sock)
            return True

    def mark_idle(self, sock: socket.socket, address: str | None) -> None:
        """Mark a connection as waiting for another HTTP request. `address` is None for a proxy, which asks for many clients."""
        with self._connections_lock:
            self._uncount(sock)
            self._idle.add(sock, address)
            self._changed.notify_all()
            limit = self._limits.max_connections_per_address
            if address is not None and limit and self._idle.count(address) > limit:
                self._abort_idle(self._idle.oldest_from(address))

    def mark_active(self, sock: socket.socket) -> bool:
        """Mark an idle connection as active, and count it for its address again. Return False if the address has too many."""
        with self._connections_lock:
            address = self._idle.remove(sock)
            return address is None or self._count(sock, address)

    def abort_oldest_idle(self) -> bool:
        """Shut down the connection that has been idle for longest. Return False if none is idle."""
        with self._connections_lock:
            if not self._idle:
                return False
            self._abort_idle(self._idle.oldest())
            return True

    def set_address(self, sock: socket.socket, address: str) -> bool:
        """Count a connection for the address that a trusted proxy gave. Return False if the address has too many."""
        with self._connections_lock:
            return self._count(sock, address)

    def set_thread(self, sock: socket.socket) -> None:
        """Declare the calling thread to be this connection's, until `remove`."""
        self._socket_of_thread[threading.get_ident()] = sock

    def begin_upgrade(self, sock: socket.socket) -> tuple[Quota, ...]:
        """Prepare a connection to become a WebSocket or an event stream, and return the quotas that bound its outbox.

        From here on, `abort_http` leaves it alone.
        """
        with self._connections_lock:
            self._http.discard(sock)
            return self._quotas(sock)

    def set_peer(self, sock: socket.socket, peer: Peer) -> None:
        """Set the WebSocket or the event stream that a connection has become. Closes it if the server is stopping."""
        counters.count_opened()
        with self._connections_lock:
            self._peers[sock] = peer
            self._changed.notify_all()
            is_closing = self._is_closing
        if is_closing:
            _go_away(peer, self._drain)

    def peer(self, sock: socket.socket) -> Peer | None:
        """Return the WebSocket or the event stream that a connection has become, or None."""
        with self._connections_lock:
            return self._peers.get(sock)

    def remove(self, sock: socket.socket) -> None:
        """Remove a connection whose handler has returned. With this, `close_all` no longer waits for the calling thread."""
        with self._connections_lock:
            peer = self._peers.pop(sock, None)
            self._socket_of_thread.pop(threading.get_ident(), None)
            self._http.discard(sock)
            self._idle.remove(sock)
            self._aborted_idle.discard(sock)
            self._uncount(sock)
            if peer is not None:
                counters.count_closed()  # before `close_all` returns
            if peer is None or len(self._peers) <= len(self._stopping):
                self._changed.notify_all()

    def wait_for_openings(self, timeout: float) -> None:
        """Wait until each connection is open or idle, but no longer than `timeout` seconds. For a server that accepts no more."""
        with self._connections_lock:
            self._changed.wait_for(lambda: all(peer is not None or sock in self._idle for sock, peer in self._peers.items()), timeout)

    def abort_http(self, sock: socket.socket) -> None:
        """Shut a connection down if it is plain HTTP. Does nothing to a WebSocket or an event stream."""
        self._shut_down_http(sock, socket.SHUT_RDWR)

    def close_all(self, drain: float | None) -> None:
        """Close every connection with 1001, and wait until the handlers have returned.

        Outboxes are sent for at most `drain` seconds, or without a limit if it is None. A plain HTTP connection reads the end of
        its input, and finds `is_closing` set. A connection's own thread does not wait for itself.
        """
        with self._connections_lock:
            self._is_closing = True
            self._drain = drain
            active = list(self._peers.items())
        for sock, peer in active:
            if peer is None:
                self._shut_down_http(sock, socket.SHUT_RD)
            else:
                _go_away(peer, drain)
        with self._connections_lock:
            own = self._socket_of_thread.get(threading.get_ident())
            if own is not None and own in self._peers:
                self._stopping.add(own)
                self._changed.notify_all()
            timeout = None if drain is None else drain + _HANDLER_GRACE
            if not self._changed.wait_for(lambda: self._peers.keys() <= self._stopping, timeout):
                logger.warning("%d handlers are still running", len(self._peers))

    def _count(self, sock: socket.socket, address: str) -> bool:
        assert self._connections_lock._is_owned()  # type: ignore[attr-defined]  # missing in the stubs
        if self._addresses.get(sock) == address:
            return True
        limit = self._limits.max_connections_per_address
        if limit and self._counts[address] >= limit:
            return False
        self._uncount(sock)  # a proxy may send requests of several clients on one connection
        self._counts[address] += 1
        self._addresses[sock] = address
        return True

    def _uncount(self, sock: socket.socket) -> None:
        assert self._connections_lock._is_owned()  # type: ignore[attr-defined]  # missing in the stubs
        address = self._addresses.pop(sock, None)
        if address is not None:
            self._counts[address] -= 1
            if not self._counts[address]:
                del self._counts[address]

    def _quotas(self, sock: socket.socket) -> tuple[Quota, ...]:
        """Return the quotas of the connection's address and of the whole server, as far as there are limits."""
        assert self._connections_lock._is_owned()  # type: ignore[attr-defined]  # missing in the stubs
        if not self._limits.max_connections_per_address or not self._limits.outbox_bytes_per_address:
            return self._total_quota
        address = self._addresses.get(sock)
        if address is None:
            return self._total_quota
        quota = self._address_quotas.get(address)
        if quota is None:
            quota = self._address_quotas[address] = Quota(self._limits.outbox_bytes_per_address)
        return quota, *self._total_quota

    def _abort_idle(self, sock: socket.socket) -> None:
        assert self._connections_lock._is_owned()  # type: ignore[attr-defined]  # missing in the stubs
        self._idle.remove(sock)
        self._aborted_idle.add(sock)
        self.abort_http(sock)

    def _shut_down_http(self, sock: socket.socket, how: int) -> None:
        with self._connections_lock:
            if sock in self._http:
                with contextlib.suppress(OSError):
                    # Not SSLSocket.shutdown, which drops the TLS object while the connection's thread uses it.
                    socket.socket.shutdown(sock, how)


def _go_away(peer: Peer, drain: float | None) -> None:
    peer.begin_close(CloseCode.GOING_AWAY, "the server is stopping", timeout=drain)
