"""Killing the server: every acknowledged message is in the log once with its number, and clients that resume miss nothing."""

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
from tests.concurrency import TIMEOUT
from tests.server.command import Command, running
from wschat.brokers.base import Retention
from wschat.brokers.sqlite.broker import SqliteBroker
from wschat.v1 import SUBPROTOCOL

ROUNDS = 10
ROOMS = 10
CLIENTS_IN_A_ROOM = 5


class Talker:
    """Sends one message after the other. After reconnecting it reads what it missed and repeats what was not acknowledged."""

    def __init__(self, number: int) -> None:
        self.name = f"talker-{number}"
        self.room = f"room-{number % ROOMS}"
        self.acknowledged: dict[str, int] = {}
        self.seen: list[Event] = []
        self._numbers = itertools.count(1)
        self._pending: str | None = None

    def talk(self, url: str, acks: threading.Semaphore) -> None:
        """Send until the server is gone."""
        with contextlib.suppress(wschat.ConnectionClosed, OSError, wschat.OpeningFailed):
            self._connect_and_talk(url, acks, rounds=None)

    def catch_up(self, url: str) -> None:
        """Reconnect once more, to a server that is not killed."""
        self._connect_and_talk(url, threading.Semaphore(), rounds=1)

    def _connect_and_talk(self, url: str, acks: threading.Semaphore, rounds: int | None) -> None:
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
            assert message["seq"] == (self.seen[-1]["seq"] if self.seen else 0) + 1, "a message is missing or was received twice"
            self.seen.append(message)


def kill(command: Command) -> None:
    """Kill the server, which cannot send or write anything more."""
    command.process.kill()
    command.process.wait(TIMEOUT)


@pytest.mark.timeout(120)
def test_fifty_clients_lose_nothing_when_the_server_is_killed_ten_times(tmp_path: Path) -> None:
    options = ["--port", "0", "--history", str(tmp_path / "history"), "--keep-messages", "0", "--rate", "off", "--log-level", "warning"]
    talkers = [Talker(number) for number in range(ROOMS * CLIENTS_IN_A_ROOM)]
    # Random moments, but the same in each run.
    moments = random.Random(2000)
    with ThreadPoolExecutor(len(talkers)) as threads:
        for _ in range(ROUNDS):
            acks = threading.Semaphore(0)
            with running(*options) as command:
                talking = [threads.submit(talker.talk, command.url, acks) for talker in talkers]
                for _ in range(moments.randrange(100, 500)):
                    assert acks.acquire(timeout=TIMEOUT)
                kill(command)
                for talk in talking:
                    talk.result(TIMEOUT)
        with running(*options) as command:
            for talk in [threads.submit(talker.catch_up, command.url) for talker in talkers]:
                talk.result(TIMEOUT)
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
