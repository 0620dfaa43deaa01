"""`python -m wschat.server --history`: where messages are kept, for how long, and what happens if that fails."""

from __future__ import annotations

import resource
import sqlite3
import urllib.error
import urllib.request
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

import wschat
from tests.chat.wiring import Client
from tests.concurrency import TIMEOUT, eventually
from tests.server.command import Command, run, running
from wschat.brokers.sqlite.broker import SqliteBroker
from wschat.chat.tokens import mint
from wschat.v1 import SUBPROTOCOL

ANY_PORT = ("--port", "0")


def join(command: Command, stack: ExitStack, name: str = "alice", room: str = "tea") -> Client:
    """Return a client that has joined a room."""
    ws = stack.enter_context(wschat.connect(f"{command.url}?name={name}", subprotocols=[SUBPROTOCOL]))
    client = Client(ws)
    client.join(room)
    return client


def test_the_default_history_is_a_file_in_the_state_directory(tmp_path: Path) -> None:
    path = tmp_path / "wschat/history.sqlite"
    env = {"XDG_STATE_HOME": str(tmp_path), "WSCHAT_HISTORY": ""}
    with running(*ANY_PORT, env=env) as command, ExitStack() as stack:
        assert (
            command.start_line
            == f"wschat serves chat (history: {path}) on http://127.0.0.1:{command.port}/ and ws://127.0.0.1:{command.port}/"
        )
        assert join(command, stack).say("kept") == 1
        stack.close()
        assert command.stop() == 0
    with running(*ANY_PORT, env=env) as command, ExitStack() as stack:
        assert [message["text"] for message in join(command, stack, "bob").ask(type="history", room="tea")["messages"]] == ["kept"]


def test_messages_of_plain_text_clients_are_kept(tmp_path: Path) -> None:
    options = (*ANY_PORT, "--history", str(tmp_path / "history"))
    with running(*options) as command, wschat.connect(command.url) as ws:
        ws.send("hello")
        assert [ws.recv(TIMEOUT), ws.recv(TIMEOUT)] == ["Welcome to the chat!", "Server: hello"]
    with running(*options) as command, wschat.connect(command.url) as ws:
        assert ws.recv(TIMEOUT) == "Welcome to the chat!"
        ws.send("/history")
        assert ws.recv(TIMEOUT) == "Server: hello"


def test_a_history_in_memory_ends_with_the_server() -> None:
    with running(*ANY_PORT, "--history", "memory") as command, ExitStack() as stack:
        assert command.start_line.startswith("wschat serves chat (history: memory) on ")
        alice = join(command, stack)
        alice.say("hello")
        assert len(alice.ask(type="history", room="tea")["messages"]) == 1


def test_keep_messages_limits_the_history(tmp_path: Path) -> None:
    with (
        running(*ANY_PORT, "--history", str(tmp_path / "history"), "--keep-messages", "3", "--rate", "off") as command,
        ExitStack() as stack,
    ):
        alice = join(command, stack)
        for _ in range(10):
            alice.say("x")
        assert [message["seq"] for message in alice.ask(type="history", room="tea", since=0)["messages"]] == [8, 9, 10]


def test_a_second_server_with_the_same_history_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "history"
    with running(*ANY_PORT, "--history", str(path)):
        refused = run(*ANY_PORT, "--history", str(path))
    assert (refused.returncode, refused.stderr) == (2, f"wschat: the history in {path} is in use by another server\n")


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("/dev/null/history", "cannot keep a history in /dev/null/history"),
        ("newer", "use a newer one"),
        ("rubbish", "file is not a database"),
        (".", "Is a directory"),
    ],
)
def test_an_unusable_history_is_reported_in_one_line(tmp_path: Path, place: str, message: str) -> None:
    SqliteBroker(tmp_path / "newer").close()
    with closing(sqlite3.connect(tmp_path / "newer")) as newer:
        newer.execute("PRAGMA user_version = 1000")
    (tmp_path / "rubbish").write_text("This is no database. " * 100)
    refused = run(*ANY_PORT, "--history", place, cwd=tmp_path)
    assert refused.returncode == 2
    assert refused.stderr.startswith("wschat: ")
    assert refused.stderr.count("\n") == 1
    assert message in refused.stderr


def test_nothing_is_acknowledged_while_another_program_has_locked_the_file(tmp_path: Path) -> None:
    path = tmp_path / "history"
    with running(*ANY_PORT, "--history", str(path)) as command, ExitStack() as stack:
        alice, bob = join(command, stack), stack.enter_context(wschat.connect(f"{command.url}rooms/tea"))
        bob.recv(TIMEOUT)
        assert alice.say("before") == 1
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        error = alice.ask(type="say", room="tea", text="meanwhile", id="m")
        assert (error["code"], error["text"]) == ("unavailable", "Sorry, the history cannot be written: database is locked.")
        other.execute("ROLLBACK")
        other.close()
        assert alice.say("meanwhile", id="m") == 2
        assert [bob.recv(TIMEOUT), bob.recv(TIMEOUT)] == ["alice: before", "alice: meanwhile"]
        assert "cannot be kept" in command.errors()


def test_nothing_is_acknowledged_while_the_disk_is_full(tmp_path: Path) -> None:
    path = tmp_path / "history"
    options = (*ANY_PORT, "--history", str(path), "--rate", "off")
    with running(*options) as command, ExitStack() as stack:
        alice = join(command, stack)
        alice.say("before")
        # No file of the server can grow, as on a full disk.
        size = max(file.stat().st_size for file in tmp_path.iterdir())
        before = resource.prlimit(command.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        answers = [alice.ask(type="say", room="tea", text="x" * 10_000) for _ in range(20)]
        acknowledged = [answer["seq"] for answer in answers if answer["type"] == "ack"]
        refused = [answer["code"] for answer in answers if answer["type"] == "error"]
        assert refused
        assert set(refused) == {"unavailable"}
        resource.prlimit(command.process.pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))  # too small even for the next write
        with pytest.raises(urllib.error.HTTPError, match="503"):
            urllib.request.urlopen(f"http://127.0.0.1:{command.port}/readyz")
        resource.prlimit(command.process.pid, resource.RLIMIT_FSIZE, before)
        last = alice.say("there is room again")
        assert acknowledged == list(range(2, last))
        assert command.process.poll() is None
    with running(*options) as command, ExitStack() as stack:
        messages = join(command, stack, "bob").ask(type="history", room="tea")["messages"]
        assert [message["seq"] for message in messages] == list(range(1, last + 1))


def test_queued_messages_are_kept_when_the_server_stops(tmp_path: Path) -> None:
    options = (*ANY_PORT, "--history", str(tmp_path / "history"), "--rate", "off")
    with running(*options) as command, ExitStack() as stack:
        alice = join(command, stack)
        for number in range(500):
            alice.tell(type="say", room="tea", text=str(number))
        alice.next("message")  # some are delivered, others still queued
        command.process.terminate()
        seen = 1 + sum('"type":"message"' in str(message) for message in alice.ws)
        assert alice.ws.closed is not None
        assert alice.ws.closed.code == wschat.CloseCode.GOING_AWAY
        assert command.process.wait(TIMEOUT) == 0
    with running(*options) as command, ExitStack() as stack:
        assert join(command, stack, "bob").ask(type="join", room="tea")["last"] >= seen


def test_tokens_and_moderators(tmp_path: Path) -> None:
    secret, password = tmp_path / "secret", tmp_path / "password"
    secret.write_text("a secret that is long enough for HS256\n")
    password.write_text("open sesame\n")
    with running(*ANY_PORT, "--moderator", f"root:{password}") as command, ExitStack() as stack:
        bob = join(command, stack, "bob")
        root = join(command, stack, "root&password=open+sesame")
        assert root.ask(type="kick", room="tea", name="bob")["type"] == "ack"
        assert bob.next("notice")["text"] == "root removed you from tea."
        eventually(lambda: "root: kick of bob in tea" in command.errors())
    with running(*ANY_PORT, env={"WSCHAT_AUTH_SECRET_FILE": str(secret)}) as command, ExitStack() as stack:
        with pytest.raises(wschat.OpeningFailed):
            wschat.connect(command.url)
        token = mint(secret.read_bytes().strip(), "alice")
        join(command, stack, f"x&token={token}")
        assert token not in command.errors()


@pytest.mark.parametrize(
    ("secret", "message"), [(None, "cannot read"), ("short", "the secret in secret has 5 bytes, and must have at least 32")]
)
def test_an_unusable_secret_is_reported_in_one_line(tmp_path: Path, secret: str | None, message: str) -> None:
    if secret is not None:
        (tmp_path / "secret").write_text(secret)
    refused = run(*ANY_PORT, "--auth-secret-file", "secret", cwd=tmp_path)
    assert refused.returncode == 2
    assert refused.stderr.startswith(f"wschat: {message}")
    assert refused.stderr.count("\n") == 1
