"""A run of the chaos test: clients send and receive while their server fails. Afterwards, their results must agree with the log."""

from __future__ import annotations

import gc
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from time import monotonic
from typing import NamedTuple

import wschat
from tests.chaos.clients import ROOM, AnsweringBot, Listener, Talker
from tests.chaos.comparison import errors_in_answers, errors_in_heard, errors_in_log, without_answers
from tests.chaos.notes import Notes
from tests.chaos.server import Fault, Server
from tests.chaos.trend import Sample, Sampler
from tests.concurrency import eventually
from tests.soak.footprint import Footprint
from wschat.events import MessageEvent

_TALKERS = 3
_SECONDS_PER_SAMPLE = 2.0
_SECONDS_TO_CATCH_UP = 60.0


class Outcome(NamedTuple):
    """The result of a run."""

    errors: list[str]
    """The errors that were found."""
    figures: dict[str, int]
    """The numbers of messages that were sent, logged and repeated."""
    before: Footprint
    """The footprint of the clients' process before the first fault."""
    after: Footprint
    """Their footprint after the last one."""
    samples: list[Sample]
    """The memory of the clients' process during the faults."""


class Chaos:
    """A server, its clients, and what they note."""

    def __init__(self, stack: ExitStack, ping_seconds: float, timeout: float) -> None:
        """The clients notice a frozen server after `ping_seconds`; `timeout` is that of `say`. `stack` is what closes all of them."""
        self._stack = stack
        self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        self.server = Server(self._folder)
        stack.callback(self.server.close)
        self._limits = wschat.Limits(
            ping_interval=ping_seconds / 2, ping_timeout=ping_seconds / 2, opening_timeout=ping_seconds, close_timeout=0.5
        )
        self._stable_after = ping_seconds
        self._said = [self._notes(f"said{number}") for number in range(_TALKERS)]
        self._heard = {name: self._notes(name) for name in ("the listener", "the bot")}
        self.talkers = [Talker(self._client(f"talker{number}"), said, timeout) for number, said in enumerate(self._said)]
        self._listening_client = self._client("listener")
        self.listener = Listener(self._listening_client, self._heard["the listener"])
        self.bot = AnsweringBot(self.server.url, self._heard["the bot"], self._limits)
        stack.enter_context(self.bot.bot)
        self._observer = self._client("observer")
        eventually(lambda: len(self._observer.members(ROOM)) == _TALKERS + 3)
        self.faults = 0
        self.sampler = Sampler(self._folder / "samples", lambda: self.listener.last_seq, lambda: self.faults)

    def run(self, faults: Callable[[Server], Iterator[None]]) -> tuple[Footprint, Footprint]:
        """Let clients send and receive while `faults` runs. Return the footprints before and after."""
        is_over = threading.Event()
        with ThreadPoolExecutor(_TALKERS + 1) as pool, ExitStack() as ending:
            ending.callback(self._listening_client.close)
            ending.callback(is_over.set)
            running = [pool.submit(talker.run, is_over) for talker in self.talkers]
            listening = pool.submit(self.listener.run)
            eventually(lambda: self.listener.last_seq > 10 and self.bot.answers)
            before = footprint()
            with self.sampler.running(_SECONDS_PER_SAMPLE):
                for _ in faults(self.server):
                    self.faults += 1
                    if any(future.done() for future in [*running, listening]):
                        break  # a client has failed
            is_over.set()
            for future in running:
                future.result()
            gives_up_at = monotonic() + _SECONDS_TO_CATCH_UP
            while not (listening.done() or self._has_caught_up()) and monotonic() < gives_up_at:
                threading.Event().wait(0.05)
            after = footprint()
            self._listening_client.close()
            listening.result()
        return before, after

    def errors(self) -> list[str]:
        """Return what is wrong in what was said and heard."""
        entries = self._observer.history(ROOM, limit=1_000_000, timeout=60)
        log = [(entry.seq, entry.text) for entry in entries if isinstance(entry, MessageEvent)]
        errors = errors_in_log(log, chain.from_iterable(said.read() for said in self._said))
        errors += errors_in_answers(log)
        errors += errors_in_heard(log, {"the listener": self._heard["the listener"].read()})
        # A bot handles the messages of different senders at the same time, so their order may differ. It does not handle its own.
        errors += errors_in_heard(without_answers(log), {"the bot": sorted(self._heard["the bot"].read())})
        return errors + [f"the listener got {missed}" for missed in self.listener.missed]

    def figures(self) -> dict[str, int]:
        """Return the numbers of messages."""
        return {
            "said": sum(said.count for said in self._said),
            "repeated": sum(talker.repeated for talker in self.talkers),
            "heard": self._heard["the listener"].count,
            "commands": sum(talker.commands for talker in self.talkers),
            "answers": self.bot.answers,
        }

    def _has_caught_up(self) -> bool:
        figures = self.figures()
        said = figures["said"]
        return (
            figures["answers"] >= figures["commands"]
            and figures["heard"] >= said + figures["answers"]
            and self._heard["the bot"].count >= said
        )

    def _client(self, name: str) -> wschat.ChatClient:
        client = wschat.ChatClient(
            self.server.url, name=name, rooms=[ROOM], max_pause=1.0, stable_after=self._stable_after, limits=self._limits
        )
        return self._stack.enter_context(client)

    def _notes(self, name: str) -> Notes:
        notes = Notes(self._folder / name)
        self._stack.callback(notes.close)
        return notes


def run(faults: Callable[[Server], Iterator[None]], *, ping_seconds: float, timeout: float) -> Outcome:
    """Let clients send and receive while `faults` runs, which yields after each fault. Then compare their results with the log."""
    with ExitStack() as stack:
        chaos = Chaos(stack, ping_seconds, timeout)
        before, after = chaos.run(faults)
        return Outcome(chaos.errors(), chaos.figures(), before, after, chaos.sampler.read())


def footprint() -> Footprint:
    """Return the footprint of this process."""
    gc.collect()
    return Footprint.of(os.getpid())


def faults_in(faults: list[Fault], pause: float) -> Callable[[Server], Iterator[None]]:
    """Return a function that makes these faults, with a pause in seconds after each."""

    def run_faults(server: Server) -> Iterator[None]:
        for fault in faults:
            fault(server)
            threading.Event().wait(pause)
            yield

    return run_faults
