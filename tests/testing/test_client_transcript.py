"""The transcript of a client by a proxy: the opening, and frames with the negotiated compression."""

from __future__ import annotations

import pytest

from tests.conftest import echo
from tests.testing.test_transcript import lines
from wschat.protocol.deflate import Deflate
from wschat.testing.client_transcript import ClientTranscript
from wschat.testing.connections import Connections
from wschat.testing.servers import Servers

REQUEST = b"GET /chat?token=secret HTTP/1.1\r\nHost: localhost\r\n\r\n"


def shown(servers: Servers) -> list[str]:
    """Return the lines of the only connection without their times."""
    (text,) = servers.started[0].transcripts()
    return lines(text)[1:]


@pytest.mark.parametrize("deflate", [None, Deflate(), Deflate(client_no_context_takeover=True, server_no_context_takeover=True)])
def test_an_opening_and_frames(wschat_server: Servers, ws_connect: Connections, deflate: Deflate | None) -> None:
    wschat_server(echo, deflate=deflate)
    ws = ws_connect("/?token=secret", deflate=deflate)
    for _ in range(2):
        ws.send("hello " * 100)
        ws.recv()
    ws.close(4000, "enough")
    text = f"{'hello ' * 100!r:.101}'… (600 characters)"
    sent, received = f"sent text {text}", f"received text {text}"
    assert shown(wschat_server)[:6] == [
        "sent GET / HTTP/1.1",
        "received HTTP/1.1 101 Switching Protocols",
        *[sent, received] * 2,
    ]
    assert shown(wschat_server)[6:] == [
        "sent close 4000 enough",
        "received close 4000 enough",
        "received the end of the stream",
        "sent the end of the stream",
    ]


def test_the_transcript_of_the_client_is_after_the_faults(wschat_server: Servers, ws_connect: Connections) -> None:
    server = wschat_server(echo)
    ws = ws_connect()
    server.faults.cut(after_bytes=4, way="to_client")
    ws.send("hello")
    assert list(ws) == []
    found = shown(wschat_server)
    assert found[2:4] == ["sent text 'hello'", "cut"]
    assert found[-1] == "received 4 bytes of an incomplete frame"


def test_a_request_that_is_refused() -> None:
    transcript = ClientTranscript("the connection")
    transcript.sent(REQUEST[:10])
    transcript.sent(REQUEST[10:])
    transcript.received(b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno")
    transcript.received(b"")
    assert lines(transcript)[1:] == ["sent GET /chat HTTP/1.1", "received HTTP/1.1 404 Not Found", "received the end of the stream"]


@pytest.mark.parametrize("header", [b"permessage-deflate; nonsense", b"other"])
def test_an_extension_that_was_not_offered(header: bytes) -> None:
    transcript = ClientTranscript("the connection")
    transcript.received(b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Extensions: " + header + b"\r\n\r\n\x81\x01x")
    assert lines(transcript)[1:] == ["received HTTP/1.1 101 Switching Protocols", "received text 'x'"]


def test_bytes_that_are_not_http_are_not_shown() -> None:
    transcript = ClientTranscript("the connection")
    for _ in range(100):
        transcript.sent(bytes(1000))
    transcript.note("cut")
    assert lines(transcript)[1:] == ["cut"]
