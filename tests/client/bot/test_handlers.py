"""The decorators that add handlers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from wschat.client.bot.handlers import Handlers
from wschat.client.bot.message import Member, Message
from wschat.client.bot.outlets import Recorder
from wschat.errors import UsageError


def message(text: str, room: str = "tea") -> Message:
    return Message(room, "alice", text, 1, 0.0, False, Recorder())


def test_a_message_that_is_a_command_is_for_all_and_the_command_is_first() -> None:
    handlers = Handlers("!")
    called: list[str] = []
    handlers.on_message()(lambda message: called.append("all"))
    handlers.on_message(r"\d+d\d+")(lambda message: called.append(f"pattern {message.match[0]}"))
    handlers.on_message("tea")(lambda message: called.append("another pattern"))
    handlers.command("roll")(lambda message, dice: called.append(f"command {dice}"))
    for call in handlers.calls_for_message(message("!roll 2d6")):
        call.run()
    assert called == ["command 2d6", "all", "pattern 2d6"]


def test_a_whisper_is_for_commands_only() -> None:
    handlers = Handlers("!")
    handlers.on_message()(lambda message: None)
    handlers.command("roll")(lambda message: None)
    assert [call.name for call in handlers.calls_for_message(message("!roll", room=""))] == ["!roll"]
    assert handlers.calls_for_message(message("hello", room="")) == []


def test_errors_are_answered_where_an_answer_is_expected() -> None:
    handlers = Handlers("!")
    handlers.on_message()(lambda message: None)
    handlers.on_message("roll")(lambda message: None)
    handlers.command("roll")(lambda message: None)
    handlers.on_join(lambda member: None)
    assert [call.is_answered for call in handlers.calls_for_message(message("!roll"))] == [True, False, True]
    assert [call.is_answered for call in handlers.calls_for_member(Member("tea", "bob", False, Recorder()))] == [False]


def test_the_decorators_return_the_functions_unchanged() -> None:
    handlers = Handlers("!")

    def handle(message: object) -> None: ...

    def tick() -> None: ...

    for decorator in (handlers.command("a"), handlers.on_message(), handlers.on_message(re.compile("x")), handlers.on_join):
        assert decorator(handle) is handle
    assert handlers.every(0.5)(tick) is tick
    assert [(periodic.seconds, periodic.function) for periodic in handlers.periodic] == [(0.5, tick)]


def one(message: object) -> None: ...
def two(message: object, other: object) -> None: ...
def none() -> None: ...
async def later(message: object) -> None: ...
def generator() -> Iterator[None]:
    yield


@pytest.mark.parametrize(
    ("add", "why"),
    [
        (
            lambda handlers: handlers.on_message(one),
            r"on_message takes a pattern, as in .*, or nothing: @bot.on_message\(\), not <function",
        ),
        (lambda handlers: handlers.on_message("("), r"the pattern '\(' of on_message is not a regular expression"),
        (lambda handlers: handlers.on_message()(two), r"an on_message handler two\(\) must take one argument, the message: missing"),
        (lambda handlers: handlers.on_message()(later), r"an on_message handler later\(\) must be a plain function"),
        (lambda handlers: handlers.on_join(none), r"an on_join handler none\(\) must take one argument, the member: too many"),
        (lambda handlers: handlers.on_join(3), "an on_join handler must be a function, not 3"),
        (lambda handlers: handlers.every(none), "every takes a number of seconds, more than 0 and at most .*, not <function none"),
        (lambda handlers: handlers.every(0), "not 0"),
        (lambda handlers: handlers.every(float("nan")), "not nan"),
        (lambda handlers: handlers.every(True), "not True"),
        (lambda handlers: handlers.every(1)(one), r"a function for every one\(\) must take no arguments: missing"),
        (lambda handlers: handlers.every(1)(generator), "it has a `yield`"),
        (lambda handlers: handlers.command(one), "the name of a command must be one word"),
    ],
)
def test_what_could_not_be_called_is_an_error(add: Callable[[Any], object], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        add(Handlers("!"))
