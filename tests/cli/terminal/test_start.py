"""The choice of the screen by the options and the server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

import wschat
from tests.cli.terminal.wiring import CTRL_D, ENTER, Terminal, drive, open_terminal
from tests.conftest import ServerFactory, url_of
from tests.programs import free_port
from wschat.brokers.memory import MemoryBroker
from wschat.chat.access import Access
from wschat.chat.chat import SUBPROTOCOLS, Chat
from wschat.cli.client.exit_codes import CommandExit, ExitCode
from wschat.cli.client.options import ConnectOptions
from wschat.cli.terminal.start import run
from wschat.connection.connection import Connection


@pytest.fixture(autouse=True)
def state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    with open_terminal() as opened:
        yield opened


def test_a_server_without_a_chat_gets_the_debugger(serve: ServerFactory, terminal: Terminal, tmp_path: Path) -> None:
    def greet(ws: Connection) -> None:
        ws.send(f"{ws.headers['x-a']} {ws.subprotocol}")
        for message in ws:
            ws.send(message)

    server = serve(greet, subprotocols=["soap"])
    options = ConnectOptions(url=url_of(server), headers=["X-A: 1"], subprotocols=["soap"], verbose=True, timestamps=True)

    def user() -> None:
        terminal.wait_for("\u2190 1 soap", "sec-websocket-protocol: soap", url_of(server))
        terminal.press(f"hello{ENTER}")
        terminal.wait_for("\u2190 hello")
        terminal.press(CTRL_D)

    assert drive(terminal, lambda: run(options), user) == 0
    printed = terminal.written.rpartition("\x1b[?1049l")[2]
    assert "connected to" in printed
    assert "hello" in printed
    assert "closed 1000" in printed
    assert "+hello" in (tmp_path / "wschat/debugger-history").read_text()


@pytest.mark.parametrize("reconnects", [False, True])
def test_a_refusal_is_printed(serve: ServerFactory, terminal: Terminal, reconnects: bool) -> None:
    def refuse(request: wschat.Request) -> None:
        raise wschat.RequestRefused(403, "Not today.")

    url = url_of(serve(lambda ws: None, check_request=refuse))
    with pytest.raises(CommandExit, match="Not today") as raised:
        run(ConnectOptions(url=url, subprotocols=["soap"], reconnect=reconnects))
    assert raised.value.code == ExitCode.NOT_CONNECTED


def test_no_screen_is_shown_without_a_server(terminal: Terminal) -> None:
    with pytest.raises(CommandExit) as raised:
        run(ConnectOptions(url=f"ws://127.0.0.1:{free_port()}", subprotocols=["soap"]))
    assert raised.value.code == ExitCode.NOT_CONNECTED
    assert terminal.written == ""


def serve_chat(serve: ServerFactory) -> str:
    chat = Chat(MemoryBroker(), access=Access(moderators={"mod": "pw"}))
    return url_of(serve(chat.handle, check_request=chat.check_request, subprotocols=SUBPROTOCOLS))


def test_a_chat_server_gets_the_chat_screen(serve: ServerFactory, tmp_path: Path) -> None:
    url = serve_chat(serve)
    # The second time at once: the name is reserved for the guest, which the secret proves the user to be.
    for options in (ConnectOptions(url=url, name="alice", room="tea"), ConnectOptions(url=f"{url}rooms/tea?name=alice")):
        with open_terminal() as terminal:
            assert drive(terminal, partial(run, options), partial(say_hello, terminal)) == 0
            assert "Hello, tea!" in terminal.written.rpartition("\x1b[?1049l")[2]
    assert "+Hello, tea!" in (tmp_path / "wschat/chat-history").read_text()


def test_the_chat_records_the_lines_of_the_room_that_was_given(serve: ServerFactory, terminal: Terminal, tmp_path: Path) -> None:
    url = serve_chat(serve)

    def user() -> None:
        terminal.wait_for("alice\u203a", " 1 tea")
        terminal.press(f"/join coffee{ENTER}")
        terminal.wait_for(" 2 coffee")
        terminal.press(f"not in tea{ENTER}/room tea{ENTER}Hello, tea!{ENTER}")
        terminal.wait_for("alice  Hello, tea!")
        with wschat.ChatClient(url, name="bob", rooms=["tea"]) as bob:
            bob.say("tea", "Hello, alice!")
            terminal.wait_for("bob  Hello, alice!")
        terminal.press(CTRL_D)

    options = ConnectOptions(url=f"{url}?secret=1", name="alice", room="Tea", record=str(tmp_path / "record"))
    assert drive(terminal, lambda: run(options), user) == 0
    entries = [json.loads(line) for line in (tmp_path / "record").read_text().splitlines()]
    assert [(entry.get("direction", entry["type"]), entry.get("text")) for entry in entries] == [
        ("open", None),
        ("sent", "Hello, tea!"),
        ("received", "alice: Hello, tea!"),
        ("received", "bob: Hello, alice!"),
        ("close", None),
    ]
    assert (entries[0]["url"], entries[-1]["code"]) == (url, 1000)


def test_a_recording_of_no_room_is_one_of_the_debugger(serve: ServerFactory, terminal: Terminal, tmp_path: Path) -> None:
    def user() -> None:
        terminal.wait_for("Welcome to the chat!")
        terminal.press(CTRL_D)

    assert drive(terminal, lambda: run(ConnectOptions(url=serve_chat(serve), record=str(tmp_path / "record"))), user) == 0
    assert "Welcome to the chat!" in (tmp_path / "record").read_text()


def say_hello(terminal: Terminal) -> None:
    terminal.wait_for("alice\u203a", " 1 tea")
    terminal.press(f"Hello, tea!{ENTER}")
    terminal.wait_for("alice  Hello, tea!")
    terminal.press(CTRL_D)


def test_a_user_without_a_name_gets_one_that_is_free(serve: ServerFactory, terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "alice")
    url = serve_chat(serve)

    def user() -> None:
        terminal.wait_for("alice2\u203a")
        terminal.press(CTRL_D)

    with wschat.ChatClient(url, name="alice") as alice:
        assert alice.rooms() == []
        assert drive(terminal, lambda: run(ConnectOptions(url=url)), user) == 0


def test_a_taken_name_is_an_error(serve: ServerFactory, terminal: Terminal) -> None:
    url = serve_chat(serve)
    with wschat.ChatClient(url, name="alice") as alice:
        assert alice.rooms() == []
        with pytest.raises(CommandExit, match="The name alice is taken") as raised:
            run(ConnectOptions(url=url, name="alice"))
    assert raised.value.code == ExitCode.NOT_CONNECTED


def test_a_proven_name_is_used(serve: ServerFactory, terminal: Terminal) -> None:
    def user() -> None:
        terminal.wait_for("mod\u203a", " 1 lobby")
        terminal.press(CTRL_D)

    assert drive(terminal, lambda: run(ConnectOptions(url=f"{serve_chat(serve)}?name=mod&password=pw")), user) == 0


def test_a_room_requires_a_chat_server(echo_url: str) -> None:
    with pytest.raises(CommandExit, match="is no chat of wschat"):
        run(ConnectOptions(url=echo_url, room="tea"))


@pytest.mark.parametrize("given", [{"reconnect": True}, {}])
def test_another_server_gets_the_debugger_without_a_subprotocol(echo_url: str, terminal: Terminal, given: dict[str, bool]) -> None:
    def user() -> None:
        terminal.wait_for("\u25cf connected")
        terminal.press(f"hello{ENTER}")
        terminal.wait_for("\u2190 hello")
        terminal.press(CTRL_D)

    assert drive(terminal, lambda: run(ConnectOptions(url=echo_url, **given)), user) == 0  # type: ignore[arg-type]
