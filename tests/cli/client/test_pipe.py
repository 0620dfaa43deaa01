"""`--reconnect` in a pipe. Pipes without it are in test_connect.py."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue

import wschat
from tests.cli.client.command import run
from tests.concurrency import TIMEOUT
from tests.conftest import ServerFactory, url_of
from wschat.connection.connection import Connection

COMMAND = [sys.executable, "-m", "wschat.client"]


@contextmanager
def reconnecting(url: str, *options: str) -> Iterator[subprocess.Popen[str]]:
    command = [*COMMAND, url, "--reconnect", *options]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_lines_and_messages_continue_over_several_connections(serve: ServerFactory) -> None:
    connections: SimpleQueue[Connection] = SimpleQueue()

    def echo(ws: Connection) -> None:
        connections.put(ws)
        for message in ws:
            ws.send(message)

    url = url_of(serve(echo))
    with reconnecting(url) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        for text, code in (("a", 1000), ("b", 1011)):
            ws = connections.get(timeout=TIMEOUT)
            process.stdin.write(f"{text}\n")
            assert process.stdout.readline() == f"{text}\n"
            ws.close(code, "again")
            assert process.stderr.readline().startswith(f"wschat: {url}: {code} again; connecting again in ")
        connections.get(timeout=TIMEOUT)
        process.stdin.close()
        assert process.wait(TIMEOUT) == 0
        process.stdin = None


def test_the_command_waits_for_a_server_that_is_started_later() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        with reconnecting(f"ws://127.0.0.1:{port}/", "--count", "1") as process:
            assert process.stderr is not None
            assert process.stdout is not None
            refused = process.stderr.readline()
            assert refused.startswith(f"wschat: ws://127.0.0.1:{port}/: connection refused by 127.0.0.1:{port}")
            reserved.close()
            with wschat.serve(lambda ws: ws.send("here"), port=port) as server:
                server.start()
                assert process.stdout.readline() == "here\n"
                assert process.wait(TIMEOUT) == 0


def test_a_refusal_is_final(serve: ServerFactory) -> None:
    def refuse(request: wschat.Request) -> None:
        raise wschat.RequestRefused(403, "Not you.")

    done = run(url_of(serve(lambda ws: None, check_request=refuse)), "--reconnect")
    assert done.code == 3
    assert "403 Forbidden: Not you." in done.err


def test_count_includes_the_messages_of_all_connections(serve: ServerFactory) -> None:
    numbers = iter(range(10))

    def talk(ws: Connection) -> None:
        ws.send(str(next(numbers)))
        ws.send(str(next(numbers)))

    done = run(url_of(serve(talk)), "--reconnect", "--count", "3", "--quiet")
    assert (done.code, done.lines, done.err) == (0, ["0", "1", "2"], "")


def test_the_command_ends_with_its_input(echo_url: str) -> None:
    done = run(echo_url, "--reconnect", given="a\nb")
    assert (done.code, done.lines, done.err) == (0, ["a", "b"], "")


def test_lines_that_were_not_sent_are_reported(serve: ServerFactory) -> None:
    url = url_of(serve(lambda ws: ws.recv()))  # which closes after one line
    done = run(url, given="one\n" * 100_000)
    assert (done.code, done.out) == (1, b"")
    assert re.fullmatch(f"wschat: {url}: lines not sent: \\d+\n", done.err)
