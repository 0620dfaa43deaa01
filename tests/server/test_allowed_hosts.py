"""Allowed host names, which protect against DNS rebinding."""

from __future__ import annotations

import logging
import socket

import pytest

import wschat
from tests.conftest import ServerFactory, echo
from tests.server.command import running
from tests.server.raw import Raw, request
from tests.web.wiring import Http, plain
from wschat import RequestRefused, UsageError
from wschat.server.allowed_hosts import AllowedHosts
from wschat.server.requests import Request
from wschat.server.responses import Response

REBOUND = {"Host": "evil.example:8080", "Origin": "http://evil.example:8080"}


@pytest.mark.parametrize(
    ("names", "host", "is_allowed"),
    [
        # loopback
        ((), "localhost", True),
        ((), "LOCALHOST:8080", True),
        ((), "localhost.", True),
        ((), "app.localhost:3000", True),
        ((), "127.0.0.1:8080", True),
        ((), "127.8.9.1", True),
        ((), "[::1]:8080", True),
        ((), "[::1]", True),
        ((), "[::ffff:127.0.0.1]", True),
        ((), None, True),  # no browser
        # not loopback
        ((), "evil.example", False),
        ((), "evil.example:8080", False),
        ((), "localhost.evil.example", False),
        ((), "notlocalhost", False),
        ((), "127.0.0.1.evil.example", False),
        ((), "127.0.0.1@evil.example", False),
        ((), "192.0.2.1", False),
        ((), "[2001:db8::1]", False),
        ((), "", False),
        ((), "[::1", False),
        ((), "a:b:c", False),
        ((), "0.0.0.0", False),
        # configured names
        (("chat.example.com",), "chat.example.com", True),
        (("chat.example.com",), "Chat.Example.com.:443", True),
        (("Chat.Example.com.",), "chat.example.com", True),
        (("chat.example.com",), "localhost", True),
        (("chat.example.com",), "example.com", False),
        (("chat.example.com",), "a.chat.example.com", False),
        (("*.example.com",), "chat.example.com", True),
        (("*.example.com",), "a.b.example.com:80", True),
        (("*.example.com",), "example.com", False),
        (("*.example.com",), "badexample.com", False),
        (("192.0.2.1", "::2"), "192.0.2.1:80", True),
        (("192.0.2.1", "[2001:DB8:0::1]"), "[2001:db8::1]:80", True),
        (("bücher.example",), "xn--bcher-kva.example", True),
        (("*",), "evil.example", True),
        (("*",), "", True),
    ],
)
def test_a_host_is_allowed_or_refused_with_421(names: tuple[str, ...], host: str | None, is_allowed: bool) -> None:
    headers = {} if host is None else {"host": host}
    if is_allowed:
        AllowedHosts(names).check(headers)
    else:
        with pytest.raises(RequestRefused) as refused:
            AllowedHosts(names).check(headers)
        assert refused.value.status == 421


@pytest.mark.parametrize(
    "text", ["", "https://chat.example.com", "chat.example.com:443", "chat.example.com/", "a b", "*example.com", "a.*.com", "**", "ü" * 70]
)
def test_an_invalid_allowed_host_raises_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="host"):
        wschat.serve(echo, port=0, allowed_hosts=[text])


def page(request: Request) -> Response:
    return Response(200, b"hello")


def test_a_rebound_host_name_is_refused_for_opening_and_plain_requests(serve: ServerFactory, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    server = serve(echo, http=page)
    with Raw.to(server) as raw:
        opening = raw.ask(request(headers={**REBOUND}))
    with Http.to(server) as http:
        answers = [http.get(**REBOUND), http.get(Host="evil.example"), http.call(plain("POST", "/", b"x", **REBOUND))]
        assert http.get().status == 200
    assert [opening.status, *(answer.status for answer in answers)] == [421] * 4
    assert {answer.code for answer in answers} == {"misdirected"}
    text = "This server does not answer to the name 'evil.example': allowed_hosts= (for the command, --allowed-host) allows more."
    assert opening.body.strip() == answers[0].json["text"] == text
    server.stop()
    assert sum(text in record.getMessage() for record in caplog.records) == 4


def test_a_server_on_all_addresses_accepts_any_host_unless_some_are_configured(serve: ServerFactory) -> None:
    with Http.to(serve(echo, "0.0.0.0", http=page)) as http:
        assert http.get(Host="chat.example").status == 200
    with Http.to(serve(echo, "0.0.0.0", http=page, allowed_hosts=["chat.example"])) as http:
        assert http.get(Host="chat.example").status == 200
        assert http.get(Host="evil.example").status == 421


def test_a_trusted_proxy_may_send_any_host_unless_some_are_configured(serve: ServerFactory) -> None:
    with Http.to(serve(echo, http=page, trusted_proxies=["127.0.0.1"])) as http:
        assert http.get(Host="chat.example").status == 200
    with Http.to(serve(echo, http=page, trusted_proxies=["192.0.2.1"])) as http:
        assert http.get(Host="chat.example").status == 421
    with Http.to(serve(echo, http=page, trusted_proxies=["127.0.0.1"], allowed_hosts=["chat.example"])) as http:
        assert http.get(Host="evil.example").status == 421


def test_a_unix_socket_accepts_any_host(serve: ServerFactory) -> None:
    ours = socket.socket(socket.AF_UNIX)
    ours.bind("")  # a free abstract name
    ours.listen()
    server = serve(echo, http=page, listener=ours)
    client = socket.socket(socket.AF_UNIX)
    client.connect(server.server_address)
    with Http(client) as http:
        assert http.get(Host="chat.example").status == 200


def test_the_option_allowed_host_of_the_command() -> None:
    with running("--port", "0", "--allowed-host", "chat.example", "--allowed-host", "*.chat.example") as command:
        for host, status in (("chat.example", 200), ("a.chat.example", 200), ("evil.example", 421)):
            with Http(socket.create_connection((command.host, command.port))) as http:
                assert http.get("/healthz", Host=host).status == status
