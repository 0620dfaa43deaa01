"""The limits on connections, in total and per address."""

from __future__ import annotations

import _thread
import contextlib
import socket
import sys
from typing import Any

import pytest

import wschat
from tests.concurrency import eventually
from tests.conftest import ServerFactory, echo
from tests.protocol.wire import CLOSE, TEXT, frame
from tests.server.raw import Raw, request
from tests.web.wiring import Http, plain
from wschat import Limits
from wschat.connection.event_stream import EventStream
from wschat.counters import Refusal, counters
from wschat.server.requests import Request
from wschat.server.responses import EventsResponse, Response

needs_many_addresses = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has all of 127.0.0.0/8")


def connected_from(server: wschat.WebSocketServer, address: str = "127.0.0.1") -> Raw:
    """Return a client at this address that has sent nothing yet."""
    return Raw(socket.create_connection(("127.0.0.1", server.port), source_address=(address, 0)))


def status_of(raw: Raw, **headers: str) -> int:
    """Send an opening request. Return the status of the response."""
    return raw.ask(request(headers={name.replace("_", "-"): value for name, value in headers.items()})).status


def disconnect(raw: Raw) -> None:
    """Close as clients do: the server ends the stream first."""
    raw.send(b"\x88\x80\0\0\0\0")
    assert raw.frame()[0] == CLOSE
    assert raw.rest() == b""
    raw.socket.shutdown(socket.SHUT_WR)


def until_accepted(server: wschat.WebSocketServer) -> None:
    """Connect again and again until the server has noticed that another client has left."""
    while True:
        with connected_from(server) as raw, contextlib.suppress(OSError, IndexError):  # disconnected, as above the limit
            if status_of(raw) == 101:
                return


def test_a_connection_above_the_limit_is_refused_until_another_leaves(serve: ServerFactory) -> None:
    server = serve(echo, limits=Limits(max_connections=2))
    with Raw.opened(server) as one, Raw.opened(server), Raw.to(server) as other:
        response = other.ask(request())
        assert (response.status, response.headers["retry-after"]) == (503, "10")
        assert response.body == "There are too many connections just now.\n"
        disconnect(one)
        until_accepted(server)


def send_without_end(raw: Raw) -> None:
    while True:
        raw.send(b"x" * 65536)


def test_a_connection_above_the_limit_that_goes_on_sending_is_cut_off(serve: ServerFactory) -> None:
    server = serve(echo, limits=Limits(max_connections=1))
    with Raw.opened(server), Raw.to(server) as other:
        assert status_of(other) == 503
        with pytest.raises(ConnectionError):
            send_without_end(other)


def test_a_refusal_is_counted_by_its_status(serve: ServerFactory) -> None:
    before = counters.read().refusals
    with Raw.to(serve(echo)) as raw:
        assert status_of(raw, Upgrade="something-else") == 426
        assert raw.rest() == b""
    eventually(lambda: counters.read().refusals - before == {426: 1})


def test_a_refused_client_that_goes_on_sending_is_cut_off(serve: ServerFactory) -> None:
    with Raw.to(serve(echo)) as raw:
        assert status_of(raw, Upgrade="something-else") == 426
        with pytest.raises(ConnectionError):
            send_without_end(raw)


@needs_many_addresses
def test_the_limit_of_one_address_does_not_affect_others(serve: ServerFactory) -> None:
    server = serve(echo, limits=Limits(max_connections_per_address=2))
    with connected_from(server) as one, connected_from(server) as two, connected_from(server) as three:
        assert [status_of(raw) for raw in (one, two, three)] == [101, 101, 503]
        with connected_from(server, "127.0.0.2") as other:
            assert status_of(other) == 101
        disconnect(two)
        until_accepted(server)


def test_no_thread_is_spent_on_connections_above_the_limit(serve: ServerFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    started = []
    start = _thread.start_new_thread

    def counted(function: Any, arguments: Any) -> int:
        started.append(function)
        return start(function, arguments)

    server = serve(echo, limits=Limits(max_connections=1))
    monkeypatch.setattr(_thread, "start_new_thread", counted)
    with Raw.opened(server):
        for _ in range(20):
            with Raw.to(server) as raw:
                assert status_of(raw) == 503
    assert len(started) <= 2  # its own, and the spare thread for the next connection


@needs_many_addresses
def test_10_000_connections_from_one_address_do_not_keep_others_out(serve: ServerFactory) -> None:
    server = serve(echo, limits=Limits(max_connections_per_address=20))
    with contextlib.ExitStack() as attackers:
        accepted = [attackers.enter_context(connected_from(server)) for _ in range(20)]
        assert [status_of(raw) for raw in accepted] == [101] * 20
        for _ in range(10_000):
            # Disconnects at once, without waiting for the response.
            connected_from(server).socket.close()
        with connected_from(server, "127.0.0.2") as other:
            assert status_of(other) == 101


def test_the_client_address_from_a_trusted_proxy_counts(serve: ServerFactory) -> None:
    seen = []

    def remember(ws: wschat.Connection) -> None:
        seen.append(ws.remote_address)
        echo(ws)

    server = serve(remember, limits=Limits(max_connections_per_address=1), trusted_proxies=["127.0.0.0/8"])
    with Raw.to(server) as one, Raw.to(server) as two, Raw.to(server) as three:
        assert status_of(one, X_Forwarded_For="203.0.113.1") == 101
        assert status_of(two, X_Forwarded_For="203.0.113.2") == 101
        assert status_of(three, X_Forwarded_For="198.51.100.1, 203.0.113.1") == 503
        for raw in (one, two):  # a reply shows that the handler has begun
            raw.send(frame(TEXT, b"x", masked=True))
            assert raw.frame() == (TEXT, b"x")
    assert set(seen) == {("203.0.113.1", 0), ("203.0.113.2", 0)}


def test_a_spoofed_x_forwarded_for_is_ignored(serve: ServerFactory) -> None:
    server = serve(echo, limits=Limits(max_connections_per_address=1), trusted_proxies=["192.0.2.1"])
    with Raw.to(server) as one, Raw.to(server) as two:
        assert status_of(one, X_Forwarded_For="203.0.113.1") == 101
        assert status_of(two, X_Forwarded_For="203.0.113.2") == 503


def test_behind_a_proxy_that_uses_a_unix_socket(serve: ServerFactory) -> None:
    ours = socket.socket(socket.AF_UNIX)
    ours.bind("")  # a free abstract name
    ours.listen()
    server = serve(echo, listener=ours, limits=Limits(max_connections_per_address=1), trusted_proxies=["127.0.0.1"])
    statuses = []
    with contextlib.ExitStack() as clients:
        for address in ("203.0.113.1", "203.0.113.1", "203.0.113.2"):
            client = socket.socket(socket.AF_UNIX)
            client.connect(server.server_address)
            statuses.append(status_of(clients.enter_context(Raw(client)), X_Forwarded_For=address))
    assert statuses == [101, 503, 101]


def test_open_connections_are_counted_by_kind(serve: ServerFactory) -> None:
    before = counters.read()
    server = serve(echo, limits=Limits(max_connections=2))
    with Raw.opened(server) as one, Raw.to(server) as two, Raw.to(server) as three:
        assert status_of(three) == 503
        eventually(lambda: server._connections.load().connections == {"websocket": 1, "events": 0, "http": 1})
        assert status_of(two) == 101
        eventually(lambda: server._connections.load().connections == {"websocket": 2, "events": 0, "http": 0})
        disconnect(one)
        eventually(lambda: server._connections.load().connections == {"websocket": 1, "events": 0, "http": 0})
        after = counters.read()
    assert (after.opened - before.opened, after.closed - before.closed) == (2, 1)
    assert after.refusals - before.refusals == {Refusal.TOO_MANY_CONNECTIONS: 1}


def test_waiting_bytes_of_all_connections_are_added_up(serve: ServerFactory) -> None:
    def flood(ws: wschat.Connection) -> None:
        ws.offer(ws.encoding.encode(b"x" * 10_000_000))  # more than the kernel buffers
        echo(ws)

    server = serve(flood, limits=Limits(outbox_bytes=0, close_timeout=0.1))
    with Raw.opened(server), Raw.opened(server):
        eventually(lambda: server._connections.load().waiting_bytes > 8_000_000)


# Plain requests of a proxy


def page(request: Request) -> Response | EventsResponse:
    return EventsResponse(EventStream.wait) if request.path == "/events" else Response(200, b"hello")


def ask_for(http: Http, address: str) -> int:
    return http.get(X_Forwarded_For=address).status


def test_a_connection_of_a_proxy_counts_for_the_current_client(serve: ServerFactory) -> None:
    server = serve(echo, http=page, limits=Limits(max_connections_per_address=1), trusted_proxies=["127.0.0.1"])
    with Http.to(server) as one:
        assert ask_for(one, "203.0.113.1") == ask_for(one, "203.0.113.2") == 200
        one.send(plain("GET", "/events", X_Forwarded_For="203.0.113.2"))
        assert one.head()[0] == 200
        with Http.to(server) as two:
            assert ask_for(two, "203.0.113.2") == 503
            assert ask_for(two, "203.0.113.1") == 200
        eventually(lambda: dict(server._connections._counts) == {"203.0.113.2": 1})
    eventually(lambda: not server._connections._counts)
    assert not server._connections._addresses


def test_a_websocket_counts_for_the_client_of_its_opening(serve: ServerFactory) -> None:
    server = serve(echo, http=page, limits=Limits(max_connections_per_address=1), trusted_proxies=["127.0.0.1"])
    with Http.to(server) as one, Http.to(server) as two:
        assert ask_for(one, "203.0.113.1") == 200
        assert status_of(one, X_Forwarded_For="203.0.113.2") == 101
        assert ask_for(two, "203.0.113.2") == 503
        assert ask_for(two, "203.0.113.1") == 200


def test_a_connection_without_a_named_client_counts_for_the_proxy(serve: ServerFactory) -> None:
    server = serve(echo, http=page, trusted_proxies=["127.0.0.1"])
    with Http.to(server) as http:
        assert ask_for(http, "203.0.113.1") == 200
        assert http.ask(request()).status == 101
        assert dict(server._connections._counts) == {"127.0.0.1": 1}


def test_event_streams_are_counted_separately(serve: ServerFactory) -> None:
    before = counters.read()
    server = serve(echo, http=lambda request: EventsResponse(EventStream.wait))
    with Http.to(server) as follower, Http.to(server) as other:
        follower.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert follower.head()[0] == 200
        eventually(lambda: server.load().connections == {"websocket": 0, "events": 1, "http": 1})
        assert status_of(other) == 101
    eventually(lambda: not any(server.load().connections.values()))
    after = counters.read()
    assert (after.opened - before.opened, after.closed - before.closed) == (2, 2)
