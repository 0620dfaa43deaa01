"""The servers of one test, which are stopped after it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType
from typing import Any

from wschat.brokers.memory import MemoryBroker
from wschat.chat.chat import SUBPROTOCOLS, Chat
from wschat.errors import UsageError
from wschat.server.config import DEFAULT_CONFIG, ServerConfig, with_settings
from wschat.server.requests import Request
from wschat.server.serve import NoWebSockets, at_paths
from wschat.testing.live_server import Handler, LiveServer
from wschat.web.site import Site


class Servers:
    """Starts servers, and stops them all at the end of the block. The fixture `wschat_server` is one of these."""

    def __init__(self, seed: str, timeout: float | None) -> None:
        """`seed` is that of the faults; `timeout` is the time in seconds that handlers have to return at the end."""
        self._seed = seed
        self._timeout = timeout
        self.started: list[LiveServer] = []
        """The servers, in the order in which they were started."""

    def __call__(
        self,
        handler: Handler | None = None,
        *,
        check_request: Callable[[Request], None] | None = None,
        websocket_paths: Collection[str] | None = None,
        config: ServerConfig = DEFAULT_CONFIG,
        **settings: Any,
    ) -> LiveServer:
        """Return a running server of a handler, on a free port of the loopback interface.

        The arguments and errors are those of `wschat.serve`, without the address. A server of an application (`wsgi`, `http`) needs no
        handler.
        """
        config = with_settings(config, settings)
        if handler is None and config.wsgi is None and config.http is None:
            raise UsageError("give a handler, or an application as wsgi= or http=")
        if websocket_paths is not None:
            handler = at_paths(handler, websocket_paths)
        seed = f"{self._seed} {len(self.started)}"
        server = LiveServer(NoWebSockets if handler is None else handler, check_request, config, seed=seed, timeout=self._timeout)
        self.started.append(server)
        return server

    def chat(self, chat: Chat | None = None, *, config: ServerConfig = DEFAULT_CONFIG, **settings: Any) -> LiveServer:
        """Return a running server of a chat, by default of one that keeps its messages in memory. It is closed with the server.

        The other arguments and errors are those of `wschat.serve`.
        """
        chat = chat or Chat(MemoryBroker())
        config = with_settings(config, settings)
        site = Site(chat.http, config.limits.max_message_bytes)
        config = replace(config, subprotocols=SUBPROTOCOLS, http=site, public_paths=site.public_paths)
        server = self(chat.handle, check_request=chat.check_request, config=config)
        site.watch(server.server.load)
        closing = ExitStack()
        closing.callback(chat.close)
        closing.callback(site.close)
        server.close_at_end(closing.close)
        return server

    @property
    def url(self) -> str | None:
        """The URL of the server that was started last; None before."""
        return self.started[-1].url if self.started else None

    def take_errors(self) -> list[BaseException]:
        """Remove and return the exceptions that handlers have raised so far."""
        return [error for server in self.started for error in server.take_errors()]

    def __enter__(self) -> Servers:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        __tracebackhide__ = True
        errors = []
        for server in reversed(self.started):
            try:
                server.stop()
            except BaseException as failure:  # of a handler, which may be that of pytest.fail
                errors.append(failure)
        for first in errors:
            raise first
