"""The clients of the chaos: talkers, a listener and a bot. What each has said and heard is compared with the log."""

from __future__ import annotations

import itertools
import threading
from collections import Counter

import wschat
from wschat.events import Dropped, Gap, MessageEvent

ROOM = "tea"


class Talker:
    """Says one text after the other, and repeats what it does not know about. Its thread runs until `is_over`."""

    def __init__(self, client: wschat.ChatClient, timeout: float) -> None:
        self._client = client
        self._timeout = timeout
        self.said: dict[str, int] = {}
        """The number that each text got for which `say` returned."""
        self.repeated = 0
        """How often `say` was called again with an id."""

    def run(self, is_over: threading.Event) -> None:
        """Talk. Raises the error that ends the client."""
        for number in itertools.count(1):
            if is_over.is_set():
                return
            self._say(f"{self._client.name} {number}")

    def _say(self, text: str) -> None:
        request_id = None
        while True:
            try:
                self.said[text] = self._client.say(ROOM, text, id=request_id, timeout=self._timeout)
            except wschat.OutcomeUnknown as unknown:
                request_id = unknown.id
                self.repeated += 1
            except TimeoutError:
                self.repeated += 1
            else:
                return


class Listener:
    """Notes each message of the room."""

    def __init__(self, client: wschat.ChatClient) -> None:
        self._client = client
        self.heard: list[tuple[int, str]] = []
        """The numbers and the texts, in the order in which they were heard."""
        self.missed: list[object] = []
        """Gaps, and events that were dropped."""

    def run(self) -> None:
        """Listen until the client is closed. Raises the error that has ended it."""
        for event in self._client:
            if isinstance(event, MessageEvent):
                self.heard.append((event.seq, event.text))
            elif isinstance(event, (Gap, Dropped)):
                self.missed.append(event)


def errors_in(log: list[tuple[int, str]], talkers: list[Talker], listeners: dict[str, list[tuple[int, str]]]) -> list[str]:
    """Return what is wrong: a text that was said and is not in the log once, or a listener that has not heard the log once and in order."""
    errors = []
    counts = Counter(text for _, text in log)
    numbers = {text: seq for seq, text in log}
    for text, seq in itertools.chain.from_iterable(talker.said.items() for talker in talkers):
        if counts[text] != 1 or numbers[text] != seq:
            errors.append(f"{text!r} was said as {seq}, and is in the log {counts[text]} times, as {numbers.get(text)}")
    errors += [f"{text!r} is in the log {count} times" for text, count in counts.items() if count > 1]
    for name, heard in listeners.items():
        if heard != log:
            at = next(at for at, (one, other) in enumerate(itertools.zip_longest(heard, log)) if one != other)
            errors.append(f"{name} has heard {len(heard)} of {len(log)} messages, and other ones from place {at} on: {heard[at : at + 3]}")
    return errors
