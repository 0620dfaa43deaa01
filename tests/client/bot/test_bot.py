"""`wschat.Bot`: with messages fed by a test, and in a chat."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from queue import Empty, SimpleQueue
from typing import Any

import pytest

from tests.chat.wiring import Client, Guests
from tests.client.bot.conftest import BotFactory
from tests.concurrency import TIMEOUT, eventually
from tests.conftest import ServerFactory, url_of
from tests.connection.wiring import Wiring, wire  # noqa: F401  # a fixture
from wschat import Bot, OpeningFailed, UsageError
from wschat.brokers.memory import MemoryBroker
from wschat.chat.access import Access
from wschat.chat.chat import SUBPROTOCOLS, Chat
from wschat.client.bot.message import Member, Message

URL = "ws://127.0.0.1:1"


def is_connected(bot: Bot) -> bool:
    try:
        return bot.client.connected
    except UsageError:
        return False


def until_connected(bot: Bot) -> None:
    """Wait until a bot is in its rooms. Other members get its join a moment earlier; the bot does not handle messages from then."""
    eventually(lambda: is_connected(bot))


def dice_bot() -> Bot:
    bot = Bot(URL, name="dice")

    @bot.command("roll", help="roll dice: !roll 2d6", cooldown=1000)
    def roll(message: Message, dice: str = "1d6") -> None:
        message.reply(f"{dice} is 4")

    @bot.command("fail")
    def fail(message: Message) -> None:
        raise KeyError("lost")

    @bot.command("wipe", moderators_only=True)
    def wipe(message: Message) -> None:
        bot.say(message.room, "wiped", id="wipe-1")
        bot.whisper("root", f"{message.sender} has wiped {message.room}")

    @bot.on_message("(?i)thanks")
    def thank(message: Message) -> None:
        message.whisper(f"You are welcome, {message.sender}: {message.match and message.match[0]}")

    return bot


def test_feeding_a_message_returns_the_replies() -> None:
    bot = dice_bot()
    assert bot.feed("!roll 2d6") == ["2d6 is 4"]
    assert bot.feed("hello") == []
    assert bot.feed("!roll") == ["Wait 1000 s before you use !roll again."]
    assert bot.feed("!roll", sender="bob") == ["1d6 is 4"]


def test_an_exception_of_a_fed_handler_propagates() -> None:
    with pytest.raises(KeyError):
        dice_bot().feed("!fail")


def test_fed_replies_have_their_destination() -> None:
    replies = dice_bot().feed("!wipe", room="tea", moderator=True)
    assert [(str(reply), reply.room, reply.to) for reply in replies] == [("wiped", "tea", ""), ("alice has wiped tea", "", "root")]
    assert dice_bot().feed("!wipe") == ["Only moderators may use !wipe."]
    (whisper,) = dice_bot().feed("Thanks!", sender="bob")
    assert (whisper, whisper.to) == ("You are welcome, bob: Thanks", "bob")


def test_a_fed_whisper_is_answered_by_a_whisper() -> None:
    (reply,) = dice_bot().feed("!roll", room="")
    assert (reply, reply.to) == ("1d6 is 4", "alice")


def test_the_bots_own_message_is_not_handled() -> None:
    assert dice_bot().feed("!roll", sender="Dice") == []


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"name": ""}, "a bot must have a name, not ''"),
        ({"rooms": "lobby"}, "rooms must be a list of names"),
        ({"rooms": []}, "rooms must be a list of names"),
        ({"url": "http://x"}, "must begin with ws:// or wss://"),
        ({"prefix": "/"}, "a prefix must be"),
        ({"workers": 0}, "workers must be at least 1, not 0"),
        ({"max_pending": 0}, "max_pending must be at least 1, not 0"),
        ({"max_answers": -1}, "max_answers must be at least 0, not -1"),
        ({"catch_up": -1}, r"catch_up must be 0 to .* seconds, not -1"),
        ({"catch_up": float("nan")}, r"catch_up must be 0 to .* seconds, not nan"),
    ],
)
def test_an_invalid_argument_is_an_error(arguments: dict[str, Any], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        Bot(**{"url": URL, "name": "dice", **arguments})


def test_a_bot_that_is_not_running_cannot_send() -> None:
    for speak in (lambda: dice_bot().say("tea", "hi"), lambda: dice_bot().whisper("bob", "hi"), lambda: dice_bot().client):
        with pytest.raises(UsageError, match=r"the bot does not run: call run\(\) or start\(\) first"):
            speak()


def test_a_bot_answers_in_the_chat(chat: Guests, bot_of: BotFactory) -> None:
    alice = chat.v1("alice", "tea")
    bot = bot_of()

    @bot.command("roll")
    def roll(message: Message, dice: str = "1d6") -> None:
        message.reply(f"{dice} by {message.sender} in {message.room} at {message.seq}: {bot.client.members('tea')}")

    with bot:
        until_connected(bot)
        seq = alice.say("!roll 2d6")
        reply = alice.next(lambda event: event.get("from") == "dice")
        assert reply["text"] == f"2d6 by alice in tea at {seq}: ['alice', 'dice']"
        alice.ask(type="whisper", to="dice", text="!help roll")
        assert alice.next("whisper")["text"] == "Usage: !roll [DICE]"
    assert alice.next(lambda event: event.get("event") == "leave")["name"] == "dice"


def test_a_bot_greets_new_members_and_sends_at_intervals(chat: Guests, bot_of: BotFactory) -> None:
    alice = chat.v1("alice", "tea")
    bot = bot_of()
    bot.on_join(lambda member: member.reply(f"hello {member.name}, moderator: {member.is_moderator}"))
    ticks = iter(range(1000))
    bot.every(0.01)(lambda: bot.say("tea", f"tick {next(ticks)}"))
    with bot:
        assert alice.next(lambda event: event.get("text") == "tick 3")
        chat.v1(path="/?name=root&password=secret", room="tea")
        assert alice.next(lambda event: event.get("text") == "hello root, moderator: True")
        chat.v1("bob", "tea")
        assert alice.next(lambda event: event.get("text") == "hello bob, moderator: False")


def test_moderators_are_known_from_the_events_of_the_room(chat: Guests, bot_of: BotFactory) -> None:
    root, alice = chat.v1(path="/?name=root&password=secret", room="tea"), chat.v1("alice", "tea")
    bot = bot_of()
    bot.command("wipe", moderators_only=True)(lambda message: message.reply("wiped"))

    def answer_to(text: str) -> str:
        alice.say(text)
        return str(alice.next(lambda event: event.get("from") == "dice")["text"])

    with bot:
        until_connected(bot)
        root.say("!wipe")
        assert alice.next(lambda event: event.get("from") == "dice")["text"] == "wiped"
        assert answer_to("!wipe") == "Only moderators may use !wipe."
        root.ask(type="op", room="tea", name="alice")
        assert answer_to("!wipe") == "wiped"
        alice.ask(type="nick", name="carol")
        assert answer_to("!wipe") == "wiped"
        chat.v1("alice", "tea").say("!wipe", id="another alice")  # the former name of a moderator
        assert alice.next(lambda event: event.get("from") == "dice")["text"] == "Only moderators may use !wipe."


def test_a_handler_that_fails_is_logged_and_answered(chat: Guests, bot_of: BotFactory, caplog: pytest.LogCaptureFixture) -> None:
    alice = chat.v1("alice", "tea")
    bot = bot_of()

    @bot.command("fail")
    def fail(message: Message) -> None:
        raise KeyError("lost")

    bot.on_message()(lambda message: 1 / 0)
    bot.on_message("fail")(lambda message: message.reply("and after it"))
    with bot:
        until_connected(bot)
        alice.say("!fail")
        assert alice.next(lambda event: event.get("from") == "dice")["text"] == "Sorry, !fail failed."
        assert alice.next(lambda event: event.get("from") == "dice")["text"] == "and after it"
    assert "!fail failed" in caplog.text
    assert "KeyError: 'lost'" in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_a_slow_handler_does_not_delay_others(chat: Guests, bot_of: BotFactory) -> None:
    alice, bob = chat.v1("alice", "tea"), chat.v1("bob", "tea")
    bot, finish = bot_of(workers=2), threading.Event()

    @bot.command("wait")
    def wait(message: Message) -> None:
        assert finish.wait(TIMEOUT)
        message.reply("waited")

    bot.command("hi")(lambda message: message.reply(f"hi {message.sender}"))
    with bot:
        until_connected(bot)
        for text in ("!wait", "!hi", "!hi"):
            alice.say(text)
        bob.say("!hi")
        assert bob.next(lambda event: event.get("from") == "dice")["text"] == "hi bob"
        finish.set()
        answers = [bob.next(lambda event: event.get("from") == "dice")["text"] for _ in range(3)]
        assert answers == ["waited", "hi alice", "hi alice"]


def test_two_bots_that_answer_everything_stop(chat: Guests, bot_of: BotFactory, caplog: pytest.LogCaptureFixture) -> None:
    alice = chat.v1("alice", "tea")
    for name in ("echo", "parrot"):
        bot = bot_of(name)
        bot.on_message()(lambda message: message.reply(f"{message.sender} said {message.text[:20]}"))
        bot.start()
        until_connected(bot)
    alice.say("hello")
    eventually(lambda: "draws too many answers" in caplog.text)
    alice.say("that was all")
    texts = [event["text"] for event in alice.seen() if event["type"] == "message"]
    assert len(texts) < 60


def test_a_bot_does_not_answer_its_other_names_and_connections(chat: Guests, bot_of: BotFactory) -> None:
    alice = chat.v1("alice", "tea")
    bot, handled = bot_of(), []

    @bot.on_message()
    def note(message: Message) -> None:
        handled.append(message.text)
        bot.say("tea", f"I heard {message.text}")

    with bot:
        until_connected(bot)
        alice.say("one")
        assert alice.next(lambda event: event.get("text") == "I heard one")
        bot.client.run("nick", name="cube")
        assert alice.next(lambda event: event.get("event") == "rename")
        alice.say("two")
        assert alice.next(lambda event: event.get("text") == "I heard two")["from"] == "cube"
    assert handled == ["one", "two"]


class MovingChat:
    """A chat whose server is stopped and replaced by another one."""

    def __init__(self, serve: ServerFactory, stack: ExitStack) -> None:
        self._serve, self._stack = serve, stack
        self._chat = Chat(MemoryBroker(), access=Access(moderators={"root": "secret"}))
        stack.callback(self._chat.close)
        self._urls: SimpleQueue[str] = SimpleQueue()
        self.guests = self._open()

    def move(self) -> None:
        """Stop the server, and start another one, whose URL is returned after `show`."""
        self.guests.server.stop()
        self.guests = self._open()

    def _open(self) -> Guests:
        server = self._serve(self._chat.handle, check_request=self._chat.check_request, subprotocols=SUBPROTOCOLS)
        self._stack.callback(server.stop)
        return Guests(server, self._stack)

    def show(self) -> None:
        """Let clients get the URL of the server."""
        self._urls.put(url_of(self.guests.server))

    def url(self) -> str:
        """Wait for `show` and return the URL, or at the end of the test a URL without a server."""
        try:
            return self._urls.get(timeout=TIMEOUT)
        except Empty:
            return URL


@pytest.fixture
def moving_chat(serve: ServerFactory) -> Iterator[MovingChat]:
    with ExitStack() as stack:
        yield MovingChat(serve, stack)


@pytest.mark.parametrize(("catch_up", "is_handled"), [(60.0, True), (0.0, False)])
def test_messages_missed_while_the_connection_was_lost_are_handled_if_recent(
    moving_chat: MovingChat, bot_of: BotFactory, catch_up: float, is_handled: bool
) -> None:
    bot = bot_of(url=moving_chat.url, catch_up=catch_up)
    bot.command("hi")(lambda message: message.reply(f"hi {message.sender}"))
    bot.command("wipe", moderators_only=True)(lambda message: message.reply("wiped"))
    alice = moving_chat.guests.v1("alice", "tea")
    alice.say("!hi from before it joined")
    moving_chat.show()
    with bot:
        until_connected(bot)
        alice.ws.close()
        moving_chat.move()
        bob, root = moving_chat.guests.v1("bob", "tea"), moving_chat.guests.v1(path="/?name=root&password=secret", room="tea")
        bob.say("!hi")
        root.say("!wipe")
        moving_chat.show()
        until_connected(bot)
        if is_handled:
            assert answers(root, 2) == {"hi bob", "Only moderators may use !wipe."}
        root.say("!wipe")
        assert answers(root, 1) == {"wiped"}


def answers(client: Client, number: int) -> set[str]:
    return {client.next(lambda event: event.get("from") == "dice")["text"] for _ in range(number)}


def test_run_returns_after_stop_and_can_be_called_again(bot_of: BotFactory, wire: Wiring) -> None:  # noqa: F811  # the fixture
    bot = bot_of()
    for _ in range(2):
        running = wire.run(bot.run)
        until_connected(bot)
        with pytest.raises(UsageError, match="the bot runs already"):
            bot.start()
        bot.stop()
        bot.stop()
        running.result(TIMEOUT)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_run(bot_of: BotFactory, number: int, wire: Wiring) -> None:  # noqa: F811  # the fixture
    bot = bot_of()
    before = signal.signal(signal.SIGTERM, lambda *_: bot.stop())
    try:
        bot.every(0.01)(lambda: os.kill(os.getpid(), number) if is_connected(bot) else None)
        bot.run()
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_handler_may_stop_the_bot_and_runs_to_its_end(chat: Guests, bot_of: BotFactory) -> None:
    alice = chat.v1("alice", "tea")
    bot = bot_of()

    @bot.command("quit")
    def leave(message: Message) -> None:
        bot.stop()
        message.reply("bye")

    bot.on_join(lambda member: None)
    thread = threading.Thread(target=bot.run)
    thread.start()
    until_connected(bot)
    alice.say("!quit")
    assert alice.next(lambda event: event.get("from") == "dice")["text"] == "bye"
    thread.join(TIMEOUT)
    assert not thread.is_alive()


def test_a_final_error_ends_run(chat: Guests, bot_of: BotFactory, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(OpeningFailed, match="401"):
        bot_of("root", password="wrong").run()
    assert "the bot has no connection any more" in caplog.text


def test_a_started_bot_without_a_connection_can_be_stopped(bot_of: BotFactory) -> None:
    bot = Bot(URL, name="dice")
    with bot:
        began = time.monotonic()
    assert time.monotonic() - began < TIMEOUT


def test_no_handler_can_be_added_while_the_bot_runs(bot_of: BotFactory) -> None:
    bot = bot_of()
    with bot:
        for add, function in (
            (bot.command("roll"), lambda message: None),
            (bot.on_message(), lambda message: None),
            (bot.on_join, lambda member: None),
            (bot.every(1), lambda: None),
        ):
            with pytest.raises(UsageError, match="add handlers before the bot runs"):
                add(function)
    bot.on_join(lambda member: None)


def test_a_join_handler_gets_new_members(chat: Guests, bot_of: BotFactory) -> None:
    bot, members = bot_of(), list[Member]()
    bot.on_join(members.append)
    with bot:
        until_connected(bot)
        chat.v1("bob", "tea")
        eventually(lambda: members)
    assert [(member.room, member.name, member.is_moderator) for member in members] == [("tea", "bob", False)]
