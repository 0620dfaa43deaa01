"""The log of a server: records about connections, and escaping."""

from __future__ import annotations

import logging
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

import pytest

import wschat
from tests.concurrency import TIMEOUT
from tests.conftest import ServerFactory, echo, until_logged, url_of
from tests.server.raw import Raw, request
from wschat import Limits, RequestRefused
from wschat.server.logs import name_of, shown


@pytest.fixture(autouse=True)
def everything_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "wschat.server")


def test_a_connection_is_logged_when_it_is_opened_and_closed(serve: ServerFactory, caplog: pytest.LogCaptureFixture) -> None:
    with wschat.connect(url_of(serve(echo)) + "?token=secret", deflate=None) as ws:
        ws.send("not for the log")
        ws.recv(TIMEOUT)
        ws.close(4000, "done")
    opened, closed = until_logged(caplog, " opened "), until_logged(caplog, " closed after ")
    assert opened.levelno == closed.levelno == logging.INFO
    assert opened.fields.keys() == {"event", "client", "connection", "path"}  # type: ignore[attr-defined]
    assert (opened.fields["event"], opened.fields["path"]) == ("opened", "/")  # type: ignore[attr-defined]
    fields = closed.fields  # type: ignore[attr-defined]
    assert (fields["code"], fields["reason"], fields["client"]) == (4000, "done", opened.fields["client"])  # type: ignore[attr-defined]
    assert fields["client"].startswith("127.0.0.1:")
    assert 0 <= fields["seconds"] < TIMEOUT
    assert fields["bytes_received"] == (6 + 15) + (6 + 6)  # the message and the close frame, with their headers
    assert fields["bytes_sent"] == (2 + 15) + (2 + 6)
    for record in caplog.records:
        assert "secret" not in record.getMessage()
        assert "not for the log" not in record.getMessage()


def test_the_entries_of_a_connection_have_its_id(serve: ServerFactory, caplog: pytest.LogCaptureFixture) -> None:
    ids = SimpleQueue[str]()

    def fail(ws: wschat.Connection) -> None:
        ids.put(ws.id)
        raise ValueError

    server = serve(fail)
    for _ in range(2):
        with wschat.connect(url_of(server)) as ws:
            assert list(ws) == []
        until_logged(caplog, " closed after ")
        connection = ids.get(timeout=TIMEOUT)
        assert re.fullmatch("[0-9a-f]{12}", connection)
        entries = [record for record in caplog.records if record.getMessage().endswith(f"[{connection}]")]
        assert [record.fields["event"] for record in entries] == ["opened", "failed", "closed"]  # type: ignore[attr-defined]
        assert {record.fields["connection"] for record in entries} == {connection}  # type: ignore[attr-defined]
        assert {record.fields["client"] for record in entries} == {entries[0].fields["client"]}  # type: ignore[attr-defined]
        caplog.clear()


def test_a_stop_waits_until_the_end_of_each_connection_is_logged(serve: ServerFactory) -> None:
    server = serve(echo)
    has_stopped = threading.Event()
    logged_before_the_stop = SimpleQueue[bool]()

    class SlowLog(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if " closed after " in record.getMessage():
                logged_before_the_stop.put(not has_stopped.wait(0.2))

    log = SlowLog()
    logging.getLogger("wschat.server").addHandler(log)
    try:
        with wschat.connect(url_of(server)) as one, wschat.connect(url_of(server)) as other, ThreadPoolExecutor() as pool:
            stop = pool.submit(server.stop)
            stop.add_done_callback(lambda _: has_stopped.set())
            assert [*one, *other] == []
            stop.result(TIMEOUT)
        assert [logged_before_the_stop.get(timeout=TIMEOUT) for _ in range(2)] == [True, True]
    finally:
        logging.getLogger("wschat.server").removeHandler(log)


def test_a_refusal_is_logged_with_the_reason(serve: ServerFactory, caplog: pytest.LogCaptureFixture) -> None:
    def check(request: wschat.Request) -> None:
        raise RequestRefused(404, "There is nothing here.")

    with Raw.to(serve(echo, check_request=check)) as raw:
        assert raw.ask(request()).status == 404
        host, port = raw.socket.getsockname()
    record = until_logged(caplog, " refused: ")
    assert record.levelno == logging.INFO
    assert record.getMessage() == f"{host}:{port} refused: 404: There is nothing here."


def test_an_eviction_is_a_warning(serve: ServerFactory, caplog: pytest.LogCaptureFixture) -> None:
    def flood(ws: wschat.Connection) -> None:
        while ws.closed is None:
            ws.offer(ws.encoding.encode(b"x" * 100_000))

    server = serve(flood, limits=Limits(outbox_bytes=1000, close_timeout=0.1))
    with Raw.opened(server):
        record = until_logged(caplog, " evicted after ")
    assert record.levelno == logging.WARNING
    assert "1008 too slow" in record.getMessage()


def test_a_client_that_closes_with_1008_is_not_logged_as_evicted(serve: ServerFactory, caplog: pytest.LogCaptureFixture) -> None:
    with wschat.connect(url_of(serve(echo))) as ws:
        ws.close(1008, "too slow")
    assert until_logged(caplog, " closed after ").levelno == logging.INFO


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("caf\u00e9 \u2713", "caf\u00e9 \u2713"),
        ("a\r\nINFO forged", "a\\r\\nINFO forged"),
        ("\x1b[2Jx\x00\x7f\x85", "\\x1b[2Jx\\x00\\x7f\\x85"),
        ("\u2028\u202e", "\\u2028\\u202e"),
    ],
)
def test_control_characters_are_shown_escaped(text: str, expected: str) -> None:
    assert shown(text) == expected


def test_a_close_reason_cannot_forge_a_line(serve: ServerFactory, caplog: pytest.LogCaptureFixture) -> None:
    with wschat.connect(url_of(serve(echo))) as ws:
        ws.close(4000, "x\r\n2026 INFO forged \x1b[2J")
    assert "\n" not in until_logged(caplog, " closed after ").getMessage()
    assert "\x1b" not in until_logged(caplog, " closed after ").getMessage()


@pytest.mark.parametrize(
    ("address", "name"),
    [(("127.0.0.1", 80), "127.0.0.1:80"), (("::1", 80, 0, 0), "[::1]:80"), ("", "a local client"), ("/run/x.sock", "a local client")],
)
def test_the_name_of_a_client(address: object, name: str) -> None:
    assert name_of(address) == name


def test_an_invalid_request_is_not_quoted_in_the_log(serve: ServerFactory, caplog: pytest.LogCaptureFixture) -> None:
    with Raw.to(serve(echo)) as raw:
        raw.send(b"GET /?name=root&password=sesame x HTTP/1.1\r\nHost: a\r\nAuthorization Basic sesame\r\n\r\n")
        assert raw.response().status == 400
    until_logged(caplog, "refused")  # logged once the client has disconnected
    assert "sesame" not in caplog.text
