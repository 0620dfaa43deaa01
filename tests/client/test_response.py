"""Responses that do not open a WebSocket, and the errors made from them."""

from __future__ import annotations

import socket
import threading
from time import monotonic

import pytest

import wschat
from tests.client.conftest import RawServerFactory
from tests.client.servers import Answer, opens, says, until_closed

HEAD = b"HTTP/1.1 403 Forbidden\r\n"


def failure(raw: RawServerFactory, answer: Answer, timeout: float = 10) -> wschat.OpeningFailed:
    server = raw(answer)
    with pytest.raises(wschat.OpeningFailed) as failed:
        wschat.connect(f"{server.url}?token=s3cret", limits=wschat.Limits(opening_timeout=timeout))
    assert server.place in str(failed.value)
    assert "s3cret" not in str(failed.value)
    return failed.value


@pytest.mark.parametrize(
    "answer",
    [
        HEAD + b"Content-Length: 9\r\n\r\nNot you.\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n4\r\nNot \r\n5;x=y\r\nyou.\n\r\n0\r\nX: y\r\n\r\n",
        HEAD + b"\r\nNot you.\n",
        b"HTTP/1.0 403 Forbidden\r\n\r\nNot you.\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + HEAD + b"\r\nNot you.\n",
        HEAD + b"Content-Length: 100\r\n\r\nNot you.\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n9\r\nNot you.\n\r\nnonsense\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n50\r\nNot you.\n",
    ],
    ids=["length", "chunked", "until close", "HTTP/1.0", "after early hints", "cut", "cut at a chunk", "cut in a chunk"],
)
def test_a_body_is_read_in_any_framing(raw: RawServerFactory, answer: bytes) -> None:
    failed = failure(raw, says(answer))
    assert (failed.status, failed.body) == (403, b"Not you.\n")
    assert str(failed).endswith(" answered 403 Forbidden: Not you.")


@pytest.mark.parametrize("framing", [b"", b"Content-Length: 100\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_an_unfinished_body_ends_at_the_opening_timeout(raw: RawServerFactory, framing: bytes) -> None:
    def answer(connection: socket.socket, _: bytes) -> None:
        connection.sendall(HEAD + framing + b"\r\n" + (b"9\r\nNot you.\n\r\n" if b"chunked" in framing else b"Not you.\n"))
        until_closed(connection)

    failed = failure(raw, answer, timeout=0.3)
    assert (failed.status, failed.body) == (403, b"Not you.\n")


def test_a_body_without_end_is_cut(raw: RawServerFactory) -> None:
    def answer(connection: socket.socket, _: bytes) -> None:
        connection.sendall(HEAD + b"\r\n")
        while True:
            connection.sendall(bytes(65536))

    began = monotonic()
    failed = failure(raw, answer, timeout=60)
    assert monotonic() - began < 30
    assert failed.status == 403
    assert len(failed.body) == 256 * 1024


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"\n\n  first \nsecond\n", ": first"),
        (b"", ""),
        (b"\x1b]52;c;Zm9v\x07\r\nx", ": \\x1b]52;c;Zm9v\\x07"),
        ("\u202eevil\u009b2J".encode(), ": \\u202eevil\\x9b2J"),
        (b"\xff", ": \ufffd"),
        (b"x" * 1000, f": {'x' * 200}..."),
    ],
)
def test_the_error_contains_the_first_line_of_the_body(raw: RawServerFactory, body: bytes, message: str) -> None:
    assert str(failure(raw, says(HEAD + b"\r\n" + body))).endswith(f" answered 403 Forbidden{message}")


def test_the_error_does_not_contain_html(raw: RawServerFactory) -> None:
    failed = failure(raw, says(HEAD + b"Content-Type: text/html\r\n\r\n<!DOCTYPE html>\n"))
    assert str(failed).endswith(" answered 403 Forbidden")
    assert failed.body == b"<!DOCTYPE html>\n"


def test_a_status_without_a_reason_gets_the_usual_one(raw: RawServerFactory) -> None:
    assert str(failure(raw, says(b"HTTP/1.1 404\r\n\r\n"))).endswith(" answered 404 Not Found")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"", "closed the connection without a response"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "does not answer in HTTP .*'SSH-2.0-OpenSSH_9.2'"),
        (b"-ERR unknown command\x1b[2J\r\n\r\n", r"does not answer in HTTP .*\\x1b"),
        (b"HTTP/1.1 101 Switching", "does not answer in HTTP"),
        (b"HTTP/1.1 403 No\r\nbad header\r\n\r\n", "does not answer in HTTP"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "speaks TLS: use wss:// instead of ws://"),
    ],
)
def test_a_response_that_is_not_http_has_no_status(raw: RawServerFactory, answer: bytes, message: str) -> None:
    server = raw(says(answer))
    with pytest.raises(wschat.OpeningFailed, match=message) as failed:
        wschat.connect(server.url)
    assert failed.value.status is None
    assert "\x1b" not in str(failed.value)


def test_a_head_without_end_is_cut(raw: RawServerFactory) -> None:
    def answer(connection: socket.socket, _: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while True:
            connection.sendall(b"X: " + b"y" * 10_000 + b"\r\n")

    with pytest.raises(wschat.OpeningFailed, match="more than 2000 bytes"):
        wschat.connect(raw(answer).url, limits=wschat.Limits(max_head_bytes=2000))


def test_headers_that_come_twice_are_joined(raw: RawServerFactory) -> None:
    server = raw(opens("X-A: 1", "X-A: 2", "X-B: Gr\u00fc\u00dfe"))
    with wschat.connect(server.url) as ws:
        assert ws.headers["x-a"] == "1, 2"
        assert ws.headers["x-b"].encode("latin-1").decode() == "Gr\u00fc\u00dfe"


def test_a_reset_connection_is_an_oserror_that_names_the_server(raw: RawServerFactory) -> None:
    import struct

    def answer(connection: socket.socket, _: bytes) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    server = raw(answer)
    with pytest.raises(ConnectionResetError, match=f"connection reset by {server.place}"):
        wschat.connect(server.url)


@pytest.mark.parametrize("trickle", [False, True], ids=["silence", "a byte now and then"])
def test_one_deadline_holds_for_the_whole_opening(raw: RawServerFactory, trickle: bool) -> None:
    given_up = threading.Event()

    def answer(connection: socket.socket, _: bytes) -> None:
        while trickle and not given_up.wait(0.05):
            connection.sendall(b"H")
        until_closed(connection)

    server = raw(answer)
    try:
        with pytest.raises(TimeoutError, match=f"{server.place} did not open a WebSocket within 0.3 s"):
            wschat.connect(server.url, limits=wschat.Limits(opening_timeout=0.3))
    finally:
        given_up.set()
