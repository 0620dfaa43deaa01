"""A run with several nodes of one chat: clients move between them while nodes and Redis fail. Then all must agree with the log."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from time import monotonic

import wschat
from tests.chaos.comparison import errors_in_heard, errors_in_log
from tests.chaos.notes import Entry
from tests.chaos.server import Server
from tests.redis_server import RedisServer, running_redis
from wschat.events import Dropped, Gap, MessageEvent

_LIMITS = wschat.Limits(ping_interval=2, ping_timeout=2, opening_timeout=5, close_timeout=0.5)
_SAY_TIMEOUT = 10.0
_SECONDS_TO_CATCH_UP = 60.0


class Failing:
    """What can be made to fail: the nodes, and Redis."""

    def __init__(self, stack: ExitStack, folder: Path, number: int) -> None:
        self.redis: RedisServer = stack.enter_context(running_redis(folder / "redis"))
        self.nodes = [Server(folder, self.redis.url, "off") for _ in range(number)]
        for node in self.nodes:
            stack.callback(node.close)

    def url(self) -> str:
        """Return the URL of a node, another one each time."""
        return random.choice(self.nodes).url


Faults = Callable[[Failing], Iterator[None]]
"""Makes one fault after the other, and yields after each."""


class _Member:
    """A client in a room that notes all that it hears, and says something if it is a talker."""

    def __init__(self, stack: ExitStack, failing: Failing, name: str, room: str) -> None:
        self.name = name
        self.room = room
        self.said: list[Entry] = []
        self.heard: list[Entry] = []
        self.missed: list[object] = []
        self.client = wschat.ChatClient(failing.url, name=name, rooms=[room], max_pause=1.0, stable_after=1.0, limits=_LIMITS)
        stack.enter_context(self.client)

    def talk(self, is_over: threading.Event) -> None:
        for number in itertools.count(1):
            if is_over.wait(0.02):
                return
            self.said.append((self._say(text := f"{self.name} {number}"), text))

    def listen(self) -> None:
        for event in self.client:
            if isinstance(event, MessageEvent):
                self.heard.append((event.seq, event.text))
            elif isinstance(event, (Gap, Dropped)):
                self.missed.append(event)

    def _say(self, text: str) -> int:
        while True:
            try:
                return self.client.say(self.room, text, id=text, timeout=_SAY_TIMEOUT)
            except (wschat.OutcomeUnknown, TimeoutError):
                pass
            except wschat.Rejected as error:  # if Redis was gone for too long
                if error.code != "unavailable":
                    raise


def run(folder: Path, faults: Faults, *, nodes: int, rooms: int, members: int, talkers: int) -> tuple[list[str], int]:
    """Let the members of rooms listen, and some of them talk, while `faults` runs. Return what is wrong, and the number of messages."""
    with ExitStack() as stack:
        failing = Failing(stack, folder, nodes)
        everyone = [[_Member(stack, failing, f"m{room}-{number}", f"room{room}") for number in range(members)] for room in range(rooms)]
        is_over, pool = threading.Event(), stack.enter_context(ThreadPoolExecutor(rooms * (members + talkers)))
        for member in itertools.chain.from_iterable(everyone):
            stack.callback(member.client.close)  # before the end of the pool, whose threads listen
        listening = [pool.submit(member.listen) for of_room in everyone for member in of_room]
        talking = [pool.submit(member.talk, is_over) for of_room in everyone for member in of_room[:talkers]]
        stack.callback(is_over.set)
        for _ in faults(failing):
            _check(talking, listening)
        is_over.set()
        for future in talking:
            future.result()
        logs = [_log_of(of_room[0].client, of_room[0].room) for of_room in everyone]
        errors = []
        for log, of_room in zip(logs, everyone, strict=True):
            _wait_until_heard(of_room, log)
            errors += errors_in_log(log, itertools.chain.from_iterable(member.said for member in of_room))
            errors += errors_in_heard(log, {member.name: list(member.heard) for member in of_room})
            errors += [f"{member.name} got {missed}" for member in of_room for missed in member.missed]
        return errors, sum(map(len, logs))


def _check(*groups: list[Future[None]]) -> None:
    """Raise the exception of a client that has failed."""
    for future in itertools.chain(*groups):
        if future.done():
            future.result()


def _log_of(client: wschat.ChatClient, room: str) -> list[Entry]:
    entries = client.history(room, limit=1_000_000, timeout=60)
    return [(entry.seq, entry.text) for entry in entries if isinstance(entry, MessageEvent)]


def _wait_until_heard(of_room: list[_Member], log: list[Entry]) -> None:
    gives_up_at = monotonic() + _SECONDS_TO_CATCH_UP
    while any(len(member.heard) < len(log) for member in of_room) and monotonic() < gives_up_at:
        threading.Event().wait(0.05)
