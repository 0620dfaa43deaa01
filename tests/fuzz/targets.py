"""The functions that the fuzzer calls with arbitrary bytes. An exception from one of them is a bug.

`scripts/fuzz` runs them with atheris, and `test_fuzz` with the corpus.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from pathlib import Path

from tests.protocol.wire import pieces, read
from tests.server.wiring import http_connection
from wschat.chat.chat import Chat
from wschat.errors import HttpConnectionClosed, RequestRefused
from wschat.protocol.deflate import Deflate
from wschat.server.handshake import Handshake
from wschat.server.origins import check_origin
from wschat.server.proxies import PROXY_HEADERS, PROXY_PROTOCOL, Proxies
from wschat.server.refusals import encode_refusal

CORPUS = Path(__file__).parent / "corpus"

_MAX_MESSAGE_BYTES = 64 * 1024
_DEFLATES = (None, Deflate(), Deflate(server_no_context_takeover=True, client_no_context_takeover=True), Deflate(client_max_window_bits=9))
_PROXIES = [Proxies.parse(["10.0.0.0/8", "::/16"], header) for header in PROXY_HEADERS if header != PROXY_PROTOCOL]


def messages(data: bytes) -> None:
    """Read a stream of frames. The first byte selects the sender and the compression, the second the size of the chunks.

    The outcome must not depend on the chunks, and no message may be longer than the limit.
    """
    if len(data) < 2:
        return
    choice, step, stream = data[0], data[1] + 1, data[2:]
    deflate = _DEFLATES[choice >> 1 & 3]

    def outcome(cuts: range) -> object:
        return read(pieces(stream, cuts), masked=bool(choice & 1), max_bytes=_MAX_MESSAGE_BYTES, max_fragments=choice >> 3, deflate=deflate)

    whole = read([stream], masked=bool(choice & 1), max_bytes=_MAX_MESSAGE_BYTES, max_fragments=choice >> 3, deflate=deflate)
    assert whole == outcome(range(step, len(stream), step))
    for message in whole.messages:
        assert len(message.encode() if isinstance(message, str) else message) <= _MAX_MESSAGE_BYTES


def opening(data: bytes) -> None:
    """Read the request of an opening handshake from a socket, check it, and make the response."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(data[: 64 * 1024])
        theirs.shutdown(socket.SHUT_WR)
        try:
            head = http_connection(ours).read_head()
            assert head in data
            handshake = Handshake(head, ["chat", "v2"])
            for proxies in _PROXIES:
                proxies.client_address(handshake.request.headers, "10.0.0.1")
            with contextlib.suppress(RequestRefused):
                check_origin(handshake.request.headers, (), on_loopback=True)
            with contextlib.suppress(RequestRefused):
                Chat().check_request(handshake.request)
            response = handshake.accept(Deflate()).response
            assert response.startswith(b"HTTP/1.1 101 ")
        except HttpConnectionClosed:
            return
        except RequestRefused as refusal:
            response = encode_refusal(refusal)
    assert response.count(b"\r\n\r\n") == 1


TARGETS: dict[str, Callable[[bytes], None]] = {"messages": messages, "opening": opening}
