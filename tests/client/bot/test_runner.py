"""The runner of a bot's handlers: queued and refused messages, intervals, and stopping."""

from __future__ import annotations

import re
import threading

import pytest

from tests.chat.wiring import Guests
from tests.client.bot.conftest import BotFactory
from tests.concurrency import TIMEOUT, eventually
from wschat import Bot
from wschat.client.bot import runner
from wschat.client.bot.message import Message


class Waiting:
    """A bot in a chat whose handler of all messages waits until it may go on."""

    def __init__(self, bot: Bot) -> None:
        self.handled: list[str] = []
        self.go_on = threading.Event()
        bot.on_message()(self._handle)

    def _handle(self, message: Message) -> None:
        self.handled.append(message.text)
        assert self.go_on.wait(TIMEOUT)


def test_messages_above_the_share_of_a_sender_are_logged_and_not_handled(
    chat: Guests, bot_of: BotFactory, caplog: pytest.LogCaptureFixture
) -> None:
    alice, bob = chat.v1("alice", "tea"), chat.v1("bob", "tea")
    bot = bot_of(workers=1, max_pending=4)
    waiting = Waiting(bot)
    with bot:
        eventually(lambda: bot.client.connected)
        for number in range(5):
            alice.say(f"text {number}")
        bob.say("another text")
        eventually(lambda: bot._runner and len(bot._runner._workers._queues) == 2)
        waiting.go_on.set()
    assert sorted(waiting.handled) == ["another text", "text 0", "text 1"]
    counts = re.findall(r"(\d) messages were not handled: too many of their senders were waiting", caplog.text)
    assert counts == ["1", "2"]


def test_a_full_queue_makes_the_bot_wait_and_nothing_is_lost(chat: Guests, bot_of: BotFactory, caplog: pytest.LogCaptureFixture) -> None:
    clients = [chat.v1(f"guest{number}", "tea") for number in range(6)]
    bot = bot_of(workers=1, max_pending=2)
    waiting = Waiting(bot)
    with bot:
        eventually(lambda: bot.client.connected)
        for client in clients:
            client.say(f"text of {client}")
        eventually(lambda: "slower than the messages that come: messages wait" in caplog.text)
        waiting.go_on.set()
        eventually(lambda: len(waiting.handled) == 6)
    assert waiting.handled == [f"text of {client}" for client in clients]
    assert "were not handled" not in caplog.text


def test_messages_that_come_while_the_bot_stops_are_counted(chat: Guests, bot_of: BotFactory, caplog: pytest.LogCaptureFixture) -> None:
    alice = chat.v1("alice", "tea")
    bot = bot_of(workers=1, max_pending=1)
    waiting = Waiting(bot)
    bot.start()
    eventually(lambda: bot.client.connected)
    alice.say("one")
    eventually(lambda: waiting.handled)
    alice.say("two")
    eventually(lambda: "messages wait" in caplog.text)
    runner_of_bot = bot._runner
    assert runner_of_bot is not None
    closing = threading.Thread(target=bot.close)
    closing.start()
    eventually(lambda: runner_of_bot._too_late)
    waiting.go_on.set()
    closing.join()
    assert waiting.handled == ["one"]
    assert "1 messages were not handled: the bot was stopping when they came" in caplog.text
    assert "too many of their senders" not in caplog.text


def test_the_bot_asks_for_the_moderators_after_it_has_waited_and_rejoins_no_room(chat: Guests, bot_of: BotFactory) -> None:
    root, alice = chat.v1(path="/?name=root&password=secret", room="tea"), chat.v1("alice", "coffee")
    root.join("coffee")
    bot = bot_of(workers=1, max_pending=1, max_answers=0, rooms=["tea", "coffee"])
    waiting = Waiting(bot)
    bot.command("wipe", moderators_only=True)(lambda message: message.reply("wiped"))
    with bot:
        eventually(lambda: bot.client.connected)
        root.ask(type="kick", room="coffee", name="dice")
        root.say("one")
        eventually(lambda: waiting.handled == ["one"])
        runner_of_bot = bot._runner
        assert runner_of_bot is not None
        root.say("two")
        eventually(lambda: runner_of_bot._incoming.is_unsure)
        waiting.go_on.set()

        def is_wiped() -> bool:
            root.say("!wipe")
            return bool(root.next(lambda event: event.get("from") == "dice")["text"] == "wiped")

        eventually(is_wiped)
        assert alice.ask(type="who", room="coffee")["members"] == ["alice", "root"]


def test_a_handler_that_does_not_return_is_abandoned(
    chat: Guests, bot_of: BotFactory, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "_DRAIN_SECONDS", 0.05)
    alice = chat.v1("alice", "tea")
    bot, began, finish = bot_of(), threading.Event(), threading.Event()

    @bot.command("wait")
    def wait(message: Message) -> None:
        began.set()
        assert finish.wait(TIMEOUT)
        message.reply("too late")

    with bot:
        eventually(lambda: bot.client.connected)
        alice.say("!wait")
        assert began.wait(TIMEOUT)
    assert "1 handlers and messages were not finished within 0.05 s" in caplog.text
    finish.set()
    eventually(lambda: "!wait could not answer: 1000" in caplog.text)


def test_a_function_at_intervals_does_not_overlap_itself(bot_of: BotFactory) -> None:
    bot, finish = bot_of(), threading.Event()
    calls: list[int] = []

    @bot.every(0.01)
    def tick() -> None:
        calls.append(1)
        assert finish.wait(TIMEOUT)

    ticks: list[int] = []
    bot.every(0.01)(lambda: ticks.append(1))
    with bot:
        eventually(lambda: len(ticks) > 5)
        assert calls == [1]
        finish.set()
        eventually(lambda: len(calls) > 2)
