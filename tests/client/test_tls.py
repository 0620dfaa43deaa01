"""TLS of the client, and its errors."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import pytest

import wschat
from tests.client.conftest import RawServerFactory
from tests.client.servers import RawServer, opens, says, until_closed
from tests.conftest import ServerFactory, echo
from tests.tls import client_context


def connected(server: RawServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port))


@pytest.mark.parametrize("wrapped", [False, True], ids=["plain", "in TLS already"])
def test_wss_on_a_given_socket_uses_tls(raw: RawServerFactory, server_tls: ssl.SSLContext, certificate: Path, wrapped: bool) -> None:
    server = raw(opens(), tls=server_tls)
    tls = client_context(certificate)
    sock = connected(server)
    if wrapped:
        sock = tls.wrap_socket(sock, server_hostname="localhost")
    wschat.connect("wss://localhost/", sock=sock, tls=None if wrapped else tls).close()
    assert "Host: localhost\r\n" in server.heads[0]


def test_wss_on_a_unix_socket_uses_tls(serve: ServerFactory, tmp_path: Path, server_tls: ssl.SSLContext, certificate: Path) -> None:
    path = f"{tmp_path}/s"
    serve(echo, unix_path=path, tls=server_tls)
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(path)
    with wschat.connect("wss://localhost/", sock=sock, tls=client_context(certificate)) as ws:
        ws.send("hi")
        assert ws.recv(timeout=5) == "hi"


def test_the_final_dot_of_a_name_is_not_verified(raw: RawServerFactory, server_tls: ssl.SSLContext, certificate: Path) -> None:
    server = raw(opens(), tls=server_tls)
    wschat.connect("wss://localhost./", sock=connected(server), tls=client_context(certificate)).close()
    assert len(server.heads) == 1


def test_a_server_without_tls_is_named(raw: RawServerFactory) -> None:
    class Plain(RawServer):
        def talk(self, connection: socket.socket) -> None:
            connection.recv(1)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            until_closed(connection)

    with (
        Plain(opens()) as server,
        pytest.raises(ssl.SSLError, match=f"^{server.place} does not speak TLS: use ws:// instead of wss://$") as failed,
    ):
        wschat.connect(f"wss://user:s3cret@{server.place}/?s3cret")
    assert "s3cret" not in str(failed.value)


def test_ws_to_a_server_with_tls_is_named(raw: RawServerFactory, server_tls: ssl.SSLContext) -> None:
    server = raw(opens(), tls=server_tls)
    with pytest.raises((wschat.OpeningFailed, ConnectionResetError), match=rf"{server.place}"):
        wschat.connect(f"ws://{server.place}/")


def test_a_certificate_of_an_unknown_authority_is_named(raw: RawServerFactory, server_tls: ssl.SSLContext) -> None:
    server = raw(opens(), tls=server_tls)
    with pytest.raises(ssl.SSLCertVerificationError, match=rf"^the certificate of {server.place} .*self.signed.*cafile=") as failed:
        wschat.connect(server.url)
    assert failed.value.verify_code == 18


def test_a_certificate_for_another_name_is_named(
    raw: RawServerFactory, tmp_path: Path, server_tls: ssl.SSLContext, certificate: Path
) -> None:
    server = raw(opens(), tls=server_tls)
    with pytest.raises(ssl.SSLCertVerificationError, match=r"certificate of other\.test:443 .*not valid for 'other\.test'"):
        wschat.connect("wss://other.test/", sock=connected(server), tls=client_context(certificate))


def test_a_missing_client_certificate_is_named(raw: RawServerFactory, certificate: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.load_verify_locations(certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    server = raw(opens(), tls=context)
    with pytest.raises(
        OSError, match=f"(^the TLS connection to {server.place} failed: .*CERTIFICATE_REQUIRED|(reset|closed) by {server.place})$"
    ):
        wschat.connect(server.url, tls=client_context(certificate))


def test_a_connection_that_ends_in_the_handshake_is_named() -> None:
    class Curt(RawServer):
        def talk(self, connection: socket.socket) -> None:
            connection.recv(65536)

    with (
        Curt(says(b"")) as server,
        pytest.raises(OSError, match=f"^{server.place} closed the connection during the TLS handshake: does it speak TLS\\?$"),
    ):
        wschat.connect(f"wss://{server.place}/")


def test_one_deadline_holds_for_the_tls_handshake() -> None:
    class Silent(RawServer):
        def talk(self, connection: socket.socket) -> None:
            until_closed(connection)

    with Silent(says(b"")) as server, pytest.raises(TimeoutError, match=rf"{server.place} did not open a WebSocket within 0\.3 s"):
        wschat.connect(f"wss://{server.place}/", limits=wschat.Limits(opening_timeout=0.3))


def test_a_given_socket_is_closed_after_a_failure(raw: RawServerFactory) -> None:
    server = raw(says(b"HTTP/1.1 404 Not Found\r\n\r\n"))
    sock = connected(server)
    with pytest.raises(wschat.OpeningFailed):
        wschat.connect("ws://localhost/", sock=sock)
    assert sock.fileno() == -1
