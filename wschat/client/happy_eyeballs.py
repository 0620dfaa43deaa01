"""TCP connections to a host with several addresses: Happy Eyeballs (RFC 8305).

If an address does not answer within 250 ms, the next one is tried in parallel. The first one to answer is used.
"""

from __future__ import annotations

import contextlib
import errno
import os
import queue
import selectors
import socket
from collections import deque
from collections.abc import Sequence
from itertools import chain, zip_longest
from time import monotonic
from typing import Any

from wschat.client.deadline import Deadline, DeadlinePassed
from wschat.client.failures import explained
from wschat.client.uri import place_of
from wschat.daemons import start_daemon
from wschat.forks import close_in_child
from wschat.wakeup import WakeUp

ATTEMPT_DELAY = 0.25
"""Seconds after which the next address is tried in parallel (RFC 8305, section 5)."""

_IN_PROGRESS = {errno.EINPROGRESS, errno.EWOULDBLOCK, getattr(errno, "WSAEWOULDBLOCK", errno.EWOULDBLOCK)}

AddressInfo = tuple[int, int, int, str, Any]
"""An entry of `socket.getaddrinfo`: family, type, protocol, canonical name, address."""


def create_connection(host: str, port: int, deadline: Deadline) -> socket.socket:
    """Connect to a host, by the first of its addresses to answer.

    Waits until the deadline. Raises OSError if there is no connection, and TimeoutError if the deadline passes.
    """
    place = place_of(host, port)
    try:
        return _Attempts(interleaved(look_up(host, port, deadline)), deadline).run(place)
    except DeadlinePassed:
        raise TimeoutError(
            f"no connection to {place} within {deadline.seconds} s: is the host up, and does no firewall drop its packets?"
        ) from None


def look_up(host: str, port: int, deadline: Deadline, family: int = socket.AF_UNSPEC) -> Sequence[AddressInfo]:
    """Return the addresses of a host, at least one. Raises OSError if it has none, and DeadlinePassed."""
    # localhost and addresses are resolved without a network (RFC 6761, section 6.3).
    flags = 0 if host == "localhost" else socket.AI_NUMERICHOST
    try:
        return socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=flags)
    except socket.gaierror:
        pass  # it is a name to look up
    deadline.remaining()
    # The system's resolver has no deadline and cannot be interrupted, so it runs in a thread, which is abandoned at the deadline.
    results: queue.SimpleQueue[Sequence[AddressInfo] | OSError] = queue.SimpleQueue()

    def resolve() -> None:
        try:
            results.put(socket.getaddrinfo(host, port, family, socket.SOCK_STREAM))
        except OSError as error:
            results.put(error)

    try:
        start_daemon(resolve, "wschat-resolver")
    except OSError:  # no thread is left: look up without a deadline
        resolve()
    deadline.wake_by(lambda: results.put(OSError("cancelled")))
    try:
        found = results.get(timeout=deadline.remaining())
    except queue.Empty:
        raise DeadlinePassed from None
    if isinstance(found, OSError):
        raise OSError(f"the host {host} was not found: {found.strerror or found}") from found
    return found


def interleaved(addresses: Sequence[AddressInfo]) -> list[AddressInfo]:
    """Return the addresses with their families alternating, beginning with the first family (RFC 8305, section 4)."""
    families: dict[int, list[AddressInfo]] = {}
    for address in addresses:
        families.setdefault(address[0], []).append(address)
    return [address for address in chain.from_iterable(zip_longest(*families.values())) if address is not None]


class _Attempts:
    """Parallel connection attempts to several addresses, in the calling thread."""

    def __init__(self, addresses: list[AddressInfo], deadline: Deadline) -> None:
        self._waiting = deque(addresses)
        self._deadline = deadline
        self._errors: list[OSError] = []
        self._next_at = 0.0  # the time of `monotonic` at which the next address is tried
        self._connecting: list[socket.socket] = []

    def run(self, place: str) -> socket.socket:
        """Return the first connected socket, and close the others."""
        wake_up = WakeUp()
        self._deadline.wake_by(wake_up.send)
        with contextlib.closing(wake_up), selectors.DefaultSelector() as selector:
            close_in_child(selector)
            selector.register(wake_up, selectors.EVENT_READ)
            try:
                while self._waiting or self._connecting:
                    if self._waiting and (not self._connecting or monotonic() >= self._next_at):
                        self._begin(selector)
                    if (connected := self._wait(selector)) is not None:
                        return connected
            finally:
                for sock in self._connecting:
                    sock.close()
        # A refused connection says more than an unreachable address: the host is there.
        error = next((error for error in self._errors if isinstance(error, ConnectionRefusedError)), self._errors[0])
        raise explained(error, place) from None

    def _begin(self, selector: selectors.BaseSelector) -> None:
        family, kind, protocol, _, address = self._waiting.popleft()
        self._next_at = monotonic() + ATTEMPT_DELAY
        try:
            sock = socket.socket(family, kind, protocol)
        except OSError as error:
            self._errors.append(error)
            return
        close_in_child(sock)
        self._connecting.append(sock)
        sock.setblocking(False)
        code = sock.connect_ex(address)
        if code and code not in _IN_PROGRESS:
            self._fail(sock, code)
        else:
            selector.register(sock, selectors.EVENT_WRITE)

    def _wait(self, selector: selectors.BaseSelector) -> socket.socket | None:
        """Wait for one of the attempts until the next one is due. Return the socket of one that is connected, else None."""
        timeout = self._deadline.remaining()
        if self._waiting:
            until_next = max(0.0, self._next_at - monotonic()) if self._connecting else 0.0
            timeout = until_next if timeout is None else min(timeout, until_next)
        for key, _ in selector.select(timeout) if self._connecting else ():
            sock = key.fileobj
            if not isinstance(sock, socket.socket):  # cancelled
                continue
            selector.unregister(sock)
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if not code:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._connecting.remove(sock)  # last: after an error, it is closed with the others
                return sock
            self._fail(sock, code)
        return None

    def _fail(self, sock: socket.socket, code: int) -> None:
        self._connecting.remove(sock)
        sock.close()
        self._errors.append(OSError(code, os.strerror(code)))
        self._next_at = 0.0  # try the next address at once
