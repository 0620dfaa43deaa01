"""Streams over a socket of another server: the end of the stream leaves the descriptor open, and nothing can be written any more."""

from __future__ import annotations

import logging
import socket
import ssl
import threading
from pathlib import Path

import pytest

import wschat
from tests.concurrency import TIMEOUT
from tests.conftest import until_logged
from tests.tls import client_context
from tests.wsgi.wiring import OpenServer, check_echo, echo_app
from wschat.wsgi import WebSocketApp
from wschat.wsgi.borrowed import borrow_stream


def test_a_closed_stream_has_ended_both_directions_and_leaves_the_socket_open() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        stream = borrow_stream(ours)
        stream.send(b"the close frame", 0)
        stream.close()
        assert ours.fileno() >= 0
        with pytest.raises(BrokenPipeError):
            ours.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        assert ours.recv(100) == b""
        assert theirs.recv(100) == b"the close frame"
        assert theirs.recv(100) == b""


def test_a_closed_tls_stream_has_ended_both_directions(certificate: Path) -> None:
    ours, theirs = socket.socketpair()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    tls = context.wrap_socket(ours, server_side=True, do_handshake_on_connect=False)
    client: list[ssl.SSLSocket] = []
    thread = threading.Thread(target=lambda: client.append(client_context(certificate).wrap_socket(theirs, server_hostname="localhost")))
    thread.start()
    tls.do_handshake()
    thread.join(TIMEOUT)
    with tls, client[0]:
        stream = borrow_stream(tls)
        stream.send(b"the close frame", 0)
        stream.half_close()
        stream.close()
        assert tls.fileno() >= 0
        assert tls.getblocking()
        # For gunicorn, an error of TLS would be one to log and to answer.
        with pytest.raises(BrokenPipeError):
            tls.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        assert client[0].recv(100) == b"the close frame"
        assert client[0].recv(100) == b""


def test_a_websocket_over_the_tls_of_werkzeug(werkzeug: OpenServer, certificate: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    server = werkzeug(echo_app(), ssl_context=(str(certificate), str(certificate)))
    check_echo(f"wss://localhost:{server.port}/", tls=client_context(certificate))
    until_logged(caplog, '" 101')
    assert "Traceback" not in caplog.text


def test_a_close_by_the_server_over_tls(werkzeug: OpenServer, certificate: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    server = werkzeug(WebSocketApp(lambda ws: ws.close(1000, "bye")), ssl_context=(str(certificate), str(certificate)))
    url, tls = f"wss://localhost:{server.port}/", client_context(certificate)
    with wschat.connect(url, tls=tls) as ws, pytest.raises(wschat.ConnectionClosed) as closed:
        ws.recv(TIMEOUT)
    assert (closed.value.code, closed.value.reason) == (1000, "bye")
    until_logged(caplog, '" 101')
    assert "Traceback" not in caplog.text
