"""Redirects between real servers, with and without TLS: allowed targets, and headers that are sent to them."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import wschat
from tests.client.conftest import RawServerFactory
from tests.client.servers import RawServer, opens, redirects_to, says
from tests.tls import client_context
from wschat.client.redirects import redirected
from wschat.client.response import Response
from wschat.client.uri import parse_uri

PRIVATE: dict[str, Any] = {
    "headers": {"Authorization": "Bearer s3cret", "X-Key": "s3cret", "Cookie": "c=s3cret"},
    "cookies": {"d": "s3cret"},
}


@pytest.fixture
def start(raw: RawServerFactory, server_tls: ssl.SSLContext) -> Callable[..., RawServer]:
    """Return a function that starts a server with or without TLS."""
    return lambda answer, scheme="ws": raw(answer, tls=server_tls if scheme == "wss" else None)


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    return client_context(certificate)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("scheme", ["ws", "http"])
def test_a_redirect_to_another_server_is_followed(start: Callable[..., RawServer], status: int, scheme: str) -> None:
    target = start(opens())
    server = start(redirects_to(target.url.replace("ws", scheme) + "there?a=b", status=status))
    with wschat.connect(server.url) as ws:
        assert ws.path == "/there?a=b"
    assert target.heads[0].startswith("GET /there?a=b HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/there", "/there"),
        ("there", "/a/there"),
        ("../there", "/there"),
        ("?x=y", "/a/b?x=y"),
        ("//{place}/there", "/there"),
        ("/there#part", "/there"),
        ("/dr\xc3\xbcben und", "/dr%C3%BCben%20und"),
    ],
)
def test_a_relative_location_is_resolved(start: Callable[..., RawServer], location: str, target: str) -> None:
    def answer(connection: Any, head: bytes) -> None:
        kind = redirects_to("-") if head.startswith(b"GET /a/b ") else opens()
        if head.startswith(b"GET /a/b "):
            text = f"HTTP/1.1 302 Found\r\nLocation: {location.format(place=server.place)}\r\n\r\n"
            kind = says(text.encode("latin-1"))
        kind(connection, head)

    server = start(answer)
    wschat.connect(f"{server.url}a/b", headers={"Authorization": "kept"}).close()
    assert server.heads[1].startswith(f"GET {target} HTTP/1.1\r\n")
    assert "Authorization: kept\r\n" in server.heads[1]


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_credentials_are_not_sent_to_another_origin(start: Callable[..., RawServer], tls: ssl.SSLContext, scheme: str) -> None:
    target = start(opens(), scheme)
    server = start(redirects_to(target.url))
    url = server.url.replace("//", "//user:s3cret@")
    wschat.connect(url, tls=tls, origin="http://mine", subprotocols=["chat"], **PRIVATE).close()
    assert server.heads[0].count("s3cret") == 4
    assert "s3cret" not in target.heads[0]
    assert "Authorization" not in target.heads[0]
    assert "Origin: http://mine\r\n" in target.heads[0]
    assert "Sec-WebSocket-Protocol: chat\r\n" in target.heads[0]


def test_credentials_are_not_sent_after_a_redirect_back(start: Callable[..., RawServer]) -> None:
    def answer(connection: Any, head: bytes) -> None:
        (redirects_to(between.url) if len(first.heads) == 1 else opens())(connection, head)

    first = start(answer)
    between = start(redirects_to(first.url))
    wschat.connect(first.url, **PRIVATE).close()
    assert "s3cret" in first.heads[0]
    assert "s3cret" not in between.heads[0] + first.heads[1]


@pytest.mark.parametrize("scheme", ["ws", "http"])
def test_a_redirect_to_ws_is_not_followed_from_wss(start: Callable[..., RawServer], tls: ssl.SSLContext, scheme: str) -> None:
    target = start(opens())
    server = start(redirects_to(target.url.replace("ws", scheme) + "?token=s3cret"), "wss")
    with pytest.raises(wschat.OpeningFailed, match="without TLS") as failed:
        wschat.connect(server.url, tls=tls)
    assert failed.value.status == 302
    assert "s3cret" not in str(failed.value)
    assert not target.heads


@pytest.mark.parametrize("location", ["ftp://h/", "ws://", "ws://h:port/s3cret", "http://[::1/", "javascript:s3cret", "ws://u:s3cret@/"])
def test_a_location_that_is_not_a_websocket_url_fails_with_the_status(start: Callable[..., RawServer], location: str) -> None:
    with pytest.raises(wschat.OpeningFailed) as failed:
        wschat.connect(start(redirects_to(location)).url)
    assert failed.value.status == 302
    assert failed.value.headers["location"] == location
    assert "s3cret" not in str(failed.value)


def test_a_redirect_without_a_location_fails_with_the_status(start: Callable[..., RawServer]) -> None:
    with pytest.raises(wschat.OpeningFailed, match="302 Found") as failed:
        wschat.connect(start(says(b"HTTP/1.1 302 Found\r\n\r\n")).url)
    assert failed.value.status == 302


@pytest.mark.parametrize(("max_redirects", "requests"), [(0, 1), (2, 3)])
def test_no_more_redirects_are_followed_than_are_allowed(start: Callable[..., RawServer], max_redirects: int, requests: int) -> None:
    server = start(redirects_to("/again"))
    with pytest.raises(wschat.OpeningFailed, match="302") as failed:
        wschat.connect(server.url, max_redirects=max_redirects)
    assert failed.value.status == 302
    assert len(server.heads) == requests


def test_cookies_of_a_redirect_are_sent_to_its_target(start: Callable[..., RawServer]) -> None:
    target = start(opens())
    server = start(redirects_to(target.url, "Set-Cookie: a=1; Path=/", "Set-Cookie: b=2; Secure"))
    wschat.connect(server.url).close()
    assert "Cookie: a=1\r\n" in target.heads[0]  # cookies belong to all ports of a host


def test_a_redirect_of_a_unix_socket_is_not_followed(serve: Any, tmp_path: Path) -> None:
    import socket

    def check_request(request: wschat.Request) -> None:
        raise wschat.RequestRefused(302, "Elsewhere.", {"Location": "/there"})

    path = f"{tmp_path}/s"
    serve(lambda ws: None, unix_path=path, check_request=check_request)
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(path)
    with pytest.raises(wschat.OpeningFailed, match="302"):
        wschat.connect("ws://localhost/", sock=sock)
    assert sock.fileno() == -1


@settings(deadline=None)
@given(st.sampled_from(["", "ws://", "http://", "//", "/", "?", "http:"]), st.text(st.characters(max_codepoint=255)))
def test_any_location_leads_to_a_uri_or_fails(beginning: str, rest: str) -> None:
    response = Response(302, "Found", {"location": beginning + rest}, [])
    try:
        target = redirected(parse_uri("ws://h/a/b?c"), response)
    except wschat.OpeningFailed:
        return
    assert re.fullmatch("[!-~]+", target.http_url)
