"""Parsing of WebSocket URIs and IRIs."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.client.conftest import RawServerFactory
from tests.client.servers import opens
from wschat import UsageError, connect
from wschat.client.uri import WebSocketURI, parse_uri


@pytest.mark.parametrize(
    ("text", "host", "port", "target"),
    [
        ("ws://example.com", "example.com", 80, "/"),
        ("wss://example.com", "example.com", 443, "/"),
        ("WS://EXAMPLE.com:81/A", "example.com", 81, "/A"),
        ("ws://example.com?a=b", "example.com", 80, "/?a=b"),
        ("ws://example.com/?", "example.com", 80, "/?"),
        ("ws://example.com/a;b=c;d", "example.com", 80, "/a;b=c;d"),
        ("ws://example.com//a/../b", "example.com", 80, "//a/../b"),
        ("ws://h/a%20b?name=Ümit", "h", 80, "/a%20b?name=%C3%9Cmit"),
        ("ws://h/räume/日本?x=😀", "h", 80, "/r%C3%A4ume/%E6%97%A5%E6%9C%AC?x=%F0%9F%98%80"),
        ("ws://Bücher.example/", "xn--bcher-kva.example", 80, "/"),
        ("ws://b%C3%BCcher.example/", "xn--bcher-kva.example", 80, "/"),
        ("ws://例え。jp/", "xn--r8jz45g.jp", 80, "/"),
        ("ws://chat_server:8080/", "chat_server", 8080, "/"),
        ("ws://[::1]:81/", "::1", 81, "/"),
        ("ws://[FE80::1%25eth0]/", "fe80::1%eth0", 80, "/"),
        ("ws://[fe80::1%eth0]/", "fe80::1%eth0", 80, "/"),
        ("ws://[fe80::1%25br-1]/", "fe80::1%br-1", 80, "/"),
    ],
)
def test_a_uri_is_parsed_to_host_port_and_target(text: str, host: str, port: int, target: str) -> None:
    assert parse_uri(text) == WebSocketURI(text.lower().startswith("wss"), host, port, target)


@pytest.mark.parametrize(
    ("text", "host_header"),
    [
        ("ws://h/", "h"),
        ("ws://h:80/", "h"),
        ("ws://h:443/", "h:443"),
        ("wss://h:443/", "h"),
        ("wss://h:80/", "h:80"),
        ("ws://[::1]:81/", "[::1]:81"),
        ("ws://[fe80::1%25eth0]:81/", "[fe80::1]:81"),
    ],
)
def test_the_host_header_has_no_zone_and_no_default_port(text: str, host_header: str) -> None:
    assert parse_uri(text).host_header == host_header


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("http://localhost/", "not http://"),
        ("localhost:8080", "must begin with ws:// or wss://"),
        ("ws://", "no host"),
        ("ws:///path", "no host"),
        ("ws://h:port/", "port"),
        ("ws://h:0/", "port"),
        ("ws://h:65536/", "port"),
        ("ws://h/#part", "%23"),
        ("ws://h/#", "%23"),
        ("ws://a b/", "blanks"),
        ("ws://h/\r\nX: y", "control characters"),
        ("ws://h/\x7f", "control characters"),
        ("ws://[::1/", "host"),
        ("ws://[zz::1]/", "host|address"),
        ("ws://[::1%25]/", "host|zone"),
        ("ws://[fe80::1%25é]/", "host|zone"),
        ("ws://a..b/", "valid name"),
        (f"ws://{'a' * 64}.example/", "valid name"),
        (f"ws://{'a.' * 126}com/", "valid name"),
        ("ws://a%00b/", "valid name"),
        ("ws://a%2Fb/", "valid name"),
        ("ws://a<b/", "valid name"),
        ("ws://straße.example/", "xn--"),
        ("ws://h/\ud800", "surrogate"),
    ],
)
def test_an_invalid_url_is_a_usage_error(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        connect(text)


@settings(deadline=None)
@given(
    st.sampled_from(["", "ws://", "WSS://h", "ws://[", "ws://u:p@", "ws://[fe80::1%25"]),
    st.text(st.characters() | st.sampled_from("ws:/@[]%25.?#;\u00e9\u200f\u00df")),
)
def test_any_text_is_a_uri_in_ascii_or_a_usage_error(beginning: str, rest: str) -> None:
    try:
        uri = parse_uri(beginning + rest)
    except UsageError:
        return
    assert re.fullmatch("[!-~]+", uri.http_url + uri.host)


@pytest.mark.parametrize(
    "text",
    [
        "http://user:s3cret@h/?token=s3cret",
        "user:s3cret@h",
        "ws://user:s3cret@h:port/?token=s3cret",
        "ws://user:s3cret/x@h/?s3cret",
        "ws://user:s3cret@/?s3cret",
        "ws://h/?token=s3cret#s3cret",
        "ws://user:s3cret@[::1/?s3cret",
        "ws://user:s3cret@h /?s3cret",
        "ws://user:s3cret@127.0.0.1:1/?token=s3cret",
        "ws://user:s3cret@no-such-host.invalid/?token=s3cret",
    ],
)
def test_no_error_quotes_a_password_or_a_query(text: str) -> None:
    with pytest.raises((UsageError, OSError)) as failed:
        connect(text)
    assert "s3cret" not in str(failed.value)
    assert failed.value.__suppress_context__ or "s3cret" not in str(failed.value.__context__)


@pytest.mark.parametrize(
    ("user_information", "sent"),
    [("user:p%40ss", "dXNlcjpwQHNz"), ("user", "dXNlcjo="), ("%C3%9Cmit:pw", "w5xtaXQ6cHc="), ("Ümit:pw", "w5xtaXQ6cHc=")],
)
def test_user_information_is_sent_by_basic_authentication(raw: RawServerFactory, user_information: str, sent: str) -> None:
    server = raw(opens())
    connect(server.url.replace("//", f"//{user_information}@")).close()
    assert f"Authorization: Basic {sent}\r\n" in server.heads[0]
    assert f"Host: {server.place}\r\n" in server.heads[0]


def test_a_given_authorization_replaces_user_information(raw: RawServerFactory) -> None:
    server = raw(opens())
    connect(server.url.replace("//", "//user:pw@"), headers={"authorization": "Bearer x"}).close()
    assert server.heads[0].lower().count("authorization: ") == 1
    assert "authorization: Bearer x\r\n" in server.heads[0]


def test_the_request_target_is_not_changed(raw: RawServerFactory) -> None:
    server = raw(opens())
    with connect(f"{server.url}a;b=c?name=Ümit&x={{}}") as ws:
        assert ws.path == "/a;b=c?name=%C3%9Cmit&x={}"
    assert server.heads[0].startswith("GET /a;b=c?name=%C3%9Cmit&x={} HTTP/1.1\r\n")
