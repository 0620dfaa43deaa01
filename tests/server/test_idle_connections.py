"""Idle connections, between two HTTP requests: they do not count for their address, and are closed to make room."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest

import wschat
from tests.concurrency import TIMEOUT, eventually
from tests.conftest import ServerFactory, check_echo, echo
from tests.server.raw import Raw, request
from tests.web.wiring import Http, plain
from wschat import Limits
from wschat.connection.event_stream import EventStream
from wschat.server.idle_connections import IdleConnections
from wschat.server.requests import Request
from wschat.server.responses import EventsResponse, Response


@pytest.fixture
def clients() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


def page(request: Request) -> Response | EventsResponse:
    return EventsResponse(EventStream.wait) if request.path == "/events" else Response(200, b"hello")


def until_idle(server: wschat.WebSocketServer, count: int) -> None:
    eventually(lambda: len(server._connections._idle) == count)


def idle(server: wschat.WebSocketServer, clients: contextlib.ExitStack, address: str = "127.0.0.1") -> Http:
    """Return a connection whose first request has been answered."""
    before = len(server._connections._idle)
    sock = socket.create_connection(("127.0.0.1", server.port), TIMEOUT, (address, 0))
    http = clients.enter_context(Http(sock))
    assert http.get().status == 200
    until_idle(server, before + 1)
    return http


def test_idle_connections_are_kept_in_order_and_by_address() -> None:
    idle = IdleConnections()
    with contextlib.ExitStack() as sockets:
        one, two, three, four = (sockets.enter_context(socket.socket()) for _ in range(4))
        for sock, address in ((one, "a"), (two, "b"), (three, "a"), (four, None)):
            idle.add(sock, address)
        assert (len(idle), idle.count("a"), idle.count("b"), idle.count("c")) == (4, 2, 1, 0)
        assert idle.oldest() is one
        assert idle.oldest_from("b") is two
        assert [idle.remove(sock) for sock in (one, one, four)] == ["a", None, None]
        assert idle.oldest() is two
        assert idle.oldest_from("a") is three
        assert [idle.remove(sock) for sock in (three, two)] == ["a", "b"]
        assert (len(idle), idle.count("a"), idle._by_address) == (0, 0, {})


def test_idle_connections_do_not_count_for_their_address(serve: ServerFactory, clients: contextlib.ExitStack) -> None:
    server = serve(echo, http=page, limits=Limits(max_connections_per_address=2))
    first, second = idle(server, clients), idle(server, clients)
    with Raw.opened(server), Raw.opened(server):
        until_idle(server, 2)
    eventually(lambda: server.load().connections == {"websocket": 0, "events": 0, "http": 2})
    assert first.get().status == second.get().status == 200


def test_idle_connections_count_again_with_their_next_request(serve: ServerFactory, clients: contextlib.ExitStack) -> None:
    server = serve(echo, http=page, limits=Limits(max_connections_per_address=2))
    first, second = idle(server, clients), idle(server, clients)
    with Raw.opened(server), Raw.opened(server):
        assert first.get().status == 503
        assert first.is_over()
        assert second.ask(request()).status == 503


def test_an_address_at_its_limit_of_idle_connections_loses_the_oldest(serve: ServerFactory, clients: contextlib.ExitStack) -> None:
    server = serve(echo, http=page, limits=Limits(max_connections_per_address=2))
    other = idle(server, clients, "127.0.0.2")
    first, second = idle(server, clients), idle(server, clients)
    third = clients.enter_context(Http.to(server))
    assert third.get().status == 200
    assert first.is_over()
    for http in (other, second, third):
        assert http.get().status == 200


def test_the_longest_idle_connection_makes_room_for_a_new_one(serve: ServerFactory, clients: contextlib.ExitStack) -> None:
    server = serve(echo, http=page, limits=Limits(max_connections=3))
    first, second = idle(server, clients, "127.0.0.2"), idle(server, clients, "127.0.0.3")
    with Raw.opened(server), Raw.opened(server), Raw.opened(server):
        assert first.is_over()
        assert second.is_over()
        with Raw.to(server) as one_too_many:
            assert one_too_many.ask(request()).status == 503


def test_a_connection_refused_for_its_address_closes_no_other(serve: ServerFactory, clients: contextlib.ExitStack) -> None:
    server = serve(echo, http=page, limits=Limits(max_connections=2, max_connections_per_address=1))
    other = idle(server, clients, "127.0.0.2")
    with Raw.opened(server), Raw.to(server) as one_too_many:
        assert one_too_many.ask(request()).status == 503
        assert other.get().status == 200


def test_idle_connections_of_a_trusted_proxy_are_limited_only_in_total(serve: ServerFactory, clients: contextlib.ExitStack) -> None:
    server = serve(echo, http=page, limits=Limits(max_connections_per_address=1), trusted_proxies=["127.0.0.1"])
    for http in [idle(server, clients) for _ in range(3)]:
        assert http.get(X_Forwarded_For="203.0.113.1").status == 200
        until_idle(server, 3)


def test_a_stream_of_events_is_not_idle(serve: ServerFactory, clients: contextlib.ExitStack) -> None:
    server = serve(echo, http=page, limits=Limits(max_connections_per_address=1))
    events = idle(server, clients)
    events.send(plain("GET", "/events"))
    assert events.head()[0] == 200
    with Raw.to(server) as one_too_many:
        assert one_too_many.ask(request()).status == 503


def test_closed_idle_connections_leave_nothing_behind(serve: ServerFactory) -> None:
    server = serve(echo, http=page, limits=Limits(max_connections=2))
    with contextlib.ExitStack() as clients:
        idle(server, clients)
        idle(server, clients)
        check_echo(server)
    eventually(lambda: not server._connections._peers)
    assert not server._connections._idle
    assert not server._connections._aborted_idle
    assert not server._connections._counts


def test_a_stop_closes_idle_connections(serve: ServerFactory, clients: contextlib.ExitStack) -> None:
    server = serve(echo, http=page)
    http = idle(server, clients)
    server.stop()
    assert http.is_over()


def test_thirty_browsers_behind_one_address_leave_room_for_another(serve: ServerFactory, clients: contextlib.ExitStack) -> None:
    """At the default limits. A browser keeps six connections for the files of a page, besides its WebSocket."""
    server = serve(echo, http=page)
    assert server.limits == wschat.Limits()
    for _ in range(30):
        for _ in range(6):
            assert clients.enter_context(Http.to(server)).get().status == 200
        clients.enter_context(Raw.opened(server))
    another = [clients.enter_context(Http.to(server)) for _ in range(6)]
    for number in range(30):
        assert another[number % 6].get(f"/{number}").status == 200
    check_echo(server)
