"""Overload: a refused connection gets a response when its request has come, without a thread of its own."""

from __future__ import annotations

import contextlib
import socket

import pytest

import wschat
from tests.conftest import ServerFactory, echo
from tests.server.raw import Raw, request
from tests.web.wiring import Events, Http, plain
from wschat import Limits
from wschat.connection.event_stream import EventStream
from wschat.counters import counters
from wschat.server.responses import EventsResponse, Response

EVENT_SOURCE = {"Accept": "text/event-stream", "Cache-Control": "no-cache"}


def page(request: wschat.Request) -> Response | EventsResponse:
    if request.path == "/unavailable":
        raise wschat.RequestRefused(503, "Not now.", {"Retry-After": "7"})
    return EventsResponse(EventStream.wait) if request.path == "/events" else Response(200, b"hello")


def check_retry(http: Http, retry: int) -> None:
    """Check that an EventSource is told to reconnect after `retry` milliseconds. It gives up after any status but 200."""
    events = Events(http)
    assert (events.status, events.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert http.line() == f"retry: {retry}".encode()


def test_a_refused_event_source_is_told_to_reconnect(serve: ServerFactory) -> None:
    server = serve(echo, http=page, limits=Limits(max_connections=1))
    with Raw.opened(server), Http.to(server) as http:
        http.send(plain("GET", "/events", b"", **EVENT_SOURCE))
        check_retry(http, 10_000)


def test_the_request_of_a_refused_event_source_may_come_in_pieces(serve: ServerFactory) -> None:
    server = serve(echo, http=page, limits=Limits(max_connections=1))
    with Raw.opened(server), Http.to(server) as http:
        http.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        head = plain("GET", "/events", b"", **EVENT_SOURCE)
        for start in range(0, len(head), 7):
            http.send(head[start : start + 7])
        check_retry(http, 10_000)


@pytest.mark.parametrize("data", [plain("GET", "/events"), plain("GET", "/", Accept="text/html"), request(), b"GET / HTTP", b""])
def test_other_clients_get_503_even_for_an_incomplete_request(serve: ServerFactory, data: bytes) -> None:
    server = serve(echo, http=page, limits=Limits(max_connections=1))
    with Raw.opened(server), Http.to(server) as http:
        http.send(data)
        assert http.response().status == 503


def test_99_silent_connections_do_not_keep_another_from_its_response(serve: ServerFactory) -> None:
    server = serve(echo, http=page, limits=Limits(max_connections=1))
    with Raw.opened(server), contextlib.ExitStack() as silent:
        for _ in range(99):
            silent.enter_context(Raw.to(server))
        with Http.to(server) as http:
            assert http.get().status == 503


def test_a_stop_answers_connections_without_a_request(serve: ServerFactory) -> None:
    server = serve(echo, http=page, limits=Limits(max_connections=1))
    with Raw.opened(server), Raw.to(server) as silent, Raw.to(server) as other:
        assert other.ask(request()).status == 503  # so that the silent one has been accepted
        server.stop(0)
        assert silent.response().status == 503


def test_an_event_source_behind_a_proxy_is_told_to_reconnect(serve: ServerFactory) -> None:
    server = serve(echo, http=page, limits=Limits(max_connections_per_address=1), trusted_proxies=["127.0.0.1"])
    with Http.to(server) as one, Http.to(server) as two:
        assert one.ask(request()).status == 101
        two.send(plain("GET", "/events", b"", **EVENT_SOURCE))
        check_retry(two, 10_000)


def test_a_503_of_the_application_makes_an_event_source_reconnect_and_is_counted(serve: ServerFactory) -> None:
    before = counters.read().refusals
    with Http.to(serve(echo, http=page)) as http:
        assert http.get("/unavailable").status == 503
        http.send(plain("GET", "/unavailable", b"", **EVENT_SOURCE))
        check_retry(http, 7_000)
        assert http.line() == b""
        assert http.get().status == 200
    assert counters.read().refusals - before == {503: 2}
