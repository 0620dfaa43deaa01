"""The site: the pages and the API by path. To add a page, add it to the table; the API's calls have a table in `api`.

The chat decides what a caller may do.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Collection
from dataclasses import replace
from functools import cached_property
from http import HTTPStatus
from typing import ClassVar
from urllib.parse import quote, unquote

from wschat.chat.http import HttpGateway
from wschat.counters import Load
from wschat.errors import HistoryUnavailable, Rejected, RequestRefused, UsageError
from wschat.names import RULE, key_of, normalize_name
from wschat.server.proxies import parse_networks
from wschat.server.refusals import NOSNIFF
from wschat.server.requests import Request
from wschat.server.responses import EventsResponse, Response, error_response, json_response
from wschat.web.api import CALLS, Asked, events_later
from wschat.web.dashboard import Samples
from wschat.web.files import Files
from wschat.web.metrics import Metrics
from wschat.web.metrics_access import MetricsAccess

AnyResponse = Response | EventsResponse

_NO_STORE = {"Cache-Control": "no-store"}
_SECONDS_UNTIL_READABLE = 10.0

# The HTTP statuses of the chat's error codes. All others are 403.
_STATUSES = {
    "bad-command": HTTPStatus.BAD_REQUEST,
    "bad-field": HTTPStatus.BAD_REQUEST,
    "bad-request": HTTPStatus.BAD_REQUEST,
    "id-used": HTTPStatus.CONFLICT,
    "name-taken": HTTPStatus.CONFLICT,
    "too-fast": HTTPStatus.TOO_MANY_REQUESTS,
    "too-many-rooms": HTTPStatus.TOO_MANY_REQUESTS,
    "unavailable": HTTPStatus.SERVICE_UNAVAILABLE,
}

_ROOM_PATH = re.compile(r"/rooms/([^/]+)/?")
_API_PATH = re.compile(r"/api/rooms(?:/([^/]+)/([^/]+))?")


class Site:
    """The `HttpHandler` of a chat. Thread-safe.

    `max_body_bytes` limits the body of a POST, 0 for no limit. `insiders` are addresses and networks that may see the metrics and
    the dashboard, as anyone on the server's own machine may.
    """

    public_paths: ClassVar[Collection[str]] = ("/wschat.js",)
    """The paths that pages of any origin may read, `ServerConfig.public_paths` of the server."""

    def __init__(self, gateway: HttpGateway, max_body_bytes: int, insiders: Collection[str] = ()) -> None:
        self._gateway = gateway
        self._metrics_access = MetricsAccess(gateway, parse_networks(insiders))
        self._max_body_bytes = max_body_bytes or sys.maxsize
        self._files = Files()
        self._read: Callable[[], Load] = lambda: Load({}, 0)
        self._samples = Samples(self._read_load)

    def __call__(self, request: Request) -> AnyResponse:
        """Return the response to a request."""
        try:
            response = self._dispatch(request)
        except RequestRefused as refusal:
            response = self._files.error_page(request, refusal) if _is_for_a_person(request) else error_response(refusal)
        except Rejected as error:
            response = _rejection(error)
        except HistoryUnavailable as error:
            response = _rejection(Rejected("unavailable", f"Sorry, {error}.", _SECONDS_UNTIL_READABLE))
        return replace(response, headers={**NOSNIFF, **response.headers})

    def watch(self, read_load: Callable[[], Load]) -> None:
        """Set the function that returns the open connections. The server exists only after its site."""
        self._read = read_load

    def close(self) -> None:
        """Stop taking samples."""
        self._samples.close()

    def _read_load(self) -> Load:
        return self._read()

    def _dispatch(self, request: Request) -> AnyResponse:
        path = request.path
        api = _API_PATH.fullmatch(path)
        if api is not None:
            return self._call_api(request, *api.groups(""))
        room = _ROOM_PATH.fullmatch(path)
        if room is not None and _is_for_a_person(request):
            return self._room(request, room[1])
        page = _PAGES.get(path)
        if page is None and not path.startswith("/static/"):
            raise RequestRefused(HTTPStatus.NOT_FOUND, "There is no page at this address.")
        _check_method(request, {"GET"})
        return page(self, request) if page is not None else self._files.file(request, path.removeprefix("/static/"))

    def _call_api(self, request: Request, room_name: str, what: str) -> AnyResponse:
        methods = {method: answer for (name, method), answer in CALLS.items() if name == what}
        if not methods:
            raise RequestRefused(HTTPStatus.NOT_FOUND, "There is no such API call.")
        method = _check_method(request, methods.keys())
        room = _room_of(room_name) if room_name else ""
        caller = self._gateway.identify(request)
        try:
            self._gateway.count_request(caller)
        except Rejected as error:
            if what != "events":
                raise
            return events_later(error.seconds or 0.0)
        response = methods[method](Asked(caller, request, room, self._max_body_bytes))
        return replace(response, headers={**_NO_STORE, **response.headers})

    # Pages

    def _chat(self, request: Request) -> Response:
        return self._files.page(request, "index.html")

    def _with_slash(self, request: Request) -> Response:
        """Redirect to the address with a slash, which the page's relative links need."""
        query = request.target
        return Response(HTTPStatus.PERMANENT_REDIRECT, headers={"Location": f"{request.prefix}/{query}"})

    def _room(self, request: Request, quoted: str) -> Response:
        """Redirect a browser from the WebSocket address of a room to the page with that room."""
        room = quote(_room_of(quoted), safe="")
        return Response(HTTPStatus.SEE_OTHER, headers={"Location": f"{request.prefix}/?room={room}", "Vary": "Accept"})

    def _health(self, _: Request) -> Response:
        return json_response(HTTPStatus.OK, {"status": "ok"}, _NO_STORE)

    def _readiness(self, _: Request) -> Response:
        unreadable = self._gateway.check_history()
        return json_response(HTTPStatus.OK, {"status": "ready", **({"unreadable_messages": unreadable} if unreadable else {})}, _NO_STORE)

    def _client(self, request: Request) -> Response:
        return self._files.client(request)

    def _favicon(self, request: Request) -> Response:
        return self._files.icon(request)

    # For insiders

    def _dashboard(self, request: Request) -> Response:
        # The page has no data, and needs no access: a browser cannot send a token with it, but the page's script can.
        return self._files.page(request, "stats.html")

    def _data(self, request: Request) -> Response:
        self._metrics_access.check(request)
        since = request.query.get("since", "0")
        if not (since.isascii() and since.isdigit() and len(since) < 17):
            raise Rejected("bad-field", "'since' is the number of a sample.")
        return json_response(HTTPStatus.OK, self._samples.since(int(since)), _NO_STORE)

    def _metrics(self, request: Request) -> Response:
        self._metrics_access.check(request)
        try:
            content_type, text = self._prometheus.render(request.headers.get("accept", ""))
        except UsageError as error:
            raise RequestRefused(HTTPStatus.NOT_IMPLEMENTED, f"{str(error)[:1].upper()}{str(error)[1:]}.") from None
        return Response(HTTPStatus.OK, text, {"Content-Type": content_type, **_NO_STORE})

    @cached_property
    def _prometheus(self) -> Metrics:
        return Metrics(self._read_load)


_PAGES: dict[str, Callable[[Site, Request], Response]] = {
    "": Site._with_slash,
    "/": Site._chat,
    "/favicon.ico": Site._favicon,
    "/healthz": Site._health,
    "/readyz": Site._readiness,
    "/stats": Site._dashboard,
    "/stats/data": Site._data,
    "/metrics": Site._metrics,
    "/wschat.js": Site._client,
}


def _is_for_a_person(request: Request) -> bool:
    """Return True if a browser navigates to a page; False for programs and scripts."""
    return request.method in ("GET", "HEAD") and "text/html" in request.headers.get("accept", "") and not request.path.startswith("/api/")


def _check_method(request: Request, allowed: Collection[str]) -> str:
    """Return the method, with HEAD as GET. Raises RequestRefused (405) if it is not allowed."""
    method = "GET" if request.method == "HEAD" else request.method
    if method not in allowed:
        listed = sorted({*allowed, *({"HEAD"} if "GET" in allowed else ())})
        raise RequestRefused(HTTPStatus.METHOD_NOT_ALLOWED, f"The method must be {' or '.join(listed)}.", {"Allow": ", ".join(listed)})
    return method


def _room_of(quoted: str) -> str:
    """Return the key of the room in a path. Raises RequestRefused (404)."""
    name = normalize_name(unquote(quoted))
    if name is None:
        raise RequestRefused(HTTPStatus.NOT_FOUND, f"There is no such room. A room name has {RULE}.")
    return key_of(name)


def _rejection(error: Rejected) -> Response:
    status = _STATUSES.get(error.code, HTTPStatus.FORBIDDEN)
    headers = {} if error.seconds is None else {"Retry-After": str(max(1, math.ceil(error.seconds)))}
    return error_response(RequestRefused(status, error.text, headers), error.code)
