"""The decorators of a bot that add handlers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from wschat.client.bot.decorators import Decorators
from wschat.client.bot.handlers import Handlers
from wschat.errors import UsageError


def test_the_decorators_return_the_functions_unchanged() -> None:
    handlers = Handlers("!")
    bot = Decorators(handlers)

    def handle(message: object) -> None: ...

    def tick() -> None: ...

    for decorator in (bot.command("a"), bot.on_message(), bot.on_message(re.compile("x")), bot.on_join):
        assert decorator(handle) is handle
    assert bot.every(0.5)(tick) is tick
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
            lambda bot: bot.on_message(one),
            r"on_message takes a pattern, as in .*, or nothing: @bot.on_message\(\), not <function",
        ),
        (lambda bot: bot.on_message("("), r"the pattern '\(' of on_message is not a regular expression"),
        (lambda bot: bot.on_message()(two), r"an on_message handler two\(\) must take one argument, the message: missing"),
        (lambda bot: bot.on_message()(later), r"an on_message handler later\(\) must be a plain function"),
        (lambda bot: bot.on_join(none), r"an on_join handler none\(\) must take one argument, the member: too many"),
        (lambda bot: bot.on_join(3), "an on_join handler must be a function, not 3"),
        (lambda bot: bot.every(none), "every takes a number of seconds, more than 0 and at most .*, not <function none"),
        (lambda bot: bot.every(0), "not 0"),
        (lambda bot: bot.every(float("nan")), "not nan"),
        (lambda bot: bot.every(True), "not True"),
        (lambda bot: bot.every(1)(one), r"a function for every one\(\) must take no arguments: missing"),
        (lambda bot: bot.every(1)(generator), "it has a `yield`"),
        (lambda bot: bot.command(one), "the name of a command must be one word"),
    ],
)
def test_a_function_that_cannot_be_a_handler_is_an_error(add: Callable[[Any], object], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        add(Decorators(Handlers("!")))
