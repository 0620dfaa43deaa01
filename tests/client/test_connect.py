"""`wschat.connect`: its arguments and its errors."""

from __future__ import annotations

import errno
import signal
import socket
import struct
import threading

import pytest

import wschat
from tests.client.conftest import RawServerFactory
from tests.client.servers import RawServer, accepting, opens, says, until_closed
from tests.conftest import ServerFactory, echo, url_of
from wschat.connection.connection import Connection


def test_headers_cookies_and_origin_reach_the_server(serve: ServerFactory) -> None:
    server = serve(lambda ws: ws.send("\n".join(f"{name}: {value}" for name, value in ws.headers.items())))
    url = url_of(server, "/path?q=1")
    with wschat.connect(url, headers={"X-Color": "blue"}, cookies={"a": "1", "b": "2"}, origin=f"http://127.0.0.1:{server.port}") as ws:
        seen = str(ws.recv(timeout=5))
    assert "x-color: blue" in seen
    assert "cookie: a=1; b=2" in seen
    assert f"origin: http://127.0.0.1:{server.port}" in seen


def test_no_origin_is_sent_by_default(serve: ServerFactory) -> None:
    server = serve(lambda ws: ws.send(",".join(ws.headers)))
    with wschat.connect(url_of(server)) as ws:
        assert "origin" not in str(ws.recv(timeout=5))


def test_the_server_sees_the_path(serve: ServerFactory) -> None:
    server = serve(lambda ws: ws.send(ws.path))
    with wschat.connect(url_of(server, "/a%20b?c=d&e=%20")) as ws:
        assert ws.path == ws.recv(timeout=5) == "/a%20b?c=d&e=%20"


@pytest.mark.parametrize(
    ("supported", "offered", "chosen"),
    [(["a", "B"], ["x", "B"], "B"), (["a"], ["x"], None), ([], ["x"], None), (["a"], [], None)],
)
def test_the_server_chooses_one_subprotocol_or_none(
    serve: ServerFactory, supported: list[str], offered: list[str], chosen: str | None
) -> None:
    server = serve(lambda ws: ws.send(str(ws.subprotocol)), subprotocols=supported)
    with wschat.connect(url_of(server), subprotocols=offered) as ws:
        assert ws.subprotocol == chosen
        assert ws.recv(timeout=5) == str(chosen)


@pytest.mark.parametrize(
    "options",
    [
        {"headers": {"X": "a\r\nY: b"}},
        {"headers": {"X\n": "a"}},
        {"cookies": {"a": "b\r\n"}},
        {"origin": "http://a\n"},
        {"subprotocols": "one"},
        {"subprotocols": ["a, b"]},
        {"subprotocols": [""]},
        {"headers": {"X Y": "a"}},
        {"headers": {"X:": "a"}},
        {"headers": {"": "a"}},
        {"headers": {"X": "\ud800"}},
        {"headers": {"Connection": "close"}},
        {"headers": {"sec-websocket-key": "a"}},
        {"headers": {"Sec-WebSocket-Protocol": "a"}},
        {"headers": {"Content-Length": "1"}},
    ],
)
def test_an_invalid_argument_is_a_usage_error(options: dict[str, object]) -> None:
    with pytest.raises(wschat.UsageError):
        wschat.connect("ws://127.0.0.1:1/", **options)  # type: ignore[arg-type]


def test_a_closed_port_is_an_oserror() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ConnectionRefusedError, match=rf"^connection refused by 127\.0\.0\.1:{port}: is the server running\?$") as failed:
        wschat.connect(f"ws://127.0.0.1:{port}/?token=s3cret")
    assert failed.value.errno == errno.ECONNREFUSED


def test_a_host_that_does_not_exist_is_an_oserror() -> None:
    with pytest.raises(OSError, match="not found"):
        wschat.connect("ws://no-such-host.invalid/")


def test_a_refusal_has_the_status_the_headers_and_the_body(serve: ServerFactory) -> None:
    def refuse(request: wschat.Request) -> None:
        raise wschat.RequestRefused(403, "Not you.", {"X-Why": "because"})

    server = serve(echo, check_request=refuse)
    with pytest.raises(wschat.OpeningFailed, match=rf"^127\.0\.0\.1:{server.port} answered 403 Forbidden: Not you\.$") as failed:
        wschat.connect(url_of(server))
    assert failed.value.status == 403
    assert failed.value.headers["x-why"] == "because"
    assert failed.value.body == b"Not you.\n"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: bm8=\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: bm8=\r\n\r\n",
    ],
)
def test_a_response_without_an_upgrade_fails(raw: RawServerFactory, answer: bytes) -> None:
    server = raw(says(answer))
    with pytest.raises(wschat.OpeningFailed, match=f"{server.place} does not open a WebSocket") as failed:
        wschat.connect(server.url)
    assert failed.value.status == 101


def test_a_given_host_header_replaces_the_default(raw: RawServerFactory) -> None:
    server = raw(opens())
    wschat.connect(server.url, headers={"Host": "other.test"}).close()
    assert "Host: other.test\r\n" in server.heads[0]
    assert server.heads[0].count("Host: ") == 1


def test_headers_may_have_any_characters(serve: ServerFactory) -> None:
    server = serve(lambda ws: ws.send(ws.headers["x-a"]))
    with wschat.connect(url_of(server), headers={"X-A": "Ümit"}) as ws:
        assert str(ws.recv(timeout=5)).encode("latin-1").decode() == "Ümit"


@pytest.mark.parametrize(
    ("header", "options"),
    [
        ("Sec-WebSocket-Protocol: b", {"subprotocols": ["a"]}),
        ("Sec-WebSocket-Extensions: x-unheard-of", {}),
        ("Sec-WebSocket-Extensions: permessage-deflate", {"deflate": None}),
        ("Sec-WebSocket-Extensions: permessage-deflate; unheard_of", {}),
    ],
)
def test_a_choice_that_was_not_offered_fails(raw: RawServerFactory, header: str, options: dict[str, object]) -> None:
    def answer(connection: socket.socket, head: bytes) -> None:
        connection.sendall(accepting(head, header))
        until_closed(connection)

    server = raw(answer)
    with pytest.raises(wschat.OpeningFailed, match=server.place):
        wschat.connect(server.url, **options)  # type: ignore[arg-type]


def test_frames_right_after_the_response_are_received(raw: RawServerFactory) -> None:
    def answer(connection: socket.socket, head: bytes) -> None:
        connection.sendall(accepting(head) + b"\x81\x02hi\x88\x00")
        until_closed(connection)

    with wschat.connect(raw(answer).url, limits=wschat.Limits(close_timeout=0.2)) as ws:
        assert list(ws) == ["hi"]


def test_a_connected_socket_can_be_given(serve: ServerFactory, tmp_path: object) -> None:
    path = f"{tmp_path}/s"
    serve(echo, unix_path=path)
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(path)
    with wschat.connect("ws://localhost/", sock=sock) as ws:
        ws.send("hi")
        assert ws.recv(timeout=5) == "hi"


@pytest.mark.parametrize("deflate", [None, wschat.Deflate(), wschat.Deflate(client_max_window_bits=9, server_max_window_bits=10)])
def test_compression_is_negotiated(serve: ServerFactory, deflate: wschat.Deflate | None) -> None:
    def check(ws: Connection) -> None:
        for message in ws:
            ws.send(message)

    with wschat.connect(url_of(serve(check)), deflate=deflate) as ws:
        assert ("sec-websocket-extensions" in ws.headers) == (deflate is not None)
        for message in ("x" * 1000, "short", "y" * 100_000):
            ws.send(message)
            assert ws.recv(timeout=5) == message


def test_an_opening_timeout_of_0_is_none(serve: ServerFactory) -> None:
    server = serve(echo)
    with wschat.connect(f"ws://localhost:{server.port}/", limits=wschat.Limits(opening_timeout=0)) as ws:
        ws.send("hi")
        assert ws.recv(timeout=5) == "hi"


def test_a_server_may_disconnect_right_after_opening(raw: RawServerFactory) -> None:
    def answer(connection: socket.socket, head: bytes) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.sendall(accepting(head) + b"\x81\x02hi")

    server = raw(answer)
    with wschat.connect(server.url) as ws:
        assert ws.remote_address == ("127.0.0.1", server.port)
        assert list(ws) == ["hi"]


class Raised(OSError):
    pass


@pytest.mark.parametrize("error", [Raised("mine"), TimeoutError("mine"), ConnectionResetError(errno.ECONNRESET, "mine")])
@pytest.mark.parametrize(
    ("scheme", "answer"), [("ws", b""), ("ws", b"HTTP/1.1 403 Forbidden\r\n\r\nNo"), ("wss", b"")], ids=["head", "body", "TLS"]
)
def test_an_exception_of_a_signal_handler_passes_through(raw: RawServerFactory, error: OSError, scheme: str, answer: bytes) -> None:
    def wait(connection: socket.socket, _: bytes) -> None:
        connection.sendall(answer)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
        until_closed(connection)

    class EarlyServer(RawServer):
        def talk(self, connection: socket.socket) -> None:
            connection.recv(1)
            wait(connection, b"")

    def interrupt(*_: object) -> None:
        raise error

    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with EarlyServer(wait) as server, pytest.raises(type(error)) as raised:
            wschat.connect(f"{scheme}://{server.place}/", limits=wschat.Limits(opening_timeout=60))
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert raised.value is error
