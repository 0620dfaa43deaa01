"""The chat below a path of a WSGI application, inside the server of that application."""

from __future__ import annotations

import inspect
import logging
import threading
from collections.abc import Collection, Iterable
from concurrent.futures import Future
from dataclasses import replace
from http import HTTPStatus
from http.client import responses
from typing import Any, NamedTuple

from wschat.brokers.opening import open_broker
from wschat.chat.chat import SUBPROTOCOLS, Chat
from wschat.errors import HistoryUnavailable, RequestRefused, UsageError
from wschat.forks import ForkAware
from wschat.limits import DEFAULT_LIMITS, Limits
from wschat.server.origins import READABLE_BY_ALL, check_origin, cross_origin_headers, is_preflight, joined_headers, parse_origins
from wschat.server.proxies import parse_networks
from wschat.server.requests import Request, check_path_prefix
from wschat.server.response_writer import WITHOUT_BODY
from wschat.server.responses import EventsResponse, Response, error_response
from wschat.server.wsgi import WsgiApp
from wschat.web.site import Site
from wschat.wsgi.application import WebSocketApp
from wschat.wsgi.open_connections import connections_for
from wschat.wsgi.requests import request_of
from wschat.wsgi.responses import StartResponse, refusing_response

logger = logging.getLogger("wschat.wsgi")

_UNAVAILABLE = RequestRefused(HTTPStatus.SERVICE_UNAVAILABLE, "The chat is not available at the moment.", {"Retry-After": "5"})
_NO_EVENTS = RequestRefused(
    HTTPStatus.NOT_IMPLEMENTED, "There are no event streams inside another server: open a WebSocket, or ask for messages?since=NUMBER."
)


class _OpenChat(NamedTuple):
    """A chat with what it serves."""

    chat: Chat
    site: Site
    websockets: WebSocketApp


class ChatMiddleware(ForkAware):
    """A WSGI application that serves the chat below a path, its pages, its API and its WebSockets; `app` gets all other requests.

    `history` is where messages are kept, as for `open_broker`: `memory`, `off` or the path of a file, which only one process can use.
    `origins`, `limits` and `insiders` are those of `serve` and `Site`; `options` are those of `Chat`, such as `access`. The chat is
    opened by its first request, so a process that only imports the application does not use the file. Raises UsageError, and TypeError
    for an unknown option.
    """

    def __init__(
        self,
        app: WsgiApp,
        path: str = "/chat",
        *,
        history: str = "memory",
        origins: Collection[str] = (),
        limits: Limits = DEFAULT_LIMITS,
        insiders: Collection[str] = (),
        **options: Any,
    ) -> None:
        check_path_prefix(path)
        if not path:
            raise UsageError("the path of the chat must not be empty: all other requests are for the application")
        inspect.signature(Chat).bind(None, **options)  # a wrong option is an error now, not at the first request
        parse_networks(insiders)
        self._app = app
        self._path = path
        self._history = history
        self._origins = parse_origins(origins)
        self._limits = limits
        self._insiders = insiders
        self._options = options
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._lock = threading.Lock()  # guards `_opened` and `_is_opening`
        self._opened: Future[_OpenChat] = Future()
        self._is_opening = False
        self._watch_forks()

    def _leave_to_parent(self) -> None:
        self._begin_anew()  # gunicorn's workers have a chat each, if the application is loaded before they are forked

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request. For a WebSocket, waits until it has ended. While the history cannot be opened, the response is 503."""
        path = environ.get("PATH_INFO", "")
        if path != self._path and not path.startswith(f"{self._path}/"):
            return self._app(environ, start_response)
        try:
            chat = self._open()
        except (HistoryUnavailable, UsageError) as error:  # as while the process that this one replaces still has the file
            logger.error("the chat cannot be opened: %s", error)
            return refusing_response(_UNAVAILABLE, start_response)
        below = {**environ, "SCRIPT_NAME": environ.get("SCRIPT_NAME", "") + self._path, "PATH_INFO": path[len(self._path) :]}
        if environ.get("HTTP_UPGRADE", "").lower() == "websocket":
            return chat.websockets(below, start_response)
        request = request_of(below)
        return _send(request, self._answer(chat.site, request), start_response)

    def close(self) -> None:
        """Make everything durable, and release the history. For the end of the server; waits."""
        if self._opened.done():
            self._opened.result().site.close()
            self._opened.result().chat.close()

    def _open(self) -> _OpenChat:
        """Return the chat, opened by the first caller. Another waits for that."""
        with self._lock:
            opened, is_first, self._is_opening = self._opened, not self._is_opening, True
        if is_first:
            try:
                opened.set_result(self._make())
            except BaseException as error:
                with self._lock:
                    self._opened, self._is_opening = Future(), False  # the next request tries again
                opened.set_exception(error)
        return opened.result()

    def _make(self) -> _OpenChat:
        chat = Chat(open_broker(self._history), **self._options)
        websockets = WebSocketApp(
            chat.handle, check_request=chat.check_request, subprotocols=SUBPROTOCOLS, origins=self._origins, limits=self._limits
        )
        site = Site(chat.http, self._limits.max_message_bytes, self._insiders)
        site.watch(connections_for(self._limits).load)
        return _OpenChat(chat, site, websockets)

    def _answer(self, site: Site, request: Request) -> Response:
        headers: dict[str, str] = {}
        try:
            if request.path in site.public_paths:
                headers = READABLE_BY_ALL
            elif "origin" in request.headers:
                check_origin(request.headers, self._origins, on_loopback=False)
                headers = cross_origin_headers(request, self._origins)
            if is_preflight(request):
                return Response(HTTPStatus.NO_CONTENT, headers=headers)
            response = site(request)
        except RequestRefused as refusal:
            response = error_response(refusal)
        if isinstance(response, EventsResponse):
            response = error_response(_NO_EVENTS)
        return replace(response, headers=joined_headers(response.headers, headers)) if headers else response


def _send(request: Request, response: Response, start_response: StartResponse) -> Iterable[bytes]:
    """Return the body of a response after its head."""
    headers = dict(response.headers)
    has_body = response.status not in WITHOUT_BODY
    if has_body and isinstance(response.body, bytes):
        headers["Content-Length"] = str(len(response.body))
    start_response(f"{int(response.status)} {responses.get(response.status, '')}", list(headers.items()))
    if request.method == "HEAD" or not has_body:
        return []
    return [response.body] if isinstance(response.body, bytes) else response.body
