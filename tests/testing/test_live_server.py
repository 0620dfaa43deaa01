"""The server of a test collects the errors of its handlers and knows their threads."""

from __future__ import annotations

import threading
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

import wschat
from tests.concurrency import TIMEOUT
from tests.conftest import echo
from wschat.server.responses import Response
from wschat.testing.connections import Connections
from wschat.testing.servers import Servers


class Broken(Exception):
    pass


def wait_for_a_message(ws: wschat.Connection) -> None:
    ws.recv(timeout=TIMEOUT)


def broken(ws: wschat.Connection) -> None:
    raise Broken(ws.recv(timeout=TIMEOUT))


def test_an_error_of_a_handler_is_raised_when_the_server_stops(wschat_server: Servers) -> None:
    server = wschat_server(broken)
    with wschat.connect(server.url) as ws:
        ws.send("first")
        with pytest.raises(wschat.ConnectionClosed, match="1011"):
            ws.recv(TIMEOUT)
    with pytest.raises(Broken, match="first") as caught:
        server.stop()
    assert "broken" in [entry.name for entry in caught.traceback]
    server.stop()


def test_an_expected_error_can_be_popped(wschat_server: Servers, ws_connect: Connections) -> None:
    server = wschat_server(broken)
    ws_connect().send("expected")
    assert str(server.pop_error()) == "expected"
    with pytest.raises(AssertionError, match=r"no handler has failed within 0\.01 s"):
        server.pop_error(timeout=0.01)


def test_an_error_is_collected_before_the_client_gets_the_close(wschat_server: Servers, ws_connect: Connections) -> None:
    server = wschat_server(broken)
    for number in range(20):
        ws = ws_connect()
        ws.send(str(number))
        with pytest.raises(wschat.ConnectionClosed):
            ws.recv()
        assert [str(error) for error in server.take_errors()] == [str(number)]


def test_a_connection_that_is_closed_or_refused_is_no_error(wschat_server: Servers, ws_connect: Connections) -> None:
    def check(request: wschat.Request) -> None:
        if request.path != "/":
            raise wschat.RequestRefused(404, "There is nothing here.")

    server = wschat_server(wait_for_a_message, check_request=check)
    ws_connect().close()
    with pytest.raises(wschat.OpeningFailed):
        ws_connect("/elsewhere")
    server.stop()


def test_errors_of_all_functions_are_collected(wschat_server: Servers, ws_connect: Connections) -> None:
    def fail(request: wschat.Request) -> Response:
        raise Broken(request.path)

    class Failing(wschat.WebSocketHandler):
        def check_request(self, request: wschat.Request) -> None:
            if request.path == "/check":
                raise Broken("check")

        def handle(self) -> None:
            pass

        def finish(self) -> None:
            super().finish()
            raise Broken("finish")

    server = wschat_server(Failing, http=fail)
    with pytest.raises(wschat.OpeningFailed):
        ws_connect("/check")
    assert str(server.pop_error()) == "check"
    assert list(ws_connect()) == []
    assert str(server.pop_error()) == "finish"
    with pytest.raises(HTTPError, match="500"):
        urlopen(f"http://127.0.0.1:{server.port}/page")
    assert str(server.pop_error()) == "/page"


def test_a_handler_may_call_pytest_fail(wschat_server: Servers, ws_connect: Connections) -> None:
    server = wschat_server(lambda ws: pytest.fail("in a handler"))
    ws_connect()
    assert "in a handler" in str(server.pop_error())


def test_a_handler_that_does_not_return_is_reported_with_its_stack(wschat_server: Servers) -> None:
    released = threading.Event()

    def stuck(ws: wschat.Connection) -> None:
        ws.send("I wait")
        released.wait(TIMEOUT)

    servers = Servers("seed", timeout=0.1)
    with wschat.connect(servers(stuck).url) as ws:
        assert ws.recv(TIMEOUT) == "I wait"
        with pytest.raises(AssertionError, match=r"still runs after the server was stopped:\n(.*\n)*.*in stuck"), servers:
            pass
    released.set()


def test_all_servers_are_stopped_and_the_first_error_is_raised() -> None:
    servers = Servers("seed", timeout=TIMEOUT)
    for number in ("first", "second"):
        with wschat.connect(servers(broken).url) as ws:
            ws.send(number)
    with pytest.raises(Broken, match="second"), servers:
        pass
    for server in servers.started:
        with pytest.raises(ConnectionRefusedError):
            wschat.connect(server.url)


def test_a_server_shows_its_url(wschat_server: Servers) -> None:
    server = wschat_server(echo, path_prefix="/chat")
    assert repr(server) == f"<LiveServer ws://127.0.0.1:{server.port}/chat>"
