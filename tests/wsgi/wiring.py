"""Other WSGI servers, for applications of tests."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import wschat
from tests.concurrency import TIMEOUT, eventually
from tests.server.command import environment
from wschat.wsgi.application import WebSocketApp

PROGRAMS = Path(__file__).parent / "programs"
"""Applications that servers in other processes import."""

OpenServer = Callable[..., Any]


@contextmanager
def running_werkzeug(app: Any, **options: Any) -> Iterator[Any]:
    """Run Werkzeug's server in this process, with a thread for each connection."""
    from werkzeug.serving import make_server

    server = make_server("127.0.0.1", 0, app, threaded=True, **options)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Program:
    """A server in a process of its own, with its output in a file."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, listening: str) -> None:
        self.process = process
        self._log = log
        eventually(lambda: re.search(listening, self.log()) or process.poll() is not None)
        match = re.search(listening, self.log())
        assert match, self.log()
        self.port = int(match[1])

    def log(self) -> str:
        """Return what it has written so far."""
        return self._log.read_text()

    def url(self, path: str = "/echo") -> str:
        return f"ws://127.0.0.1:{self.port}{path}"

    def reload(self) -> None:
        """Have gunicorn replace its workers."""
        self.process.send_signal(signal.SIGHUP)


@contextmanager
def running_program(command: list[str], folder: Path, listening: str, env: Mapping[str, str] | None = None) -> Iterator[Program]:
    """Run Python with these arguments until the end of the block; `listening` matches the line of its output with its port."""
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, *command], cwd=PROGRAMS, env=environment(env), stdout=output, stderr=output)
    try:
        yield Program(process, log, listening)
    finally:
        process.terminate()
        process.wait(TIMEOUT)


@contextmanager
def running_gunicorn(app: str, folder: Path, *options: str, threads: int = 8, env: Mapping[str, str] | None = None) -> Iterator[Program]:
    """Run gunicorn with threads."""
    command = ["-m", "gunicorn", "--bind", "127.0.0.1:0", "--access-logfile", "-", "--threads", str(threads)]
    # Its own control socket would be in the home directory.
    listening = r"Listening at: https?://\S*:(\d+)"
    with running_program([*command, "--no-control-socket", *options, app], folder, listening, env) as program:
        yield program


def check_echo(url: str, **options: Any) -> None:
    """Check that a server echoes, and closes with 1000."""
    with wschat.connect(url, **options) as ws:
        ws.send("still there?")
        assert ws.recv(TIMEOUT) == "still there?"
    assert ws.closed is not None
    assert ws.closed.code == 1000


def echo_app(**options: Any) -> WebSocketApp:
    """Return an application that echoes, with options of `accept`."""

    def echo(ws: wschat.Connection) -> None:
        for message in ws:
            ws.send(message)

    return WebSocketApp(echo, **options)
