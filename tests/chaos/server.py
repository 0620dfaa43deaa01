"""The server of the chaos test: a process that is killed, stopped, frozen and started again on the same port, with the same history."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from tests.programs import free_port
from tests.server.command import environment

_SECONDS_TO_STOP = 30
_RATE = "40/1"


class Server:
    """A server that can be made to fail. Its methods must be called by one thread."""

    def __init__(self, folder: Path, broker: str | None = None, rate: str = _RATE) -> None:
        """`broker` is that of several servers; by default, the server has a history of its own."""
        self.port = free_port()
        self.url = f"ws://127.0.0.1:{self.port}"
        self._command = [sys.executable, "-m", "wschat.server", "--port", str(self.port), "--keep-messages", "0", "--rate", rate]
        self._command += ["--broker", broker or f"sqlite:{folder}/history", "--max-connections-per-ip", "0"]
        self._log = (folder / f"log-{self.port}").open("w")
        self.start()

    def start(self) -> None:
        """Start the process, and wait until it listens."""
        self._process = subprocess.Popen(self._command, env=environment(), stdout=subprocess.PIPE, stderr=self._log, text=True)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert str(self.port) in line, line

    def end(self, number: int) -> None:
        """Send a signal that ends the process, and wait for its end."""
        self._process.send_signal(number)
        self._process.wait(_SECONDS_TO_STOP)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def close(self) -> None:
        """Stop the server."""
        self.end(signal.SIGTERM)
        self._log.close()

    def freeze(self, seconds: float) -> None:
        """Suspend the process for this number of seconds. The system still accepts connections for it."""
        self._process.send_signal(signal.SIGSTOP)
        pause(seconds)
        self._process.send_signal(signal.SIGCONT)


Fault = Callable[[Server], None]


def kill(server: Server) -> None:
    """Kill the server, and start it again at once."""
    server.end(signal.SIGKILL)
    server.start()


def terminate(server: Server) -> None:
    """Stop the server by SIGTERM, and start it again at once."""
    server.end(signal.SIGTERM)
    server.start()


def refuse(seconds: float) -> Fault:
    """Return a fault: no process listens on the port for this number of seconds."""

    def fault(server: Server) -> None:
        server.end(signal.SIGKILL)
        pause(seconds)
        server.start()

    return fault


def freeze(seconds: float) -> Fault:
    """Return a fault: the process is suspended for this number of seconds."""
    return lambda server: server.freeze(seconds)


def pause(seconds: float) -> None:
    """Wait for this number of seconds."""
    threading.Event().wait(seconds)


class Plan:
    """Random faults, the same for the same seed, of up to `longest` seconds. Pings detect a frozen server in `ping_seconds`."""

    def __init__(self, seed: int, ping_seconds: float, longest: float) -> None:
        self._random = random.Random(seed)
        self._ping_seconds = ping_seconds
        self._longest = longest

    def next(self) -> tuple[str, Fault, float]:
        """Return a fault, its name, and the seconds until the next one."""
        chance = self._random
        name = chance.choice(["kill", "terminate", "refuse", "freeze shortly", "freeze"])
        fault: dict[str, Fault] = {
            "kill": kill,
            "terminate": terminate,
            "refuse": refuse(chance.uniform(0.1, self._longest / 2)),
            "freeze shortly": freeze(chance.uniform(0.1, 0.5) * self._ping_seconds),
            "freeze": freeze(chance.uniform(1.5 * self._ping_seconds, self._longest)),
        }
        return name, fault[name], chance.uniform(0, 2 * self._ping_seconds)
