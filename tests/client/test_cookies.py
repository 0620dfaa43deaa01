"""Cookies belong to one connection, or to the jar that the caller passes."""

from __future__ import annotations

from http.cookiejar import CookieJar

import pytest
import websocket

import wschat
from tests.client.conftest import RawServerFactory
from tests.client.servers import opens, redirects_to, says


def test_a_cookie_is_not_sent_by_later_connections(raw: RawServerFactory) -> None:
    server = raw(opens("Set-Cookie: a=s3cret; Domain=localhost", "Set-Cookie: b=s3cret; Domain=.invalid"))
    for _ in range(2):
        wschat.connect(f"ws://localhost:{server.port}/").close()
    assert "Cookie" not in server.heads[1]


def test_no_cookies_are_shared_with_websocket_client(raw: RawServerFactory) -> None:
    server = raw(opens("Set-Cookie: a=s3cret; Domain=localhost"))
    wschat.connect(f"ws://localhost:{server.port}/").close()
    for _ in range(2):
        websocket.create_connection(f"ws://localhost:{server.port}/", timeout=5).close()
        wschat.connect(f"ws://localhost:{server.port}/").close()
    assert ["s3cret" in head for head in server.heads] == [False, False, False, True, False]


def test_a_jar_sends_and_receives_cookies(raw: RawServerFactory) -> None:
    server = raw(opens("Set-Cookie: a=1; Path=/", "Set-Cookie: b=2; Path=/elsewhere", "Set-Cookie: c=3; Max-Age=0"))
    jar = CookieJar()
    for _ in range(2):
        wschat.connect(server.url, cookies=jar).close()
    assert "Cookie" not in server.heads[0]
    assert "Cookie: a=1\r\n" in server.heads[1]
    other = raw(opens())
    wschat.connect(f"ws://localhost:{other.port}/", cookies=jar).close()
    assert "Cookie" not in other.heads[0]


@pytest.mark.parametrize(
    "answer", [redirects_to("ws://127.0.0.1:1/", "Set-Cookie: a=1"), says(b"HTTP/1.1 403 No\r\nSet-Cookie: a=1\r\n\r\n")]
)
def test_a_jar_receives_the_cookies_of_every_response(raw: RawServerFactory, answer: object) -> None:
    jar = CookieJar()
    with pytest.raises((OSError, wschat.OpeningFailed)):
        wschat.connect(raw(answer).url, cookies=jar)
    assert [cookie.name for cookie in jar] == ["a"]


def test_a_cookie_of_a_redirect_replaces_the_given_one(raw: RawServerFactory) -> None:
    def answer(connection: object, head: bytes) -> None:
        kind = redirects_to("/there", "Set-Cookie: a=new; Path=/") if head.startswith(b"GET / ") else opens()
        kind(connection, head)  # type: ignore[arg-type]

    server = raw(answer)
    wschat.connect(server.url, cookies={"a": "old", "b": "1"}, headers={"cookie": "c=2"}).close()
    assert "Cookie: c=2; a=old; b=1\r\n" in server.heads[0]
    assert "Cookie: c=2; b=1; a=new\r\n" in server.heads[1]
