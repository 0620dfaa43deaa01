"""`wschat connect` in a real terminal, against a real chat and a real echo server."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest

import wschat
from tests.cli.terminal.tmux import Window, open_window
from tests.conftest import ServerFactory, url_of
from tests.programs import free_port
from wschat.brokers.memory import MemoryBroker
from wschat.chat.budgets import Budgets
from wschat.chat.chat import SUBPROTOCOLS, Chat
from wschat.connection.connection import Connection

CHECK_TERMINAL = "stty -g | cmp - before && echo terminal as before"
LINES_A_SECOND, FLOODED_SECONDS = 1000, 2


@pytest.fixture
def window(tmp_path: Path) -> Iterator[Window]:
    with open_window(tmp_path) as opened:
        yield opened


def serve_chat(serve: ServerFactory, port: int) -> tuple[wschat.WebSocketServer, str]:
    chat = Chat(MemoryBroker(), budgets=Budgets(None))
    server = serve(chat.handle, check_request=chat.check_request, subprotocols=SUBPROTOCOLS, port=port)
    return server, url_of(server)


def connect(window: Window, url: str, options: str = "") -> None:
    """Run the command, and let the shell print its exit code and the state of the terminal."""
    window.run(
        f"clear; stty -g >before; wschat connect {url} {options}; echo exit code $?; stty -g | cmp - before && echo terminal as before"
    )


def check_is_whole(window: Window, code: int) -> None:
    """Check that the command has ended with this exit code and has restored the terminal."""
    window.wait_for(f"exit code {code}", "terminal as before")
    assert (window.value("alternate_on"), window.value("cursor_flag")) == ("0", "1")


def has_prompt_and_status(rows: list[str]) -> bool:
    """Return True if these rows begin with the status line and the prompt of alice, who has typed something."""
    status, prompt = [*rows, "", ""][:2]
    return prompt == "alice\u203a kept in the prompt" and bool(re.fullmatch(r" 1 lobby +2 members \u00b7 \u25cf .*", status))


def test_the_chat(serve: ServerFactory, window: Window) -> None:
    port = free_port()
    server, url = serve_chat(serve, port)
    connect(window, url, "--name alice")
    rows = window.wait_for("alice\u203a", " 1 lobby", "1 member")
    assert rows[0].startswith(" lobby")
    assert re.fullmatch(r" 1 lobby +1 member \u00b7 \u25cf .*", rows[22])
    assert rows[23] == "alice\u203a"
    title = window.value("pane_title")

    with wschat.ChatClient(url, name="bob", rooms=["lobby"]) as bob:
        bob.say("lobby", "Hello, alice!")
        window.wait_for("bob  Hello, alice!", "2 members")
        window.press("/wh")
        window.wait_for("/who", "list the members of the room")
        window.press("Tab", "Enter")
        window.wait_for("2 in lobby: alice, bob")
        window.press("b", "Tab", "nice to see you", "Enter")
        window.wait_for("alice  bob: nice to see you")

        bob.say("lobby", "\x1b[2J\x1b[31m\x1b]0;owned\x07\x9b5;5H\u202e e" + "\u0301" * 50 + " \u65e5\u672c \U0001f600\r\nbob: forged")
        rows = window.wait_for("bob  \\x1b[2J\\x1b[31m\\x1b]0;owned\\x07\\x9b5;5H\\u202e e", "\u65e5\u672c \U0001f600")
        assert next(row for row in rows if "forged" in row).startswith(" " * 19)
        assert "bob  Hello, alice!" in "\n".join(rows)
        assert window.value("pane_title") == title

        bob.say("lobby", "a message of many words, which must be wrapped anew if the window has another width")
        window.wait_for("another")
        window.press("kept in the prompt")
        window.resize(50, 12)
        # Rows are drawn one after the other.
        window.wait_until(lambda rows: has_prompt_and_status(rows[10:]), "narrow")
        window.wait_for(" " * 19 + "must be wrapped anew if the")
        window.resize(100, 30)
        window.wait_until(lambda rows: has_prompt_and_status(rows[28:]), "wide")
        window.wait_for("  a message of many words, which must be wrapped anew if the window has another")

    server.stop()
    window.wait_for("the connection was lost", "\u25cb reconnecting in")
    window.press("Enter")
    window.wait_for("alice  kept in the prompt \u2026", "1 to send")
    serve_chat(serve, port)
    window.wait_for("connected again")
    window.wait_until(lambda rows: any(row.endswith("alice  kept in the prompt") for row in rows), "said")

    window.press("C-d")
    check_is_whole(window, 0)
    assert "kept in the prompt" in "\n".join(window.rows())  # the last rows are printed on the normal screen


def test_many_lines_a_second(serve: ServerFactory, window: Window) -> None:
    flooded = threading.Event()

    def flood(ws: Connection) -> None:
        assert ws.recv() == "go"
        began_at = monotonic()
        for number in range(LINES_A_SECOND * FLOODED_SECONDS):
            ws.send(f"line {number} {'x' * (number % 100)}")
            flooded.wait(max(0, began_at + number / LINES_A_SECOND - monotonic()))
        ws.send("the last line")
        list(ws)

    connect(window, url_of(serve(flood)))
    window.wait_for("\u25cf connected")
    window.press("go", "Enter")
    for count in range(10):
        window.press(f"{count}")
        rows = window.wait_until(lambda rows, count=count: rows[23].endswith(f"{count}"), "typed")  # type: ignore[misc]
        assert rows[23] == "\u203a " + "".join(map(str, range(count + 1)))
        assert rows[22].startswith(" \u25cf connected")
    rows = window.wait_for("\u2190 the last line", f"{LINES_A_SECOND * FLOODED_SECONDS + 1:,} received")
    assert rows[21:] == ["\u2190 the last line", rows[22], "\u203a 0123456789", ""]
    window.press("C-c", "C-c")
    check_is_whole(window, 0)


def test_the_end_of_the_connection(serve: ServerFactory, window: Window) -> None:
    connect(window, url_of(serve(lambda ws: ws.close(4001, "\x1b[2Jno"))), "-v")
    window.wait_for("\u25cb closed 4001 \\x1b[2Jno", "sec-websocket-accept")
    check_is_whole(window, 4)


def test_suspending_and_ending_by_a_signal(echo_url: str, window: Window) -> None:
    window.run(f"clear; wschat connect {echo_url}; echo exit code $?")
    window.wait_for("\u25cf connected")
    window.press("typed before", "C-z")
    window.wait_for("Stopped", "exit code 148")
    assert window.value("alternate_on") == "0"
    window.run("clear; fg")
    window.wait_for("\u25cf connected", "\u203a typed before")
    window.press("Enter")
    window.wait_for("\u2190 typed before")
    window.press("C-z")
    window.wait_for("Stopped")
    window.run("clear; stty -g >before; kill -TERM %1; fg; " + CHECK_TERMINAL)
    window.wait_for("terminal as before")
    assert (window.value("alternate_on"), window.value("cursor_flag")) == ("0", "1")


def test_a_terminal_that_cannot_move_its_cursor_shows_lines(echo_url: str, window: Window) -> None:
    window.run(f"clear; echo started; TERM=dumb wschat connect {echo_url}; echo exit code $?")
    window.wait_until(lambda rows: rows[:1] == ["started"], "started")  # before that, the screen would be cleared of what is typed
    window.press("hello", "Enter")
    window.wait_until(lambda rows: rows.count("hello") == 2, "answered")
    assert window.value("alternate_on") == "0"
    window.press("C-d")
    window.wait_for("exit code 0")
