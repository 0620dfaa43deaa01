"""`WebSocketServer`: a `socketserver` server with a thread for each connection.

The thread of a connection answers its HTTP requests until one opens a WebSocket (see `http_connection`), and then runs the handler.
"""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import socket
import socketserver
import sys
import threading
from collections.abc import Callable
from time import monotonic
from typing import Any

from wschat.connection.background_threads import acquire_background_threads, release_background_threads
from wschat.connection.connection import Connection
from wschat.connection.reentrance import is_reentrant, is_within
from wschat.connection.streams import was_interrupted
from wschat.counters import Load, Refusal, counters
from wschat.daemons import join_daemon, start_daemon
from wschat.errors import ConnectionClosed, HttpConnectionClosed, RequestRefused, UsageError
from wschat.forks import ForkAware, close_in_child
from wschat.protocol.frames import CloseCode
from wschat.server.addresses import host_of, is_on_loopback
from wschat.server.config import DEFAULT_CONFIG, ServerConfig, with_settings
from wschat.server.connection_threads import ConnectionThreads
from wschat.server.connections import Connections
from wschat.server.fd_reserve import PAUSE_SECONDS, FdReserve
from wschat.server.handlers import check_class
from wschat.server.http_connection import HttpConnection
from wschat.server.http_settings import HttpSettings
from wschat.server.listening import check_address, family_of, naming, shown_address
from wschat.server.logs import log_closed, log_failed, log_listening, log_refused, name_of
from wschat.server.overload import Overload
from wschat.server.refusals import BUSY, FAILED, refusal_encoder
from wschat.server.requests import Request
from wschat.wakeup import WakeUp

logger = logging.getLogger("wschat.server")

_TCP = (socket.AF_INET, socket.AF_INET6)


class WebSocketHandler(socketserver.BaseRequestHandler):
    """Handler of one connection of a `WebSocketServer`, in a thread of its own.

    Override `handle`, and use `self.ws`. Override `check_request` to refuse requests before the WebSocket is open.
    """

    server: WebSocketServer
    """The server that accepted the connection."""
    ws: Connection
    """The open WebSocket."""

    def setup(self) -> None:
        """Open the WebSocket."""
        self.ws = self.server.open_websocket(self.request, self.client_address, self._check)

    def _check(self, request: Request) -> None:
        """Call `check_request`. Refuse the request with 500 if it fails or returns a value, so that an error never lets a client in."""
        try:
            result: object = self.check_request(request)  # type: ignore[func-returns-value]
            if result is not None:
                raise UsageError(f"check_request must raise RequestRefused or return None; it returned {result!r}")
        except RequestRefused:
            raise
        except Exception:
            logger.exception("check_request of %s failed", name_of(self.client_address))
            raise FAILED from None

    def check_request(self, request: Request) -> None:
        """Raise RequestRefused to refuse the request. By default, every request is accepted."""

    def handle(self) -> None:
        """Use the WebSocket, which is closed when this method returns. Must be overridden."""
        raise NotImplementedError

    def finish(self) -> None:
        """Close the WebSocket: with close code 1011 if `handle` raised an exception, else with 1000."""
        error = sys.exc_info()[1]
        has_failed = error is not None and not isinstance(error, ConnectionClosed)
        self.ws.close(CloseCode.INTERNAL_ERROR if has_failed else CloseCode.NORMAL)


class WebSocketServer(ForkAware, socketserver.TCPServer):
    """A WebSocket server that follows the conventions of `socketserver`.

    `address` is (host, port), where port 0 means any free port and a host with colons is IPv6; or the path of a Unix socket; or a
    listening socket. `handler_class` is a `WebSocketHandler`. `config` holds the settings, and each field of `ServerConfig` can also
    be given as a keyword argument, which wins. Raises UsageError for an invalid value and TypeError for an unknown keyword.
    As a context manager, it stops at the end of the block. In a process that was forked after the server was made, `start` and
    `serve_forever` raise UsageError, what stops or closes the server does nothing, `load` counts no connection, and `port` is as before.
    """

    allow_reuse_address = os.name != "nt"  # on Windows, it would let another program listen on the same port

    def __init__(
        self,
        address: tuple[str, int] | str | socket.socket,
        handler_class: type[WebSocketHandler],
        *,
        config: ServerConfig = DEFAULT_CONFIG,
        **settings: Any,
    ) -> None:
        check_class(handler_class, WebSocketHandler)
        self.config = config = with_settings(config, settings)
        self.limits = config.limits
        """The limits of the server and of each of its connections."""
        self.request_queue_size = config.backlog
        with contextlib.ExitStack() as undo:
            # Each of these may fail for lack of descriptors or threads.
            self._background = acquire_background_threads()
            undo.callback(release_background_threads, self._background)
            self._fd_reserve = undo.enter_context(contextlib.closing(FdReserve()))
            self._wake_up = WakeUp()
            undo.pop_all()
        self._is_stopping = False
        self._thread: threading.Thread | None = None
        self._serving_thread = 0  # ident of the thread that runs `serve_forever`, else 0
        self._end_serving: Callable[[], None] | None = None  # for `serve_forever` to call, if `stop` interrupted it
        self._has_stopped_accepting = threading.Event()
        self._has_stopped_accepting.set()
        self._busy = refusal_encoder(BUSY, as_json=config.has_http)
        self._connections = Connections(config.limits)
        self._overload = Overload(self._background.timers, self._busy)
        self._threads = ConnectionThreads(self._handle)
        self._unix_path: str | None = None  # the socket that this server created and removes
        self._is_closed = False
        try:
            self._listen(address, handler_class)
        except BaseException:
            self._release()
            raise
        answers_to_some = config.hosts.names or (self.address_family in _TCP and is_on_loopback(self.socket))
        self._http = HttpSettings(self._connections, self._background.timers, config, config.hosts if answers_to_some else None)
        self._watch_forks()
        log_listening(self._place())

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._place()}>"

    def _place(self) -> str:
        return shown_address(self.server_address, self.config.path_prefix, is_secure=self.config.tls is not None)

    def _listen(self, address: tuple[str, int] | str | socket.socket, handler_class: type[WebSocketHandler]) -> None:
        check_address(address)
        if isinstance(address, socket.socket):
            socketserver.BaseServer.__init__(self, address.getsockname(), handler_class)
            self.socket = address
            self.address_family = address.family
        else:
            self.address_family = family_of(address)
            with naming(address):
                super().__init__(address, handler_class)  # type: ignore[arg-type]  # typeshed knows no paths here
            self._unix_path = address if isinstance(address, str) else None
            close_in_child(self.socket)  # a socket that the program gave may be meant for its children
        self.socket.setblocking(False)

    @property
    def port(self) -> int:
        """The TCP port that the server listens on. Raises UsageError for a Unix socket."""
        if not isinstance(self.server_address, tuple):
            raise UsageError(f"{self!r} has no port")
        return int(self.server_address[1])

    def load(self) -> Load:
        """Return the numbers of open connections and of the bytes that wait for them. Thread-safe."""
        return self._connections.load()

    def start(self) -> WebSocketServer:
        """Serve in a background thread until `stop`, and return the server at once.

        Raises UsageError if the server serves already or was stopped.
        """
        self._check_may_serve()
        self._has_stopped_accepting.clear()
        try:
            self._thread = start_daemon(self.serve_forever, "wschat-acceptor")
        except OSError:
            self._has_stopped_accepting.set()
            raise
        return self

    def serve_forever(self, poll_interval: float = 0) -> None:
        """Accept connections until `shutdown`, `stop`, `request_shutdown` or Ctrl-C (KeyboardInterrupt).

        `poll_interval` is ignored: the server does not poll. Raises UsageError if the server serves already or was stopped.
        """
        self._check_may_serve()
        self._serving_thread = threading.get_ident()  # before the event is cleared, so that no signal handler waits for it
        self._has_stopped_accepting.clear()
        try:
            with selectors.DefaultSelector() as selector:
                close_in_child(selector)
                selector.register(self._wake_up, selectors.EVENT_READ)
                selector.register(self.socket, selectors.EVENT_READ)
                with contextlib.suppress(ValueError):  # without a descriptor, its clients are answered a second later
                    selector.register(self._overload, selectors.EVENT_READ)
                while not self._is_stopping:
                    selector.select()
                    self._overload.read_requests()
                    self.service_actions()
                    if not self._accept():
                        # Out of descriptors or memory. The pending connections would make `select` return again and again.
                        selector.unregister(self.socket)
                        selector.select(PAUSE_SECONDS)
                        selector.register(self.socket, selectors.EVENT_READ)
        except KeyboardInterrupt:
            logger.info("interrupted")
        except (OSError, ValueError):
            if self._is_inherited:  # a signal handler has forked, and returned in the child
                raise self._inherited_error() from None
            raise
        finally:
            self._has_stopped_accepting.set()
            self._serving_thread = 0
            if self._end_serving is not None:
                self._end_serving()

    def _check_may_serve(self) -> None:
        self._check_process()
        if self.socket.fileno() < 0:
            raise UsageError(f"{self!r} has been stopped: make a new server")
        if self._serving_thread or self._thread not in (None, threading.current_thread()):
            raise UsageError(f"{self!r} serves already, in another thread")

    def request_shutdown(self) -> None:
        """Make `serve_forever` return, without waiting. For signal handlers. Call `shutdown` or `stop` afterwards."""
        if self._is_inherited:
            return
        self._is_stopping = True
        self._wake_up.send()

    def shutdown(self, drain: float | None = None) -> None:
        """Stop listening, close every connection with close code 1001, and wait until their handlers have returned.

        Requests in progress are answered with 503. Messages that wait for slow peers are sent for at most `drain` seconds
        (default: `Limits.close_timeout`). The wait ends soon after that, even if a handler has not returned.

        Thread-safe. In a log handler, and in a signal handler that has interrupted code of this package or of `logging`, this returns at
        once, and `serve_forever` or another thread does the work. The handler of a connection does not wait for its own connection.
        """
        if self._is_inherited or self._leave_to_another(lambda: self.shutdown(drain)):
            return
        self.request_shutdown()
        self._has_stopped_accepting.wait()
        self.socket.close()
        self._connections.close_all((self.config.limits.close_timeout or None) if drain is None else drain)
        self._threads.close()

    def _leave_to_another(self, end_serving: Callable[[], None]) -> bool:
        """Return True if the caller has interrupted code that it would wait for, and make `serve_forever` or a thread call the function."""
        if self._serving_thread == threading.get_ident():
            self._end_serving = end_serving
        elif is_reentrant() or is_within(logging.__name__):  # whose lock the threads of the connections need to log their end
            threading.Thread(target=end_serving, name="wschat-stop").start()
        else:
            return False
        self.request_shutdown()
        return True

    def server_close(self) -> None:
        """Stop listening, and release descriptors and background threads."""
        if self._is_inherited:
            return  # the listening socket may be the program's own, and the file of a Unix socket is the parent's
        super().server_close()
        self._release()

    def _release(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            if self._unix_path is not None:
                with contextlib.suppress(OSError):  # it was removed by another process
                    os.unlink(self._unix_path)
            self._wake_up.close()
            self._overload.close()
            self._threads.close()
            self._fd_reserve.close()
            release_background_threads(self._background)

    def _leave_to_parent(self) -> None:
        super()._leave_to_parent()
        self._fd_reserve.close()
        self._threads = ConnectionThreads(self._handle)
        self._threads.close()  # the thread that has forked may be one of them, and starts no spare

    def stop(self, drain: float | None = None) -> None:
        """Call `shutdown` and `server_close`, and wait for the background thread. Thread-safe, as `shutdown`. May be called again."""
        if self._is_inherited or sys.is_finalizing():
            return  # the threads are the parent's, or never run again
        if self._leave_to_another(lambda: self.stop(drain)):
            return
        self.shutdown(drain)
        self.server_close()
        if self._thread is not None:
            join_daemon(self._thread)

    def __enter__(self) -> WebSocketServer:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Start the thread of an accepted connection, or refuse the connection (503)."""
        host = host_of(client_address)
        if self.config.proxies.include(host):
            host = None  # counted once a request names the address of the client
        if not self._connections.add(request, host):
            self._turn_away(request, client_address, Refusal.TOO_MANY_CONNECTIONS)
            return
        try:
            self._threads.run((request, client_address))
        except RuntimeError as error:
            self._fd_reserve.log_exhaustion(error)
            self._connections.remove(request)
            self._turn_away(request, client_address, Refusal.NO_THREAD)

    def _turn_away(self, request: socket.socket, client_address: object, reason: Refusal) -> None:
        counters.count_refusal(reason)
        log_refused(client_address, reason.value)
        if self.config.tls is None:
            self._overload.refuse(request)
        else:
            request.close()  # a response would need a TLS handshake

    def open_websocket(self, sock: socket.socket, client_address: object, check_request: Callable[[Request], None]) -> Connection:
        """Answer the requests on an accepted connection until one opens a WebSocket, and return it. For the connection's thread.

        Raises RequestRefused after a refusal was sent, and HttpConnectionClosed if the connection ends without a WebSocket.
        """
        ws = HttpConnection(self._http, sock, client_address, check_request).open_websocket()
        self._threads.start_spare()
        return ws

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log the exception of a handler. Called while the exception is handled."""
        log_failed(client_address, self._connections.peer(request))

    def _accept(self) -> bool:
        """Accept a pending connection, if any. Return False if no descriptor or memory is left, not even to refuse one."""
        try:
            request, client_address = self.get_request()
            if self.config.tls is not None:
                # The handshake takes place in the connection's own thread.
                request = self.config.tls.wrap_socket(request, server_side=True, do_handshake_on_connect=False)
        except OSError as error:
            if was_interrupted(error):
                raise
            if not self._fd_reserve.is_exhaustion(error):
                return True  # none is pending, or the client is gone
            self._fd_reserve.log_exhaustion(error)
            if self._connections.abort_oldest_idle():
                return False  # the next attempt succeeds once the idle connection is closed
            return self._fd_reserve.refuse_one(self.socket, (lambda head: b"") if self.config.tls else self._busy)
        if self.verify_request(request, client_address):
            self.process_request(request, client_address)
        else:
            self.shutdown_request(request)
        return True

    def _handle(self, accepted: tuple[socket.socket, object]) -> None:
        """Serve one connection, in its thread."""
        request, client_address = accepted
        accepted_at = monotonic()
        self._connections.set_thread(request)
        try:
            self.finish_request(request, client_address)
        except (ConnectionClosed, HttpConnectionClosed, RequestRefused):
            pass  # the normal end for a handler that does not catch it, and of a refused request
        except Exception:
            self.handle_error(request, client_address)
        finally:
            self._clean_up(request, accepted_at)

    def _clean_up(self, request: socket.socket, accepted_at: float) -> None:
        """Release a connection, whatever fails."""
        try:
            self.shutdown_request(request)
        finally:
            try:
                self._threads.start_spare()  # not done yet if no WebSocket was opened
                peer = self._connections.peer(request)
                if peer is not None:
                    log_closed(peer, monotonic() - accepted_at)
            finally:
                # Last: once the last connection is removed, the server has stopped, and the program may end.
                self._connections.remove(request)
