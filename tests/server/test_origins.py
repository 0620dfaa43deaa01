"""Origins: which web pages may connect."""

from __future__ import annotations

import logging

import pytest

import wschat
from tests.conftest import ServerFactory, echo
from tests.server.raw import Raw, request
from tests.web.wiring import Http
from wschat import Request, RequestRefused, UsageError
from wschat.counters import counters
from wschat.server.origins import check_origin, cross_origin_headers, is_preflight, parse_origins
from wschat.server.responses import Response

HOST = "chat.example:8080"


@pytest.mark.parametrize(
    ("origin", "allowed", "on_loopback", "is_allowed"),
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
        ("http://chat.example:8080/", (), False, True),
        ("ws://chat.example:8080", (), False, True),  # sent by some programs
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
        # configured origins
        ("https://app.example", ("https://app.example",), False, True),
        ("https://app.example", ("https://other.example", "https://app.example"), True, True),
        ("http://app.example", ("https://app.example",), False, False),
        ("https://app.example:444", ("https://app.example",), False, False),
        ("null", ("null",), True, True),
        ("HTTPS://APP.example:443", ("https://app.example",), False, True),
        ("https://app.example:80", ("https://app.example",), False, False),
        ("null", ("*",), False, True),
        ("https://evil.test", ("*",), False, True),
    ],
)
def test_an_origin_is_allowed_or_gets_403(origin: str | None, allowed: tuple[str, ...], on_loopback: bool, is_allowed: bool) -> None:
    headers = {"host": HOST} if origin is None else {"host": HOST, "origin": origin}
    if is_allowed:
        check_origin(headers, allowed, on_loopback=on_loopback)
    else:
        with pytest.raises(RequestRefused) as refused:
            check_origin(headers, allowed, on_loopback=on_loopback)
        assert refused.value.status == 403


@pytest.mark.parametrize(
    ("origin", "host", "is_same"),
    [
        ("https://h", "h:443", True),
        ("https://h:443", "h", True),
        ("http://h", "h:80", True),
        ("http://h:80", "h", True),
        ("https://h", "h", True),
        ("https://H", "h:443", True),
        ("https://[::1]", "[::1]:443", True),
        ("https://h", "h:80", False),
        ("http://h", "h:443", False),
        ("https://h:8443", "h", False),
        ("https://h", "h:8443", False),
        ("https://h", "h:", True),
        ("https://h", "", False),
        ("https://", "", False),
        ("https://h", "h@evil.test", False),
        ("https://evil.test", "h/https://evil.test", False),
    ],
)
def test_the_default_port_may_be_left_out_on_either_side(origin: str, host: str, is_same: bool) -> None:
    headers = {"origin": origin, "host": host}
    if is_same:
        check_origin(headers, (), on_loopback=False)
    else:
        with pytest.raises(RequestRefused):
            check_origin(headers, (), on_loopback=False)


# Configured origins


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://app.example.com", "https://app.example.com"),
        ("https://app.example.com/", "https://app.example.com"),
        ("HTTPS://App.Example.COM", "https://app.example.com"),
        ("https://app.example.com:443", "https://app.example.com"),
        ("http://app.example.com:80/", "http://app.example.com"),
        ("https://app.example.com:80", "https://app.example.com:80"),
        ("http://[2001:DB8::1]:3000", "http://[2001:db8::1]:3000"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
        ("chrome-extension://abcdef", "chrome-extension://abcdef"),
        ("capacitor://localhost", "capacitor://localhost"),
        ("file://", "file://"),
        ("null", "null"),
        ("*", "*"),
    ],
)
def test_a_configured_origin_is_normalized_to_what_browsers_send(text: str, origin: str) -> None:
    assert parse_origins([text]) == {origin}


@pytest.mark.parametrize(
    "text",
    [
        "app.example.com",
        "app.example.com:443",
        "localhost:3000",
        "https://app.example.com/page",
        "https://app.example.com?x",
        "https://user@app.example.com",
        "https://*.example.com",
        "https://app.example.com:port",
        "https://app.example.com:70000",
        "https://",
        "https:app.example.com",
        "wss://app.example.com",
        "https://a b.example",
        "https://[::1",
        f"https://{'ü' * 70}.example",
        "https://a,https://b",
        "Null",
        "",
    ],
)
def test_an_invalid_configured_origin_raises_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="an origin is like http") as refused:
        parse_origins([text])
    assert repr(text) in str(refused.value)
    with pytest.raises(UsageError):
        wschat.serve(echo, port=0, origins=[text])


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
        ("127.0.0.1", ("HTTPS://App.Example:443/",), "https://app.example", 101),
        ("0.0.0.0", ("*",), "https://evil.test", 101),
        ("0.0.0.0", (), "http://localhost", 101),  # the same as the Host header
        ("0.0.0.0", (), "http://chat.test", 403),
    ],
)
def test_a_server_accepts_allowed_origins_only(serve: ServerFactory, host: str, origins: tuple[str, ...], origin: str, status: int) -> None:
    assert status_for(serve(echo, host, origins=origins), origin) == status


@pytest.mark.parametrize("origin", ["https://app.example", "null"])
def test_the_log_names_the_option_that_allows_the_origin(serve: ServerFactory, caplog: pytest.LogCaptureFixture, origin: str) -> None:
    caplog.set_level(logging.INFO)
    server = serve(echo)
    assert status_for(server, origin) == 403
    server.stop()
    [record] = [record for record in caplog.records if "refused" in record.getMessage()]
    assert origin in record.getMessage()
    assert "origins= (for the command, --origin)" in record.getMessage()


def test_the_refusal_of_a_plain_request_is_logged_too(serve: ServerFactory, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    before = counters.read().refusals
    server = serve(echo, http=lambda call: Response(200))
    with Http.to(server) as http:
        assert http.get(Origin="https://evil.test").code == "forbidden"
    server.stop()
    [record] = [record for record in caplog.records if "refused" in record.getMessage()]
    assert "refused: 403: Pages from 'https://evil.test' may not connect" in record.getMessage()
    assert "origins= (for the command, --origin)" in record.getMessage()
    assert counters.read().refusals - before == {403: 1}


def test_any_page_may_read_the_refusal_of_its_origin_and_public_paths_of_a_host_that_is_served(serve: ServerFactory) -> None:
    server = serve(echo, http=lambda call: Response(200, b"public"), public_paths=["/public"], path_prefix="/app")
    with Http.to(server) as http:
        refused = http.get("/app/private", Origin="https://evil.test")
        assert (refused.status, refused.headers["access-control-allow-origin"]) == (403, "*")
        public = http.get("/app/public", Origin="https://evil.test")
        assert (public.status, public.body, public.headers["access-control-allow-origin"]) == (200, b"public", "*")
        assert http.get("/app/public", Host="evil.example", Origin="https://evil.test").status == 421
        assert http.get("/app/public").headers["access-control-allow-origin"] == "*"  # a cache may have this one for all


# Headers of responses


@pytest.mark.parametrize(
    ("allowed", "with_credentials"), [((), False), (("*",), False), (("https://app.example",), True), (("*", "https://app.example"), True)]
)
def test_a_response_is_for_the_requesting_origin_and_with_credentials_only_if_it_is_named(
    allowed: tuple[str, ...], with_credentials: bool
) -> None:
    headers = cross_origin_headers(Request("GET", "/", {"origin": "https://app.example"}), allowed)
    assert headers["Access-Control-Allow-Origin"] == "https://app.example"  # never *, which excludes credentials
    assert ("Access-Control-Allow-Credentials" in headers) == with_credentials
    assert headers["Vary"] == "Origin"
    assert not any(name.startswith("Access-Control-Allow-M") for name in headers)


@pytest.mark.parametrize(
    ("method", "headers", "expected"),
    [
        ("OPTIONS", {"origin": "https://a.example", "access-control-request-method": "POST"}, True),
        ("OPTIONS", {"origin": "https://a.example"}, False),
        ("POST", {"origin": "https://a.example", "access-control-request-method": "POST"}, False),
    ],
)
def test_a_preflight_request_is_recognized_by_method_and_header(method: str, headers: dict[str, str], expected: bool) -> None:
    request = Request(method, "/", headers)
    assert is_preflight(request) == expected
    assert ("Access-Control-Max-Age" in cross_origin_headers(request, ())) == expected
