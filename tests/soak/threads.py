"""Sixteen threads do everything to the connections of one hub at once: no broadcast may be lost, no message repeated, torn or out of order.

    python -m tests.soak.threads SECONDS

Call it with `scripts/soak threads`.
"""

from __future__ import annotations

import random
import sys
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from time import monotonic

import wschat
from tests.concurrency import TIMEOUT, eventually, switching_often
from wschat.hub import flush_together

_ACTORS = 16
_STEADY = 4  # clients whose connections are never closed or taken out of the hub: they get every broadcast
_CHANGING = 12
_BURST = 30  # actions of each actor, after which all actors wait until all that they have broadcast was received
_MAX_PADDING = 2000  # above the size from which messages are compressed, and from which they are masked in another way


class Stress:
    """The hub, and what the clients have received."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        """How often each action was done, and messages were received. Guarded by the condition."""
        self._hub, self._other_hub = wschat.Hub(), wschat.Hub()
        self._is_over = threading.Event()
        self._received = threading.Condition()  # guards `counts`, `_acknowledged` and `_awaited`
        self._acknowledged: Counter[tuple[int, int]] = Counter()  # by steady client and actor: the number of the last broadcast
        self._awaited: Counter[int] = Counter()  # by actor: the number of the broadcast that it waits for
        self._is_last_burst = False
        self._end_of_burst = threading.Barrier(_ACTORS, self._end_burst, TIMEOUT)
        self._ends_at = 0.0
        self._server = wschat.serve(self._handle, port=0)

    def run(self, seconds: float) -> None:
        """Act for this many seconds. Raise the first error of a client, or else that of an actor."""
        with ThreadPoolExecutor(_ACTORS + _STEADY + _CHANGING) as pool, self._server:
            self._server.start()
            try:
                clients = [pool.submit(self._listen, "/steady", number) for number in range(_STEADY)]
                eventually(lambda: len(self._hub) == _STEADY)
                clients += [pool.submit(self._come_and_go) for _ in range(_CHANGING)]
                self._ends_at = monotonic() + seconds
                actors = [pool.submit(self._act, number) for number in range(_ACTORS)]
                wait(actors)
            finally:
                self._is_over.set()
                self._server.stop()
        errors = [error for each in [*clients, *actors] if (error := each.exception()) is not None]
        for error in sorted(errors, key=lambda error: isinstance(error, threading.BrokenBarrierError)):
            raise error

    def _handle(self, ws: wschat.Connection) -> None:
        self._hub.join(ws)
        try:
            for message in ws:
                ws.send(message)
        finally:
            self._hub.leave(ws)
            self._other_hub.leave(ws)

    # Clients

    def _come_and_go(self) -> None:
        while not self._is_over.is_set():
            try:
                self._listen("/changing", None)
            except (wschat.ConnectionClosed, wschat.OpeningFailed, OSError):
                if not self._is_over.is_set():
                    raise

    def _listen(self, path: str, steady: int | None) -> None:
        """Receive until the end, and check each message. A steady client misses none."""
        last: Counter[tuple[str, int]] = Counter()
        with wschat.connect(f"ws://127.0.0.1:{self._server.port}{path}") as ws:
            for message in ws:
                kind, actor, number, padding = _parse(str(message))
                before = last[kind, actor]
                last[kind, actor] = number
                is_next = number == before + 1 if steady is not None and kind == "broadcast" else number > before
                assert is_next, f"{kind} {number} of {actor} came after {before}"
                assert padding == _padding(number)
                with self._received:
                    self.counts[f"{kind} received"] += 1
                    if steady is not None and kind == "broadcast":
                        self._acknowledged[steady, actor] = number
                        if number == self._awaited[actor]:
                            self._received.notify_all()

    # Actors

    def _end_burst(self) -> None:
        self._is_last_burst = monotonic() > self._ends_at

    def _act(self, actor: int) -> None:
        dice = random.Random(actor)
        sent: Counter[str] = Counter()

        def text(kind: str) -> str:
            sent[kind] += 1
            return f"{kind} {actor} {sent[kind]} {_padding(sent[kind])}"

        def broadcast_together(_: wschat.Connection) -> None:
            self._hub.add(text("broadcast"))
            flush_together([self._hub, self._other_hub])

        def leave_and_join(ws: wschat.Connection) -> None:
            self._hub.leave(ws)
            self._other_hub.join(ws)
            self._hub.join(ws)

        def send_in_parts(ws: wschat.Connection) -> None:
            ws.send(part for part in text("parts"))

        for_all: dict[str, Callable[[wschat.Connection], object]] = {
            "broadcast": lambda _: self._hub.broadcast(text("broadcast")),
            "broadcast together": broadcast_together,
            "send": lambda ws: ws.send(text("direct")),
            "send in parts": send_in_parts,
            "ping": lambda ws: ws.ping(TIMEOUT),
        }
        for_changing: dict[str, Callable[[wschat.Connection], object]] = {
            "leave and join": leave_and_join,
            "admit": lambda ws: self._hub.admit(ws, text("greeting")),
            "close": lambda ws: ws.close(),
            "begin to close": lambda ws: ws.begin_close(),
        }

        def act_once() -> None:
            ws = dice.choice(list(self._hub))
            if ws.path == "/steady" or dice.random() < 0.9:
                actions, weights = for_all, [5, 5, 5, 5, 1]
            else:
                actions, weights = for_changing, [5, 5, 1, 5]
            (name,) = dice.choices(list(actions), weights)
            with suppress(wschat.ConnectionClosed):  # another actor has closed it
                actions[name](ws)
            with self._received:
                self.counts[name] += 1

        try:
            while not self._is_last_burst:
                for _ in range(_BURST):
                    act_once()
                self._wait_until_received(actor, sent["broadcast"])
                self._end_of_burst.wait()
        except BaseException:
            self._end_of_burst.abort()
            raise

    def _wait_until_received(self, actor: int, number: int) -> None:
        """Wait until all steady clients have received the broadcast of an actor with this number."""

        def is_received() -> bool:
            return all(self._acknowledged[client, actor] == number for client in range(_STEADY))

        with self._received:
            self._awaited[actor] = number
            assert self._received.wait_for(is_received, TIMEOUT), f"broadcast {number} of {actor} was lost"


def _parse(message: str) -> tuple[str, int, int, str]:
    kind, actor, number, padding = message.split(" ")
    return kind, int(actor), int(number), padding


def _padding(number: int) -> str:
    return "x" * (number * 37 % _MAX_PADDING)


def main(seconds: float) -> None:
    """Run the stress for half of the time as usual, and for the other half with threads that take turns at every opportunity."""
    usual = Stress()
    usual.run(seconds / 2)
    often = Stress()
    with switching_often():
        often.run(seconds / 2)
    for what, number in sorted((usual.counts + often.counts).items()):
        print(f"{number:>10,} {what}")


if __name__ == "__main__":
    main(float(sys.argv[1]))
