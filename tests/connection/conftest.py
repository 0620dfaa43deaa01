"""Fixtures for the tests of connections."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.connection.wiring import SocketPair, tcp_sockets, unix_sockets

MakeSockets = Callable[[], SocketPair]


@pytest.fixture(params=[ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=lambda version: version.name)
def tls_sockets(certificate: Path, request: pytest.FixtureRequest) -> MakeSockets:
    """A function that returns both ends of a TLS connection after the handshake."""

    def make() -> SocketPair:
        return wrap(*tcp_sockets(), certificate, request.param)

    return make


@pytest.fixture(params=["unix", "tcp", "tls"])
def sockets(certificate: Path, request: pytest.FixtureRequest) -> SocketPair:
    """Two connected sockets of each kind."""
    if request.param == "tls":
        return wrap(*tcp_sockets(), certificate)
    return tcp_sockets() if request.param == "tcp" else unix_sockets()


def wrap(server: socket.socket, client: socket.socket, certificate: Path, version: ssl.TLSVersion | None = None) -> SocketPair:
    """Do a TLS handshake over two connected sockets."""
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(certificate)
    client_context = ssl.create_default_context(cafile=certificate)
    client_context.check_hostname = False
    if version is not None:
        client_context.minimum_version = client_context.maximum_version = version
    with ThreadPoolExecutor(1) as pool:
        wrapped_server = pool.submit(server_context.wrap_socket, server, server_side=True)
        wrapped_client = client_context.wrap_socket(client)
        return wrapped_server.result(), wrapped_client
