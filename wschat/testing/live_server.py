"""A server for one test: on a free port behind a fault proxy, with the errors of its handlers kept for the test."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from wschat.connection.connection import Connection
from wschat.errors import UsageError
from wschat.server.config import ServerConfig
from wschat.server.requests import Request
from wschat.server.responses import EventsResponse, HttpHandler, Response
from wschat.server.serve import make_handler_class
from wschat.server.server import WebSocketHandler, WebSocketServer
from wschat.server.wsgi import WsgiApp
from wschat.testing.faults import Faults
from wschat.testing.handler_threads import HandlerThreads
from wschat.testing.proxy import FaultProxy

# Seconds for which the server, when it stops, waits for its clients and handlers.
_DRAIN = 0.5


Handler = Callable[[Connection], None] | type[WebSocketHandler] | Mapping[str, Callable[[Connection], None]]
"""What `wschat.serve` takes as a handler."""


class LiveServer:
    """A running server. Its clients connect to a proxy in front of it, which can make faults. Thread-safe."""

    def __init__(
        self,
        handler: Handler,
        check_request: Callable[[Request], None] | None,
        config: ServerConfig,
        *,
        seed: str,
        timeout: float | None,
    ) -> None:
        """`seed` is that of the faults; `timeout` is the time in seconds that handlers have to return in `stop`."""
        self._threads = threads = HandlerThreads()
        self._timeout = timeout
        self._close_application: Callable[[], None] = lambda: None
        if config.http is not None:
            config = replace(config, http=_recording_http(config.http, threads))
        if config.wsgi is not None:
            config = replace(config, wsgi=_recording_wsgi(config.wsgi, threads))
        self.server: WebSocketServer = _Server(_recording_class(make_handler_class(handler, check_request), threads), config, threads)
        """The server behind the proxy."""
        self._proxy = FaultProxy(("127.0.0.1", self.server.port), seed)
        self.faults = Faults(self._proxy)
        """The faults between clients and the server."""
        self.port = self._proxy.port
        """The port that clients connect to."""
        self.url = f"ws{'s' if config.tls else ''}://127.0.0.1:{self.port}{config.path_prefix}"
        """The URL that clients connect to, without a path."""
        self.server.start()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.url}>"

    def pop_error(self, timeout: float | None = None) -> BaseException:
        """Wait for an exception that a handler has raised, and return it. The test does not fail for it then.

        Raises AssertionError if there is none within `timeout` seconds, by default those of the option `wschat_timeout`.
        """
        timeout = self._timeout if timeout is None else timeout
        error = self._threads.pop_error(timeout)
        if error is None:
            raise AssertionError(f"no handler has failed within {timeout:g} s")
        return error

    def take_errors(self) -> list[BaseException]:
        """Remove and return the exceptions that handlers have raised so far."""
        return self._threads.take_errors()

    def stop(self) -> None:
        """Stop the server: close its connections with 1001, and wait for its handlers. May be called again.

        Raises the first exception of a handler, and AssertionError with the stacks of handlers that do not return.
        """
        __tracebackhide__ = True
        with contextlib.suppress(UsageError):  # it was stopped before
            self.faults.clear()
        self.server.stop(_DRAIN)
        self._proxy.close()
        self._close_application()
        self._close_application = lambda: None
        stacks = self._threads.wait(self._timeout)
        for error in self.take_errors():
            raise error
        if stacks:
            raise AssertionError(f"a handler of {self.url} still runs after the server was stopped:\n{stacks}")

    def close_at_end(self, close: Callable[[], None]) -> None:
        """Set a function to call when the server has stopped."""
        self._close_application = close

    def transcripts(self) -> list[str]:
        """Return for each connection what its client has sent and received, with the faults, for people. With TLS, only the faults."""
        return self._proxy.transcripts()


class _Server(WebSocketServer):
    """A server whose handlers' threads and errors are known."""

    def __init__(self, handler_class: type[WebSocketHandler], config: ServerConfig, threads: HandlerThreads) -> None:
        self._handler_threads = threads
        super().__init__(("127.0.0.1", 0), handler_class, config=config)

    def finish_request(self, request: Any, client_address: Any) -> None:
        with self._handler_threads.running():
            super().finish_request(request, client_address)


def _recording_class(handler_class: type[WebSocketHandler], threads: HandlerThreads) -> type[WebSocketHandler]:
    """Return a handler class whose errors are recorded before the client is told of them."""

    class Recording(handler_class):  # type: ignore[valid-type, misc]
        """Records errors."""

        def check_request(self, request: Request) -> None:
            with threads.recording():
                return super().check_request(request)  # type: ignore[no-any-return]

        def handle(self) -> None:
            with threads.recording():
                super().handle()

    return Recording


def _recording_http(handler: HttpHandler, threads: HandlerThreads) -> HttpHandler:
    def answer(request: Request) -> Response | EventsResponse:
        with threads.recording():
            return handler(request)

    return answer


def _recording_wsgi(app: WsgiApp, threads: HandlerThreads) -> WsgiApp:
    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        with threads.recording():
            body = app(environ, start_response)
        is_made_while_sent = isinstance(body, Iterator) and not isinstance(body, environ["wsgi.file_wrapper"])
        return _RecordingBody(body, threads) if is_made_while_sent else body

    return answer


class _RecordingBody:
    """The body of a response that the application makes while it is sent."""

    def __init__(self, body: Iterable[bytes], threads: HandlerThreads) -> None:
        self._body = body
        self._threads = threads

    def __iter__(self) -> Iterator[bytes]:
        with self._threads.recording():
            yield from self._body

    def close(self) -> None:
        """Close the body of the application, as PEP 3333 asks for."""
        with self._threads.recording():
            getattr(self._body, "close", lambda: None)()
