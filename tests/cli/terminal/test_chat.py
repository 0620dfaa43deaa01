"""The chat, with a real server and a terminal without a process."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from prompt_toolkit.history import InMemoryHistory

import wschat
from tests.cli.terminal.wiring import CTRL_D, ENTER, PAGE_UP, TAB, Terminal, drive, open_terminal
from tests.concurrency import TIMEOUT, eventually
from tests.conftest import ServerFactory, url_of
from tests.programs import free_port
from wschat.brokers.memory import MemoryBroker
from wschat.chat.access import Access
from wschat.chat.budgets import Budgets
from wschat.chat.chat import SUBPROTOCOLS
from wschat.chat.chat import Chat as Server
from wschat.cli.client.recording import Recording
from wschat.cli.terminal.chat import Chat
from wschat.cli.terminal.room_recording import RoomRecording
from wschat.client.reconnect import Attempt
from wschat.errors import Rejected
from wschat.events import TypingEvent, to_json


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    with open_terminal() as opened:
        yield opened


@pytest.fixture
def url(serve: ServerFactory) -> str:
    return serve_chat(serve)[1]


def serve_chat(serve: ServerFactory, port: int = 0) -> tuple[wschat.WebSocketServer, str]:
    server = Server(MemoryBroker(), access=Access(moderators={"mod": "pw"}), budgets=Budgets(None))
    started = serve(server.handle, check_request=server.check_request, subprotocols=SUBPROTOCOLS, port=port)
    return started, url_of(started)


def make_chat(url: str, name: str = "alice", **options: str) -> Chat:
    def make_client(on_attempt: Callable[[Attempt], object]) -> wschat.ChatClient:
        return wschat.ChatClient(url, name=name, rooms=["lobby"], on_attempt=on_attempt, **options)  # type: ignore[arg-type]

    return Chat("ws://place", make_client, InMemoryHistory(), RoomRecording(Recording(None), "ws://place", "lobby"))


def chat(url: str, terminal: Terminal, user: Callable[[], None], name: str = "alice", **options: str) -> int:
    return drive(terminal, make_chat(url, name, **options).run, user)


def other(url: str, name: str = "bob") -> wschat.ChatClient:
    return wschat.ChatClient(url, name=name, rooms=["lobby"])


def test_messages_are_sent_and_received(url: str, terminal: Terminal) -> None:
    def user() -> None:
        terminal.wait_for("alice\u203a", " 1 lobby", "1 member")
        with other(url) as bob:
            bob.say("lobby", "Hello, alice!")
            terminal.wait_for("bob  Hello, alice!", "2 members", "bob joined")
            terminal.press(f"Hello, bo{TAB}{ENTER}//slash{ENTER}/me waves{ENTER}")
            terminal.wait_for("alice  Hello, bob", "alice  /slash", "*  alice waves")
            bob.whisper("alice", "psst")
            terminal.wait_for("bob \u2192 alice: psst")
            terminal.press(f"/msg bob not so loud{ENTER}")
            terminal.wait_for("alice \u2192 bob: not so loud")
            terminal.press("I am typing")
            while not isinstance(event := bob.recv(TIMEOUT), TypingEvent):
                pass
            assert (event.room, event.name) == ("lobby", "alice")
            bob.run("typing", room="lobby")
            terminal.wait_for("bob is typing\u2026")
        terminal.wait_for("bob left", "1 member")
        terminal.press(f"\x15{CTRL_D}")

    assert chat(url, terminal, user) == 0


def test_rooms_are_joined_switched_and_left(url: str, terminal: Terminal) -> None:
    def user() -> None:
        terminal.wait_for(" 1 lobby")
        terminal.press(f"/join tea{ENTER}")
        terminal.wait_for(" 1 lobby  2 tea")
        terminal.press(f"in tea{ENTER}")
        terminal.wait_for("alice  in tea")
        with other(url) as bob:
            bob.say("lobby", "one")
            bob.say("lobby", "two for alice")
            terminal.wait_for(" 1 lobby 2!  2 tea")
            terminal.press("\x1ba")
            terminal.wait_for("bob  two for alice")
            terminal.press("\x1b2")
            terminal.wait_for("alice  in tea")
            terminal.press(f"/room lob{ENTER}")
            terminal.wait_for("bob  one")
            terminal.press("\x1b[1;3C")
            terminal.wait_for("alice  in tea")
        terminal.press(f"/leave{ENTER}")
        terminal.wait_until(lambda rows: rows[-2].startswith(" 1 lobby ") and "tea" not in rows[-2], "left")
        terminal.press(f"/join lobby{ENTER}/room 7{ENTER}")
        terminal.wait_for("you are not in 7: /join 7")
        terminal.press("\x15/quit\r")

    assert chat(url, terminal, user) == 0


def test_the_room_in_front_is_in_the_status_line_among_very_many(url: str, terminal: Terminal) -> None:
    def user() -> None:
        terminal.wait_for(" 1 lobby", " ms")
        for number in range(2, 31):
            terminal.press(f"/join room-{number}{ENTER}")
        rows = terminal.wait_for("29 room-29  30 room-30", "1 member")
        assert rows[-2].startswith("\u2026")
        assert " 1 lobby" not in rows[-2]
        for number in (29, 28):
            terminal.press("\x1b[1;3D")
            terminal.wait_until(lambda rows, number=number: rows[0].startswith(f" room-{number} "), "another room")  # type: ignore[misc]
            rows = terminal.wait_for(f"{number - 1} room-{number - 1}  {number} room-{number}\u2026", "1 member \u00b7 \u25cf")
        terminal.press("\x1b1")
        terminal.wait_for(" 1 lobby  2 room-2  3 room-3")
        terminal.press(CTRL_D)

    assert chat(url, terminal, user) == 0


def test_commands_of_the_server(url: str, terminal: Terminal) -> None:
    def user() -> None:
        terminal.wait_for(" 1 lobby", " ms")
        terminal.press("/to")
        terminal.wait_for("/topic [TEXT]")
        terminal.press(f"{TAB}News{ENTER}")
        terminal.wait_for("alice set the topic: News", " lobby  News")
        terminal.press(f"/who{ENTER}/rooms{ENTER}/topic{ENTER}/kick bob{ENTER}/foo{ENTER}")
        terminal.wait_for("1 in lobby: alice", "rooms: lobby (1)", "the topic of lobby, set by alice: News")
        terminal.wait_for("Only a moderator", "Unknown command /foo")
        terminal.press(f"/nick Alice2{ENTER}")
        terminal.wait_for("alice is now Alice2", "Alice2\u203a")
        terminal.press(f"/clear{ENTER}/help{ENTER}")
        terminal.wait_for("/msg NAME TEXT", "Ctrl-C, Ctrl-D")
        terminal.press(CTRL_D)

    assert chat(url, terminal, user) == 0


def test_older_messages_are_read_at_the_top(url: str, terminal: Terminal) -> None:
    with other(url) as bob:
        for number in range(250):
            bob.say("lobby", f"message {number}.")

    made = make_chat(url)

    def user() -> None:
        terminal.wait_for("message 249.")
        room = made.model.rooms["lobby"]
        while "message 0." not in "\n".join(terminal.rows()):
            eventually(lambda: not room.is_loading)  # until then, there is nothing to scroll to
            rows = terminal.rows()
            terminal.press(PAGE_UP)
            terminal.wait_until(lambda now, rows=rows: now != rows, "scrolled")  # type: ignore[misc]
        terminal.wait_for("more lines")
        terminal.press("\x1b[1;5F")
        terminal.wait_for("message 249.")
        terminal.press(CTRL_D)

    assert drive(terminal, made.run, user) == 0


def test_messages_typed_without_a_connection_are_sent_later(serve: ServerFactory, terminal: Terminal) -> None:
    port = free_port()
    server, url = serve_chat(serve, port)

    def user() -> None:
        terminal.wait_for(" 1 lobby", "\u25cf")
        server.stop()
        terminal.wait_for("the connection was lost", "\u25cb reconnecting in")
        terminal.press(f"first{ENTER}second{ENTER}")
        terminal.wait_for("alice  first \u2026", "alice  second \u2026", "2 to send")
        serve_chat(serve, port)
        terminal.wait_for("connected again")
        terminal.wait_until(lambda rows: any(row.endswith("alice  second") for row in rows), "said")
        terminal.press(CTRL_D)

    assert chat(url, terminal, user) == 0


def test_a_refused_text_is_reported(url: str, terminal: Terminal) -> None:
    def user() -> None:
        terminal.wait_for(" 1 lobby")
        with wschat.ChatClient(url, name="mod", password="pw", rooms=["lobby"]) as mod:
            mod.run("mute", room="lobby", name="alice")
            terminal.wait_for("alice was muted")
            terminal.press(f"let me speak{ENTER}")
            terminal.wait_for("not said: let me speak (You are muted")
            mod.run("kick", room="lobby", name="alice")
            terminal.wait_for("you were removed", "mod removed you from lobby.")
            terminal.press(f"hello?{ENTER}")
            terminal.wait_for("you are not in lobby any more: /join lobby", "\u203a hello?")
            terminal.press(f"\x15/join lobby{ENTER}")
            terminal.wait_for("you are back in lobby")
            mod.run("kick", room="lobby", name="alice")
            terminal.wait_until(lambda rows: sum("you were removed" in row for row in rows) == 2, "removed again")
        terminal.press(f"/leave{ENTER}")
        terminal.wait_for("not in a room")
        terminal.press(f"hello{ENTER}")
        terminal.wait_for("you are not in a room: /join one first")
        terminal.press(f"\x15{CTRL_D}")

    assert chat(url, terminal, user) == 0


def test_hostile_texts_do_not_reach_the_terminal(url: str, terminal: Terminal) -> None:
    def user() -> None:
        terminal.wait_for(" 1 lobby")
        with other(url) as bob:
            bob.say("lobby", "\x1b[2J\x1b]0;owned\x07\x9b2J\u202e" + "e" + "\u0301" * 100)
            terminal.wait_for("\\x1b[2J\\x1b]0;owned\\x07\\x9b2J\\u202e")
        terminal.press(CTRL_D)

    chat(url, terminal, user)
    assert "]0;owned\x07" not in terminal.written
    assert "\u202e" not in terminal.written
    assert "\u0301" * 5 not in terminal.written


def test_the_screen_keeps_up_with_many_messages(url: str, terminal: Terminal) -> None:
    def user() -> None:
        terminal.wait_for(" 1 lobby")
        terminal.press("typed before")
        with wschat.connect(f"{url}?name=bob", subprotocols=["wschat.v1"]) as bob:
            bob.send(to_json({"type": "join", "room": "lobby"}))
            for number in range(3000):
                bob.send(to_json({"type": "say", "room": "lobby", "text": f"message {number}."}))
            rows = terminal.wait_for("message 2999.")
        assert rows[-1] == "alice\u203a typed before"
        terminal.press(f"\x15{CTRL_D}")

    made = make_chat(url)
    assert drive(terminal, made.run, user) == 0
    texts = [line.text().rpartition("  ")[2] for line in made.transcript.lines]
    assert [text for text in texts if text.startswith("message")] == [f"message {number}." for number in range(3000)]


def test_a_name_that_is_taken_ends_the_client(url: str, terminal: Terminal) -> None:
    with other(url, "alice") as first:
        assert first.members("lobby") == ["alice"]
        with pytest.raises(Rejected, match="The name alice is taken"):
            drive(terminal, make_chat(url).run, lambda: None)


def test_the_user_can_leave_while_there_is_no_server(serve: ServerFactory, terminal: Terminal) -> None:
    server, url = serve_chat(serve)
    made = make_chat(url)

    def user() -> None:
        terminal.wait_for(" 1 lobby", "\u25cf")
        server.stop()
        terminal.wait_for("\u25cb reconnecting in")
        terminal.press(f"never said{ENTER}nor this{ENTER}{CTRL_D}")

    assert drive(terminal, made.run, user) == 0
    assert [(waiting.room, waiting.text) for waiting in made.unsaid] == [("lobby", "never said"), ("lobby", "nor this")]


def test_messages_typed_just_before_the_end_are_sent(url: str, terminal: Terminal) -> None:
    made = make_chat(url)

    def user() -> None:
        terminal.wait_for(" 1 lobby", "\u25cf")
        terminal.press(f"one{ENTER}two{ENTER}three{ENTER}{CTRL_D}")

    assert drive(terminal, made.run, user) == 0
    assert made.unsaid == []
    with other(url) as bob:
        assert [getattr(message, "text", "") for message in bob.history("lobby")] == ["one", "two", "three"]
