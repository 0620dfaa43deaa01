"""Compares what was said and heard with the log of the room. Pure."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from tests.chaos.clients import ANSWER, COMMAND
from tests.chaos.notes import Entry


def errors_in_log(log: Sequence[Entry], said: Iterable[Entry]) -> list[str]:
    """Return the texts that were said and are not in the log, or not once, or with another number; and all others that are in it twice."""
    counts, numbers = Counter(text for _, text in log), {text: seq for seq, text in log}
    errors = [
        f"{text!r} was said as {seq}, and is in the log {counts[text]} times, as {numbers.get(text)}"
        for seq, text in said
        if counts[text] != 1 or numbers[text] != seq
    ]
    return errors + [f"{text!r} is in the log {count} times" for text, count in counts.items() if count > 1]


def errors_in_heard(log: Sequence[Entry], heard: Mapping[str, Sequence[Entry]]) -> list[str]:
    """Return the names of those who have not heard the log once and in order."""
    errors = []
    for name, entries in heard.items():
        for at, (found, logged) in enumerate(itertools.zip_longest(entries, log)):
            if found != logged:
                errors.append(f"{name} has heard {len(entries)} of {len(log)} messages, and in place {at} {found} instead of {logged}")
                break
    return errors


def errors_in_answers(log: Sequence[Entry]) -> list[str]:
    """Return the commands in the log that were not answered once, after they were said."""
    answers: dict[str, list[int]] = {}
    for seq, text in log:
        if text.startswith(ANSWER):
            answers.setdefault(text.removeprefix(ANSWER), []).append(seq)
    errors = []
    for seq, text in log:
        if text.startswith(COMMAND):
            numbers = answers.pop(text.removeprefix(COMMAND), [])
            if len(numbers) != 1 or numbers[0] < seq:
                errors.append(f"{text!r}, number {seq} of the log, was answered {len(numbers)} times: {numbers}")
    return errors + [f"the answer {text!r} has no command" for text in answers]


def without_answers(log: Sequence[Entry]) -> list[Entry]:
    """Return the log without the texts of the bot."""
    return [(seq, text) for seq, text in log if not text.startswith(ANSWER)]
