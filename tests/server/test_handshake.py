"""The server's side of the opening handshake: validation, subprotocols, and extensions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import ServerFactory, echo
from tests.protocol.wire import COMPRESSED, TEXT, deflated, frame
from tests.server.raw import ACCEPT, KEY, Raw, request
from wschat import Deflate, Request, RequestRefused
from wschat.server import handshake
from wschat.server.handshake import Handshake
from wschat.server.requests import parse_simple

NO_CONTEXT = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"


def test_the_response_to_the_example_of_rfc_6455() -> None:
    opening = Handshake(request()).accept()
    assert (opening.subprotocol, opening.deflate) == (None, None)
    first, *lines = opening.response.decode().split("\r\n")
    assert first.startswith("HTTP/1.1 101")
    assert lines[-2:] == ["", ""]
    headers = dict(line.lower().split(": ") for line in lines[:-2])
    assert headers == {"upgrade": "websocket", "connection": "upgrade", "sec-websocket-accept": ACCEPT.lower()}


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [("chat", "chat"), ("other, chat", "chat"), ("v2,chat", "v2"), ("other", None), ("", None), ("CHAT", None)],
)
def test_the_subprotocol_is_the_first_that_both_support(offered: str, chosen: str | None) -> None:
    opening = Handshake(request(headers={"Sec-WebSocket-Protocol": offered}), ["chat", "v2"]).accept()
    assert opening.subprotocol == chosen
    assert (f"sec-websocket-protocol: {chosen}\r\n" in opening.response.decode().lower()) == (chosen is not None)


@pytest.mark.parametrize(
    ("method", "changes", "status"),
    [
        ("POST", {}, 405),
        ("get", {}, 405),
        ("GET", {"Upgrade": ""}, 426),
        ("GET", {"Upgrade": "websocketx"}, 426),
        ("GET", {"Connection": "close"}, 400),
        ("GET", {"Sec-WebSocket-Version": "13, 8"}, 426),
        ("GET", {"Sec-WebSocket-Version": "013"}, 426),
        ("GET", {"Sec-WebSocket-Key": ""}, 400),
        ("GET", {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ"}, 400),
        ("GET", {"Sec-WebSocket-Protocol": "\u00fe"}, 400),
        ("GET", {"Host": "xn--\u00fe"}, 400),
    ],
)
def test_an_invalid_opening_request_is_refused(method: str, changes: dict[str, str | None], status: int) -> None:
    opening = Handshake(request(method, headers=changes), ["chat"])
    assert opening.request.method == method
    with pytest.raises(RequestRefused) as refused:
        opening.accept()
    assert refused.value.status == status


def outcome(head: bytes) -> tuple[object, object]:
    """Return the request in a head, or the status by which it is refused, and the same for its acceptance."""
    try:
        opening = Handshake(head, ["chat", "v2"])
    except RequestRefused as refused:
        return refused.status, None
    try:
        return opening.request, opening.accept(Deflate())
    except RequestRefused as refused:
        return opening.request, refused.status


VALUES = {
    "Host": ["a", "a.test:80", "[::1]:80", "xn--bcher-kva.test", "xn--a.test", ""],
    "Upgrade": ["websocket", "WebSocket", "h2c, websocket", "websocketx", ""],
    "Connection": ["Upgrade", "keep-alive, upgrade", "close", ""],
    "Sec-WebSocket-Version": ["13", " 13 ", "8", ""],
    "Sec-WebSocket-Key": [KEY, KEY[:-1], ""],
    "Sec-WebSocket-Protocol": ["chat", "other, v2", "v2, chat", "CHAT", "\u00e9"],
    "Sec-WebSocket-Extensions": ["permessage-deflate", "permessage-deflate; client_max_window_bits, x", "x;y=z", ";", ""],
    "Content-Length": ["0", "1"],
    "Cookie": ["a=b", "\u00e9"],
}
_LINES = st.sampled_from(list(VALUES)).flatmap(lambda name: st.builds(lambda value: f"{name}: {value}", st.sampled_from(VALUES[name])))
_USUAL = [f"{name}: {VALUES[name][0]}" for name in ["Host", "Upgrade", "Connection", "Sec-WebSocket-Version", "Sec-WebSocket-Key"]]


@given(
    st.sampled_from(["GET /", "GET /a?b=c", "GET http://b/", "GET /#a", "HEAD /", "POST /"]),
    st.lists(st.integers(0, 4), max_size=2),
    st.lists(_LINES, max_size=3),
)
def test_an_ordinary_request_is_parsed_as_simple_websocket_does(line: str, left_out: list[int], more: list[str]) -> None:
    usual = [line for number, line in enumerate(_USUAL) if number not in left_out]
    head = "\r\n".join([f"{line} HTTP/1.1", *usual, *more, "", ""]).encode("latin-1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(handshake, "parse_simple", lambda _: None)
        expected = outcome(head)
    assert outcome(head) == expected


def test_the_request_of_a_browser_is_ordinary() -> None:
    cookies = {"Origin": "http://a.test", "Cookie": "a=b", "Accept-Encoding": "gzip, deflate", "Cache-Control": "no-cache"}
    offers = {"Sec-WebSocket-Protocol": "wschat.v1", "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"}
    assert parse_simple(request(headers={**cookies, **offers})) is not None


@pytest.mark.parametrize("upgrade", ["websocket", "WebSocket", "h2c, websocket"])
def test_the_request_keeps_its_target_and_headers(upgrade: str) -> None:
    head = request(
        target="/rooms/a?name=b",
        headers={
            "Host": "xn--bcher-kva.test:8080",
            "Upgrade": upgrade,
            "Cookie": "a=1",
            "X-Letters": "\u00e9",
            "Sec-WebSocket-Protocol": "chat, v2",
            "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits",
        },
    ).replace(b"\r\n\r\n", b"\r\ncookie: b=2\r\n\r\n")
    opening = Handshake(head, ["chat"])
    assert opening.request == Request(
        "GET",
        "/rooms/a?name=b",
        {
            "host": "xn--bcher-kva.test:8080",
            "upgrade": upgrade,
            "connection": "Upgrade",
            "sec-websocket-key": KEY,
            "sec-websocket-version": "13",
            "cookie": "a=1, b=2",
            "x-letters": "\u00e9",
            "sec-websocket-protocol": "chat, v2",
            "sec-websocket-extensions": "permessage-deflate; client_max_window_bits",
        },
    )
    assert opening.accept().subprotocol == "chat"


@pytest.mark.parametrize(
    ("offer", "answer"),
    [
        (None, None),
        ("permessage-deflate", NO_CONTEXT),
        ("permessage-deflate; client_max_window_bits", NO_CONTEXT),
        ("permessage-deflate; client_max_window_bits=10", f"{NO_CONTEXT}; client_max_window_bits=10"),
        ("permessage-deflate; server_max_window_bits=9", f"{NO_CONTEXT}; server_max_window_bits=9"),
        ("permessage-deflate; server_no_context_takeover", NO_CONTEXT),
        ("x-webkit-deflate-frame, permessage-deflate", NO_CONTEXT),
        ("permessage-deflate; unknown=1, permessage-deflate", NO_CONTEXT),
        ("permessage-deflate; unknown", None),
        ("permessage-deflate; client_max_window_bits=10; client_max_window_bits=10", None),
        ("permessage-deflate; server_no_context_takeover; server_no_context_takeover", None),
        ("permessage-deflate; server_no_context_takeover=1", None),
        ("permessage-deflate; server_max_window_bits", None),
        ("permessage-deflate; server_max_window_bits=8", None),  # not supported by zlib
        ("permessage-deflate; server_max_window_bits=16", None),
        ("permessage-deflate; client_max_window_bits=07", None),
        ("permessage-deflate; ;", None),
        ("permessage-deflate; \u00fe", None),
        ("x-webkit-deflate-frame", None),
    ],
)
def test_compression_is_negotiated_or_declined(serve: ServerFactory, offer: str | None, answer: str | None) -> None:
    with Raw.to(serve(echo)) as raw:
        response = raw.ask(request(headers={"Sec-WebSocket-Extensions": offer}))
        assert (response.status, response.headers.get("sec-websocket-extensions")) == (101, answer)
        raw.send(frame(TEXT, b"plain", masked=True))
        assert raw.frame() == (TEXT, b"plain")


def test_negotiated_compression_is_used(serve: ServerFactory) -> None:
    text = b"to and fro, " * 100
    with Raw.to(serve(echo)) as raw:
        raw.ask(request(headers={"Sec-WebSocket-Extensions": "permessage-deflate"}))
        raw.send(frame(TEXT | COMPRESSED, deflated(text), masked=True))
        first, payload = raw.frame()
        assert first == TEXT | COMPRESSED
        assert len(payload) < len(text) / 10


def test_compression_is_declined_if_the_server_disables_it(serve: ServerFactory) -> None:
    with Raw.to(serve(echo, deflate=None)) as raw:
        response = raw.ask(request(headers={"Sec-WebSocket-Extensions": "permessage-deflate"}))
        assert "sec-websocket-extensions" not in response.headers


def test_the_server_can_use_context_takeover_and_a_smaller_window(serve: ServerFactory) -> None:
    with Raw.to(serve(echo, deflate=Deflate(server_max_window_bits=12, client_max_window_bits=11))) as raw:
        response = raw.ask(request(headers={"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"}))
        assert response.headers["sec-websocket-extensions"] == "permessage-deflate; server_max_window_bits=12; client_max_window_bits=11"


@pytest.mark.parametrize(
    ("target", "path", "host"),
    [
        ("/rooms/tea?x=1", "/rooms/tea?x=1", "localhost"),
        ("http://127.0.0.1:8080/rooms/tea?x=1", "/rooms/tea?x=1", "127.0.0.1:8080"),
        ("ws://127.0.0.1/rooms/tea", "/rooms/tea", "127.0.0.1"),
        ("WSS://127.0.0.1", "/", "127.0.0.1"),
        ("https://127.0.0.1?x=1", "/?x=1", "127.0.0.1"),
        ("//evil.test/", "//evil.test/", "localhost"),
    ],
)
def test_a_target_may_be_an_absolute_url_whose_host_counts(target: str, path: str, host: str) -> None:
    """RFC 9112, section 3.2.2, for opening requests as for any other."""
    for upgrade in ("websocket", "h2c, websocket", None):
        opening = Handshake(request(target=target, headers={"Upgrade": upgrade}))
        assert (opening.request.target, opening.request.headers["host"]) == (path, host)


def test_the_host_of_an_absolute_url_is_checked(serve: ServerFactory) -> None:
    with Raw.to(serve(echo)) as raw:
        assert raw.ask(request(target="http://evil.test/", headers={"Origin": "http://evil.test"})).status == 421
