"""Invalid input from peers: their connections end in a defined way, and the server goes on."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest

import wschat
from tests.concurrency import TIMEOUT
from tests.conftest import ServerFactory, echo, url_of
from tests.protocol.wire import (
    BINARY,
    CLOSE,
    COMPRESSED,
    CONTINUATION,
    CONTINUATION_PART,
    PING,
    PONG,
    TEXT,
    TEXT_PART,
    deflated,
    frame,
    head,
)
from tests.server.raw import Raw, request
from wschat import CloseCode, Limits

LIMITS = Limits(close_timeout=0.3, max_message_bytes=100_000, max_fragments=50)
SHORT_TIMEOUT = replace(LIMITS, opening_timeout=0.5)
with_short_timeout = pytest.mark.parametrize("limits", [SHORT_TIMEOUT], ids=["short timeout"])


@pytest.fixture
def limits() -> Limits:
    return LIMITS


@pytest.fixture
def server(serve: ServerFactory, limits: Limits, caplog: pytest.LogCaptureFixture) -> Iterator[wschat.WebSocketServer]:
    """An echo server that must still work after the test, without having logged a warning."""
    server = serve(echo, limits=limits)
    with wschat.connect(url_of(server)) as old:
        yield server
        with wschat.connect(url_of(server)) as new:
            for ws in (old, new):
                ws.send("still there?")
                assert ws.recv(TIMEOUT) == "still there?"
    server.stop()
    assert [record.getMessage() for record in caplog.records if record.levelname not in ("DEBUG", "INFO")] == []


def masked(first: int, payload: bytes = b"") -> bytes:
    return frame(first, payload, masked=True)


# During the opening handshake


@with_short_timeout
@pytest.mark.parametrize("beginning", [b"", b"G", request()[:60], request()[:-1]])
def test_an_incomplete_opening_request_times_out(server: wschat.WebSocketServer, beginning: bytes) -> None:
    with Raw.to(server) as raw:
        raw.send(beginning)
        assert raw.rest() == b""


@pytest.mark.parametrize("endless", [b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 10_000, b"GET /" + b"a" * 100_000, b"X" * 100_000])
def test_an_endless_request_head_is_refused_with_431(server: wschat.WebSocketServer, endless: bytes) -> None:
    with Raw.to(server) as raw:
        raw.send(endless)
        assert raw.response().status == 431
        assert raw.rest() == b""


@pytest.mark.parametrize(
    "data",
    [
        bytes(range(256)) * 4,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),  # TLS on a port without it
        b"\0" * 5000,
        b"\xff\xfe\r\n\r\n",
    ],
)
def test_binary_data_instead_of_a_request_is_refused_with_400(server: wschat.WebSocketServer, data: bytes) -> None:
    with Raw.to(server) as raw:
        assert raw.ask(data).status == 400
        assert raw.rest() == b""


@with_short_timeout
def test_a_refused_client_that_stays_is_disconnected(server: wschat.WebSocketServer) -> None:
    with Raw.to(server) as raw:
        assert raw.ask(request("POST")).status == 405
        assert raw.rest() == b""


@pytest.mark.parametrize("beginning", [b"", request()[:60], request("POST"), request()])
def test_a_client_that_vanishes_during_the_opening_handshake(server: wschat.WebSocketServer, beginning: bytes) -> None:
    raw = Raw.to(server)
    raw.send(beginning)
    raw.vanish()


# After the opening handshake

VIOLATIONS = [
    ("a frame announcing 2^63 bytes", b"\x82\xff" + (1 << 63).to_bytes(8, "big") + bytes(4), CloseCode.PROTOCOL_ERROR),
    ("a frame announcing 2^63 - 1 bytes", b"\x82\xff" + ((1 << 63) - 1).to_bytes(8, "big") + bytes(4), CloseCode.TOO_BIG),
    ("a frame above the limit", head(BINARY, 100_001, masked=True) + bytes(4), CloseCode.TOO_BIG),
    ("fragments above the limit", masked(TEXT_PART, b"x" * 60_000) + head(CONTINUATION, 60_000, masked=True), CloseCode.TOO_BIG),
    ("too many fragments", masked(TEXT_PART) + masked(CONTINUATION_PART) * 60, CloseCode.POLICY_VIOLATION),
    ("an unmasked frame", frame(TEXT, b"hello", masked=False), CloseCode.PROTOCOL_ERROR),
    ("invalid UTF-8", masked(TEXT, b"\xff"), CloseCode.INVALID_DATA),
    ("invalid UTF-8 across two fragments", masked(TEXT_PART, b"caf\xc3") + masked(CONTINUATION, b"\x28"), CloseCode.INVALID_DATA),
    ("an incomplete character at the end", masked(TEXT_PART, b"caf") + masked(CONTINUATION, b"\xc3"), CloseCode.INVALID_DATA),
    ("a close frame with one byte", masked(CLOSE, b"\x03"), CloseCode.PROTOCOL_ERROR),
    ("a close code that may not be sent", masked(CLOSE, (1005).to_bytes(2, "big")), CloseCode.PROTOCOL_ERROR),
    ("a close reason that is not UTF-8", masked(CLOSE, b"\x03\xe8\xff"), CloseCode.INVALID_DATA),
    ("a ping that is too long", masked(PING, bytes(126)), CloseCode.PROTOCOL_ERROR),
    ("a ping in fragments", masked(PING & 0x0F, b"x"), CloseCode.PROTOCOL_ERROR),
    ("a continuation of nothing", masked(CONTINUATION, b"x"), CloseCode.PROTOCOL_ERROR),
    ("a message within a message", masked(TEXT_PART, b"x") + masked(TEXT, b"y"), CloseCode.PROTOCOL_ERROR),
    ("an opcode that does not exist", masked(0x83, b"x"), CloseCode.PROTOCOL_ERROR),
    ("a reserved bit", masked(TEXT | 0x20, b"x"), CloseCode.PROTOCOL_ERROR),
    ("compression that was not negotiated", masked(TEXT | COMPRESSED, deflated(b"x")), CloseCode.PROTOCOL_ERROR),
]


@pytest.mark.parametrize(("data", "code"), [(data, code) for _, data, code in VIOLATIONS], ids=[name for name, _, _ in VIOLATIONS])
def test_a_protocol_violation_is_answered_with_its_close_code(server: wschat.WebSocketServer, data: bytes, code: CloseCode) -> None:
    with Raw.opened(server) as raw:
        raw.send(masked(TEXT, b"before") + data)
        assert raw.frame() == (TEXT, b"before")
        assert raw.close_code() == code
        assert raw.rest() == b""


def test_a_protocol_violation_sent_with_the_opening_request(server: wschat.WebSocketServer) -> None:
    with Raw.to(server) as raw:
        assert raw.ask(request() + frame(TEXT, b"hello", masked=False)).status == 101
        assert raw.close_code() == CloseCode.PROTOCOL_ERROR
        assert raw.rest() == b""


@pytest.mark.parametrize("size", [1 << 20, 64 << 20])
def test_a_message_that_inflates_above_the_limit_is_closed_with_1009(server: wschat.WebSocketServer, size: int) -> None:
    with Raw.to(server) as raw:
        raw.ask(request(headers={"Sec-WebSocket-Extensions": "permessage-deflate"}))
        raw.send(masked(BINARY | COMPRESSED, deflated(bytes(size))))
        assert raw.close_code() == CloseCode.TOO_BIG
        assert raw.rest() == b""


def test_invalid_compressed_data_is_closed_with_1007(server: wschat.WebSocketServer) -> None:
    with Raw.to(server) as raw:
        raw.ask(request(headers={"Sec-WebSocket-Extensions": "permessage-deflate"}))
        raw.send(masked(BINARY | COMPRESSED, b"\xff" * 20))
        assert raw.close_code() == CloseCode.INVALID_DATA
        assert raw.rest() == b""


@pytest.mark.parametrize("half", [b"\x81", masked(TEXT, b"hello")[:-2], head(BINARY, 90_000, masked=True) + bytes(5000)])
@pytest.mark.parametrize("with_reset", [False, True])
def test_a_peer_that_vanishes_within_a_frame(server: wschat.WebSocketServer, half: bytes, with_reset: bool) -> None:
    with Raw.opened(server) as raw:
        raw.send(masked(TEXT, b"before") + half)
        assert raw.frame() == (TEXT, b"before")
        if with_reset:
            raw.vanish()


def test_a_peer_that_shuts_down_its_sending_side_is_disconnected(server: wschat.WebSocketServer) -> None:
    with Raw.opened(server) as raw:
        raw.send(masked(TEXT, b"before"))
        assert raw.frame() == (TEXT, b"before")
        raw.socket.shutdown(socket.SHUT_WR)
        assert raw.rest() == b""


def test_a_client_that_never_replies_to_the_close_is_disconnected(serve: ServerFactory, server: wschat.WebSocketServer) -> None:
    with Raw.opened(serve(lambda ws: ws.close(4000, "bye"), limits=LIMITS)) as raw:
        assert raw.frame() == (CLOSE, (4000).to_bytes(2, "big") + b"bye")
        assert raw.rest() == b""


def test_a_client_that_goes_on_sending_after_the_close_is_disconnected(serve: ServerFactory, server: wschat.WebSocketServer) -> None:
    with Raw.opened(serve(lambda ws: ws.close(4000), limits=LIMITS)) as raw:
        assert raw.close_code() == 4000
        raw.send(masked(TEXT, b"too late") * 1000)
        assert raw.rest() == b""


def test_a_client_that_closes_but_does_not_disconnect_is_disconnected(server: wschat.WebSocketServer) -> None:
    with Raw.opened(server) as raw:
        raw.send(masked(CLOSE, (4001).to_bytes(2, "big")))
        assert raw.close_code() == 4001
        assert raw.rest() == b""


def test_frames_after_the_close_frame_are_ignored(server: wschat.WebSocketServer) -> None:
    with Raw.opened(server) as raw:
        raw.send(masked(CLOSE) + masked(TEXT, b"too late") + b"\xff" * 100)
        assert raw.frame() == (CLOSE, b"")
        assert raw.rest() == b""


def test_thousands_of_pings_get_pongs_in_order_including_the_last(server: wschat.WebSocketServer) -> None:
    with Raw.opened(server) as raw:
        raw.send(b"".join(masked(PING, b"%d" % number) for number in range(5000)) + masked(TEXT, b"after"))
        answers = [raw.frame()]
        while answers[-1] != (TEXT, b"after"):
            answers.append(raw.frame())
        pongs = [int(payload) for first, payload in answers if first == PONG]
        assert len(pongs) + 1 == len(answers)
        assert pongs == sorted(set(pongs))
        assert pongs[-1] == 4999


def test_unsolicited_pongs_are_ignored(server: wschat.WebSocketServer) -> None:
    with Raw.opened(server) as raw:
        raw.send(masked(PONG, b"what?") * 100 + masked(TEXT, b"after"))
        assert raw.frame() == (TEXT, b"after")
