"""The overload: who is refused at the door is answered when its request is there, and without a thread of its own."""

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


def check_comes_back(http: Http, retry: int) -> None:
    """The answer has an EventSource come back after so many milliseconds; it gives up after any status but 200."""
    events = Events(http)
    assert (events.status, events.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert http.line() == f"retry: {retry}".encode()


def test_an_event_source_that_is_one_too_many_is_told_to_come_back(serve: ServerFactory) -> None:
    server = serve(echo, http=page, limits=Limits(max_connections=1))
    with Raw.opened(server), Http.to(server) as http:
        http.send(plain("GET", "/events", b"", **EVENT_SOURCE))
        check_comes_back(http, 10_000)


def test_its_request_may_come_in_pieces(serve: ServerFactory) -> None:
    server = serve(echo, http=page, limits=Limits(max_connections=1))
    with Raw.opened(server), Http.to(server) as http:
        http.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        head = plain("GET", "/events", b"", **EVENT_SOURCE)
        for start in range(0, len(head), 7):
            http.send(head[start : start + 7])
        check_comes_back(http, 10_000)


@pytest.mark.parametrize("data", [plain("GET", "/events"), plain("GET", "/", Accept="text/html"), request(), b"GET / HTTP", b""])
def test_everyone_else_gets_an_error_also_if_nothing_or_only_a_part_is_sent(serve: ServerFactory, data: bytes) -> None:
    server = serve(echo, http=page, limits=Limits(max_connections=1))
    with Raw.opened(server), Http.to(server) as http:
        http.send(data)
        assert http.response().status == 503


def test_who_leaves_at_once_makes_room_for_others_to_be_answered(serve: ServerFactory) -> None:
    server = serve(echo, http=page, limits=Limits(max_connections=1))
    with Raw.opened(server), contextlib.ExitStack() as silent:
        for _ in range(99):
            silent.enter_context(Raw.to(server))
        with Http.to(server) as http:
            assert http.get().status == 503


def test_a_stop_answers_those_who_have_not_asked_yet(serve: ServerFactory) -> None:
    server = serve(echo, http=page, limits=Limits(max_connections=1))
    with Raw.opened(server), Raw.to(server) as silent, Raw.to(server) as other:
        assert other.ask(request()).status == 503  # so that the silent one has been accepted
        server.stop(0)
        assert silent.response().status == 503


def test_an_event_source_for_whom_a_proxy_asks_too_much_is_told_so_too(serve: ServerFactory) -> None:
    server = serve(echo, http=page, limits=Limits(max_connections_per_address=1), trusted_proxies=["127.0.0.1"])
    with Http.to(server) as one, Http.to(server) as two:
        assert one.ask(request()).status == 101
        two.send(plain("GET", "/events", b"", **EVENT_SOURCE))
        check_comes_back(two, 10_000)


def test_so_it_is_whatever_the_reason_is_and_it_is_counted_as_an_error(serve: ServerFactory) -> None:
    before = counters.read().refusals
    with Http.to(serve(echo, http=page)) as http:
        assert http.get("/unavailable").status == 503
        http.send(plain("GET", "/unavailable", b"", **EVENT_SOURCE))
        check_comes_back(http, 7_000)
        assert http.line() == b""
        assert http.get().status == 200
    assert counters.read().refusals - before == {503: 2}
