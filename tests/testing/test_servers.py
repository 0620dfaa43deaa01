"""The fixture `wschat_server`: chats, handlers and arguments."""

from __future__ import annotations

import http.client
import json
import socket
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from io import BytesIO
from typing import Any

import pytest

import wschat
from wschat.chat.chat import Chat
from wschat.testing.connections import Connections
from wschat.testing.live_server import LiveServer
from wschat.testing.servers import Servers


def test_a_chat_keeps_its_messages_and_has_its_page(wschat_server: Servers, ws_connect: Connections) -> None:
    server = wschat_server.chat()
    alice = ws_connect("/rooms/tea?name=alice")
    assert alice.recv() == "Welcome to the chat!"
    alice.send("hello")
    assert alice.recv() == "alice: hello"
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/api/rooms/tea/messages") as response:
        assert [message["text"] for message in json.load(response)["messages"]] == ["hello"]


def test_a_given_chat_is_served_and_closed_once(wschat_server: Servers, ws_connect: Connections) -> None:
    closed = []

    class Closing(Chat):
        def close(self) -> None:
            super().close()
            closed.append(True)

    server = wschat_server.chat(Closing(), limits=wschat.Limits(max_message_bytes=10))
    ws = ws_connect(subprotocols=["wschat.v1"])
    assert ws.subprotocol == "wschat.v1"
    ws.send("more than ten bytes")
    ws.recv()
    with pytest.raises(wschat.ConnectionClosed, match="1009"):
        ws.recv()
    server.stop()
    server.stop()
    assert closed == [True]


def test_arguments_are_those_of_serve(wschat_server: Servers) -> None:
    config = wschat.ServerConfig(subprotocols=["one"])
    assert wschat_server(print, config=config, backlog=7).server.config.backlog == 7
    broken: Any = 1
    with pytest.raises(wschat.UsageError, match="a handler must be a function"):
        wschat_server(broken)
    with pytest.raises(TypeError, match="colour"):
        wschat_server(print, colour="red")


def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """A WSGI application, some of whose paths fail."""
    if environ["PATH_INFO"] == "/fails":
        raise ZeroDivisionError("before the response")
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ["PATH_INFO"] == "/file":
        return environ["wsgi.file_wrapper"](BytesIO(b"from a file"))  # type: ignore[no-any-return]
    return iter_fails() if environ["PATH_INFO"] == "/breaks-off" else [b"hello"]


def iter_fails() -> Iterator[bytes]:
    yield b"hello"
    raise ZeroDivisionError("within the response")


def fetch(server: LiveServer, path: str) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}") as response:
        return bytes(response.read())


def test_a_wsgi_application_with_and_without_a_handler(wschat_server: Servers, ws_connect: Connections) -> None:
    server = wschat_server(wsgi=answer)
    assert fetch(server, "/") == b"hello"
    assert fetch(server, "/file") == b"from a file"
    with pytest.raises(wschat.OpeningFailed, match="There is no WebSocket at this server"):
        ws_connect()
    assert fetch(wschat_server(lambda ws: ws.send("hello"), wsgi=answer), "/") == b"hello"
    assert ws_connect().recv() == "hello"


@pytest.mark.parametrize(("path", "message"), [("/fails", "before the response"), ("/breaks-off", "within the response")])
def test_an_error_of_a_wsgi_application_is_collected(wschat_server: Servers, path: str, message: str) -> None:
    server = wschat_server(wsgi=answer)
    with pytest.raises((urllib.error.HTTPError, http.client.IncompleteRead)):
        fetch(server, path)
    assert str(server.pop_error()) == message


def test_a_client_that_disconnects_is_no_error_of_a_wsgi_application(wschat_server: Servers) -> None:
    def read(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        environ["wsgi.input"].read()
        raise AssertionError("the body is never complete")

    server = wschat_server(wsgi=read)
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhalf")
    server.stop()


def test_a_server_needs_a_handler_or_an_application(wschat_server: Servers) -> None:
    with pytest.raises(wschat.UsageError, match="give a handler, or an application as wsgi= or http="):
        wschat_server()


def test_handlers_for_paths(wschat_server: Servers, ws_connect: Connections) -> None:
    wschat_server(lambda ws: ws.send("hello"), websocket_paths=["/ws"])
    assert ws_connect("/ws").recv() == "hello"
    with pytest.raises(wschat.OpeningFailed, match="404"):
        ws_connect("/")
    wschat_server({"/prices/<name>": lambda ws: ws.send(str(ws.path_params))})
    assert ws_connect("/prices/tea").recv() == "{'name': 'tea'}"


def test_a_server_has_no_url_before_it_is_started(wschat_server: Servers) -> None:
    assert wschat_server.url is None
    server = wschat_server(print)
    assert wschat_server.url == server.url
