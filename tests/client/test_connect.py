"""`wschat.connect`: what goes into the opening, and what may come of it."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

import wschat
from tests.conftest import ServerFactory, echo, url_of
from wschat.connection.connection import Connection

Answer = Callable[[socket.socket, bytes], None]


@pytest.fixture
def raw_server() -> Iterator[Callable[[Answer], str]]:
    """A function that starts a server of one connection, which answers the request as the given function does."""
    with contextlib.ExitStack() as stack:

        def start(answer: Answer) -> str:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

            def run() -> None:
                connection, _ = listener.accept()
                with connection:
                    head = b""
                    while b"\r\n\r\n" not in head:
                        head += connection.recv(4096)
                    with contextlib.suppress(OSError):
                        answer(connection, head)

            thread = threading.Thread(target=run)
            thread.start()
            stack.callback(thread.join)
            return f"ws://127.0.0.1:{listener.getsockname()[1]}/"

        yield start


def until_closed(connection: socket.socket) -> None:
    while connection.recv(4096):
        pass


def test_headers_cookies_and_origin_reach_the_server(serve: ServerFactory) -> None:
    server = serve(lambda ws: ws.send("\n".join(f"{name}: {value}" for name, value in ws.headers.items())))
    url = url_of(server, "/path?q=1")
    with wschat.connect(url, headers={"X-Color": "blue"}, cookies={"a": "1", "b": "2"}, origin=f"http://127.0.0.1:{server.port}") as ws:
        seen = str(ws.recv(timeout=5))
    assert "x-color: blue" in seen
    assert "cookie: a=1; b=2" in seen
    assert f"origin: http://127.0.0.1:{server.port}" in seen


def test_no_origin_is_sent_by_itself(serve: ServerFactory) -> None:
    server = serve(lambda ws: ws.send(",".join(ws.headers)))
    with wschat.connect(url_of(server)) as ws:
        assert "origin" not in str(ws.recv(timeout=5))


def test_the_path_is_the_servers_path(serve: ServerFactory) -> None:
    server = serve(lambda ws: ws.send(ws.path))
    with wschat.connect(url_of(server, "/a%20b?c=d&e=%20")) as ws:
        assert ws.path == ws.recv(timeout=5) == "/a%20b?c=d&e=%20"


@pytest.mark.parametrize(
    ("spoken", "offered", "chosen"),
    [(["a", "B"], ["x", "B"], "B"), (["a"], ["x"], None), ([], ["x"], None), (["a"], [], None)],
)
def test_one_of_the_subprotocols_is_agreed_on_or_none(
    serve: ServerFactory, spoken: list[str], offered: list[str], chosen: str | None
) -> None:
    server = serve(lambda ws: ws.send(str(ws.subprotocol)), subprotocols=spoken)
    with wschat.connect(url_of(server), subprotocols=offered) as ws:
        assert ws.subprotocol == chosen
        assert ws.recv(timeout=5) == str(chosen)


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost/",
        "ws://",
        "localhost:8080",
        "ws://localhost:port/",
        "ws://localhost/#part",
        "ws://local host/",
        "ws://localhost/\r\nX: y",
        "ws://localhost:0/",
        "ws://[::1/",
    ],
)
def test_what_is_no_websocket_url_is_the_callers_error(url: str) -> None:
    with pytest.raises(wschat.UsageError):
        wschat.connect(url)


@pytest.mark.parametrize(
    "options",
    [
        {"headers": {"X": "a\r\nY: b"}},
        {"headers": {"X\n": "a"}},
        {"cookies": {"a": "b\r\n"}},
        {"origin": "http://a\n"},
        {"subprotocols": "one"},
        {"proxy": "ftp://localhost:1"},
        {"proxy": "localhost:3128"},
        {"proxy": "http://localhost:port"},
    ],
)
def test_options_that_cannot_be_are_the_callers_error(options: dict[str, object]) -> None:
    with pytest.raises(wschat.UsageError):
        wschat.connect("ws://127.0.0.1:1/", **options)  # type: ignore[arg-type]


def test_a_port_where_nobody_listens_is_an_oserror() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        wschat.connect(f"ws://127.0.0.1:{port}/")


def test_a_host_that_does_not_exist_is_an_oserror() -> None:
    with pytest.raises(OSError, match="not found"):
        wschat.connect("ws://no-such-host.invalid/")


def test_a_refusal_has_the_status_the_headers_and_the_body(serve: ServerFactory) -> None:
    def refuse(request: wschat.Request) -> None:
        raise wschat.RequestRefused(403, "Not you.", {"X-Why": "because"})

    with pytest.raises(wschat.OpeningFailed) as failed:
        wschat.connect(url_of(serve(echo, check_request=refuse)))
    assert failed.value.status == 403
    assert failed.value.headers["x-why"] == "because"
    assert failed.value.body == b"Not you.\n"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: bm8=\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"",
    ],
)
def test_an_answer_that_is_no_opening_fails(raw_server: Callable[[Answer], str], answer: bytes) -> None:
    url = raw_server(lambda connection, _: connection.sendall(answer))
    with pytest.raises(wschat.OpeningFailed):
        wschat.connect(url)


@pytest.mark.parametrize(
    ("header", "options"),
    [
        ("Sec-WebSocket-Protocol: b", {"subprotocols": ["a"]}),
        ("Sec-WebSocket-Extensions: x-unheard-of", {}),
        ("Sec-WebSocket-Extensions: permessage-deflate", {"deflate": None}),
        ("Sec-WebSocket-Extensions: permessage-deflate; unheard_of", {}),
    ],
)
def test_a_server_that_chooses_what_was_not_offered_fails(
    raw_server: Callable[[Answer], str], header: str, options: dict[str, object]
) -> None:
    def answer(connection: socket.socket, head: bytes) -> None:
        connection.sendall(accepting(head, header))
        until_closed(connection)

    with pytest.raises(wschat.OpeningFailed):
        wschat.connect(raw_server(answer), **options)  # type: ignore[arg-type]


def accepting(head: bytes, *headers: str) -> bytes:
    import base64
    import hashlib

    key = next(line for line in head.decode().splitlines() if line.lower().startswith("sec-websocket-key")).split(": ")[1]
    accept = base64.b64encode(hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()).decode()
    lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Accept: {accept}", *headers]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode()


def test_frames_that_come_with_the_answer_are_not_lost(raw_server: Callable[[Answer], str]) -> None:
    def answer(connection: socket.socket, head: bytes) -> None:
        connection.sendall(accepting(head) + b"\x81\x02hi\x88\x00")
        until_closed(connection)

    with wschat.connect(raw_server(answer), limits=wschat.Limits(close_timeout=0.2)) as ws:
        assert list(ws) == ["hi"]


def test_redirects_are_followed(serve: ServerFactory, raw_server: Callable[[Answer], str]) -> None:
    target = url_of(serve(echo), "/there")
    url = raw_server(lambda connection, _: connection.sendall(f"HTTP/1.1 302 Found\r\nLocation: {target}\r\n\r\n".encode()))
    with wschat.connect(url) as ws:
        ws.send("here")
        assert ws.recv(timeout=5) == "here"


@pytest.mark.parametrize("trickle", [False, True], ids=["silence", "a byte now and then"])
def test_one_deadline_holds_for_the_whole_opening(raw_server: Callable[[Answer], str], trickle: bool) -> None:
    given_up = threading.Event()

    def answer(connection: socket.socket, _: bytes) -> None:
        while trickle and not given_up.wait(0.05):
            connection.sendall(b"H")
        until_closed(connection)

    try:
        with pytest.raises(TimeoutError):
            wschat.connect(raw_server(answer), limits=wschat.Limits(opening_timeout=0.3))
    finally:
        given_up.set()


def test_a_proxy_is_asked_for_a_tunnel(serve: ServerFactory, raw_server: Callable[[Answer], str]) -> None:
    server = serve(echo)
    asked: list[str] = []

    def tunnel(connection: socket.socket, head: bytes) -> None:
        asked.append(head.decode())
        with socket.create_connection(("127.0.0.1", server.port)) as onward:
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            back = threading.Thread(target=pump, args=(onward, connection))
            back.start()
            pump(connection, onward)
            back.join()

    proxy = raw_server(tunnel).replace("ws://", "http://user:p%40ss@")
    with wschat.connect(url_of(server), proxy=proxy) as ws:
        ws.send("through")
        assert ws.recv(timeout=5) == "through"
    assert asked[0].startswith(f"CONNECT 127.0.0.1:{server.port} ")
    assert "Proxy-Authorization: Basic dXNlcjpwQHNz" in asked[0]


def pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(4096):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def test_a_proxy_that_refuses_fails_the_opening(raw_server: Callable[[Answer], str]) -> None:
    proxy = raw_server(lambda connection, _: connection.sendall(b"HTTP/1.1 407 No\r\n\r\n")).replace("ws://", "http://")
    with pytest.raises(wschat.OpeningFailed, match="407"):
        wschat.connect("ws://127.0.0.1:1/", proxy=proxy)


def test_a_socket_of_ones_own_can_be_used(serve: ServerFactory, tmp_path: object) -> None:
    path = f"{tmp_path}/s"
    serve(echo, unix_path=path)
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(path)
    with wschat.connect("ws://localhost/", sock=sock) as ws:
        ws.send("hi")
        assert ws.recv(timeout=5) == "hi"


@pytest.mark.parametrize("deflate", [None, wschat.Deflate(), wschat.Deflate(client_max_window_bits=9, server_max_window_bits=10)])
def test_compression_is_agreed_on_or_done_without(serve: ServerFactory, deflate: wschat.Deflate | None) -> None:
    def check(ws: Connection) -> None:
        for message in ws:
            ws.send(message)

    with wschat.connect(url_of(serve(check)), deflate=deflate) as ws:
        assert ("sec-websocket-extensions" in ws.headers) == (deflate is not None)
        for message in ("x" * 1000, "short", "y" * 100_000):
            ws.send(message)
            assert ws.recv(timeout=5) == message
