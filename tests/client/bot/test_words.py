"""Splitting the text of a command into words."""

from __future__ import annotations

from time import process_time

import pytest

from wschat.client.bot.words import Words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("  \n ", []),
        ("2d6  +3", ["2d6", "+3"]),
        ('"two words" one', ["two words", "one"]),
        ("'two words' one", ["two words", "one"]),
        ("“two words” one", ["two words", "one"]),
        (r'"a \"quoted\" word" \n', ['a "quoted" word', r"\n"]),
        ("don't  say 'hi", ["don't", "say", "'hi"]),
        ('5" 6"', ['5"', '6"']),
        ('"a"b "c', ['"a"b', '"c']),
        ('"" x', ["", "x"]),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert list(iter(Words(text).take, None)) == words


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("one", None),
        ("one  ", None),
        ("one two  three ", "two  three"),
        ('one "two  three"', "two  three"),
        ('one "two" three', '"two" three'),
        ("one 'two' and 'three'", "'two' and 'three'"),
        ("one two\nthree", "two\nthree"),
    ],
)
def test_the_rest_is_kept_as_it_was_typed(text: str, rest: str | None) -> None:
    words = Words(text)
    assert words.take() == "one"
    assert words.take_rest() == rest
    assert words.take() is None


@pytest.mark.parametrize("part", ['"', '"\\', "'a ", '"a"b ', '"\\" ', "“a "])
def test_the_time_does_not_grow_with_the_square_of_the_length(part: str) -> None:
    began = process_time()
    list(iter(Words(part * 20_000).take, None))
    assert process_time() - began < 5
