"""Which web pages may connect."""

from __future__ import annotations

import logging

import pytest

import wschat
from tests.conftest import ServerFactory, echo
from tests.server.raw import Raw, request
from wschat import Request, RequestRefused
from wschat.server.origins import check_origin, cross_origin_headers, is_preflight

HOST = "chat.example:8080"


@pytest.mark.parametrize(
    ("origin", "allowed", "on_loopback", "may_connect"),
    [
        # no browser
        (None, (), False, True),
        (None, (), True, True),
        # a page of this server
        ("http://chat.example:8080", (), False, True),
        ("https://chat.example:8080", (), False, True),
        ("http://CHAT.example:8080", (), False, True),
        ("http://chat.example", (), False, False),
        ("http://chat.example:8081", (), False, False),
        ("http://sub.chat.example:8080", (), False, False),
        ("http://chat.example:8080.evil.test", (), False, False),
        ("http://chat.example:8080@evil.test", (), False, False),
        # loopback on loopback
        ("http://localhost:3000", (), True, True),
        ("http://127.0.0.1", (), True, True),
        ("http://127.8.9.1:5173", (), True, True),
        ("http://[::1]:3000", (), True, True),
        ("http://app.localhost:3000", (), True, True),
        ("http://localhost:3000", (), False, False),
        ("http://127.0.0.1", (), False, False),
        ("http://localhost.evil.test", (), True, False),
        ("http://127.0.0.1.evil.test", (), True, False),
        # others
        ("https://evil.test", (), False, False),
        ("https://evil.test", (), True, False),
        ("null", (), False, False),
        ("null", (), True, False),
        ("", (), True, False),
        ("http://[::1", (), True, False),
        ("file://", (), True, False),
        # the allowed
        ("https://app.example", ("https://app.example",), False, True),
        ("https://app.example", ("https://other.example", "https://app.example"), True, True),
        ("http://app.example", ("https://app.example",), False, False),
        ("https://app.example:444", ("https://app.example",), False, False),
        ("null", ("null",), True, True),
        ("null", ("*",), False, True),
        ("https://evil.test", ("*",), False, True),
    ],
)
def test_who_may_connect(origin: str | None, allowed: tuple[str, ...], on_loopback: bool, may_connect: bool) -> None:
    headers = {"host": HOST} if origin is None else {"host": HOST, "origin": origin}
    if may_connect:
        check_origin(headers, allowed, on_loopback=on_loopback)
    else:
        with pytest.raises(RequestRefused) as refused:
            check_origin(headers, allowed, on_loopback=on_loopback)
        assert refused.value.status == 403


def status_for(server: wschat.WebSocketServer, origin: str) -> int:
    with Raw.to(server) as raw:
        return raw.ask(request(headers={"Origin": origin})).status


@pytest.mark.parametrize(
    ("host", "origins", "origin", "status"),
    [
        ("127.0.0.1", (), "http://localhost:3000", 101),
        ("127.0.0.1", (), "https://evil.test", 403),
        ("127.0.0.1", ("https://app.example",), "https://app.example", 101),
        ("127.0.0.1", (), "null", 403),
        ("127.0.0.1", ("null",), "null", 101),
        ("127.0.0.1", (), "http://chat.test", 101),  # what the request has as its host
        ("0.0.0.0", ("*",), "https://evil.test", 101),
        ("0.0.0.0", (), "http://chat.test", 101),
    ],
)
def test_a_server_lets_in_who_may_connect(serve: ServerFactory, host: str, origins: tuple[str, ...], origin: str, status: int) -> None:
    assert status_for(serve(echo, host, origins=origins), origin) == status


@pytest.mark.parametrize("origin", ["https://app.example", "null"])
def test_the_log_says_which_option_lets_a_page_in(serve: ServerFactory, caplog: pytest.LogCaptureFixture, origin: str) -> None:
    caplog.set_level(logging.INFO)
    server = serve(echo)
    assert status_for(server, origin) == 403
    server.stop()
    [record] = caplog.records
    assert origin in record.getMessage()
    assert "--origin" in record.getMessage()


# Reading answers


@pytest.mark.parametrize(
    ("allowed", "with_credentials"), [((), False), (("*",), False), (("https://app.example",), True), (("*", "https://app.example"), True)]
)
def test_an_answer_is_for_the_page_that_asked_and_with_cookies_only_for_those_that_are_named(
    allowed: tuple[str, ...], with_credentials: bool
) -> None:
    headers = cross_origin_headers(Request("GET", "/", {"origin": "https://app.example"}), allowed)
    assert headers["Access-Control-Allow-Origin"] == "https://app.example"  # never *, which goes with no credentials
    assert ("Access-Control-Allow-Credentials" in headers) == with_credentials
    assert headers["Vary"] == "Origin"
    assert not any(name.startswith("Access-Control-Allow-M") for name in headers)


@pytest.mark.parametrize(
    ("method", "headers", "asks_first"),
    [
        ("OPTIONS", {"origin": "https://a.example", "access-control-request-method": "POST"}, True),
        ("OPTIONS", {"origin": "https://a.example"}, False),
        ("POST", {"origin": "https://a.example", "access-control-request-method": "POST"}, False),
    ],
)
def test_a_preflight_is_one_by_method_and_header(method: str, headers: dict[str, str], asks_first: bool) -> None:
    request = Request(method, "/", headers)
    assert is_preflight(request) == asks_first
    assert ("Access-Control-Max-Age" in cross_origin_headers(request, ())) == asks_first
