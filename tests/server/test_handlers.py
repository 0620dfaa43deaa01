"""Handlers and options that cannot work are refused when a server is created."""

from __future__ import annotations

import functools
import logging
import socket
import ssl
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import wschat
from tests.concurrency import TIMEOUT
from tests.conftest import ServerFactory, check_echo, echo, until_logged, url_of
from wschat import UsageError


async def async_handler(ws: wschat.Connection) -> None: ...


async def async_generator(ws: wschat.Connection) -> AsyncIterator[None]:
    yield


def generator(ws: wschat.Connection) -> Iterator[None]:
    yield


class AsyncCallable:
    async def __call__(self, ws: wschat.Connection) -> None: ...

    async def method(self, ws: wschat.Connection) -> None: ...


class AsyncHandle(wschat.WebSocketHandler):
    async def handle(self) -> None:  # type: ignore[override]
        ...


class AsyncCheck(wschat.WebSocketHandler):
    async def check_request(self, request: wschat.Request) -> None:  # type: ignore[override]
        ...

    def handle(self) -> None: ...


class WithoutHandle(wschat.WebSocketHandler):
    pass


NEVER_RUN = [
    (async_handler, r"async_handler\(\) must be a plain function .*async"),
    (async_generator, r"async_generator\(\) must be a plain function .*async"),
    (generator, r"generator\(\) must be a plain function.*`yield`"),
    (functools.partial(async_handler), r"async_handler\(\) .*async"),
    (functools.partial(functools.partial(generator)), r"generator\(\) .*`yield`"),
    (AsyncCallable(), r"AsyncCallable\(\) .*async"),
    (AsyncCallable().method, r"AsyncCallable.method\(\) .*async"),
]


@pytest.mark.parametrize("role", ["handler", "check_request", "http"])
@pytest.mark.parametrize(("function", "message"), NEVER_RUN)
def test_an_async_or_generator_function_is_refused_at_the_start(role: str, function: Any, message: str) -> None:
    functions = {"handler": echo, role: function}
    with pytest.raises(UsageError, match=f"{role} {message}"):
        wschat.serve(functions.pop("handler"), port=0, **functions)


@pytest.mark.parametrize("role", ["handler", "check_request", "http"])
@pytest.mark.parametrize("function", [lambda: None, lambda ws, other: None, lambda *, ws: None])
def test_a_function_with_other_arguments_is_refused_at_the_start(role: str, function: Any) -> None:
    functions = {"handler": echo, role: function}
    with pytest.raises(UsageError, match=f"{role} .* must take one argument, the "):
        wschat.serve(functions.pop("handler"), port=0, **functions)


@pytest.mark.parametrize(
    ("handler_class", "message"),
    [
        (AsyncHandle, r"AsyncHandle.handle\(\) .*async"),
        (AsyncCheck, r"AsyncCheck.check_request\(\) .*async"),
        (WithoutHandle, "WithoutHandle must have a method `handle`"),
        (int, "must be a WebSocketHandler"),
        (echo, "must be a WebSocketHandler"),
    ],
)
def test_a_class_that_cannot_handle_is_refused_at_the_start(handler_class: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        wschat.WebSocketServer(("127.0.0.1", 0), handler_class)
    if handler_class is not echo:
        with pytest.raises(UsageError, match=message):
            wschat.serve(handler_class, port=0)


class Greeter(wschat.WebSocketHandler):
    def __init__(self, *arguments: Any, greeting: str = "hello") -> None:
        self.greeting = greeting
        super().__init__(*arguments)

    def handle(self) -> None:
        self.ws.send(self.greeting)


@pytest.mark.parametrize(
    "handler",
    [
        lambda ws: ws.send("hello"),
        functools.partial(wschat.Connection.send, message="hello"),
        functools.partial(lambda greeting, ws: ws.send(greeting), "hello"),
        lambda ws, greeting="hello": ws.send(greeting),
        lambda *everything: everything[0].send("hello"),
        Greeter,
    ],
)
def test_callables_and_handler_classes_are_accepted(serve: ServerFactory, handler: Callable[[wschat.Connection], None]) -> None:
    with wschat.connect(url_of(serve(handler))) as ws:
        assert ws.recv(TIMEOUT) == "hello"


def test_a_partial_of_a_handler_class_is_accepted() -> None:
    partial: Any = functools.partial(Greeter, greeting="good day")  # as for http.server
    with wschat.WebSocketServer(("127.0.0.1", 0), partial).start() as server, wschat.connect(url_of(server)) as ws:
        assert ws.recv(TIMEOUT) == "good day"


def test_a_coroutine_that_is_returned_is_an_error_of_the_handler(serve: ServerFactory, caplog: pytest.LogCaptureFixture) -> None:
    with wschat.connect(url_of(serve(lambda ws: async_handler(ws)))) as ws, pytest.raises(wschat.ConnectionClosed, match="1011"):
        ws.recv(TIMEOUT)
    record = until_logged(caplog, "failed")
    assert record.exc_info
    assert "which is never run" in str(record.exc_info[1])


@pytest.mark.parametrize("result", [False, True, "403", async_handler])
def test_a_check_that_returns_a_value_refuses_all_requests(serve: ServerFactory, caplog: pytest.LogCaptureFixture, result: Any) -> None:
    server = serve(echo, check_request=lambda request: result)
    with pytest.raises(wschat.OpeningFailed) as refused:
        wschat.connect(url_of(server))
    assert refused.value.status == 500
    assert "must raise RequestRefused or return None" in str((until_logged(caplog, "check_request of ").exc_info or ("", ""))[1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"subprotocols": "chat"}, "subprotocols must be a list of strings, not the string 'chat'"),
        ({"origins": "https://app.example"}, "origins must be a list"),
        ({"trusted_proxies": "10.0.0.1"}, "trusted_proxies must be a list"),
        ({"subprotocols": [b"chat"]}, "subprotocols must be a list of strings, and b'chat' is not a string"),
        ({"subprotocols": ["a b"]}, "a subprotocol must have letters"),
        ({"limits": {"max_connections": 3}}, "limits must be a wschat.Limits"),
        ({"deflate": True}, "deflate must be a wschat.Deflate, or None"),
        ({"host": None}, "an address must be a host and a port"),
        ({"port": "8080"}, "a port must be a number from 0 to 65535, not '8080'"),
        ({"port": 65536}, "a port must be a number from 0 to 65535"),
        ({"listener": socket.socket()}, "a listener must be a listening stream socket"),
        ({"listener": socket.socket(type=socket.SOCK_DGRAM)}, "a listener must be a listening stream socket"),
        ({"tls": "certificate.pem"}, "tls must be an ssl.SSLContext, not 'certificate.pem'"),
        ({"tls": ssl.create_default_context()}, "a context for a client"),
        ({"http": 3}, "http must be a function of the request"),
        ({"check_request": 3}, "check_request must be a function of the request"),
    ],
)
def test_invalid_options_are_refused_at_the_start(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        wschat.serve(echo, **{"port": 0, **options})


def test_the_log_and_the_repr_name_the_address(serve: ServerFactory, caplog: pytest.LogCaptureFixture, tmp_path: Any) -> None:
    caplog.set_level(logging.INFO, "wschat.server")
    server = serve(echo)
    assert f"listening on ws://127.0.0.1:{server.port}/" in caplog.messages
    assert repr(server) == f"<WebSocketServer ws://127.0.0.1:{server.port}/>"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    secure = serve(echo, "::1", tls=context, path_prefix="/chat")
    assert repr(secure) == f"<WebSocketServer wss://[::1]:{secure.port}/chat/>"
    assert repr(serve(echo, unix_path=str(tmp_path / "socket"))) == f"<WebSocketServer {tmp_path}/socket>"
    check_echo(server)
    server.stop()
    assert repr(server).startswith("<WebSocketServer ws://127.0.0.1:")


def test_a_response_with_a_str_body_raises_usage_error() -> None:
    with pytest.raises(UsageError, match="encode it"):
        wschat.Response(200, "hello")  # type: ignore[arg-type]


def test_a_plain_request_has_a_body_and_an_opening_has_none(serve: ServerFactory) -> None:
    def read(ws: wschat.Connection) -> None:
        ws.send("open")

    bodies: list[bytes] = []
    server = serve(
        read,
        check_request=lambda request: bodies.append(request.read_body(10)),
        http=lambda request: wschat.Response(200, request.read_body(10).upper()),
    )
    with wschat.connect(url_of(server)) as ws:
        assert ws.recv(TIMEOUT) == "open"
    assert bodies == [b""]
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/", data=b"hello", timeout=TIMEOUT) as answer:
        assert answer.read() == b"HELLO"


@pytest.mark.parametrize(
    "address",
    [
        {"port": "taken"},
        {"host": "no.such.invalid", "port": 0},
        {"unix_path": "/no/such/folder/socket"},
        {"unix_path": f"/tmp/{'x' * 200}"},
    ],
)
def test_an_error_while_listening_names_the_address(address: dict[str, Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        if address.get("port") == "taken":
            address = {"port": taken.getsockname()[1]}
        place = address.get("unix_path") or f"{address.get('host', '127.0.0.1')} port {address['port']}"
        with pytest.raises(OSError, match=f"cannot listen on {place}: "):
            wschat.serve(echo, **address)


def test_unix_path_can_be_a_path_object_and_there_is_no_port(serve: ServerFactory, tmp_path: Path) -> None:
    server = serve(echo, unix_path=tmp_path / "socket")
    with pytest.raises(UsageError, match="has no port"):
        server.port  # noqa: B018


def test_a_server_serves_once(serve: ServerFactory) -> None:
    server = serve(echo)
    check_echo(server)
    for again in (server.start, server.serve_forever):
        with pytest.raises(UsageError, match="serves already"):
            again()
    check_echo(server)
    server.stop()
    for again in (server.start, server.serve_forever):
        with pytest.raises(UsageError, match="has been stopped"):
            again()
