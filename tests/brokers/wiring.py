"""Helpers for the tests of brokers: publishers and subscribers that record, and texts that are easily damaged."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from tests.concurrency import TIMEOUT
from wschat.brokers.base import TOPIC, Broker, Draft, Message, Outcome, Result

EVERYTHING = 1_000_000
SECOND = 1 / 86_400  # in days

# Texts that would change if they were cut at a NUL, normalized, stripped, or pasted into an SQL statement.
TEXTS = [
    "",
    " ",
    "\0",
    "a\0b",
    "\0a",
    "\r\n",
    "a\n",
    "é",
    "e\u0301",
    "ß",
    "SS",
    "😀",
    "\uffff\U0010ffff",
    "'",
    '"',
    "%_",
    "1",
    "1.0",
    "x" * 1_000_000,
    "😀" * 100_000,
]


class RecordingPublisher:
    """A publisher that records the outcomes of its drafts."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._changed = threading.Condition()  # guards `outcomes`
        self.outcomes: list[Outcome] = []

    def on_appended(self, outcomes: list[Outcome]) -> None:
        with self._changed:
            self.outcomes += outcomes
            self._changed.notify_all()

    def begin(self, *drafts: Draft) -> None:
        """Append drafts without waiting for their results."""
        for draft in drafts:
            self._broker.append(draft, self)

    def wait_for(self, number: int) -> list[Result]:
        """Wait for the results of all drafts, which must be this many."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.outcomes) >= number, TIMEOUT), "a publisher did not get its results"
            assert len(self.outcomes) == number
            return [result for _, result in self.outcomes]


class RecordingSubscriber:
    """A subscriber that records messages, how many of them it has been asked to flush, and losses; members as `+name` and `-name`."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.members: list[str] = []
        self.losses: list[int] = []
        self.sent = 0
        self._sending = threading.Lock()  # guards `sent`

    def on_messages(self, messages: Sequence[Message]) -> None:
        self.messages.extend(messages)

    def on_members(self, joined: Sequence[str], left: Sequence[str]) -> None:
        self.members += [*(f"+{name}" for name in joined), *(f"-{name}" for name in left)]

    def on_lost(self, last: int, topic: Message | None) -> None:
        self.losses.append(last)

    def flush(self) -> None:
        with self._sending:
            self.sent = len(self.messages)


class IgnoringPublisher:
    """A publisher that ignores the outcomes of its drafts."""

    def on_appended(self, outcomes: list[Outcome]) -> None:
        """Do nothing."""


def append(broker: Broker, *drafts: Draft) -> list[Result]:
    """Append drafts and return their results, in the order of the drafts: those of different rooms may come in another one."""
    publisher = RecordingPublisher(broker)
    publisher.begin(*(draft._replace(tag=number) for number, draft in enumerate(drafts)))
    publisher.wait_for(len(drafts))
    results = {draft.tag: result for draft, result in publisher.outcomes}
    return [results[number] for number in range(len(drafts))]


def say(broker: Broker, room: str, *texts: str, key: str | None = None) -> list[Result]:
    return append(broker, *(Draft(room, "alice", text, key) for text in texts))


def set_topic(broker: Broker, room: str, text: str, key: str | None = None) -> Result:
    (result,) = append(broker, Draft(room, "alice", text, key, kind=TOPIC))
    return result


def topic_text(broker: Broker, room: str) -> str | None:
    topic = broker.topic(room)
    return topic.text if topic else None


def numbers(messages: Sequence[Message]) -> list[int]:
    return [message.seq for message in messages]


def texts(messages: Sequence[Message]) -> list[str]:
    return [message.text for message in messages]


def upto(last: int) -> list[int]:
    return list(range(1, last + 1))


def last_numbers(broker: Broker) -> dict[str, int]:
    """Return the last number of each room that has messages."""
    return dict(broker.rooms(None, EVERYTHING))


def log_of(broker: Broker, room: str) -> list[Message]:
    """Read the whole log of a room, in as many pages as it takes."""
    log: list[Message] = []
    while some := broker.read_since(room, log[-1].seq if log else 0, EVERYTHING):
        log += some
    return log
