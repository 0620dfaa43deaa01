"""Signals of the command, even many at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from time import sleep

import pytest

import wschat
from tests.concurrency import TIMEOUT, eventually
from tests.server.command import COMMAND, environment, running
from tests.tls import client_context, make_certificate
from wschat.cli.signals import Signals

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")


def storm(pid: int, number: int, count: int) -> None:
    """Send `count` signals from two threads."""

    def send() -> None:
        for _ in range(count // 2):
            os.kill(pid, number)

    threads = [threading.Thread(target=send) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_equal_signals_during_an_action_count_once() -> None:
    begun, may_end = threading.Semaphore(0), threading.Event()
    threads: list[str] = []

    def act() -> None:
        threads.append(threading.current_thread().name)
        begun.release()
        may_end.wait(TIMEOUT)

    before = signal.getsignal(signal.SIGHUP)
    try:
        with Signals({signal.SIGHUP: act}):
            os.kill(os.getpid(), signal.SIGHUP)
            assert begun.acquire(timeout=TIMEOUT)
            storm(os.getpid(), signal.SIGHUP, 2_000)
            may_end.set()
            assert begun.acquire(timeout=TIMEOUT)
        assert 2 <= len(threads) <= 4  # equal signals in one read count once
        assert set(threads) == {"wschat-signals"}
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_signal_after_a_storm_of_others_is_not_lost() -> None:
    begun, may_end, is_over = threading.Event(), threading.Event(), threading.Event()

    def act() -> None:
        begun.set()
        may_end.wait(TIMEOUT)

    before = {number: signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGUSR1)}
    try:
        with Signals({signal.SIGHUP: act, signal.SIGUSR1: is_over.set}):
            os.kill(os.getpid(), signal.SIGHUP)
            assert begun.wait(TIMEOUT)
            storm(os.getpid(), signal.SIGHUP, 10_000)
            os.kill(os.getpid(), signal.SIGUSR1)
            may_end.set()
            assert is_over.wait(TIMEOUT)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_many_hang_ups_reload_the_certificate_a_few_times(tmp_path: Path) -> None:
    file = make_certificate(tmp_path)
    options = ["--port", "0", "--app", "wschat.apps:echo", "--tls-cert", str(file)]
    with running(*options) as command:
        with wschat.connect(f"wss://127.0.0.1:{command.port}/", tls=client_context(file)) as ws:
            storm(command.process.pid, signal.SIGHUP, 200_000)
            eventually(lambda: "was reloaded" in command.errors())
            ws.send("still there?")
            assert ws.recv(TIMEOUT) == "still there?"
        assert command.stop() == 0
        assert "Traceback" not in command.errors()
        assert command.errors().count("was reloaded") < 5_000


def test_hang_ups_during_reloads_do_not_end_the_server(tmp_path: Path) -> None:
    """One that comes while a reload runs must not begin another within it, and so on, up to the greatest depth of calls."""
    file = make_certificate(tmp_path)
    with running("--port", "0", "--app", "wschat.apps:echo", "--tls-cert", str(file)) as command:
        for _ in range(1500):
            command.process.send_signal(signal.SIGHUP)
            sleep(0.0005)  # a reload takes longer; without a pause, the system merges most signals
        with wschat.connect(f"wss://127.0.0.1:{command.port}/", tls=client_context(file)) as ws:
            ws.send("still there?")
            assert ws.recv(TIMEOUT) == "still there?"
        assert command.stop() == 0
        assert "Error" not in command.errors()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_many_signals_stop_the_server_as_one_does(number: int) -> None:
    with running("--port", "0") as command, wschat.connect(command.url) as ws:
        assert ws.recv(TIMEOUT) == "Welcome to the chat!"
        try:
            storm(command.process.pid, number, 20_000)
        except ProcessLookupError:
            pass
        with pytest.raises(wschat.ConnectionClosed, match="1001"):
            ws.recv(TIMEOUT)
        assert command.process.wait(TIMEOUT) == 0
        assert "Traceback" not in command.errors()


def test_under_nohup_a_server_outlives_its_terminal() -> None:
    program = "import os, signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
    command = [sys.executable, "-c", program, *COMMAND, "--port", "0", "--app", "wschat.apps:echo"]
    process = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        with wschat.connect(process.stdout.readline().split()[-1]) as ws:
            process.send_signal(signal.SIGHUP)
            ws.send("still there?")
            assert ws.recv(TIMEOUT) == "still there?"
        process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT) == 0
    finally:
        process.kill()
        process.communicate()


SAMPLE = """
import wschat, wschat.apps
with wschat.serve(wschat.apps.echo, port=0) as server:
    print(server.port, flush=True)
    server.serve_forever()
print("cleaned up")
"""


def test_ctrl_c_ends_a_program_that_serves_without_a_traceback() -> None:
    process = subprocess.Popen([sys.executable, "-c", SAMPLE], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        with wschat.connect(f"ws://127.0.0.1:{process.stdout.readline().strip()}/") as ws:
            ws.send("x")
            assert ws.recv(TIMEOUT) == "x"
            process.send_signal(signal.SIGINT)
            with pytest.raises(wschat.ConnectionClosed, match="1001"):
                ws.recv(TIMEOUT)
        assert process.communicate(timeout=TIMEOUT) == ("cleaned up\n", "")
        assert process.returncode == 0
    finally:
        process.kill()
        process.communicate()
