"""`wschat say`: one message over HTTP, said once however often it is tried."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.concurrency import TIMEOUT
from tests.server.command import Command, running
from wschat.cli.say import main


def say(*arguments: str, stdin: str | None = None) -> Result:
    ours: dict[str, str | None] = dict.fromkeys(
        name for name in os.environ if name.startswith("WSCHAT_") or name.lower().endswith("_proxy")
    )
    return CliRunner().invoke(main, arguments, env=ours, input=stdin)


@pytest.fixture
def server() -> Iterator[Command]:
    with running("--port", "0", "--history", "memory") as command:
        yield command


def test_a_message_is_said_and_its_number_printed(server: Command) -> None:
    for number, url in enumerate([f"http://127.0.0.1:{server.port}", server.url], 1):
        result = say(url, "tea", f"text {number}", "--name", "cron")
        assert (result.exit_code, result.stdout) == (0, f"{number}\n"), result.output
    assert say(server.url, "tea", "-", stdin="two\nlines\n").stdout == "3\n"


def test_a_text_is_said_once_with_its_id(server: Command) -> None:
    assert [say(server.url, "tea", "x", "--id", "a").stdout for _ in range(2)] == ["1\n", "1\n"]
    result = say(server.url, "tea", "another", "--id", "a")
    assert result.exit_code == 3
    assert "409 This id belongs to a message with another text." in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        (["http://127.0.0.1:1", "tea", "x", "--timeout", "0"], 3, "cannot reach ws://127.0.0.1:1/: [Errno 111] Connection refused"),
        (["ftp://127.0.0.1", "tea", "x"], 2, "must begin with ws:// or wss://"),
        (["http://127.0.0.1:8080", "tea"], 2, "Missing argument 'TEXT'"),
        (["http://127.0.0.1:8080", "tea", "x", "--timeout", "soon"], 2, "'soon' is not a valid float"),
    ],
)
def test_what_cannot_be_said(arguments: list[str], code: int, error: str) -> None:
    result = say(*arguments)
    assert (result.exit_code, error in result.stderr) == (code, True), result.output


def test_a_refusal_is_shown_with_its_text(server: Command) -> None:
    for arguments, error in [
        (["two words", "x"], "404 There is no such room. A room name has 1 to 32 letters"),
        (["tea", " "], '400 "text" must not be blank'),
        (["tea", "x", "--name", "two words"], '400 "name" must be 1 to 32 letters'),
    ]:
        result = say(server.url, *arguments)
        assert (result.exit_code, error in result.stderr.replace("say: ", "").replace("nick: ", "")) == (3, True), result.output


def test_a_chat_with_tokens_needs_one(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x" * 40)
    with running("--port", "0", "--auth-secret-file", str(secret)) as server:
        result = say(server.url, "tea", "x")
        assert (result.exit_code, "refused: 401" in result.stderr) == (3, True)
        assert "refused: 401" in say(server.url, "tea", "x", "--token", "wrong").stderr


def test_it_is_tried_again_while_the_server_cannot_be_reached_or_write() -> None:
    replies = [
        b"",
        b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 0\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        b'HTTP/1.1 201 Created\r\nContent-Length: 9\r\nConnection: close\r\n\r\n{"seq":7}',
    ]
    bodies: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for reply in replies:
                sock, _ = listener.accept()
                with sock:
                    request = b""
                    while b"}" not in request:
                        request += sock.recv(4096)
                    bodies.append(request.partition(b"\r\n\r\n")[2])
                    sock.sendall(reply)

        thread = threading.Thread(target=serve)
        thread.start()
        result = say(f"http://127.0.0.1:{listener.getsockname()[1]}", "tea", "x")
        thread.join(TIMEOUT)
    assert (result.exit_code, result.stdout) == (0, "7\n"), result.output
    assert len({*bodies}) == 1, "the same id each time"
    assert len(bodies) == len(replies)


def test_a_redirect_is_not_followed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.recv(4096)
                sock.sendall(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        result = say(f"http://127.0.0.1:{listener.getsockname()[1]}", "tea", "x")
        thread.join(TIMEOUT)
    assert (result.exit_code, f"refused: {HTTPStatus.FOUND.value} Found" in result.stderr) == (3, True), result.output
