"""Runs the client for JavaScript in Node, with the code of a test beside it."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.concurrency import TIMEOUT
from tests.programs import NODE_MODULES

DRIVER = Path(__file__).parent / "driver.mjs"


class JavaScriptError(Exception):
    """An error in JavaScript; its fields are those of the client's `Rejected`."""

    def __init__(self, fields: dict[str, Any]) -> None:
        super().__init__(f"{fields.get('code', fields['name'])}: {fields['message']}")
        self.code: str | None = fields.get("code")
        self.was_sent = bool(fields.get("wasSent"))


class Call:
    """Code that runs in Node."""

    def __init__(self, node: Node, number: int) -> None:
        self._node, self._number = node, number

    def result(self) -> Any:
        """Wait for what the code returns. Raises JavaScriptError."""
        answer = self._node.answer(self._number)
        if "error" in answer:
            raise JavaScriptError(answer["error"])
        return answer["result"]


class Node:
    """A process of Node with the client."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._numbers = itertools.count()
        self._answers: dict[int, dict[str, Any]] = {}

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    @contextmanager
    def in_time(self) -> Iterator[None]:
        """End the process if a test waits too long."""
        watchdog = threading.Timer(2 * TIMEOUT, self._process.kill)
        watchdog.start()
        try:
            yield
        finally:
            watchdog.cancel()
            watchdog.join()

    def begin(self, code: str) -> Call:
        """Run the body of an async function, without waiting."""
        number = next(self._numbers)
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"id": number, "code": code}) + "\n")
        self._process.stdin.flush()
        return Call(self, number)

    def run(self, code: str) -> Any:
        """Run the body of an async function, and return what it returns. Raises JavaScriptError."""
        return self.begin(code).result()

    def answer(self, number: int) -> dict[str, Any]:
        assert self._process.stdout is not None
        while number not in self._answers:
            line = self._process.stdout.readline()
            assert line, "Node has ended, perhaps because a promise was not fulfilled in time"
            answer = json.loads(line)
            self._answers[answer["id"]] = answer
        return self._answers.pop(number)

    def end(self) -> int:
        """Send no more code, and wait until nothing keeps the process running. Return its exit code."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        return self._process.wait(TIMEOUT)


@contextmanager
def running_node(client: Path) -> Iterator[Node]:
    """Run Node with a file that has the client. End it after the block."""
    executable = shutil.which("node")
    ws = NODE_MODULES / "ws/wrapper.mjs"
    if executable is None or not ws.exists():
        pytest.skip("needs Node (https://nodejs.org) and npm's ws: npm install --prefix .cache/node ws@8, which scripts/test does")
    command = [executable, str(DRIVER), str(client), str(ws)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Node(process)
        finally:
            process.kill()
