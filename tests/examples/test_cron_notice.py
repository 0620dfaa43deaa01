"""The example of a script for cron: its exit code and its output."""

from __future__ import annotations

import subprocess
import sys

import pytest

import wschat
from tests.concurrency import TIMEOUT
from tests.examples.wiring import EXAMPLES
from tests.programs import free_port
from tests.server.command import environment
from wschat.testing.live_server import LiveServer
from wschat.testing.servers import Servers


def run(*arguments: str) -> tuple[int, str]:
    """Run the script, and return its exit code and its output."""
    command = [sys.executable, str(EXAMPLES / "cron_notice.py"), *arguments]
    done = subprocess.run(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=TIMEOUT, check=False
    )
    return done.returncode, done.stdout


@pytest.fixture
def chat(wschat_server: Servers) -> LiveServer:
    return wschat_server.chat()


def test_a_line_is_said_by_each_run(chat: LiveServer) -> None:
    with wschat.connect(f"{chat.url}/rooms/ops?name=alice") as ws:
        assert ws.recv(TIMEOUT) == "Welcome to the chat!"
        for line in ("The backup is done.", "/who is this?"):
            assert run(f"{chat.url}/?name=backup", "ops", line) == (0, "")
            assert ws.recv(TIMEOUT) == f"backup: {line}"


def test_what_the_server_refuses_is_exit_code_1(chat: LiveServer) -> None:
    code, output = run(f"{chat.url}/?name=backup", "ops", " ")
    assert (code, output) == (1, 'cron_notice: not said: bad-field: say: "text" must not be blank\n')
    code, output = run(f"{chat.url}/?name=two+words", "ops", "Hello!")
    assert code == 1
    assert output.endswith("400 Bad Request: The name must be 1 to 32 letters, digits, '-', '_' or '.'.\n")


def test_a_server_that_is_away_is_exit_code_1() -> None:
    code, output = run(f"ws://127.0.0.1:{free_port()}/?name=backup", "ops", "Hello!", "--timeout", "0.2")
    assert (code, output) == (1, "cron_notice: not said: say could not be sent within 0.2 s, and is not sent any more\n")


def test_a_wrong_command_line_is_exit_code_2() -> None:
    assert run("ws://127.0.0.1/", "ops")[0] == 2
