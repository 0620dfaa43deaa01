"""The format of messages on standard output: JSON, timestamps, and unchanged."""

from __future__ import annotations

import json
import os
import pty
import re
import sys
from typing import Any
from unittest.mock import patch

import pytest

from tests.cli.client.command import run
from tests.conftest import ServerFactory, url_of
from wschat.cli.client.options import ConnectOptions
from wschat.cli.client.output import Output
from wschat.connection.connection import Connection

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


def talk(ws: Connection) -> None:
    ws.send("Grüße\x7f")
    ws.send(b"\x00\xff")
    ws.close(1001, "bye")


@pytest.fixture
def url(serve: ServerFactory) -> str:
    return url_of(serve(talk))


def test_json(url: str) -> None:
    done = run(f"{url}?token=secret", "--json")
    entries = [json.loads(line) for line in done.lines]
    assert all(re.fullmatch(TIME, entry.pop("time")) for entry in entries)
    assert entries == [
        {"type": "open", "url": url, "subprotocol": None},
        {"type": "text", "text": "Grüße\x7f"},
        {"type": "binary", "base64": "AP8="},
        {"type": "close", "code": 1001, "reason": "bye"},
    ]
    assert done.code == 0


def test_timestamps(url: str) -> None:
    out = run(url, "--timestamps").out
    assert re.fullmatch(f"{TIME} Grüße\x7f\n".encode() + TIME.encode() + b" \x00\xff\n", out)


def test_binary_messages_are_written_unchanged(url: str) -> None:
    assert run(url, "--binary").out == "Grüße\x7f\n".encode() + b"\x00\xff"


def test_lines_are_sent_as_binary_messages(serve: ServerFactory) -> None:
    url = url_of(serve(lambda ws: [ws.send(repr(message)) for message in ws]))
    assert run(url, "--binary", given=b"a\r\n\xff").lines == [r"b'a\r'", r"b'\xff'"]


def test_quiet(url: str) -> None:
    assert run(url).err == f"wschat: {url}: connection closed: 1001 bye\n"
    assert run(url, "--quiet").err == ""
    refused = run("ws://127.0.0.1:1/", "--quiet")
    assert (refused.code, refused.err) == (3, "")


@pytest.mark.parametrize(
    ("settings", "shown"),
    [
        ({}, "a\\x1b\r\n    b\r\n\\x00\\xff\r\n"),
        ({"binary": True}, "a\\x1b\r\n    b\r\n\\x00\\xff\r\n"),
        ({"json": True}, '"text": "a\\u001b\\nb\\u00e4\\u007f"}'),
    ],
)
def test_control_characters_never_reach_a_terminal(settings: dict[str, Any], shown: str) -> None:
    controller, terminal = pty.openpty()
    with os.fdopen(controller, "rb", buffering=0) as screen, os.fdopen(terminal, "w", buffering=1) as stdout:
        with patch.object(sys, "stdout", stdout):
            output = Output(ConnectOptions(url="ws://127.0.0.1/", **settings))
            output.message("a\x1b\nb" if "json" not in settings else "a\x1b\nbä\x7f")
            if "json" not in settings:
                output.message(b"\x00\xff")
        received = ""
        while not received.endswith("\n") or len(received) < len(shown):
            received += screen.read(1000).decode()
        assert shown in received
