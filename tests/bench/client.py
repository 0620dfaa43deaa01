"""`client`: the speed of a client, beside websocket-client, websockets' threading client and a bare socket.

Each round measures all clients, one after the other, so that the noise is the same for all. A rate is by wall-clock time; beside it is
the processor time of the whole process.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from statistics import median
from time import perf_counter, process_time
from typing import NamedTuple

import websocket
from websockets.sync.client import connect as websockets_connect

import wschat
from tests.bench.crowd import masked, text_of
from tests.bench.peer import TEXTS
from tests.bench.report import Report
from tests.concurrency import TIMEOUT
from tests.server.raw import request

_MESSAGES = 50 * TEXTS
_PINGS = 1000
_PINGS_BEFORE = 100  # not measured
_REQUIRED_TIMES_WEBSOCKET_CLIENT = 5
_REQUIRED_TIMES_WEBSOCKETS = 1.5
_REQUIRED_TIMES_BARE = 1.2


class Open(NamedTuple):
    """The functions of an open connection."""

    recv: Callable[[], object]
    send: Callable[[str], object]
    ping: Callable[[], object]
    """Sends a ping and waits for its pong."""


Opener = Callable[[str], AbstractContextManager[Open]]


@contextmanager
def wschat_recv(url: str) -> Iterator[Open]:
    """wschat, with `recv`."""
    with wschat.connect(url, deflate=None) as ws:
        yield Open(ws.recv, ws.send, ws.ping)


@contextmanager
def wschat_timeout(url: str) -> Iterator[Open]:
    """wschat, with a timeout for each call."""
    with wschat.connect(url, deflate=None) as ws:
        yield Open(partial(ws.recv, TIMEOUT), ws.send, partial(ws.ping, TIMEOUT))


@contextmanager
def wschat_iteration(url: str) -> Iterator[Open]:
    """wschat, with `for message in ws`."""
    with wschat.connect(url, deflate=None) as ws:
        yield Open(iter(ws).__next__, ws.send, ws.ping)


@contextmanager
def websocket_client(url: str) -> Iterator[Open]:
    """websocket-client."""
    ws = websocket.create_connection(url, TIMEOUT, sockopt=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)])
    ws.settimeout(None)

    def ping() -> None:
        ws.ping(b"1234")
        ws.recv_frame()  # type: ignore[no-untyped-call]

    try:
        yield Open(ws.recv, ws.send, ping)
    finally:
        ws.close()


@contextmanager
def websockets_client(url: str) -> Iterator[Open]:
    """websockets' threading client."""
    with websockets_connect(url, compression=None) as ws:
        yield Open(ws.recv, ws.send, lambda: ws.ping().wait())


@contextmanager
def bare_socket(url: str) -> Iterator[Open]:
    """A socket that sends and receives the bytes of the frames."""
    _, _, port, path = url.replace(":", "/").rsplit("/", 3)
    with socket.create_connection(("127.0.0.1", int(port)), TIMEOUT) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(request(target=f"/{path}"))
        sock.recv(4096)
        sock.settimeout(None)
        ping = b"\x89\x84\0\0\0\x001234"

        def send_ping() -> None:
            sock.sendall(ping)
            sock.recv(4096)

        yield Open(partial(sock.recv, 4096), lambda text: sock.sendall(masked(text.encode())), send_ping)


OURS = {"wschat recv()": wschat_recv, "wschat recv(timeout)": wschat_timeout, "wschat iteration": wschat_iteration}
OTHERS = {"websocket-client": websocket_client, "websockets": websockets_client}


class Sample(NamedTuple):
    """The seconds of one round for each message or ping."""

    wall: float
    cpu: float


def run(rounds: int) -> bool:
    """Measure. Return True if every text was right."""
    report = Report(f"client: {_MESSAGES:,} texts of 64 bytes each way, {_PINGS:,} pings, {rounds} rounds")
    with serving() as (pid, url):
        received = measure({**OURS, **OTHERS}, rounds, partial(receive, url, report))
        show_rates(report, "receive", received)
        for name in OURS:
            show_ratio(report, name, received, "websocket-client", _REQUIRED_TIMES_WEBSOCKET_CLIENT)
            show_ratio(report, name, received, "websockets", _REQUIRED_TIMES_WEBSOCKETS)
        show_rates(report, "send", measure({"wschat send()": wschat_recv, **OTHERS}, rounds, partial(send, url)))
        with on_separate_cores(pid, report):
            pingers = {"bare socket": bare_socket, "wschat ping()": wschat_recv, "wschat ping(timeout)": wschat_timeout, **OTHERS}
            show_pings(report, measure(pingers, rounds, partial(ping, url)))
    return report.show()


@contextmanager
def serving() -> Iterator[tuple[int, str]]:
    """Run the peer. Yield its process id and the beginning of its URLs."""
    with subprocess.Popen([sys.executable, "-m", "tests.bench.peer"], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.pid, f"ws://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


@contextmanager
def on_separate_cores(pid: int, report: Report) -> Iterator[None]:
    """Run this process and the peer on different cores, as on two machines: a round trip on one core takes a tenth of the time."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(cores) < 2:
        report.remarks.append("the peer of the pings had no core of its own")
        yield
        return
    os.sched_setaffinity(pid, cores[1:])
    os.sched_setaffinity(0, cores[:1])
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def measure(clients: Mapping[str, Opener], rounds: int, once: Callable[[Opener], Sample]) -> dict[str, list[Sample]]:
    """Measure each client once in each round."""
    samples: dict[str, list[Sample]] = {name: [] for name in clients}
    for _ in range(rounds):
        for name, opener in clients.items():
            samples[name].append(once(opener))
    return samples


def receive(url: str, report: Report, opener: Opener) -> Sample:
    """Receive texts, and check them afterwards."""
    with opener(f"{url}/texts/{_MESSAGES}") as ws:
        recv = ws.recv
        wall, cpu = perf_counter(), process_time()
        texts = [recv() for _ in range(_MESSAGES)]
        sample = Sample((perf_counter() - wall) / _MESSAGES, (process_time() - cpu) / _MESSAGES)
    if texts != [text_of(number).decode() for number in range(TEXTS)] * (_MESSAGES // TEXTS):
        report.problems.append(f"{opener.__doc__} did not receive what was sent")
    return sample


def send(url: str, opener: Opener) -> Sample:
    """Send texts to a peer that drops them."""
    with opener(f"{url}/drop/{_MESSAGES}") as ws:
        send_text, text = ws.send, text_of(0).decode()
        wall, cpu = perf_counter(), process_time()
        for _ in range(_MESSAGES):
            send_text(text)
        return Sample((perf_counter() - wall) / _MESSAGES, (process_time() - cpu) / _MESSAGES)


def ping(url: str, opener: Opener) -> Sample:
    """Return the median of the round trips, and the mean processor time."""
    took = []
    with opener(f"{url}/pings") as ws:
        send_ping = ws.ping
        for _ in range(_PINGS_BEFORE):
            send_ping()
        cpu = process_time()
        for _ in range(_PINGS):
            began_at = perf_counter()
            send_ping()
            took.append(perf_counter() - began_at)
        return Sample(median(took), (process_time() - cpu) / _PINGS)


def show_rates(report: Report, what: str, samples: dict[str, list[Sample]]) -> None:
    """Add a row for each client."""
    for name, of_rounds in samples.items():
        wall, cpu = (median(column) for column in zip(*of_rounds, strict=True))
        report.add(f"{what}: {name}", f"{1 / wall:,.0f} /s, CPU {1e6 * cpu:.2f} us each")


def show_ratio(report: Report, name: str, samples: dict[str, list[Sample]], other: str, required: float) -> None:
    """Add a row with the speed of a client relative to another one: the median of the rounds."""
    times = median_ratio(samples[other], samples[name])
    report.add(f"{name} / {other}", f"{times:.1f}", required=f"{required:g}", is_met=times >= required)


def show_pings(report: Report, samples: dict[str, list[Sample]]) -> None:
    """Add a row for each client, with its ratio to the first, the bare socket."""
    bare = next(iter(samples.values()))
    for name, of_rounds in samples.items():
        wall, cpu = (median(column) for column in zip(*of_rounds, strict=True))
        times = median_ratio(of_rounds, bare)
        required = f"{_REQUIRED_TIMES_BARE:g} times" if name.startswith("wschat") else ""
        measured = f"{1e6 * wall:.1f} us, {times:.2f} times, CPU {1e6 * cpu:.1f} us"
        report.add(f"ping: {name}", measured, required=required, is_met=not required or times <= _REQUIRED_TIMES_BARE)


def median_ratio(dividends: Sequence[Sample], divisors: Sequence[Sample]) -> float:
    """Return the median of the ratios of each round."""
    return median(dividend.wall / divisor.wall for dividend, divisor in zip(dividends, divisors, strict=True))
