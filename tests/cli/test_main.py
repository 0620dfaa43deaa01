"""The command `wschat`, whose subcommands do what `python -m` does with three modules."""

from __future__ import annotations

import subprocess
import sys

import pytest

import wschat
from tests.server.command import environment, run, running
from tests.server.raw import PATIENCE

COMMAND = [sys.executable, "-m", "wschat.cli"]


def call(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*command], env=environment(), capture_output=True, text=True, timeout=PATIENCE * 3, check=False)


@pytest.mark.parametrize(
    ("name", "module", "option"),
    [
        ("serve", "wschat.server", "--app"),
        ("connect", "wschat.client", "--subprotocol"),
        ("token", "wschat.chat.mint", "--auth-secret-file"),
    ],
)
def test_a_subcommand_has_the_options_of_its_module(name: str, module: str, option: str) -> None:
    by_name, by_module = call(*COMMAND, name, "--help"), call(sys.executable, "-m", module, "--help")
    assert (by_name.returncode, by_module.returncode) == (0, 0)
    assert by_name.stdout.startswith(f"Usage: python -m wschat.cli {name} [OPTIONS]")
    assert by_module.stdout.startswith(f"Usage: python -m {module} [OPTIONS]")
    assert option in by_name.stdout
    assert by_name.stdout.partition("\n")[2] == by_module.stdout.partition("\n")[2]


def test_help_lists_the_subcommands() -> None:
    done = call(*COMMAND, "--help")
    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.partition("Commands:\n")[2].splitlines()] == ["connect", "serve", "token"]


def test_serve_and_connect_work_together() -> None:
    with running("--port", "0", "--app", "wschat.apps:echo", command=[*COMMAND, "serve"]) as server:
        with wschat.connect(server.url) as ws:
            ws.send("hello")
            assert ws.recv(PATIENCE) == "hello"
        done = subprocess.run(
            [*COMMAND, "connect", server.url], input="one\ntwo\n", env=environment(), capture_output=True, text=True, timeout=PATIENCE
        )
        assert (done.stdout, done.stderr, done.returncode) == ("one\ntwo\n", "", 0)


def test_the_variables_of_serve_are_the_same() -> None:
    done = subprocess.run([*COMMAND, "serve"], env=environment({"WSCHAT_PORT": "eighty"}), capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == run(env={"WSCHAT_PORT": "eighty"}).stderr.splitlines()[-1]
