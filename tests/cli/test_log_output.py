"""The log of a command, as text and as JSON."""

from __future__ import annotations

import json
import logging
import re
import sys

import wschat
from tests.concurrency import TIMEOUT
from tests.server.command import running
from wschat.cli.log_output import JsonFormatter


def test_json_has_a_line_for_a_record_even_with_a_traceback() -> None:
    try:
        raise ValueError("broken\nin two")
    except ValueError:
        record = logging.getLogger("wschat.server").makeRecord("wschat.server", logging.ERROR, "", 0, "it %s", ("failed",), sys.exc_info())
    line = JsonFormatter().format(record)
    assert "\n" not in line
    entry = json.loads(line)
    assert (entry["level"], entry["logger"], entry["text"]) == ("error", "wschat.server", "it failed")
    assert "ValueError" in entry["traceback"]


def test_the_command_logs_json() -> None:
    with running("--port", "0", "--log-format", "json") as command:
        with wschat.connect(command.url) as ws:
            assert ws.recv(TIMEOUT) == "Welcome to the chat!"
        assert command.stop() == 0
        lines = [json.loads(line) for line in command.errors().splitlines()]
    assert [(line["event"], line["level"]) for line in lines] == [("listening", "info"), ("opened", "info"), ("closed", "info")]
    assert lines[0]["address"] == command.url
    assert lines[2]["code"] == 1000


def test_the_command_logs_text() -> None:
    with running("--port", "0") as command:
        with wschat.connect(command.url) as ws:
            assert ws.recv(TIMEOUT) == "Welcome to the chat!"
        assert command.stop() == 0
        listening, opened, closed = command.errors().splitlines()
    assert listening.endswith(f" INFO wschat.server: listening on {command.url}")
    assert " INFO wschat.server: 127.0.0.1:" in opened
    id_of_connection = re.search(r" opened / (\[[0-9a-f]{12}\])$", opened)
    assert id_of_connection
    assert re.search(r" closed after \d+\.\d s: 1000 ", closed)
    assert closed.endswith(id_of_connection[1])
