"""The server: `socketserver` with a thread for each connection, which ends when it is told to.

A connection's thread reads the request, opens the WebSocket and runs the handler. What the handler does is its own business.
"""

from __future__ import annotations

import _thread
import contextlib
import errno
import logging
import os
import selectors
import socket
import socketserver
import stat
import sys
import threading
from collections.abc import Callable, Collection, Sequence
from typing import Any

from wschat.connection.connection import Connection
from wschat.connection.crew import join_crew, leave_crew
from wschat.connection.streams import open_stream
from wschat.errors import ConnectionClosed, RequestRefused
from wschat.limits import DEFAULT_LIMITS, Limits
from wschat.protocol.deflate import Deflate
from wschat.protocol.frames import CloseCode
from wschat.server.opening import answer_opening
from wschat.server.origins import check_origin, is_loopback
from wschat.server.requests import Exchange, Request

logger = logging.getLogger("wschat.server")

# Nothing is kept between messages: ten thousand compressing connections cost no more than silent ones.
DEFAULT_DEFLATE = Deflate(server_no_context_takeover=True, client_no_context_takeover=True)

# What a handler may take to return once its connection has been closed, in seconds.
_GRACE = 1.0

# What accept() says when this process or the system has run out of something that will come back.
_SCARCITY = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_SECONDS_OF_SCARCITY = 0.1


class WebSocketHandler(socketserver.BaseRequestHandler):
    """One connection of a `WebSocketServer`, in a thread of its own. Override `handle`, and use `self.ws`.

    `check_request` may be overridden to refuse a request before the WebSocket is open.
    """

    server: WebSocketServer
    ws: Connection

    def setup(self) -> None:
        """Open the WebSocket."""
        self.ws = self.server.open_websocket(self.request, self.client_address, self.check_request)

    def check_request(self, request: Request) -> None:
        """Raise RequestRefused if this request is not to become a WebSocket."""

    def handle(self) -> None:
        """What to do with the WebSocket; it is closed when this returns."""
        raise NotImplementedError

    def finish(self) -> None:
        """Close the WebSocket: with 1011 if `handle` failed."""
        error = sys.exc_info()[1]
        has_failed = error is not None and not isinstance(error, ConnectionClosed)
        self.ws.close(CloseCode.INTERNAL_ERROR if has_failed else CloseCode.NORMAL)


class WebSocketServer(socketserver.TCPServer):
    """A WebSocket server, by the conventions of `socketserver`.

    `address` is (host, port), where port 0 means any free one and a host with colons is IPv6; or the path of a Unix socket;
    or a socket that listens already. `handler_class` is a `WebSocketHandler`. `subprotocols` are those spoken, `origins` the
    web origins that may connect besides our own, `deflate` the compression that is agreed to (None for none).

    As a context manager it stops itself.
    """

    allow_reuse_address = True
    request_queue_size = 1024

    def __init__(
        self,
        address: tuple[str, int] | str | socket.socket,
        handler_class: type[WebSocketHandler],
        *,
        limits: Limits = DEFAULT_LIMITS,
        subprotocols: Sequence[str] = (),
        origins: Collection[str] = (),
        deflate: Deflate | None = DEFAULT_DEFLATE,
    ) -> None:
        self.limits = limits
        self.subprotocols = subprotocols
        self.origins = frozenset(origins)
        self.deflate = deflate
        self._wake_up, self._woken = socket.socketpair()
        self._wake_up.setblocking(False)
        self._crew = join_crew()
        self._is_stopping = False
        self._is_short = False  # of descriptors or memory
        self._thread: threading.Thread | None = None
        self._has_stopped_accepting = threading.Event()
        self._has_stopped_accepting.set()
        # Guards the three below, and is told when the last connection is taken out. Taken before the locks of outboxes.
        self._active_changed = threading.Condition()
        self._active: dict[socket.socket, Connection | None] = {}  # None until it is open
        self._opening: set[socket.socket] = set()  # those whose request has not been answered yet
        self._are_closing = False
        self._unix_path: str | None = None  # that is ours to remove
        self._is_closed = False
        try:
            self._listen(address, handler_class)
        except BaseException:
            self._let_go()
            raise

    def _listen(self, address: tuple[str, int] | str | socket.socket, handler_class: type[WebSocketHandler]) -> None:
        if isinstance(address, socket.socket):
            socketserver.BaseServer.__init__(self, address.getsockname(), handler_class)
            self.socket = address
            self.address_family = address.family
        else:
            self.address_family = _family_of(address)
            super().__init__(address, handler_class)  # type: ignore[arg-type]  # typeshed knows no paths here
            self._unix_path = address if isinstance(address, str) else None
        self.socket.setblocking(False)

    @property
    def port(self) -> int:
        """The TCP port that is listened on."""
        return int(self.server_address[1])

    def start(self) -> WebSocketServer:
        """Serve in a background thread, and return at once. `stop` ends it."""
        # A daemon, so that a program that forgets to stop its server can end all the same.
        self._has_stopped_accepting.clear()
        self._thread = threading.Thread(target=self.serve_forever, name="wschat-acceptor", daemon=True)
        self._thread.start()
        return self

    def serve_forever(self, poll_interval: float = 0) -> None:
        """Accept connections until `shutdown` is called from another thread. There is no polling: the interval is ignored."""
        self._has_stopped_accepting.clear()
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(self._woken, selectors.EVENT_READ)
                selector.register(self.socket, selectors.EVENT_READ)
                while not self._is_stopping:
                    selector.select()
                    if self._accept():
                        self._is_short = False
                    else:
                        # Out of descriptors or memory: those who wait to be accepted would wake us again and again.
                        selector.unregister(self.socket)
                        selector.select(_SECONDS_OF_SCARCITY)
                        selector.register(self.socket, selectors.EVENT_READ)
        finally:
            self._has_stopped_accepting.set()

    def request_shutdown(self) -> None:
        """Have `serve_forever` return, and return at once: for signal handlers. `shutdown` still has to follow."""
        self._is_stopping = True
        with contextlib.suppress(OSError):
            self._wake_up.send(b"\0")

    def shutdown(self) -> None:
        """Stop accepting, close every connection with 1001, and wait until their handlers have returned.

        Waits for `Limits.close_timeout` and a little more at most: what a handler does otherwise cannot be stopped from
        outside. Not for the thread that runs `serve_forever` as long as it does, and not for handlers.
        """
        self.request_shutdown()
        self._has_stopped_accepting.wait()
        self._close_connections()

    def server_close(self) -> None:
        """Stop listening, and let go of what the server holds."""
        super().server_close()
        self._let_go()

    def _let_go(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            if self._unix_path is not None:
                with contextlib.suppress(OSError):  # somebody has removed it
                    os.unlink(self._unix_path)
            self._wake_up.close()
            self._woken.close()
            leave_crew(self._crew)

    def stop(self) -> None:
        """`shutdown` and `server_close`, and wait for the background thread. May be called again."""
        self.shutdown()
        self.server_close()
        if self._thread is not None:
            self._thread.join()

    def __enter__(self) -> WebSocketServer:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give an accepted connection a thread of its own."""
        with self._active_changed:
            self._active[request] = None
            self._opening.add(request)
        try:
            # Not a threading.Thread: its start waits until the thread has reported back, which halves the rate of openings.
            _thread.start_new_thread(self._run, (request, client_address))
        except RuntimeError:
            logger.error("no thread to be had for %s", client_address)
            self._forget(request)
            self.shutdown_request(request)

    def open_websocket(self, sock: socket.socket, client_address: object, check_request: Callable[[Request], None]) -> Connection:
        """Read the request on a fresh connection and open the WebSocket; in the connection's own thread, for its handler.

        Raises RequestRefused, after having answered so, and ConnectionClosed if the peer left or took too long.
        """
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        timeout = self.limits.opening_timeout
        deadline = self._crew.deadlines.after(timeout, lambda: self._give_up_opening(sock)) if timeout else None
        exchange = Exchange(sock, self.limits)
        try:
            request = exchange.read_request()
            if request is None:
                raise ConnectionClosed(CloseCode.ABNORMAL, "left before the request was whole")
            check_request(request)
            opening = answer_opening(request.method, request.headers, self.subprotocols, self.deflate)
            if "origin" in request.headers:
                check_origin(request.headers, self.origins, on_loopback=_is_on_loopback(sock))
            with self._active_changed:
                self._opening.discard(sock)  # from here on it is closed as a WebSocket, not cut
            sock.sendall(opening.response)
        except RequestRefused as refusal:
            exchange.refuse(refusal)
            raise
        except OSError:
            raise ConnectionClosed(CloseCode.ABNORMAL, "left during the opening") from None
        ws = Connection(
            open_stream(sock),
            is_client=False,
            limits=self.limits,
            path=request.target,
            headers=request.headers,
            remote_address=client_address,
            subprotocol=opening.subprotocol,
            deflate=opening.deflate,
            already_read=exchange.already_read,
        )
        with self._active_changed:
            self._active[sock] = ws
            is_too_late = self._are_closing
        if deadline is not None:
            deadline.cancel()
        if is_too_late:
            ws.begin_close(CloseCode.GOING_AWAY, "the server is stopping")
        return ws

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A handler failed: log it, once. Called while the exception is handled."""
        logger.exception("the handler of %s failed", client_address or "a connection")

    def _accept(self) -> bool:
        """Accept one who waits, if there is one; False if there is nothing left to accept anybody with."""
        try:
            request, client_address = self.get_request()
        except OSError as error:
            if error.errno in _SCARCITY:
                if not self._is_short:  # said once, until it is over
                    self._is_short = True
                    logger.error("cannot accept connections: %s", error)
                return False
            return True  # nobody there, or gone already
        if self.verify_request(request, client_address):
            self.process_request(request, client_address)
        else:
            self.shutdown_request(request)
        return True

    def _run(self, request: socket.socket, client_address: object) -> None:
        """A connection's thread."""
        trace = threading.gettrace()
        if trace is not None:  # a debugger or a coverage tool wants to see every thread
            sys.settrace(trace)
        # What is traced is what is called from here on.
        self._handle(request, client_address)

    def _handle(self, request: socket.socket, client_address: object) -> None:
        try:
            self.finish_request(request, client_address)
        except ConnectionClosed:
            pass  # to a handler that does not ask, this is how a conversation ends
        except RequestRefused as refusal:
            logger.info("refused %s: %s", client_address or "a connection", refusal)
        except Exception:
            self.handle_error(request, client_address)
        finally:
            self.shutdown_request(request)
            self._forget(request)

    def _forget(self, request: socket.socket) -> None:
        with self._active_changed:
            self._active.pop(request, None)
            self._opening.discard(request)
            if not self._active:
                self._active_changed.notify_all()

    def _give_up_opening(self, sock: socket.socket) -> None:
        with self._active_changed:
            if sock in self._opening:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    def _close_connections(self) -> None:
        with self._active_changed:
            self._are_closing = True
            active = list(self._active.items())
        for sock, ws in active:
            if ws is None:
                self._give_up_opening(sock)
            else:
                ws.begin_close(CloseCode.GOING_AWAY, "the server is stopping")
        with self._active_changed:
            timeout = self.limits.close_timeout + _GRACE if self.limits.close_timeout else None
            if not self._active_changed.wait_for(lambda: not self._active, timeout):
                logger.warning("%d handlers are still running", len(self._active))


def _family_of(address: tuple[str, int] | str) -> socket.AddressFamily:
    if isinstance(address, str):
        _remove_stale_socket(address)
        return socket.AF_UNIX
    return socket.AF_INET6 if ":" in address[0] else socket.AF_INET


def _is_on_loopback(sock: socket.socket) -> bool:
    return sock.family not in (socket.AF_INET, socket.AF_INET6) or is_loopback(sock.getsockname()[0])


def _remove_stale_socket(path: str) -> None:
    """A server that was killed leaves its socket behind, and nobody could listen there again."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            if stat.S_ISSOCK(os.stat(path).st_mode):
                os.unlink(path)
        except OSError:
            pass  # nothing is there, or nothing that we may take away
