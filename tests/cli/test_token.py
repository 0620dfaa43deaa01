"""`wschat token` and `python -m wschat.chat.mint`, which print tokens."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.chat.test_access import SECRET, bearing, opening
from tests.concurrency import TIMEOUT
from tests.server.command import environment
from wschat.chat.access import Access
from wschat.chat.sessions import Identity
from wschat.chat.tokens import LEEWAY_SECONDS
from wschat.cli.token import main

COMMAND = [sys.executable, "-m", "wschat.chat.mint"]


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_bytes(SECRET + b"\n")
    return path


@pytest.fixture
def access() -> Access:
    """The access rules of a chat that requires a token."""
    return Access(SECRET)


def run(*arguments: str, env: Mapping[str, str] | None = None) -> Result:
    ours: dict[str, str | None] = dict.fromkeys(name for name in os.environ if name.startswith("WSCHAT_"))
    return CliRunner().invoke(main, arguments, env={**ours, **(env or {})})


def test_the_token_is_accepted(access: Access, secret_file: Path) -> None:
    result = run("Alice", "--auth-secret-file", str(secret_file))
    assert result.exit_code == 0
    [line] = result.output.splitlines()
    assert access.identify(bearing(line)) == Identity("Alice", is_proven=True)


def test_the_options_are_claims_of_the_token(secret_file: Path) -> None:
    before = int(time.time())
    options = ["--room", "tea*", "--room", "Lobby", "--mod", "--seconds", "90", "--auth-audience", "chat"]
    access = Access(SECRET, audience="chat")
    result = run(*options, "Ольга", env={"WSCHAT_AUTH_SECRET_FILE": str(secret_file)})
    assert result.exit_code == 0
    identity = access.identify(bearing(result.output.strip()))
    assert identity.expires_at is not None
    assert before + 90 <= identity.expires_at - LEEWAY_SECONDS <= time.time() + 91
    assert identity == Identity("Ольга", is_proven=True, is_moderator=True, rooms=("tea*", "lobby"), expires_at=identity.expires_at)


def test_the_command_as_a_process(access: Access, secret_file: Path) -> None:
    """The token that it prints is accepted as a shell passes it on."""

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*COMMAND, *arguments], env=environment(), capture_output=True, text=True, timeout=TIMEOUT, check=False)

    done = call("alice", "--auth-secret-file", str(secret_file), "--mod")
    assert (done.returncode, done.stderr) == (0, "")
    assert access.identify(opening({"cookie": f"wschat_token={done.stdout.strip()}"})).is_moderator
    failed = call("alice", "--auth-secret-file", f"{secret_file}.gone")
    assert (failed.returncode, failed.stdout) == (2, "")
    assert failed.stderr.splitlines()[-1] == f"Error: cannot read {secret_file}.gone: No such file or directory"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Missing argument 'NAME'."),
        (["two words"], "a name must be 1 to 32 letters, digits, '-', '_' or '.', not 'two words'"),
        ([""], "a name must be 1 to 32 letters, digits, '-', '_' or '.', not ''"),
        (["alice", "bob"], "Got unexpected extra argument (bob)"),
        (["alice", "--auth-secret-file", "/nowhere/secret"], "cannot read /nowhere/secret: No such file or directory"),
        (["alice", "--auth-secret-file", "/"], "cannot read /: Is a directory"),
        (["alice", "--auth-secret-file", os.devnull], f"the secret in {os.devnull} has 0 bytes, and must have at least 32"),
        (["alice", "--seconds", "0"], "0 is not in the range"),
        (["alice", "--seconds", "-5"], "-5 is not in the range"),
        (["alice", "--seconds", "soon"], "'soon' is not a valid integer"),
        (["alice", "--seconds", "1" + "0" * 400], "--seconds"),
        (["alice", "--colour", "red"], "No such option"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_an_error_is_one_line_and_exit_code_2(secret_file: Path, arguments: list[str], message: str) -> None:
    result = run(*arguments, env={"WSCHAT_AUTH_SECRET_FILE": str(secret_file)})
    assert result.exit_code == 2, result.exception
    [line] = [line for line in result.output.splitlines() if line.startswith("Error: ")]
    assert message in line
    assert result.output.splitlines()[-1] == line


def test_the_command_needs_a_secret() -> None:
    result = run("alice")
    assert result.exit_code == 2
    assert "--auth-secret-file" in result.output.splitlines()[-1]
