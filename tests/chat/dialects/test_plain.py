"""The chat in plain text, as a client sees it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

import wschat
from tests.chat.conftest import ChatFactory
from tests.conftest import ServerFactory, url_of
from wschat.brokers.base import TOPIC, Broker, Draft, Outcome
from wschat.brokers.memory import MemoryBroker
from wschat.chat.budgets import Budgets
from wschat.chat.chat import Chat
from wschat.chat.rates import Rate
from wschat.connection.connection import Connection

GREETING = "Welcome to the chat!"


@pytest.fixture
def chat(serve: ServerFactory) -> wschat.WebSocketServer:
    app = Chat()
    return serve(app.handle, check_request=app.check_request)


@pytest.fixture
def connections() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


class Nobody:
    """A publisher who does not care."""

    def on_appended(self, outcomes: list[Outcome]) -> None:
        pass


class Guests:
    """Opens connections to the chat, past the greeting."""

    def __init__(self, server: wschat.WebSocketServer, connections: ExitStack) -> None:
        self._server, self._connections = server, connections

    def __call__(self, path: str = "/") -> Connection:
        ws = self._connections.enter_context(wschat.connect(url_of(self._server, path)))
        assert ws.recv(timeout=5) == GREETING
        # The answer to a command shows that the room has let it in.
        assert ask(ws, "/who").startswith("In ")
        return ws


@pytest.fixture
def guest(chat: wschat.WebSocketServer, connections: ExitStack) -> Guests:
    return Guests(chat, connections)


def ask(ws: Connection, line: str) -> str:
    ws.send(line)
    answer = ws.recv(timeout=5)
    assert isinstance(answer, str)
    return answer


def test_everyone_gets_each_text_the_sender_included(guest: Guests) -> None:
    one, two = guest(), guest()
    one.send("Hello server!")
    assert one.recv(timeout=5) == "Server: Hello server!"
    assert two.recv(timeout=5) == "Server: Hello server!"


def test_a_name_goes_before_the_text(guest: Guests) -> None:
    alice, other = guest("/?name=alice"), guest()
    alice.send("hi")
    assert other.recv(timeout=5) == "alice: hi"
    assert ask(other, "/nick bob") == "You are now bob."
    other.send("hi alice")
    alice.recv(timeout=5)
    assert alice.recv(timeout=5) == "bob: hi alice"


def test_rooms_do_not_hear_each_other(guest: Guests) -> None:
    lobby, tea, tea_too = guest(), guest("/rooms/tea"), guest("/rooms/TEA")
    lobby.send("in the lobby")
    assert lobby.recv(timeout=5) == "Server: in the lobby"
    tea.send("in the tea room")
    assert tea.recv(timeout=5) == "Server: in the tea room"
    assert tea_too.recv(timeout=5) == "Server: in the tea room"


def test_who_says_who_is_there(guest: Guests) -> None:
    bob = guest("/?name=bob")
    guest("/?name=alice")
    guest()
    assert ask(bob, "/who") == "In lobby: alice, bob, 1 without a name."


def test_help_names_every_command(guest: Guests) -> None:
    answer = ask(guest(), "/help")
    assert all(form in answer for form in ("/nick NAME", "/who", "/help", "//TEXT"))


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("/nick", "Usage: /nick NAME"),
        ("/who there", "Usage: /who"),
        ("/dance", "Unknown command /dance. Type /help for a list, or start with // to send it as text."),
        ("/", "Unknown command /. Type /help for a list, or start with // to send it as text."),
        ("/nick two words", "NAME must be 1 to 32 letters, digits, '-', '_' or '.'. Usage: /nick NAME"),
        ("/join", "Usage: /join ROOM"),
        ("/msg bob", "Usage: /msg NAME TEXT"),
        ("/msg bob hi", "There is no user named bob."),
        ("/me", "Usage: /me TEXT"),
        ("/history all", "LINES must be a whole number from 1 to 1000. Usage: /history [LINES]"),
        ("/kick bob", "Only a moderator of lobby may do that."),
        ("/mute bob soon", "SECONDS must be a number of seconds, 0 or greater. Usage: /mute NAME|ADDRESS [SECONDS]"),
        ("/NICK alice", "You are now alice."),
    ],
)
def test_a_command_that_cannot_be_done_names_the_right_form(guest: Guests, line: str, answer: str) -> None:
    assert ask(guest(), line) == answer


def test_who_goes_to_another_room_hears_that_one_only(guest: Guests) -> None:
    mover, stays, tea = guest(), guest(), guest("/rooms/tea")
    assert ask(mover, "/join Tea") == "You are now in tea."
    stays.send("in the lobby")
    assert stays.recv(timeout=5) == "Server: in the lobby"
    tea.send("in the tea room")
    assert mover.recv(timeout=5) == "Server: in the tea room"
    assert ask(stays, "/who") == "In lobby: 1 without a name."
    assert ask(stays, "/rooms") == "Rooms: lobby (1), tea (2)."


def test_a_topic_is_a_line_for_everyone_in_the_room_and_for_who_joins(serve: ServerFactory, connections: ExitStack) -> None:
    broker = MemoryBroker()
    app = Chat(broker)
    chat = serve(app.handle, check_request=app.check_request)
    guest = Guests(chat, connections)
    stays, comes = guest("/rooms/tea"), guest()
    for text in ("green: or black?", ""):
        broker.append(Draft("tea", "alice", text, kind=TOPIC), Nobody())
    assert stays.recv(timeout=5) == "alice changed the topic to: green: or black?"
    assert stays.recv(timeout=5) == "alice cleared the topic"
    assert ask(comes, "/join tea") == "You are now in tea."
    assert ask(comes, "/who") == "In tea: 2 without a name."
    assert ask(comes, "/join lobby") == "You are now in lobby."
    broker.append(Draft("tea", "bob", "white", kind=TOPIC), Nobody())
    topic = "Topic of tea, set by bob: white"
    assert ask(comes, "/join tea") == f"You are now in tea.\n{topic}"
    assert ask(comes, "/who") == f"In tea: 2 without a name.\n{topic}"
    opens = connections.enter_context(wschat.connect(url_of(chat, "/rooms/tea")))
    assert [opens.recv(timeout=5) for _ in range(2)] == [GREETING, topic]
    lines = "alice changed the topic to: green: or black?\nalice cleared the topic\nbob changed the topic to: white"
    assert ask(opens, "/history") == lines


def test_who_leaves_is_in_no_room_and_may_come_back(guest: Guests) -> None:
    one, other = guest(), guest()
    assert ask(one, "/leave") == "You are no longer in lobby. Type /join ROOM to enter another room."
    assert ask(one, "hello?") == "You are not in a room. Type /join ROOM to enter one."
    assert ask(one, "/leave") == "You are not in a room. Type /join ROOM to enter one."
    assert ask(one, "/join lobby") == "You are now in lobby."
    other.send("welcome back")
    assert one.recv(timeout=5) == "Server: welcome back"


def test_a_whisper_reaches_one_only(guest: Guests) -> None:
    alice, bob, other = guest("/?name=alice"), guest("/rooms/tea?name=bob"), guest("/?name=carol")
    assert ask(alice, "/msg Bob  two  blanks ") == "To Bob: two  blanks"
    assert bob.recv(timeout=5) == "alice whispers: two  blanks"
    alice.send("aloud")
    assert other.recv(timeout=5) == "alice: aloud"


def test_what_one_does_is_told_with_a_star(guest: Guests) -> None:
    alice, other = guest("/?name=alice"), guest()
    alice.send("/me waves")
    assert other.recv(timeout=5) == alice.recv(timeout=5) == "* alice waves"


def test_nothing_is_kept_without_a_history(guest: Guests) -> None:
    ws = guest()
    ws.send("gone")
    ws.recv(timeout=5)
    assert ask(ws, "/history") == "No messages are kept in lobby."


def test_the_last_lines_of_the_history(serve: ServerFactory, connections: ExitStack) -> None:
    guest = Guests(serve(Chat(MemoryBroker()).handle), connections)
    alice, late = guest("/?name=alice"), guest()
    for text in ("one", "two", "/me waves"):
        alice.send(text)
        late.recv(timeout=5)
    assert ask(late, "/history") == "alice: one\nalice: two\n* alice waves"
    assert ask(late, "/history 1") == "* alice waves"


def test_who_says_something_and_closes_at_once_gets_it_too(open_chat: ChatFactory, broker: Broker) -> None:
    ws = open_chat(broker).plain()
    for number in range(3):
        ws.send(f"{number}")
    ws.begin_close()
    assert list(ws) == ["Server: 0", "Server: 1", "Server: 2"]
    assert ws.closed is not None
    assert ws.closed.code == 1000


def test_what_is_asked_for_at_once_is_done_in_order(open_chat: ChatFactory, broker: Broker) -> None:
    ws = open_chat(broker).plain()
    for line in ("one", "two", "/history", "three", "/join tea", "four", "/leave"):
        ws.send(line)
    assert [ws.recv(timeout=5) for _ in range(7)] == [
        "Server: one",
        "Server: two",
        "Server: one\nServer: two",
        "Server: three",
        "You are now in tea.",
        "Server: four",
        "You are no longer in tea. Type /join ROOM to enter another room.",
    ]


def test_two_slashes_say_one(guest: Guests) -> None:
    assert ask(guest(), "//shrug") == "Server: /shrug"


def test_commands_are_not_heard_by_others(guest: Guests) -> None:
    one, two = guest(), guest()
    ask(one, "/nick alice")
    ask(one, "/who")
    one.send("first")
    assert two.recv(timeout=5) == "alice: first"


def test_a_taken_name_is_refused_and_the_connection_goes_on(guest: Guests) -> None:
    guest("/?name=alice")
    assert ask(guest(), "/nick Alice") == "The name Alice is taken."


def test_a_taken_name_in_the_url_closes(guest: Guests, chat: wschat.WebSocketServer) -> None:
    guest("/?name=alice")
    with wschat.connect(url_of(chat, "/?name=alice")) as ws, pytest.raises(wschat.ConnectionClosed) as closed:
        ws.recv(timeout=5)
    assert (closed.value.code, closed.value.reason) == (1008, "The name alice is taken")


def test_who_leaves_gives_the_name_back(guest: Guests) -> None:
    with guest("/?name=alice"):
        pass
    other = guest()
    # The server closes its side before the handler has ended: ask until it has.
    while ask(other, "/nick alice") != "You are now alice.":
        pass


@pytest.mark.parametrize(
    ("path", "status"),
    [("/nowhere", 404), ("/rooms/", 404), ("/rooms/two%20words", 404), ("/rooms/a/b", 404), ("/?name=two+words", 400), ("/?name=", 400)],
)
def test_bad_paths_and_names_are_refused(chat: wschat.WebSocketServer, path: str, status: int) -> None:
    with pytest.raises(wschat.OpeningFailed) as failed:
        wschat.connect(url_of(chat, path))
    assert failed.value.status == status
    assert failed.value.body.endswith(b".\n")


def test_binary_messages_are_not_for_this_chat(guest: Guests) -> None:
    ws = guest()
    ws.send(b"\0\1")
    assert ws.recv(timeout=5) == "Messages must be text, not binary."


def test_a_room_is_gone_when_the_last_one_leaves(guest: Guests) -> None:
    with guest("/rooms/tea") as last:
        assert ask(last, "/who") == "In tea: 1 without a name."
    assert ask(guest("/rooms/Tea"), "/who").startswith("In ")


# How much one may send


def test_who_sends_too_fast_is_told_so_and_nobody_else_gets_it(serve: ServerFactory, connections: ExitStack) -> None:
    chat = Chat(budgets=Budgets(Rate(2, 3600)))
    guest = Guests(serve(chat.handle), connections)
    fast, other = guest(), guest()
    for number in range(5):  # its burst of six, for it has asked who is there
        fast.send(str(number))
    assert [fast.recv(timeout=5) for _ in range(5)] == [f"Server: {number}" for number in range(5)]
    assert ask(fast, "x" * 50) == f"Too fast: at most 2 in 3600 s. Wait 30 min. Not sent: {'x' * 40}..."
    fast.send("and again")  # one is told once, and not for each message
    fast.send(b"12345")
    other.send("not harmed")
    assert [other.recv(timeout=5) for _ in range(6)] == [*(f"Server: {number}" for number in range(5)), "Server: not harmed"]
    assert fast.recv(timeout=5) == "Server: not harmed"


def test_who_goes_on_is_closed_with_1008(serve: ServerFactory, connections: ExitStack) -> None:
    ws = Guests(serve(Chat(budgets=Budgets(Rate(2, 3600))).handle), connections)()
    for _ in range(11):  # what is left of its burst, and as much as a burst again
        ws.send("again")
    # A broadcast may come after an answer that was sent later.
    assert sorted(str(ws.recv(timeout=5)).split()[0] for _ in range(6)) == ["Server:"] * 5 + ["Too"]
    with pytest.raises(wschat.ConnectionClosed, match="1008 too many messages"):
        ws.recv(timeout=5)


def test_without_a_rate_there_is_no_limit(guest: Guests) -> None:
    ws = guest()
    for number in range(200):
        ws.send(str(number))
    assert [ws.recv(timeout=5) for _ in range(200)] == [f"Server: {number}" for number in range(200)]
