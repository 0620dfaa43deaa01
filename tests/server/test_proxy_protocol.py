"""The PROXY protocol of TCP balancers: `proxy_header="proxy-protocol"`."""

from __future__ import annotations

import socket
import struct
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue

import pytest

import wschat
from tests.concurrency import TIMEOUT
from tests.conftest import ServerFactory, echo, until_logged
from tests.programs import free_port
from tests.server.raw import Raw, request
from tests.tls import client_context
from tests.web.proxies import program_of, started
from wschat import Limits
from wschat.counters import Refusal, counters
from wschat.server.tls import Certificate

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V4 = socket.inet_aton("203.0.113.9") + socket.inet_aton("10.0.0.1") + struct.pack("!HH", 4711, 80)
V6 = socket.inet_pton(socket.AF_INET6, "2001:db8::1") + socket.inet_pton(socket.AF_INET6, "::1") + struct.pack("!HH", 4711, 80)
USED_TLS = b"\x20\0\5\1\0\0\0\0"
OTHER_EXTENSION = b"\x04\0\2\0\0"


def block(command: int, kind: int, content: bytes) -> bytes:
    """Return a header of version 2."""
    return SIGNATURE + struct.pack("!BBH", command, kind, len(content)) + content


def tell_address(ws: wschat.Connection) -> None:
    assert isinstance(ws.remote_address, tuple)
    ws.send(f"{ws.remote_address[0]} {ws.remote_address[1]}")


@pytest.fixture
def server(serve: ServerFactory) -> wschat.WebSocketServer:
    return serve(tell_address, trusted_proxies=["127.0.0.1"], proxy_header="proxy-protocol")


def told_by(raw: Raw, data: bytes) -> str:
    """Send the beginning of a connection, and return the address that the server tells."""
    assert raw.ask(data).status == 101
    return raw.frame()[1].decode()


HEADERS = [
    (b"PROXY TCP4 203.0.113.9 10.0.0.1 4711 80\r\n", "203.0.113.9 4711"),
    (b"PROXY TCP6 2001:db8::1 ::1 4711 80\r\n", "2001:db8::1 4711"),
    (b"PROXY TCP6 ::ffff:203.0.113.9 ::1 4711 80\r\n", "203.0.113.9 4711"),
    (block(0x21, 0x11, V4), "203.0.113.9 4711"),
    (block(0x21, 0x21, V6), "2001:db8::1 4711"),
    (block(0x21, 0x11, V4 + OTHER_EXTENSION + USED_TLS), "203.0.113.9 4711"),
]


@pytest.mark.parametrize(("header", "address"), HEADERS)
def test_the_client_is_the_one_in_the_header(server: wschat.WebSocketServer, header: bytes, address: str) -> None:
    lying = request(headers={"X-Forwarded-For": "198.51.100.1", "Forwarded": "for=198.51.100.1"})
    with Raw.to(server) as raw:
        assert told_by(raw, header + lying) == address


@pytest.mark.parametrize(
    "header",
    [
        b"PROXY UNKNOWN\r\n",
        b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n",
        block(0x20, 0x00, b""),
        block(0x20, 0x11, V4),
        block(0x21, 0x00, b""),
        block(0x21, 0x31, bytes(216)),
    ],
)
def test_without_an_address_it_is_the_proxy(server: wschat.WebSocketServer, header: bytes) -> None:
    with Raw.to(server) as raw:
        host, port = raw.socket.getsockname()
        assert told_by(raw, header + request()) == f"{host} {port}"


def test_a_header_may_come_in_parts(server: wschat.WebSocketServer) -> None:
    for header, address in HEADERS:
        with Raw.to(server) as raw:
            raw.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for i in range(len(header)):
                raw.send(header[i : i + 1])
            assert told_by(raw, request()) == address


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        (request(), "it begins with b'GET / HTTP/1'"),
        (b"PROXY TCP4 203.0.113.9 10.0.0.1 4711\r\n", "it is b'PROXY TCP4 203.0.113.9 10.0.0.1 4711\\r\\n'"),
        (b"PROXY TCP4 203.0.113.999 10.0.0.1 4711 80\r\n", "this is no address and port: 203.0.113.999 4711"),
        (b"PROXY TCP4 203.0.113.9 10.0.0.1 65536 80\r\n", "this is no address and port: 203.0.113.9 65536"),
        (b"PROXY UDP4 203.0.113.9 10.0.0.1 4711 80\r\n", "it is b'PROXY UDP4"),
        (b"PROXY TCP4 " + b"1" * 200 + b"\r\n", "it is b'PROXY TCP4 1111"),
        (b"PROXY TCP4 \x1b[2J 10.0.0.1 4711 80\r\n", "this is no address and port: \\x1b[2J 4711"),
        (block(0x31, 0x11, V4), "version and command are 0x31"),
        (block(0x22, 0x11, V4), "version and command are 0x22"),
        (block(0x21, 0x11, V4[:11]), "its addresses have 11 bytes, not 12"),
        (block(0x21, 0x11, V4 + USED_TLS[:2]), "an extension is cut"),
        (block(0x21, 0x11, V4 + USED_TLS[:4]), "an extension is cut"),
    ],
)
def test_a_bad_header_ends_the_connection(
    server: wschat.WebSocketServer, caplog: pytest.LogCaptureFixture, data: bytes, detail: str
) -> None:
    caplog.set_level("INFO", "wschat.server")
    before = counters.read().refusals.get(Refusal.NO_PROXY_HEADER, 0)
    with Raw.to(server) as raw:
        raw.send(data)
        assert raw.rest() == b""
    assert detail in until_logged(caplog, "no header of the PROXY protocol: ").getMessage()
    assert counters.read().refusals[Refusal.NO_PROXY_HEADER] == before + 1


def test_a_cut_header_and_a_slow_one_end_the_connection(serve: ServerFactory, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "wschat.server")
    limits = Limits(opening_timeout=0.2)
    server = serve(tell_address, trusted_proxies=["127.0.0.1"], proxy_header="proxy-protocol", limits=limits)
    for header, _ in HEADERS:
        with Raw.to(server) as raw:
            raw.send(header[:-1])
            assert raw.rest() == b""  # after the timeout
        assert "the connection has ended" in until_logged(caplog, "no header of the PROXY protocol: ").getMessage()
        caplog.clear()


def test_others_than_trusted_proxies_cannot_name_a_client(serve: ServerFactory) -> None:
    server = serve(tell_address, trusted_proxies=["203.0.113.0/24"], proxy_header="proxy-protocol")
    with Raw.to(server) as raw:
        assert told_by(raw, request()).startswith("127.0.0.1 ")
    with Raw.to(server) as raw:
        assert raw.ask(HEADERS[0][0] + request()).status == 400


def test_the_limit_of_connections_is_that_of_each_client(serve: ServerFactory, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "wschat.server")

    def wait(ws: wschat.Connection) -> None:
        for _ in ws:
            pass

    limits = Limits(max_connections_per_address=1)
    server = serve(wait, trusted_proxies=["127.0.0.1"], proxy_header="proxy-protocol", limits=limits)
    with Raw.to(server) as one, Raw.to(server) as other, Raw.to(server) as again:
        assert one.ask(HEADERS[0][0] + request()).status == 101
        assert other.ask(HEADERS[1][0] + request()).status == 101
        again.send(HEADERS[0][0] + request())
        assert again.rest() == b""
        assert until_logged(caplog, "too many connections").getMessage() == "203.0.113.9:4711 refused: too many connections"


def test_tls_follows_the_header(serve: ServerFactory, certificate: Path) -> None:
    server = serve(tell_address, trusted_proxies=["127.0.0.1"], proxy_header="proxy-protocol", tls=Certificate(str(certificate)).context)
    for header, address in HEADERS:
        sock = socket.create_connection(("127.0.0.1", server.port), TIMEOUT)
        sock.sendall(header)
        with Raw(client_context(certificate).wrap_socket(sock, server_hostname="localhost")) as raw:
            assert told_by(raw, request()) == address


@pytest.mark.parametrize(("extensions", "scheme"), [(USED_TLS, "https"), (OTHER_EXTENSION, "http"), (b"\x20\0\5\0\0\0\0\0", "http")])
def test_the_scheme_is_the_one_that_the_client_used(serve: ServerFactory, extensions: bytes, scheme: str) -> None:
    schemes = SimpleQueue[str]()
    server = serve(
        tell_address,
        trusted_proxies=["127.0.0.1"],
        proxy_header="proxy-protocol",
        check_request=lambda request: schemes.put(request.scheme),
    )
    with Raw.to(server) as raw:
        told_by(raw, block(0x21, 0x11, V4 + extensions) + request(headers={"Host": "chat.example", "Origin": "https://chat.example"}))
    assert schemes.get(timeout=TIMEOUT) == scheme


def test_a_proxy_on_a_unix_socket(serve: ServerFactory, tmp_path: Path) -> None:
    path = str(tmp_path / "ws.sock")
    serve(tell_address, unix_path=path, trusted_proxies=["127.0.0.1"], proxy_header="proxy-protocol")
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(path)
    with Raw(sock) as raw:
        assert told_by(raw, HEADERS[0][0] + request()) == "203.0.113.9 4711"


@pytest.mark.parametrize("option", ["send-proxy", "send-proxy-v2", "send-proxy-v2-ssl"])
def test_haproxy_in_front(server: wschat.WebSocketServer, tmp_path: Path, option: str) -> None:
    program, port = program_of("haproxy", "haproxy"), free_port()
    (tmp_path / "haproxy.cfg").write_text(
        f"""
defaults
    mode tcp
    timeout connect 5s
    timeout client 60s
    timeout server 60s
listen wschat
    bind 127.0.0.1:{port}
    server wschat 127.0.0.1:{server.port} {option}
"""
    )
    with started([program, "-db", "-q", "-f", str(tmp_path / "haproxy.cfg")], port):
        sock = socket.create_connection(("127.0.0.1", port), TIMEOUT, source_address=("127.0.0.5", 0))
        address = sock.getsockname()
        with wschat.connect(f"ws://127.0.0.1:{port}/", sock=sock) as ws:
            assert ws.recv(TIMEOUT) == f"{address[0]} {address[1]}"


def test_the_health_checks_of_a_proxy_on_a_unix_socket_count_for_no_address(serve: ServerFactory, tmp_path: Path) -> None:
    path = str(tmp_path / "ws.sock")
    limits = Limits(max_connections_per_address=1)
    serve(echo, unix_path=path, trusted_proxies=["127.0.0.1"], proxy_header="proxy-protocol", limits=limits)
    with ExitStack() as checks:
        for _ in range(2):
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(path)
            assert checks.enter_context(Raw(sock)).ask(block(0x20, 0x00, b"") + request()).status == 101
