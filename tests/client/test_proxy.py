"""The choice of a proxy, and connections through real ones."""

from __future__ import annotations

import ssl
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import wschat
from tests.client.conftest import RawServerFactory
from tests.client.servers import ConnectProxy, RawServer, SocksProxy, opens, says
from tests.tls import client_context
from wschat.client.proxy import parse_proxy, proxy_for
from wschat.client.uri import parse_uri

Start = Callable[[Any], Any]


@pytest.fixture
def start() -> Iterator[Start]:
    """Return a function that runs a proxy until the end of the test."""
    with ExitStack() as stack:
        yield stack.enter_context


@pytest.mark.parametrize(
    ("environment", "url", "host"),
    [
        ({"http_proxy": "http://p:1"}, "ws://h/", "p"),
        ({"http_proxy": "p:1"}, "ws://h/", "p"),
        ({"HTTP_PROXY": "http://p:1"}, "ws://h/", None),  # in CGI this variable is a header of the request
        ({"http_proxy": "http://p:1"}, "wss://h/", None),
        ({"https_proxy": "http://p:1"}, "wss://h/", "p"),
        ({"HTTPS_PROXY": "http://p:1"}, "wss://h/", "p"),
        ({"https_proxy": "http://p:1", "HTTPS_PROXY": "http://q:1"}, "wss://h/", "p"),
        ({"https_proxy": "http://p:1"}, "ws://h/", None),
        ({"ws_proxy": "http://p:1", "http_proxy": "http://q:1"}, "ws://h/", "p"),
        ({"wss_proxy": "http://p:1", "https_proxy": "http://q:1"}, "wss://h/", "p"),
        ({"all_proxy": "socks5h://p:1"}, "ws://h/", "p"),
        ({"ALL_PROXY": "socks5h://p:1"}, "wss://h/", "p"),
        ({"ALL_PROXY": "http://q:1", "http_proxy": "http://p:1"}, "ws://h/", "p"),
        ({"http_proxy": "", "all_proxy": "http://p:1"}, "ws://h/", "p"),
        ({}, "ws://h/", None),
    ],
)
def test_the_environment_is_read_as_by_curl(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], url: str, host: str | None
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    proxy = proxy_for(parse_uri(url), None)
    assert (proxy and proxy.host) == host


@pytest.mark.parametrize(
    ("no_proxy", "host", "is_exception"),
    [
        ("example.com", "example.com", True),
        ("example.com", "www.example.com", True),
        ("example.com", "badexample.com", False),
        (".example.com", "badexample.com", False),
        (".example.com", "www.example.com", True),
        (".example.com", "example.com", True),
        ("EXAMPLE.com.", "example.com", True),
        ("a.example, example.com", "example.com", True),
        ("a.example example.com", "example.com", True),
        ("*", "example.com", True),
        ("com", "example.com", True),
        ("example.com", "example.com.", True),
        ("", "example.com", False),
        (",", "example.com", False),
        (".", "example.com", False),
        ("127.0.0.1", "127.0.0.1", True),
        ("0.0.1", "127.0.0.1", False),
        ("127.0.0.0/8", "127.1.2.3", True),
        ("10.0.0.0/8,nonsense/8", "127.1.2.3", False),
        ("::1", "[::1]", True),
        ("[::1]", "[0:0::1]", True),
        ("fe80::/10", "[fe80::1%25eth0]", True),
        ("127.0.0.0/8", "[::1]", False),
    ],
)
@pytest.mark.parametrize("variable", ["no_proxy", "NO_PROXY"])
def test_no_proxy_names_whole_domains(monkeypatch: pytest.MonkeyPatch, variable: str, no_proxy: str, host: str, is_exception: bool) -> None:
    monkeypatch.setenv("http_proxy", "http://p:1")
    monkeypatch.setenv(variable, no_proxy)
    assert (proxy_for(parse_uri(f"ws://{host}/"), None) is None) == is_exception


def test_no_proxy_does_not_apply_to_a_given_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://q:1")
    monkeypatch.setenv("no_proxy", "*")
    uri = parse_uri("ws://h/")
    assert proxy_for(uri, None) is None
    assert proxy_for(uri, "http://p:1") == parse_proxy("p:1", "proxy")
    monkeypatch.delenv("no_proxy")
    assert proxy_for(uri, "") is None


@pytest.mark.parametrize(
    ("text", "scheme", "port"),
    [
        ("h", "http", 1080),
        ("http://h", "http", 1080),
        ("https://h", "https", 443),
        ("SOCKS5://h", "socks5", 1080),
        ("socks4a://h:1", "socks4a", 1),
    ],
)
def test_schemes_and_ports_are_those_of_curl(text: str, scheme: str, port: int) -> None:
    proxy = parse_proxy(text, "proxy")
    assert (proxy.scheme, proxy.host, proxy.port) == (scheme, "h", port)


@pytest.mark.parametrize("text", ["ftp://u:s3cret@h:1", "http://u:s3cret@h:port", "http://u:s3cret@", "http://[::1", "h h", "u:s3cret@"])
def test_a_malformed_proxy_is_a_usage_error(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    with pytest.raises(wschat.UsageError, match=r"^proxy must be a URL like") as failed:
        wschat.connect("ws://127.0.0.1:1/", proxy=text)
    assert "s3cret" not in str(failed.value)
    monkeypatch.setenv("http_proxy", text)
    with pytest.raises(wschat.UsageError, match=r"^the environment's http_proxy must be a URL like"):
        wschat.connect("ws://127.0.0.1:1/")


def test_an_http_proxy_makes_a_tunnel(raw: RawServerFactory, start: Start) -> None:
    server = raw(opens())
    proxy = start(ConnectProxy(credentials="user:p@ss"))
    wschat.connect(f"ws://name.test:{server.port}/", proxy=f"http://user:p%40ss@{proxy.place}").close()
    assert proxy.heads[0].startswith(f"CONNECT name.test:{server.port} HTTP/1.1\r\n")
    assert f"Host: name.test:{server.port}\r\n" in server.heads[0]
    assert "Proxy-Authorization" not in server.heads[0]


def test_the_environments_proxy_is_used(monkeypatch: pytest.MonkeyPatch, raw: RawServerFactory, start: Start) -> None:
    server, proxy = raw(opens()), start(ConnectProxy())
    monkeypatch.setenv("http_proxy", proxy.place)
    wschat.connect(server.url).close()
    assert len(proxy.heads) == 1


@pytest.mark.parametrize("proxy_tls", [False, True], ids=["http", "https"])
def test_tls_inside_and_around_a_tunnel(
    raw: RawServerFactory,
    start: Start,
    server_tls: ssl.SSLContext,
    certificate: Path,
    proxy_tls: bool,
) -> None:
    server = raw(opens(), tls=None if proxy_tls else server_tls)
    proxy = start(ConnectProxy(tls=server_tls if proxy_tls else None))
    url = f"http{'s' if proxy_tls else ''}://{proxy.place}"
    wschat.connect(server.url, proxy=url, tls=client_context(certificate)).close()
    assert len(proxy.heads) == len(server.heads) == 1


def test_tls_inside_tls_is_refused_at_once() -> None:
    with pytest.raises(wschat.UsageError, match="TLS inside TLS is not supported"):
        wschat.connect("wss://h/", proxy="https://127.0.0.1:1")


def test_a_proxy_that_refuses_fails_the_opening(start: Start) -> None:
    proxy = start(ConnectProxy(credentials="user:pw"))
    with pytest.raises(wschat.OpeningFailed, match=f"the proxy {proxy.place} answered 407 Proxy Authentication Required: Who") as failed:
        wschat.connect("ws://h/", proxy=f"http://{proxy.place}")
    assert failed.value.status == 407
    assert failed.value.body == b"Who?\r\n"


def test_a_proxy_that_sends_data_first_fails_the_opening(raw: RawServerFactory) -> None:
    proxy = raw(says(b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 101 Forged\r\n\r\n"))
    with pytest.raises(wschat.OpeningFailed, match="sent data before the client did"):
        wschat.connect("ws://h/", proxy=f"http://{proxy.place}")


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:1", "https://127.0.0.1:1", "socks5h://127.0.0.1:1"])
def test_an_unreachable_proxy_is_named(proxy: str) -> None:
    with pytest.raises(ConnectionRefusedError, match=r"connection refused by 127\.0\.0\.1:1: is the server running"):
        wschat.connect("ws://h/", proxy=proxy)


@pytest.mark.parametrize(
    ("scheme", "host", "requested"),
    [
        ("socks5h", "name.test", "name.test"),
        ("socks5", "127.0.0.1", "127.0.0.1"),
        ("socks5", "[::1]", "::1"),
        ("socks5", "localhost", "127.0.0.1"),
        ("socks4a", "name.test", "name.test"),
        ("socks4", "localhost", "127.0.0.1"),
    ],
)
def test_a_socks_proxy_connects(raw: RawServerFactory, start: Start, scheme: str, host: str, requested: str) -> None:
    server, proxy = raw(opens()), start(SocksProxy())
    wschat.connect(f"ws://{host}:{server.port}/", proxy=f"{scheme}://{proxy.place}").close()
    assert proxy.requested == [(requested, server.port)]
    assert f"Host: {host}:{server.port}\r\n" in server.heads[0]


def test_a_socks_proxy_with_a_password_and_tls(raw: RawServerFactory, start: Start, server_tls: ssl.SSLContext, certificate: Path) -> None:
    server, proxy = raw(opens(), tls=server_tls), start(SocksProxy(credentials=("user", "p@ss")))
    tls = client_context(certificate)
    wschat.connect(server.url.replace("127.0.0.1", "localhost"), proxy=f"socks5h://user:p%40ss@{proxy.place}", tls=tls).close()
    assert len(server.heads) == 1
    with pytest.raises(OSError, match=f"the proxy {proxy.place} did not connect"):
        wschat.connect(server.url, proxy=f"socks5h://user:wrong@{proxy.place}", tls=tls)


@pytest.mark.parametrize("reply", [1, 4, 5])
def test_a_socks_proxy_that_refuses_is_an_oserror(start: Start, reply: int) -> None:
    proxy = start(SocksProxy(reply=reply))
    with pytest.raises(OSError, match=f"the proxy {proxy.place} did not connect to h:80"):
        wschat.connect("ws://h/", proxy=f"socks5h://{proxy.place}")


@pytest.mark.parametrize("scheme", ["http", "https", "socks4", "socks5h"])
def test_one_deadline_holds_for_a_silent_proxy(raw: RawServerFactory, scheme: str) -> None:
    class Silent(RawServer):
        def talk(self, connection: object) -> None:
            while connection.recv(4096):  # type: ignore[attr-defined]
                pass

    with Silent(opens()) as proxy, pytest.raises(TimeoutError, match=r"127\.0\.0\.2:80 did not open a WebSocket within 0\.3 s"):
        wschat.connect("ws://127.0.0.2/", proxy=f"{scheme}://{proxy.place}", limits=wschat.Limits(opening_timeout=0.3))


def test_socks_without_python_socks_says_what_to_install(monkeypatch: pytest.MonkeyPatch, start: Start) -> None:
    monkeypatch.setitem(sys.modules, "python_socks", None)
    with pytest.raises(wschat.UsageError, match=r"pip install 'wschat\[socks\]'"):
        wschat.connect("ws://h/", proxy=f"socks5://{start(SocksProxy()).place}")


def test_a_socket_and_a_proxy_are_a_usage_error() -> None:
    import socket

    with socket.socket() as sock, pytest.raises(wschat.UsageError, match="not both"):
        wschat.connect("ws://h/", sock=sock, proxy="http://p:1")


def test_too_long_credentials_for_socks_are_a_usage_error(start: Start) -> None:
    proxy = start(SocksProxy(credentials=("user", "pw")))
    with pytest.raises(wschat.UsageError, match="255 bytes"):
        wschat.connect("ws://h/", proxy=f"socks5h://{'u' * 256}:pw@{proxy.place}")
