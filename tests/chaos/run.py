"""A run of the chaos test: clients send and receive while their server fails. Afterwards, their results must agree with the log."""

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
    """The result of a run."""

    errors: list[str]
    """The errors that were found."""
    figures: dict[str, int]
    """The numbers of messages that were sent, logged and repeated."""
    before: Footprint
    """The footprint of the clients' process before the first fault."""
    after: Footprint
    """Their footprint after the last one."""


def run(faults: Callable[[Server], Iterator[None]], *, ping_seconds: float, timeout: float) -> Outcome:
    """Let clients send and receive while `faults` runs, which yields after each fault. Then compare their results with the log.

    The clients notice a frozen server after `ping_seconds`; `timeout` is that of `say`.
    """
    limits = wschat.Limits(ping_interval=ping_seconds / 2, ping_timeout=ping_seconds / 2, opening_timeout=ping_seconds, close_timeout=0.5)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        server = Server(Path(folder))
        stack.callback(server.close)

        def client(name: str) -> wschat.ChatClient:
            made = wschat.ChatClient(server.url, name=name, rooms=[ROOM], max_pause=1.0, stable_after=ping_seconds, limits=limits)
            return stack.enter_context(made)

        talkers = [Talker(client(f"talker{number}"), timeout) for number in range(_TALKERS)]
        listening_client = client("listener")
        listener, bot_heard = Listener(listening_client), list[tuple[int, str]]()
        stack.enter_context(listening_bot(server.url, bot_heard, limits))
        observer = client("observer")
        eventually(lambda: len(observer.members(ROOM)) == _TALKERS + 3)
        is_over = threading.Event()
        with ThreadPoolExecutor(_TALKERS + 1) as pool, ExitStack() as ending:
            ending.callback(listening_client.close)
            ending.callback(is_over.set)
            running = [pool.submit(talker.run, is_over) for talker in talkers]
            listening = pool.submit(listener.run)
            eventually(lambda: len(listener.heard) > 10)
            before = footprint()
            for _ in faults(server):
                if any(future.done() for future in [*running, listening]):
                    break  # a client has failed
            is_over.set()
            for future in running:
                future.result()
            entries = observer.history(ROOM, limit=1_000_000, timeout=60)
            log = [(entry.seq, entry.text) for entry in entries if isinstance(entry, MessageEvent)]
            eventually(lambda: listening.done() or (len(listener.heard) >= len(log) and len(bot_heard) >= len(log)))
            after = footprint()
            listening_client.close()
            listening.result()
    # A bot handles the messages of different senders at the same time, so their order may differ.
    errors = errors_in(log, talkers, {"the listener": listener.heard, "the bot": sorted(bot_heard)})
    errors += [f"the listener got {missed}" for missed in listener.missed]
    sent = sum(len(talker.said) for talker in talkers)
    return Outcome(errors, {"sent": sent, "in the log": len(log), "repeated": sum(talker.repeated for talker in talkers)}, before, after)


@contextmanager
def listening_bot(url: str, heard: list[tuple[int, str]], limits: wschat.Limits) -> Iterator[None]:
    """Run a bot that records each message."""
    bot = wschat.Bot(url, name="bot", rooms=[ROOM], workers=1, max_pending=100_000, catch_up=1e6, max_pause=1.0, limits=limits)

    @bot.on_message()
    def record(message: Message) -> None:
        heard.append((message.seq, message.text))

    bot.start()
    try:
        yield
    finally:
        bot.close()


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
