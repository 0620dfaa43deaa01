"""The runner of a bot's handlers: queued and refused messages, intervals, and stopping."""

from __future__ import annotations

import threading
from itertools import count

import pytest

from tests.chat.wiring import Guests
from tests.client.bot.conftest import BotFactory
from tests.concurrency import TIMEOUT, eventually
from wschat.client.bot import runner
from wschat.client.bot.message import Message


def test_messages_above_the_limit_are_logged_and_not_handled(chat: Guests, bot_of: BotFactory, caplog: pytest.LogCaptureFixture) -> None:
    alice = chat.v1("alice", "tea")
    bot, finish = bot_of(workers=1, max_pending=2), threading.Event()
    handled: list[str] = []

    @bot.on_message()
    def note(message: Message) -> None:
        handled.append(message.text)
        assert finish.wait(TIMEOUT)

    with bot:
        eventually(lambda: bot.client.connected)
        for number in range(5):
            alice.say(f"text {number}")
        eventually(lambda: "those that come are not handled" in caplog.text)
        finish.set()
        eventually(lambda: handled[:2] == ["text 0", "text 1"])
        numbers = count(5)

        def is_handled_again() -> bool:
            alice.say(f"text {next(numbers)}")
            return len(handled) > 2

        eventually(is_handled_again)
    assert "text 2" not in handled
    assert "messages are handled again" in caplog.text


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
