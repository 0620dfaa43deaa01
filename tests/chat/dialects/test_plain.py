"""The chat in plain text, as a client sees it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

import wschat
from tests.brokers.wiring import IgnoringPublisher
from tests.chat.conftest import ChatFactory
from tests.concurrency import TIMEOUT
from tests.conftest import ServerFactory, url_of
from wschat.brokers.base import TOPIC, Broker, Draft, Subscriber
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


class PlainClients:
    """Opens plain text connections to a chat, and waits for the greeting: then they are in their room."""

    def __init__(self, server: wschat.WebSocketServer, connections: ExitStack) -> None:
        self._server, self._connections = server, connections

    def __call__(self, path: str = "/") -> Connection:
        ws = self._connections.enter_context(wschat.connect(url_of(self._server, path)))
        assert ws.recv(timeout=5) == GREETING
        return ws


@pytest.fixture
def guest(chat: wschat.WebSocketServer, connections: ExitStack) -> PlainClients:
    return PlainClients(chat, connections)


def ask(ws: Connection, line: str) -> str:
    ws.send(line)
    answer = ws.recv(timeout=5)
    assert isinstance(answer, str)
    return answer


def test_a_client_with_the_greeting_is_in_its_room(open_chat: ChatFactory) -> None:
    has_greeting = threading.Event()
    had_greeting: list[bool] = []

    class LateBroker(MemoryBroker):
        def subscribe(self, room: str, subscriber: Subscriber) -> int:
            had_greeting.append(has_greeting.wait(0.3))
            return super().subscribe(room, subscriber)

    ws = open_chat(LateBroker()).connect()
    assert ws.recv(TIMEOUT) == GREETING
    has_greeting.set()
    assert had_greeting == [False]


def test_all_members_including_the_sender_get_a_message(guest: PlainClients) -> None:
    one, two = guest(), guest()
    one.send("Hello server!")
    assert one.recv(timeout=5) == "Server: Hello server!"
    assert two.recv(timeout=5) == "Server: Hello server!"


def test_a_message_begins_with_the_name_of_its_sender(guest: PlainClients) -> None:
    alice, other = guest("/?name=alice"), guest()
    alice.send("hi")
    assert other.recv(timeout=5) == "alice: hi"
    assert ask(other, "/nick bob") == "You are now bob."
    other.send("hi alice")
    alice.recv(timeout=5)
    assert alice.recv(timeout=5) == "bob: hi alice"


def test_messages_stay_in_their_room(guest: PlainClients) -> None:
    lobby, tea, tea_too = guest(), guest("/rooms/tea"), guest("/rooms/TEA")
    lobby.send("in the lobby")
    assert lobby.recv(timeout=5) == "Server: in the lobby"
    tea.send("in the tea room")
    assert tea.recv(timeout=5) == "Server: in the tea room"
    assert tea_too.recv(timeout=5) == "Server: in the tea room"


def test_who_lists_the_members(guest: PlainClients) -> None:
    bob = guest("/?name=bob")
    guest("/?name=alice")
    guest()
    assert ask(bob, "/who") == "In lobby: alice, bob, 1 without a name."


def test_help_names_every_command(guest: PlainClients) -> None:
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
def test_commands_reply_with_their_result_or_an_error(guest: PlainClients, line: str, answer: str) -> None:
    assert ask(guest(), line) == answer


def test_join_moves_a_client_to_another_room(guest: PlainClients) -> None:
    mover, stays, tea = guest(), guest(), guest("/rooms/tea")
    assert ask(mover, "/join Tea") == "You are now in tea."
    stays.send("in the lobby")
    assert stays.recv(timeout=5) == "Server: in the lobby"
    tea.send("in the tea room")
    assert mover.recv(timeout=5) == "Server: in the tea room"
    assert ask(stays, "/who") == "In lobby: 1 without a name."
    assert ask(stays, "/rooms") == "Rooms: lobby (1), tea (2)."


def test_a_topic_is_a_line_for_all_members_and_for_new_ones(serve: ServerFactory, connections: ExitStack) -> None:
    broker = MemoryBroker()
    app = Chat(broker)
    chat = serve(app.handle, check_request=app.check_request)
    guest = PlainClients(chat, connections)
    stays, comes = guest("/rooms/tea"), guest()
    for text in ("green: or black?", ""):
        broker.append(Draft("tea", "alice", text, kind=TOPIC), IgnoringPublisher())
    assert stays.recv(timeout=5) == "alice changed the topic to: green: or black?"
    assert stays.recv(timeout=5) == "alice cleared the topic"
    assert ask(comes, "/join tea") == "You are now in tea."
    assert ask(comes, "/who") == "In tea: 2 without a name."
    assert ask(comes, "/join lobby") == "You are now in lobby."
    broker.append(Draft("tea", "bob", "white", kind=TOPIC), IgnoringPublisher())
    topic = "Topic of tea, set by bob: white"
    assert ask(comes, "/join tea") == f"You are now in tea.\n{topic}"
    assert ask(comes, "/who") == f"In tea: 2 without a name.\n{topic}"
    opens = connections.enter_context(wschat.connect(url_of(chat, "/rooms/tea")))
    assert [opens.recv(timeout=5) for _ in range(2)] == [GREETING, topic]
    lines = "alice changed the topic to: green: or black?\nalice cleared the topic\nbob changed the topic to: white"
    assert ask(opens, "/history") == lines


def test_a_client_that_has_left_can_join_again(guest: PlainClients) -> None:
    one, other = guest(), guest()
    assert ask(one, "/leave") == "You are no longer in lobby. Type /join ROOM to enter another room."
    assert ask(one, "hello?") == "You are not in a room. Type /join ROOM to enter one."
    assert ask(one, "/leave") == "You are not in a room. Type /join ROOM to enter one."
    assert ask(one, "/join lobby") == "You are now in lobby."
    other.send("welcome back")
    assert one.recv(timeout=5) == "Server: welcome back"


def test_a_whisper_reaches_its_recipient_only(guest: PlainClients) -> None:
    alice, bob, other = guest("/?name=alice"), guest("/rooms/tea?name=bob"), guest("/?name=carol")
    assert ask(alice, "/msg Bob  two  blanks ") == "To Bob: two  blanks"
    assert bob.recv(timeout=5) == "alice whispers: two  blanks"
    alice.send("aloud")
    assert other.recv(timeout=5) == "alice: aloud"


def test_me_is_shown_with_an_asterisk(guest: PlainClients) -> None:
    alice, other = guest("/?name=alice"), guest()
    alice.send("/me waves")
    assert other.recv(timeout=5) == alice.recv(timeout=5) == "* alice waves"


def test_without_a_history_no_messages_are_kept(guest: PlainClients) -> None:
    ws = guest()
    ws.send("gone")
    ws.recv(timeout=5)
    assert ask(ws, "/history") == "No messages are kept in lobby."


def test_history_shows_the_last_messages(serve: ServerFactory, connections: ExitStack) -> None:
    guest = PlainClients(serve(Chat(MemoryBroker()).handle), connections)
    alice, late = guest("/?name=alice"), guest()
    for text in ("one", "two", "/me waves"):
        alice.send(text)
        late.recv(timeout=5)
    assert ask(late, "/history") == "alice: one\nalice: two\n* alice waves"
    assert ask(late, "/history 1") == "* alice waves"


def test_a_client_that_closes_at_once_still_gets_its_messages(open_chat: ChatFactory, broker: Broker) -> None:
    ws = open_chat(broker).plain()
    for number in range(3):
        ws.send(f"{number}")
    ws.begin_close()
    assert list(ws) == ["Server: 0", "Server: 1", "Server: 2"]
    assert ws.closed is not None
    assert ws.closed.code == 1000


def test_pipelined_lines_are_handled_in_order(open_chat: ChatFactory, broker: Broker) -> None:
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


def test_two_slashes_are_an_escape_for_one(guest: PlainClients) -> None:
    assert ask(guest(), "//shrug") == "Server: /shrug"


def test_commands_are_not_sent_to_other_members(guest: PlainClients) -> None:
    one, two = guest(), guest()
    ask(one, "/nick alice")
    ask(one, "/who")
    one.send("first")
    assert two.recv(timeout=5) == "alice: first"


def test_a_taken_name_is_refused_and_the_connection_goes_on(guest: PlainClients) -> None:
    guest("/?name=alice")
    assert ask(guest(), "/nick Alice") == "The name Alice is taken."


def test_a_taken_name_in_the_url_closes_with_1008(guest: PlainClients, chat: wschat.WebSocketServer) -> None:
    guest("/?name=alice")
    with wschat.connect(url_of(chat, "/?name=alice")) as ws, pytest.raises(wschat.ConnectionClosed) as closed:
        ws.recv(timeout=5)
    assert (closed.value.code, closed.value.reason) == (1008, "The name alice is taken")


def test_the_name_of_a_disconnected_client_is_free(guest: PlainClients) -> None:
    with guest("/?name=alice"):
        pass
    other = guest()
    # The server ends the stream before the handler has returned: repeat until it has.
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


def test_binary_messages_are_refused(guest: PlainClients) -> None:
    ws = guest()
    ws.send(b"\0\1")
    assert ws.recv(timeout=5) == "Messages must be text, not binary."


def test_a_room_can_be_joined_again_after_its_last_member_has_left(guest: PlainClients) -> None:
    with guest("/rooms/tea") as last:
        assert ask(last, "/who") == "In tea: 1 without a name."
    assert ask(guest("/rooms/Tea"), "/who").startswith("In ")


# Rates


def test_a_message_above_the_rate_is_refused_with_an_error(serve: ServerFactory, connections: ExitStack) -> None:
    chat = Chat(budgets=Budgets(Rate(2, 3600)))
    guest = PlainClients(serve(chat.handle), connections)
    fast, other = guest(), guest()
    for number in range(6):  # its burst
        fast.send(str(number))
    assert [fast.recv(timeout=5) for _ in range(6)] == [f"Server: {number}" for number in range(6)]
    assert ask(fast, "x" * 50) == f"Too fast: at most 2 in 3600 s. Wait 30 min. Not sent: {'x' * 40}..."
    fast.send("and again")  # the error is sent once, not for each message
    fast.send(b"12345")
    other.send("other message")
    assert [other.recv(timeout=5) for _ in range(7)] == [*(f"Server: {number}" for number in range(6)), "Server: other message"]
    assert fast.recv(timeout=5) == "Server: other message"


def test_a_client_far_above_the_rate_is_closed_with_1008(serve: ServerFactory, connections: ExitStack) -> None:
    ws = PlainClients(serve(Chat(budgets=Budgets(Rate(2, 3600))).handle), connections)()
    for _ in range(12):  # its burst, and as much again
        ws.send("again")
    # A broadcast may arrive after a reply that was sent later.
    assert sorted(str(ws.recv(timeout=5)).split()[0] for _ in range(7)) == ["Server:"] * 6 + ["Too"]
    with pytest.raises(wschat.ConnectionClosed, match="1008 too many messages"):
        ws.recv(timeout=5)


def test_without_a_rate_there_is_no_limit(guest: PlainClients) -> None:
    ws = guest()
    for number in range(200):
        ws.send(str(number))
    assert [ws.recv(timeout=5) for _ in range(200)] == [f"Server: {number}" for number in range(200)]
