"""The connections of one test, which are closed after it."""

from __future__ import annotations

import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Any, NamedTuple

from wschat.client.connect import connect
from wschat.connection.streams import open_stream
from wschat.errors import UsageError
from wschat.limits import DEFAULT_LIMITS, Limits
from wschat.testing.recorded import RecordedConnection

PAIR_LIMITS = replace(DEFAULT_LIMITS, close_timeout=0.5)
"""The limits of a pair. An end that closes waits for the other to read, which a test with one thread never does."""

# Seconds that the closing handshakes at the end of a test may take.
_CLOSE_TIMEOUT = 1.0


class Pair(NamedTuple):
    """Two ends of one connection."""

    client: RecordedConnection
    server: RecordedConnection


class Connections:
    """Opens connections, and closes them all at the end of the block. The fixture `ws_connect` is one of these."""

    def __init__(self, base_url: Callable[[], str | None], timeout: float | None) -> None:
        """`base_url` returns the URL that paths are appended to, if there is one; `timeout` is that of each receive."""
        self._base_url = base_url
        self._timeout = timeout
        self.opened: list[RecordedConnection] = []
        """The connections, in the order of their openings."""

    def __call__(self, url: str = "/", **options: Any) -> RecordedConnection:
        """Open a WebSocket to a URL, or to a path of the server that `wschat_server` has started last.

        `options` and errors are those of `wschat.connect`. Raises UsageError for a path if there is no such server. Waits.
        """
        if url.startswith("/"):
            base = self._base_url()
            if base is None:
                raise UsageError(f"{url} is a path: start a server with wschat_server first, or give a URL")
            url = base.rstrip("/") + url
        title = f"the connection to {url.partition('?')[0]}"  # a query may hold a token
        ws = connect(url, create_connection=partial(RecordedConnection, title=title, timeout=self._timeout), **options)
        assert isinstance(ws, RecordedConnection)
        ws.url = url
        self.opened.append(ws)
        return ws

    def pair(self, limits: Limits = PAIR_LIMITS) -> Pair:
        """Return the two ends of a connection over a socket pair, which was opened without a handshake."""
        ends = {}
        for name, sock in zip(Pair._fields, socket.socketpair(), strict=True):
            ends[name] = RecordedConnection(
                open_stream(sock),
                title=f"the {name}'s end of the pair",
                timeout=self._timeout,
                is_client=name == "client",
                limits=limits,
                path="/",
                headers={},
                remote_address="",
            )
        self.opened.extend(ends.values())
        return Pair(**ends)

    def __enter__(self) -> Connections:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        for ws in self.opened:
            ws.begin_close(timeout=_CLOSE_TIMEOUT)
        if self.opened:
            # In threads, because the two ends of a pair wait for each other.
            with ThreadPoolExecutor(len(self.opened)) as pool:
                pool.map(RecordedConnection.close, self.opened)
