"""TLS: versions, failing handshakes, and reloading certificates."""

from __future__ import annotations

import logging
import os
import random
import signal
import socket
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic

import pytest

import wschat
from tests.concurrency import TIMEOUT
from tests.conftest import ServerFactory, check_echo, echo, until_logged
from tests.server.command import run, running
from tests.server.raw import Raw, request
from tests.tls import client_context, make_certificate
from wschat import Limits, RequestRefused, UsageError
from wschat.server.tls import Certificate


@pytest.fixture
def server(serve: ServerFactory, certificate: Path) -> wschat.WebSocketServer:
    return serve(echo, tls=Certificate(certificate).context)


def connect(server: wschat.WebSocketServer, certificate: Path, **options: object) -> wschat.Connection:
    return wschat.connect(f"wss://127.0.0.1:{server.port}/", tls=client_context(certificate), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=lambda version: version.name)
def test_both_versions_of_tls(server: wschat.WebSocketServer, certificate: Path, version: ssl.TLSVersion) -> None:
    context = client_context(certificate)
    context.minimum_version = context.maximum_version = version
    with wschat.connect(f"wss://localhost:{server.port}/", tls=context) as ws:
        for message in ("hello", b"x" * 300_000, "\u2713" * 50_000):
            ws.send(message)
            assert ws.recv(TIMEOUT) == message
        assert ws.ping(TIMEOUT) < TIMEOUT


def test_a_check_of_the_request_knows_the_scheme(serve: ServerFactory, certificate: Path) -> None:
    schemes: list[str] = []
    server = serve(echo, tls=Certificate(certificate).context, check_request=lambda request: schemes.append(request.scheme))
    connect(server, certificate).close()
    assert schemes == ["https"]


def test_versions_before_1_2_are_disabled(certificate: Path) -> None:
    assert Certificate(certificate).context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_a_client_refuses_an_untrusted_certificate(server: wschat.WebSocketServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with pytest.raises(ssl.SSLCertVerificationError):
        wschat.connect(f"wss://127.0.0.1:{server.port}/")
    record = until_logged(caplog, "no TLS")
    assert record.levelno == logging.INFO
    assert record.getMessage().startswith("127.0.0.1:")


def test_a_client_with_a_certificate(serve: ServerFactory, certificate: Path) -> None:
    context = Certificate(certificate).context
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(certificate)
    server = serve(echo, tls=context)
    known = client_context(certificate)
    known.load_cert_chain(certificate)
    with wschat.connect(f"wss://127.0.0.1:{server.port}/", tls=known) as ws:
        ws.send("it is me")
        assert ws.recv(TIMEOUT) == "it is me"
    with pytest.raises((OSError, wschat.OpeningFailed)):
        connect(server, certificate)


def test_a_client_without_tls_is_logged_with_address_and_reason(
    server: wschat.WebSocketServer, certificate: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with Raw.to(server) as raw:
        host, port = raw.socket.getsockname()
        raw.send(request())
        raw.rest()
    assert until_logged(caplog, "no TLS").getMessage() == f"{host}:{port} refused: no TLS: HTTP_REQUEST"
    check_echo(server, certificate)


def client_hello() -> bytes:
    """Return the first message of a TLS client."""
    to_send = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), to_send, server_hostname="localhost").do_handshake()
    return to_send.read()


def test_a_client_that_vanishes_during_the_handshake_is_logged(server: wschat.WebSocketServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with Raw.to(server) as raw:
        host, port = raw.socket.getsockname()
        raw.send(client_hello())
        assert raw.socket.recv(1)
        raw.vanish()
    message = until_logged(caplog, "no TLS").getMessage()
    assert message.startswith(f"{host}:{port} refused: no TLS: ")
    assert "reset" in message


def test_an_endless_handshake_times_out_without_affecting_others(serve: ServerFactory, certificate: Path) -> None:
    server = serve(echo, tls=Certificate(certificate).context, limits=Limits(opening_timeout=0.3))
    with Raw.to(server) as silent, Raw.to(server) as half:
        half.send(b"\x16\x03\x01\x02\x00\x01")
        check_echo(server, certificate)
        assert silent.rest() == half.rest() == b""


def test_a_refusal_is_sent_over_tls(serve: ServerFactory, certificate: Path) -> None:
    def refuse(request: wschat.Request) -> None:
        raise RequestRefused(404, "There is nothing here.")

    server = serve(echo, tls=Certificate(certificate).context, check_request=refuse)
    with pytest.raises(wschat.OpeningFailed) as refused:
        connect(server, certificate)
    assert (refused.value.status, refused.value.body) == (404, b"There is nothing here.\n")


def test_stop_closes_connections_and_does_not_wait_for_handshakes(server: wschat.WebSocketServer, certificate: Path) -> None:
    with Raw.to(server) as silent, connect(server, certificate) as ws:
        ws.send("x")
        assert ws.recv(TIMEOUT) == "x"
        began_at = monotonic()
        with ThreadPoolExecutor(1) as pool:
            stopping = pool.submit(server.stop)
            with pytest.raises(wschat.ConnectionClosed, match="1001"):
                ws.recv(TIMEOUT)
            stopping.result()
        assert monotonic() - began_at < server.limits.close_timeout
        assert silent.rest() in (b"", b"\x15\x03\x03\0\x02\x02\x32")  # at most an alert of TLS


def messages(seed: int) -> Iterator[bytes]:
    """Yield endless messages of up to 1 MiB, the same for the same seed. Small ones are as frequent as big ones."""
    dice = random.Random(seed)
    while True:
        yield dice.randbytes(int(2 ** dice.uniform(0, 20)))


def test_messages_of_all_sizes_in_both_directions_at_once(server: wschat.WebSocketServer, certificate: Path) -> None:
    """On both sides, one thread sends while another receives: a TLS object that both used at once would break."""
    ends_at = monotonic() + 2

    def send(ws: wschat.Connection, seed: int) -> int:
        for count, message in enumerate(messages(seed)):
            ws.send(message)
            if monotonic() > ends_at:
                ws.send("that was all")
                return count + 1
        raise AssertionError("they are endless")

    def stress(seed: int) -> int:
        with connect(server, certificate, deflate=None) as ws, ThreadPoolExecutor(1) as sender:
            sending = sender.submit(send, ws, seed)
            expected = messages(seed)
            count = 0
            while (message := ws.recv(TIMEOUT)) != "that was all":
                assert message == next(expected)
                count += 1
            assert count == sending.result()
            return count

    with ThreadPoolExecutor(10) as pool:
        assert sum(pool.map(stress, range(10))) > 100


# Certificates


def test_a_reloaded_certificate_is_used_for_new_connections(serve: ServerFactory, tmp_path: Path) -> None:
    file = make_certificate(tmp_path, "old")
    certificate = Certificate(file)
    server = serve(echo, tls=certificate.context)
    with connect(server, file) as old:
        make_certificate(tmp_path, "new")
        certificate.reload()
        check_echo(server, file)  # trusts the new certificate only
        old.send("still open")
        assert old.recv(TIMEOUT) == "still open"


def missing(folder: Path) -> Path:
    return folder / "nowhere.pem"


def with_another_key(folder: Path) -> Path:
    make_certificate(folder / "other")
    file = make_certificate(folder)
    file.write_bytes((folder / "certificate.pem").read_bytes() + (folder / "other" / "key.pem").read_bytes())
    return file


def without_a_key(folder: Path) -> Path:
    make_certificate(folder)
    return folder / "certificate.pem"


def not_pem(folder: Path) -> Path:
    file = folder / "rubbish.pem"
    file.write_text("rubbish")
    return file


def with_a_password(folder: Path) -> Path:
    return make_certificate(folder, password="secret")


BAD_FILES = [missing, with_another_key, without_a_key, not_pem, with_a_password]


@pytest.mark.parametrize("make_file", BAD_FILES)
def test_an_unusable_file_raises_usage_error(tmp_path: Path, make_file: Callable[[Path], Path]) -> None:
    file = make_file(tmp_path)
    with pytest.raises(UsageError, match=str(file)):
        Certificate(file)


@pytest.mark.parametrize("make_file", BAD_FILES)
def test_a_certificate_stays_in_use_if_reloading_fails(serve: ServerFactory, tmp_path: Path, make_file: Callable[[Path], Path]) -> None:
    good = make_certificate(tmp_path / "good")
    live = tmp_path / "live.pem"
    live.write_bytes(good.read_bytes())
    certificate = Certificate(live)
    server = serve(echo, tls=certificate.context)
    bad = make_file(tmp_path)
    live.unlink()
    if bad.exists():
        live.write_bytes(bad.read_bytes())
    with pytest.raises(UsageError):
        certificate.reload()
    check_echo(server, good)


def test_the_key_may_be_in_another_file(serve: ServerFactory, tmp_path: Path) -> None:
    both = make_certificate(tmp_path)
    server = serve(echo, tls=Certificate(tmp_path / "certificate.pem", tmp_path / "key.pem").context)
    check_echo(server, both)


# The command


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")
def test_the_command_serves_tls_and_reloads_its_certificate(tmp_path: Path) -> None:
    file = make_certificate(tmp_path, "old")
    with running("--port", "0", "--app", "wschat.apps:echo", "--tls-cert", str(file)) as command:
        assert command.start_line == f"wschat serves wschat.apps:echo on wss://127.0.0.1:{command.port}/"
        url = f"wss://127.0.0.1:{command.port}/"
        with wschat.connect(url, tls=client_context(file)) as ws:
            file.write_text("rubbish")
            os.kill(command.process.pid, signal.SIGHUP)
            while "stays as it is" not in command.errors():
                ws.send("x")
                assert ws.recv(TIMEOUT) == "x"
            make_certificate(tmp_path, "new")
            os.kill(command.process.pid, signal.SIGHUP)
            while "was reloaded" not in command.errors():
                ws.send("x")
                assert ws.recv(TIMEOUT) == "x"
            with wschat.connect(url, tls=client_context(file)) as other:
                other.send("y")
                assert other.recv(TIMEOUT) == "y"
        assert command.stop() == 0


@pytest.mark.parametrize("options", [("--tls-cert", "nowhere.pem"), ("--tls-key", "nowhere.pem")])
def test_the_command_reports_unusable_files_in_one_line(options: tuple[str, ...]) -> None:
    done = run("--port", "0", *options)
    assert done.returncode == 2
    assert done.stderr.startswith("wschat: ")
    assert done.stderr.count("\n") == 1


def test_connections_above_the_limit_are_closed_without_a_handshake(serve: ServerFactory, certificate: Path) -> None:
    server = serve(echo, tls=Certificate(certificate).context, limits=Limits(max_connections=1))
    with connect(server, certificate) as ws:
        with socket.create_connection(("127.0.0.1", server.port)) as other:
            other.settimeout(TIMEOUT)
            assert other.recv(1) == b""
        ws.send("still open")
        assert ws.recv(TIMEOUT) == "still open"
