"""The arguments of a command, from its function."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal

import pytest

from wschat.client.bot.signature import Signature, WrongCall
from wschat.errors import UsageError

if TYPE_CHECKING:
    from wschat.nowhere import Message  # type: ignore[import-not-found]


def roll(message: Message, dice="1d6"): ...  # type: ignore[no-untyped-def]
def add(message: Message, first: int, second: float = 2): ...  # type: ignore[no-untyped-def]
def tell(message: Message, name: str, *, text: str): ...  # type: ignore[no-untyped-def]
def total(message: Message, *numbers: int): ...  # type: ignore[no-untyped-def]
def vote(message: Message, answer: Literal["yes", "no"], loud: bool = False): ...  # type: ignore[no-untyped-def]
def repeat(message: Message, times=3, text: str | None = None): ...  # type: ignore[no-untyped-def]
def alone(message: Message): ...  # type: ignore[no-untyped-def]
def only(message, /, word: str, number: int): ...  # type: ignore[no-untyped-def]


class Bank:
    def pay(self, message: Message, amount: int, to: str) -> None: ...


class Payment:
    def __call__(self, message: Message, amount: int) -> None: ...


@pytest.mark.parametrize(
    ("function", "text", "positional", "keywords"),
    [
        (roll, "", ["1d6"], {}),
        (roll, " 2d6 + 3 ", ["2d6 + 3"], {}),
        (add, "1", [1, 2], {}),
        (add, "1 2.5", [1, 2.5], {}),
        (tell, "bob  see  you", ["bob"], {"text": "see  you"}),
        (tell, '"big bob" hi', ["big bob"], {"text": "hi"}),
        (total, "", [], {}),
        (total, "1 2 3", [1, 2, 3], {}),
        (vote, "YES", ["yes", False], {}),
        (vote, "no on", ["no", True], {}),
        (repeat, "", [3, None], {}),
        (repeat, "2 a b", [2, "a b"], {}),
        (alone, "", [], {}),
        (only, "a 1", ["a", 1], {}),
        (Bank().pay, "3 bob", [3, "bob"], {}),
        (functools.partial(add, second=4), "1 5", [1], {"second": 5.0}),
        (Payment(), "3", [3], {}),
    ],
)
def test_a_text_is_converted_to_the_arguments(
    function: Callable[..., Any], text: str, positional: list[object], keywords: dict[str, object]
) -> None:
    assert Signature(function).bind(text) == (positional, keywords)


@pytest.mark.parametrize(
    ("function", "text", "why"),
    [
        (add, "", "first is missing"),
        (add, "x", "first must be a whole number, not 'x'"),
        (add, "1 x", "second must be a number, not 'x'"),
        (add, "1 2 3", "'3' is one word too many"),
        (tell, "bob", "text is missing"),
        (total, "1 x", "numbers must be a whole number, not 'x'"),
        (vote, "maybe", "answer must be one of yes, no, not 'maybe'"),
        (alone, "please", "'please' is one word too many"),
        (add, "y" * 1000, "first must be a whole number, not '" + "y" * 40 + "'"),
    ],
)
def test_a_text_that_does_not_match_the_signature_is_an_error(function: Callable[..., Any], text: str, why: str) -> None:
    with pytest.raises(WrongCall) as caught:
        Signature(function).bind(text)
    assert str(caught.value) == why


@pytest.mark.parametrize(
    ("function", "usage"),
    [
        (roll, " [DICE]"),
        (add, " FIRST [SECOND]"),
        (tell, " NAME TEXT"),
        (total, " [NUMBERS...]"),
        (vote, " yes|no [yes|no]"),
        (alone, ""),
    ],
)
def test_the_usage(function: Callable[..., Any], usage: str) -> None:
    assert Signature(function).usage == usage


def nothing() -> None: ...
def everything(*message: object) -> None: ...
def keyword(*, message: object) -> None: ...
def many(message: object, *words: str, rest: str) -> None: ...
def two(message: object, *, first: str, second: str) -> None: ...
def options(message: object, **options: str) -> None: ...
def raw(message: object, data: bytes) -> None: ...
def unknown(message: object, data: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821
async def later(message: object) -> None: ...
def generator(message: object) -> Iterator[int]:
    yield 1


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (nothing, r"a command nothing\(\) must take the message as its first argument"),
        (everything, r"must take the message as its first argument, not as \*message"),
        (keyword, "must take the message as its first argument, not as message"),
        (many, r"either \*words or one keyword-only parameter.*, not \*words: 'str', rest: 'str'"),
        (two, "not first: 'str', second: 'str'"),
        (options, r"not \*\*options"),
        (raw, r"a command raw\(\): data must be str, int, float, bool, a Literal or an Enum, not <class 'bytes'>"),
        (unknown, r"unknown\(\): the annotation 'Nowhere' of data has no value: name 'Nowhere' is not defined"),
        (later, "it is async"),
        (generator, "it has a `yield`"),
    ],
)
def test_an_unsupported_signature_is_an_error(function: Callable[..., Any], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        Signature(function)
