"""A Redis server of the tests: Debian's, started on a free port, with its files in a folder of its own."""

from __future__ import annotations

import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from redis.exceptions import ConnectionError as NotConnected

from tests.concurrency import eventually
from tests.programs import free_port


class RedisServer:
    """A server that can be killed and started again. Its append-only file is written with each command, unless `options` say otherwise."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self.client = redis.Redis(port=self.port)
        """A client of the tests' own."""
        self._folder = folder
        self._command = [_redis_server(), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
        self._command += ["--appendonly", "yes", "--appendfsync", "always", *options]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        eventually(self._answers)

    def kill(self) -> None:
        """End the server at once, as a crash does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def freeze(self, seconds: float) -> None:
        """Suspend the server for this number of seconds. The system still accepts connections for it."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        threading.Event().wait(seconds)
        self._process.send_signal(signal.SIGCONT)

    def copy_files(self, folder: Path) -> None:
        """Copy what the server has written so far."""
        shutil.copytree(self._folder, folder)

    def go_back_to(self, folder: Path) -> None:
        """Kill the server, and start it with files that were copied earlier: as after a failover to a replica that lagged behind."""
        self.kill()
        shutil.rmtree(self._folder)
        shutil.copytree(folder, self._folder)
        self.start()

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except (NotConnected, redis.exceptions.BusyLoadingError):
            return False


@contextmanager
def running_redis(folder: Path, *options: str) -> Iterator[RedisServer]:
    """Run a server with these options."""
    folder.mkdir(exist_ok=True)
    server = RedisServer(folder, *options)
    server.start()
    try:
        yield server
    finally:
        server.client.close()
        server.kill()


def _redis_server() -> str:
    path = shutil.which("redis-server")
    if path is None:
        pytest.skip("needs Redis (on Debian: apt install redis-server), which scripts/test installs as root")
    return path
