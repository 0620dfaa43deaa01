"""`--room`: lines are messages to a room, whose messages are printed, in a pipe, a script and a replay."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from queue import SimpleQueue

import pytest

from tests.chat.conftest import ChatFactory, open_chat  # noqa: F401  # a fixture
from tests.chat.wiring import Guests
from tests.cli.client.command import run
from tests.concurrency import TIMEOUT
from tests.conftest import ServerFactory, echo, url_of
from wschat.brokers.memory import MemoryBroker
from wschat.chat.access import Access
from wschat.chat.budgets import Budgets
from wschat.chat.chat import SUBPROTOCOLS, Chat
from wschat.chat.rates import Rate
from wschat.connection.connection import Connection

BLANK = "\xa0" * 50  # which the chat rejects


@pytest.fixture
def guests(open_chat: ChatFactory) -> Guests:  # noqa: F811  # the fixture
    return open_chat(MemoryBroker())


@pytest.fixture
def url(guests: Guests) -> str:
    return url_of(guests.server)


def test_lines_are_sent_and_messages_printed(guests: Guests, url: str) -> None:
    bob = guests.v1("bob", "tea")
    done = run(url, "--room", "tea", "--name", "anna", given="hi\r\n\n/me waves\n/who\nGrüße")
    assert (done.code, done.lines, done.err) == (0, ["anna: hi", "* anna waves", "anna: /who", "anna: Grüße"], "")
    assert [bob.next("message")["text"] for _ in range(4)] == ["hi", "/me waves", "/who", "Grüße"]


def test_scripts_of_two_users(guests: Guests, url: str) -> None:
    bob = guests.v1("bob", "tea")
    command = [sys.executable, "-m", "wschat.client", url, "--room", "tea", "--name", "anna", "--send", "ping", "--expect", "^bob: pong$"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert bob.next("message")["text"] == "ping"
            bob.tell(type="whisper", to="anna", text="psst")
            bob.tell(type="topic", room="tea", text="green")
            bob.say("pong")
            assert process.wait(TIMEOUT) == 0
        finally:
            process.kill()
        assert process.stdout is not None
        # Whispers are not ordered among the messages of the room.
        assert sorted(process.stdout.read().splitlines()) == [
            "anna: ping",
            "bob changed the topic to: green",
            "bob whispers: psst",
            "bob: pong",
        ]


def test_a_replay_sends_the_lines_again(url: str, tmp_path: Path) -> None:
    path = str(tmp_path / "recording")
    done = run(url, "--room", "tea", "--name", "anna", "--send", "a", "--expect", "a", "--send", "b", "--record", path)
    assert (done.code, done.lines) == (0, ["anna: a", "anna: b"])
    entries = [json.loads(line) for line in Path(path).read_text().splitlines()]
    assert [entry["text"] for entry in entries[1:-1] if entry["direction"] == "sent"] == ["a", "b"]
    again = run(url, "--room", "tea", "--name", "anna", "--replay", path)
    assert (again.code, again.lines, again.err) == (0, ["anna: a", "anna: b"], "")
    other = run(url, "--room", "tea", "--name", "bob", "--replay", path, "--timeout", "0.1")
    assert other.code == 1
    assert other.err.splitlines()[1:] == ["    bob: a", "    bob: b"]


def test_a_line_is_acknowledged_although_the_last_message_was_received(url: str) -> None:
    for _ in range(20):
        assert run(url, "--room", "tea", "--name", "anna", "--count", "1", given="a\nb\nc\n").code == 0


def test_json_has_all_events(url: str) -> None:
    done = run(url, "--room", "tea", "--name", "anna", "--json", "--send", "hi", "--count", "1")
    entries = [json.loads(line) for line in done.lines]
    assert done.code == 0
    assert [entry["type"] for entry in entries] == ["open", "welcome", "joined", "message", "close"]
    assert entries[3].items() >= {"room": "tea", "seq": 1, "from": "anna", "text": "hi"}.items()
    assert all(entry["time"].endswith("Z") for entry in entries)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--room", "no room", "--name", "anna"], "bad-field: join: "),
        (["--room", "tea"], "nameless: "),
        (["--room", "tea", "--name", "bob"], "connection closed: 1008 The name bob is taken"),
    ],
)
def test_a_refusal_of_the_chat(guests: Guests, url: str, arguments: list[str], error: str) -> None:
    guests.v1("bob", "tea")
    done = run(url, *arguments, given="hi\n")
    assert (done.code, done.out) == (3, b"")
    assert done.err.startswith(f"wschat: {url}: {error}")
    assert len(done.err.splitlines()) == 1


def test_a_server_that_is_no_chat(serve: ServerFactory) -> None:
    url = url_of(serve(echo))
    done = run(url, "--room", "tea", "--name", "anna", given="hi\n")
    assert (done.code, done.out) == (3, b"")
    assert "the server does not speak wschat.v1: is it a chat of wschat?" in done.err


def test_a_server_that_is_not_there() -> None:
    done = run("ws://127.0.0.1:1/?a=secret", "--room", "tea", "--name", "anna", "--send", "hi")
    assert (done.code, done.err) == (3, "wschat: ws://127.0.0.1:1/: connection refused by 127.0.0.1:1: is the server running?\n")


def test_a_line_that_is_rejected_is_told_and_others_are_said(open_chat: ChatFactory) -> None:  # noqa: F811  # the fixture
    url = url_of(open_chat(MemoryBroker()).server)
    done = run(url, "--room", "tea", "--name", "anna", given=f"a\n{BLANK}\nb\n")
    assert (done.code, done.lines) == (1, ["anna: a", "anna: b"])
    rejected, total = done.err.splitlines()
    assert rejected.startswith(f"wschat: {url}: bad-field: ")
    assert rejected.endswith(f"Not said: {BLANK[:40]}...")
    assert total == f"wschat: {url}: lines not said: 1"
    assert run(url, "--room", "tea", "--name", "anna", "--quiet", given=BLANK) == (1, b"", "")
    scripted = run(url, "--room", "tea", "--name", "anna", "--send", BLANK)
    assert scripted.code == 1
    assert "(step 1 of 1): bad-field: " in scripted.err


def test_many_lines_wait_for_the_rate(open_chat: ChatFactory) -> None:  # noqa: F811  # the fixture
    url = url_of(open_chat(MemoryBroker(), budgets=Budgets(Rate(8, 0.5))).server)
    done = run(url, "--room", "tea", "--name", "anna", given="".join(f"{number}\n" for number in range(20)))
    assert (done.code, done.lines) == (0, [f"anna: {number}" for number in range(20)])


def test_a_member_who_is_kicked(open_chat: ChatFactory) -> None:  # noqa: F811  # the fixture
    guests = open_chat(MemoryBroker(), access=Access(moderators={"mod": "password"}))
    url = url_of(guests.server)
    moderator = guests.v1(path="/?name=mod&password=password")
    moderator.join("tea")
    with running(url, "--name", "anna") as process:
        assert process.stderr is not None
        moderator.next(lambda event: event["type"] == "member" and event["name"] == "anna")
        moderator.ask(type="kick", room="tea", name="anna")
        assert process.wait(TIMEOUT) == 4
        assert process.stderr.read() == f"wschat: {url}: removed from the room tea (kick)\n"


@pytest.mark.parametrize(("options", "code"), [((), 4), pytest.param(("--reconnect",), 130, marks=pytest.mark.gil)])
def test_a_lost_connection(serve: ServerFactory, options: Sequence[str], code: int) -> None:
    connections: SimpleQueue[Connection] = SimpleQueue()
    chat = Chat(MemoryBroker())

    def handle(ws: Connection) -> None:
        connections.put(ws)
        chat.handle(ws)

    url = url_of(serve(handle, check_request=chat.check_request, subprotocols=SUBPROTOCOLS))
    with running(url, "--name", "anna", *options) as process, closing(chat):
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write("a\n")
        assert process.stdout.readline() == "anna: a\n"
        connections.get(timeout=TIMEOUT).close(1011, "later")
        assert process.stderr.readline().startswith(f"wschat: {url}: ")
        if options:
            process.stdin.write("b\n")
            assert process.stdout.readline() == "anna: b\n"
            process.send_signal(signal.SIGINT)
        assert process.wait(TIMEOUT) == code


@contextmanager
def running(url: str, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Run the command in the room tea, with an input that stays open."""
    command = [sys.executable, "-m", "wschat.client", url, "--room", "tea", *options]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def closing_at(kind: str) -> Callable[[Connection], None]:
    """Return the handler of a chat that closes the connection with 1011 at the first request of this type."""

    def handle(ws: Connection) -> None:
        ws.send(json.dumps({"type": "welcome", "server": "test", "name": "anna", "limits": {}}))
        for message in ws:
            request = json.loads(message)
            if request["type"] == kind:
                ws.close(1011, "oops")
            elif request["type"] == "join":
                joined = {
                    "type": "joined",
                    "room": "tea",
                    "epoch": "1",
                    "last": 0,
                    "members": [],
                    "messages": [],
                    "more": False,
                    "gap": False,
                }
                ws.send(json.dumps({**joined, "id": request["id"]}))
            else:
                ws.send(json.dumps({"type": "pong", "id": request["id"]}))

    return handle


@pytest.mark.parametrize(("kind", "code"), [("join", 3), ("ping", 3), ("say", 4)])
def test_a_connection_that_ends_in_the_middle_of_a_request(serve: ServerFactory, kind: str, code: int) -> None:
    url = url_of(serve(closing_at(kind), subprotocols=SUBPROTOCOLS))
    for arguments, given in ((["--send", "hi"], ""), ([], "hi\n")):
        done = run(url, "--room", "tea", "--name", "anna", *arguments, given=given)
        assert (done.code, done.out) == (code, b"")
        assert done.err.startswith(f"wschat: {url}: ")
        assert "connection closed: 1011 oops" in done.err
        assert len(done.err.splitlines()) == 1
