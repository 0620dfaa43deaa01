"""The smoke part of the suite: it needs nothing but wschat and pytest, so that it runs where only a wheel is installed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

import wschat

TIMEOUT = 10.0


def test_the_engine_is_compiled_if_that_was_asked_for() -> None:
    assert (os.environ.get("WSCHAT_COMPILE") == "1") == wschat.IS_COMPILED


def echo(ws: wschat.Connection) -> None:
    for message in ws:
        ws.send(message)


@pytest.mark.parametrize("deflate", [None, wschat.Deflate()])
@pytest.mark.parametrize("message", ["", "hello", "ü" * 1000, "x" * 100_000, b"", b"\0\xff" * 5000])
def test_a_message_comes_back(message: str | bytes, deflate: wschat.Deflate | None) -> None:
    with wschat.serve(echo, port=0) as server:
        server.start()
        with wschat.connect(f"ws://127.0.0.1:{server.port}", deflate=deflate) as ws:
            ws.send(message)
            assert ws.recv(TIMEOUT) == message
            assert 0 < ws.ping(TIMEOUT) < TIMEOUT
        assert ws.closed is not None
        assert ws.closed.code == wschat.CloseCode.NORMAL


def test_fragments_and_many_threads() -> None:
    with wschat.serve(echo, port=0) as server:
        server.start()
        with wschat.connect(f"ws://127.0.0.1:{server.port}") as ws:
            threads = [threading.Thread(target=ws.send, args=([f"{number}:", "x" * 5000, "end"],)) for number in range(20)]
            for thread in threads:
                thread.start()
            received = sorted(str(ws.recv(TIMEOUT)) for _ in threads)
            for thread in threads:
                thread.join()
    assert received == sorted(f"{number}:{'x' * 5000}end" for number in range(20))


def test_a_broadcast_reaches_all_members() -> None:
    hub = wschat.Hub()

    def join(ws: wschat.Connection) -> None:
        hub.join(ws)
        ws.send("joined")
        for message in ws:
            hub.broadcast(message)

    with wschat.serve(join, port=0) as server:
        server.start()
        url = f"ws://127.0.0.1:{server.port}"
        with wschat.connect(url) as one, wschat.connect(url) as two:
            assert [one.recv(TIMEOUT), two.recv(TIMEOUT)] == ["joined", "joined"]
            one.send("to all")
            assert [one.recv(TIMEOUT), two.recv(TIMEOUT)] == ["to all", "to all"]


def test_a_violation_closes_the_connection() -> None:
    with wschat.serve(echo, port=0, limits=wschat.Limits(max_message_bytes=10)) as server:
        server.start()
        with wschat.connect(f"ws://127.0.0.1:{server.port}") as ws:
            ws.send("x" * 11)
            with pytest.raises(wschat.ConnectionClosed) as closed:
                ws.recv(TIMEOUT)
    assert closed.value.code == wschat.CloseCode.TOO_BIG


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGALRM")
@pytest.mark.parametrize("raised", [TimeoutError, OSError, BlockingIOError])
def test_what_a_signal_handler_raises_passes_through(raised: type[OSError]) -> None:
    def interrupt(*_: object) -> None:
        raise raised("from the handler")

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with wschat.serve(echo, port=0) as server:
            server.start()
            with wschat.connect(f"ws://127.0.0.1:{server.port}") as ws:
                signal.setitimer(signal.ITIMER_REAL, 0.05)
                with pytest.raises(raised, match="from the handler"):
                    ws.recv()
                ws.send("still open")
                assert ws.recv(TIMEOUT) == "still open"
    finally:
        signal.signal(signal.SIGALRM, before)


def test_the_chat_runs() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WSCHAT_")}
    command = [sys.executable, "-m", "wschat.server", "--port", "0", "--history", "off"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stderr is not None
            url = process.stderr.readline().split()[-1]
            with wschat.connect(url) as ws:
                assert ws.recv(TIMEOUT) == "Welcome to the chat!"
                ws.send("hi")
                assert ws.recv(TIMEOUT) == "Server: hi"
        finally:
            process.terminate()
    assert process.returncode == 0
