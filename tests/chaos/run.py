"""A run of the chaos: clients talk and listen while their server fails; afterwards, what they say happened must be what is in the log."""

from __future__ import annotations

import gc
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import wschat
from tests.chaos.clients import ROOM, Listener, Talker, errors_in
from tests.chaos.server import Fault, Server
from tests.concurrency import eventually
from tests.soak.footprint import Footprint
from wschat.client.bot.message import Message
from wschat.events import MessageEvent

_TALKERS = 3


class Outcome(NamedTuple):
    """What came of a run."""

    errors: list[str]
    """What is wrong."""
    figures: dict[str, int]
    """How much was said, heard and repeated."""
    before: Footprint
    """The footprint of the clients' process before the first fault."""
    after: Footprint
    """Their footprint after the last one."""


def run(faults: Callable[[Server], Iterator[None]], *, ping_seconds: float, timeout: float) -> Outcome:
    """Let clients talk while `faults` runs, which yields after each fault, and compare what they have said and heard.

    A frozen server is noticed after `ping_seconds`; `timeout` is that of `say`.
    """
    limits = wschat.Limits(ping_interval=ping_seconds / 2, ping_timeout=ping_seconds / 2, opening_timeout=ping_seconds, close_timeout=0.5)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        server = Server(Path(folder))
        stack.callback(server.close)

        def client(name: str) -> wschat.ChatClient:
            made = wschat.ChatClient(server.url, name=name, rooms=[ROOM], max_pause=1.0, stable_after=ping_seconds, limits=limits)
            return stack.enter_context(made)

        talkers = [Talker(client(f"talker{number}"), timeout) for number in range(_TALKERS)]
        ears = client("listener")
        listener, bot_heard = Listener(ears), list[tuple[int, str]]()
        stack.enter_context(listening_bot(server.url, bot_heard, limits))
        observer = client("observer")
        eventually(lambda: len(observer.members(ROOM)) == _TALKERS + 3)
        is_over = threading.Event()
        with ThreadPoolExecutor(_TALKERS + 1) as pool, ExitStack() as ending:
            ending.callback(ears.close)
            ending.callback(is_over.set)
            running = [pool.submit(talker.run, is_over) for talker in talkers]
            listening = pool.submit(listener.run)
            eventually(lambda: len(listener.heard) > 10)
            before = footprint()
            for _ in faults(server):
                if any(future.done() for future in [*running, listening]):
                    break  # one has failed
            is_over.set()
            for future in running:
                future.result()
            entries = observer.history(ROOM, limit=1_000_000, timeout=60)
            log = [(entry.seq, entry.text) for entry in entries if isinstance(entry, MessageEvent)]
            eventually(lambda: listening.done() or (len(listener.heard) >= len(log) and len(bot_heard) >= len(log)))
            after = footprint()
            ears.close()
            listening.result()
    # A bot handles the messages of different senders at the same time, so they may be in another order.
    errors = errors_in(log, talkers, {"the listener": listener.heard, "the bot": sorted(bot_heard)})
    errors += [f"the listener was told of {missed}" for missed in listener.missed]
    said = sum(len(talker.said) for talker in talkers)
    return Outcome(errors, {"said": said, "in the log": len(log), "repeated": sum(talker.repeated for talker in talkers)}, before, after)


@contextmanager
def listening_bot(url: str, heard: list[tuple[int, str]], limits: wschat.Limits) -> Iterator[None]:
    """Run a bot that notes each message."""
    bot = wschat.Bot(url, name="bot", rooms=[ROOM], workers=1, max_pending=100_000, catch_up=1e6, max_pause=1.0, limits=limits)

    @bot.on_message()
    def note(message: Message) -> None:
        heard.append((message.seq, message.text))

    bot.start()
    try:
        yield
    finally:
        bot.close()


def footprint() -> Footprint:
    """Return what this process uses."""
    gc.collect()
    return Footprint.of(os.getpid())


def faults_in(faults: list[Fault], peace: float) -> Callable[[Server], Iterator[None]]:
    """Return the given faults, with so many seconds of peace after each."""

    def run_faults(server: Server) -> Iterator[None]:
        for fault in faults:
            fault(server)
            threading.Event().wait(peace)
            yield

    return run_faults
