"""A TCP proxy on the loopback interface that does to connections what networks do: it cuts, delays, corrupts and loses.

One thread forwards all connections, and all state belongs to it. Other threads send it functions to call.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from time import monotonic
from typing import TypeVar

from wschat.daemons import join_daemon, start_daemon
from wschat.errors import UsageError
from wschat.testing.link import Link
from wschat.wakeup import WakeUp

T = TypeVar("T")

_HOST = "127.0.0.1"
_BACKLOG = 128
# Made anew for each wait, so that no socket stays registered after it was closed. Epoll would take system calls for that.
_Selector = getattr(selectors, "PollSelector", selectors.SelectSelector)


class FaultProxy:
    """Forwards the connections of a port to a server. Made with a running thread; `close` ends it. Methods are thread-safe."""

    def __init__(self, server_address: tuple[str, int], seed: str) -> None:
        """Listens on a free port. The same `seed` draws the same random numbers."""
        self._server_address = server_address
        self._seed = seed
        # Guards the two attributes below. No other lock is taken while it is held.
        self._calls_lock = threading.Lock()
        self._calls: list[Callable[[], None]] = []
        self._is_closed = False
        # For the thread of the proxy:
        self.rules: list[Callable[[Link], None]] = []
        """What is done to each connection when it is accepted."""
        self.opening_delay = 0.0
        """The time in seconds until a connection that was accepted is forwarded to the server."""
        self.links: list[Link] = []
        """All connections, in the order in which they were accepted."""
        self._wake_up = WakeUp()
        self._listener: socket.socket | None = None
        self._reserved: socket.socket | None = None
        self.port = 0
        """The port that clients connect to."""
        self.listen()
        self._thread = start_daemon(self._run, "wschat-faults")

    def call(self, function: Callable[[], T]) -> T:
        """Call a function in the thread of the proxy, and return what it returns. Raises UsageError if the proxy is closed."""
        future: Future[T] = Future()
        with self._calls_lock:
            if self._is_closed:
                raise UsageError("the server has been stopped: its connections can have no faults any more")
            self._calls.append(lambda: _complete(future, function))
        self._wake_up.send()
        return future.result()

    def transcripts(self) -> list[str]:
        """Return for each connection what its client has sent and received, with the faults, for people."""
        try:
            return self.call(self._transcripts)
        except UsageError:
            return self._transcripts()  # the thread has ended

    def close(self) -> None:
        """Close all connections and the port, and wait for the thread. May be called again."""
        with contextlib.suppress(UsageError):
            self.call(self._close)
        join_daemon(self._thread)

    # In the thread of the proxy

    def listen(self) -> None:
        """Accept connections."""
        if self._listener is None:
            self._listener = self._bind()
            self._listener.listen(_BACKLOG)

    def refuse(self) -> None:
        """Refuse connections. The port stays reserved: a socket that is bound and does not listen refuses them."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
            self._reserved = self._bind()

    def _bind(self) -> socket.socket:
        if self._reserved is not None:
            self._reserved.close()
            self._reserved = None
        sock = socket.socket()
        sock.setblocking(False)
        if sys.platform != "win32":  # there, another program could take the port
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((_HOST, self.port))
        self.port = sock.getsockname()[1]
        return sock

    def _run(self) -> None:
        try:
            while not self._is_closed:
                with _Selector() as selector:
                    timeout = self._register(selector)
                    for key, events in selector.select(timeout):
                        key.data(events)
        finally:
            self._release()

    def _register(self, selector: selectors.BaseSelector) -> float | None:
        """Write what is due, and register what to wait for. Return the seconds to wait at most, or None for no limit."""
        times = [time for link in self.links if (time := link.proceed()) is not None]
        selector.register(self._wake_up, selectors.EVENT_READ, self._make_calls)
        if self._listener is not None:
            selector.register(self._listener, selectors.EVENT_READ, partial(self._accept, self._listener))
        for link in self.links:
            for sock, events in link.interests():
                selector.register(sock, events, partial(link.handle, sock))
        return max(0.0, min(times) - monotonic()) if times else None

    def _make_calls(self, _: int) -> None:
        self._wake_up.clear()
        with self._calls_lock:
            calls, self._calls = self._calls, []
        for call in calls:
            call()

    def _accept(self, listener: socket.socket, _: int) -> None:
        try:
            client = listener.accept()[0]
        except OSError:  # the client has left, or a call has closed the listener
            return
        link = Link(len(self.links) + 1, client, self._server_address, self._seed, self.opening_delay)
        self.links.append(link)
        for rule in self.rules:
            rule(link)

    def _transcripts(self) -> list[str]:
        return [str(link.transcript) for link in self.links]

    def _close(self) -> None:
        with self._calls_lock:
            self._is_closed = True

    def _release(self) -> None:
        """Close everything, and make the calls that came too late."""
        self._close()
        for call in self._calls:
            call()
        for link in self.links:
            link.close()
        for sock in (self._listener, self._reserved, self._wake_up):
            if sock is not None:
                sock.close()


def _complete(future: Future[T], function: Callable[[], T]) -> None:
    """Call a function, and set its result or exception."""
    try:
        future.set_result(function())
    except Exception as error:
        future.set_exception(error)
