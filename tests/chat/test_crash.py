"""Pulling the plug: whatever was acknowledged is there, once, with its number, and nobody who comes back misses anything."""

from __future__ import annotations

import contextlib
import itertools
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import wschat
from tests.brokers.wiring import last_numbers, log_of
from tests.chat.wiring import Client, Event
from tests.connection.wiring import PATIENCE
from tests.server.command import Command, running
from wschat.brokers.base import Retention
from wschat.brokers.sqlite.broker import SqliteBroker
from wschat.chat.dialects.v1 import SUBPROTOCOL

ROUNDS = 10
ROOMS = 10
PEOPLE_IN_A_ROOM = 5


class Talker:
    """Says one message after the other. When it comes back it asks for what it missed, and repeats what was not acknowledged."""

    def __init__(self, number: int) -> None:
        self.name = f"talker-{number}"
        self.room = f"room-{number % ROOMS}"
        self.acknowledged: dict[str, int] = {}
        self.seen: list[Event] = []
        self._numbers = itertools.count(1)
        self._pending: str | None = None

    def talk(self, url: str, acks: threading.Semaphore) -> None:
        """Until the server is gone."""
        with contextlib.suppress(wschat.ConnectionClosed, OSError, wschat.OpeningFailed):
            self._come_and_talk(url, acks, rounds=None)

    def catch_up(self, url: str) -> None:
        """One visit more, in peace."""
        self._come_and_talk(url, threading.Semaphore(), rounds=1)

    def _come_and_talk(self, url: str, acks: threading.Semaphore, rounds: int | None) -> None:
        with wschat.connect(f"{url}?name={self.name}", subprotocols=[SUBPROTOCOL]) as ws:
            client = Client(ws)
            since = self.seen[-1]["seq"] if self.seen else 0
            self._see(client.catch_up(self.room, since))
            for _ in itertools.count() if rounds is None else range(rounds):
                if self._pending is None:
                    self._pending = f"{self.name} says {next(self._numbers)}"
                client.tell(type="say", room=self.room, text=self._pending, id=self._pending)
                while self._pending is not None:
                    event = client.next(lambda event: event["type"] in ("message", "ack"))
                    if event["type"] == "message":
                        self._see([event])
                    elif event["id"] == self._pending:
                        self.acknowledged[self._pending] = event["seq"]
                        self._pending = None
                        acks.release()

    def _see(self, messages: list[Event]) -> None:
        for message in messages:
            assert message["seq"] == (self.seen[-1]["seq"] if self.seen else 0) + 1, "a hole, or something twice"
            self.seen.append(message)


def kill(command: Command) -> None:
    """As when the plug is pulled: no chance to say or write anything."""
    command.process.kill()
    command.process.wait(PATIENCE)


@pytest.mark.timeout(120)
def test_ten_kills_in_the_middle_of_fifty_that_talk(tmp_path: Path) -> None:
    options = ["--port", "0", "--history", str(tmp_path / "history"), "--keep-messages", "0", "--rate", "off", "--log-level", "warning"]
    talkers = [Talker(number) for number in range(ROOMS * PEOPLE_IN_A_ROOM)]
    # Any moment will do, but it is the same ones whenever this fails.
    moments = random.Random(2000)
    with ThreadPoolExecutor(len(talkers)) as threads:
        for _ in range(ROUNDS):
            acks = threading.Semaphore(0)
            with running(*options) as command:
                talking = [threads.submit(talker.talk, command.url, acks) for talker in talkers]
                for _ in range(moments.randrange(100, 500)):
                    assert acks.acquire(timeout=PATIENCE)
                kill(command)
                for talk in talking:
                    talk.result(PATIENCE)
        with running(*options) as command:
            for talk in [threads.submit(talker.catch_up, command.url) for talker in talkers]:
                talk.result(PATIENCE)
            assert command.stop() == 0

    broker = SqliteBroker(tmp_path / "history", Retention(0, 0))
    try:
        logs = {room: log_of(broker, room) for room in last_numbers(broker)}
    finally:
        broker.close()
    for talker in talkers:
        log = logs[talker.room]
        assert [message.seq for message in log] == list(range(1, len(log) + 1))
        own = [message for message in log if message.sender == talker.name]
        assert {message.text: message.seq for message in own} == talker.acknowledged
        assert len(own) == len(talker.acknowledged)
        assert [message["text"] for message in talker.seen] == [message.text for message in log[: len(talker.seen)]]
    assert sum(len(talker.acknowledged) for talker in talkers) > ROUNDS * 100
