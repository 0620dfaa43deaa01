"""Recordings: writing, reading, and errors."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cli.client.command import run
from tests.conftest import ServerFactory, url_of
from wschat.cli.client.recording import RecordedMessage, Recording, read_recording
from wschat.connection.connection import Connection
from wschat.errors import UsageError


def answer(ws: Connection) -> None:
    for message in ws:
        ws.send(f"Grüße, {message!s}!")
        ws.send(b"\x00\xff")


def test_all_messages_of_the_connection_are_in_the_file(serve: ServerFactory, tmp_path: Path) -> None:
    server = serve(answer, subprotocols=["a"])
    path = tmp_path / "recording"
    done = run(f"{url_of(server)}?token=secret", "--subprotocol", "a", "--record", str(path), given="Bob\n")
    assert (done.code, done.out) == (0, "Grüße, Bob!\n".encode() + b"\x00\xff\n")
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    times = [entry.pop("at") for entry in entries]
    assert 0 < times[0] <= times[1]
    assert sorted(times) == times
    assert entries == [
        {"type": "open", "url": url_of(server), "subprotocol": "a"},
        {"direction": "sent", "type": "text", "text": "Bob"},
        {"direction": "received", "type": "text", "text": "Grüße, Bob!"},
        {"direction": "received", "type": "binary", "base64": "AP8="},
        {"type": "close", "code": 1000, "reason": ""},
    ]
    recording = read_recording(str(path))
    assert recording.subprotocol == "a"
    assert [(message.is_sent, message.message) for message in recording.messages] == [
        (True, "Bob"),
        (False, "Grüße, Bob!"),
        (False, b"\x00\xff"),
    ]


def test_messages_are_read_in_the_order_of_their_times(tmp_path: Path) -> None:
    path = tmp_path / "recording"
    path.write_text(
        '{"at": 2, "direction": "received", "type": "text", "text": "b"}\n'
        '{"at": 1.5, "direction": "sent", "type": "binary", "base64": ""}\n'
        '{"at": 3, "type": "of a later version"}\n'
    )
    assert read_recording(str(path)).messages == [RecordedMessage(0, True, b""), RecordedMessage(0.5, False, "b")]
    with path.open("a") as file:
        file.write('{"at": 1, "type": "open"}\n')
    assert read_recording(str(path)).messages == [RecordedMessage(0.5, True, b""), RecordedMessage(1, False, "b")]


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("no JSON", "line 2: it is not a JSON object"),
        ("[]", "line 2: it is not a JSON object"),
        ('{"type": "text", "direction": "sent", "text": "a"}', 'line 2: "at" must be a number of seconds'),
        ('{"type": "text", "at": -1, "direction": "sent", "text": "a"}', '"at" must be'),
        ('{"type": "text", "at": NaN, "direction": "sent", "text": "a"}', '"at" must be'),
        ('{"type": "text", "at": 1, "text": "a"}', '"direction" must be "sent" or "received"'),
        ('{"type": "text", "at": 1, "direction": "sent"}', '"text" must be a string'),
        ('{"type": "binary", "at": 1, "direction": "sent", "base64": "?"}', '"base64" must be a string in base64'),
    ],
)
def test_the_error_names_an_invalid_line(line: str, error: str, tmp_path: Path) -> None:
    path = tmp_path / "recording"
    path.write_text(f'{{"at": 0, "type": "open"}}\n{line}\n')
    with pytest.raises(UsageError, match=f"--replay {path}.*{error}"):
        read_recording(str(path))


def test_an_unreadable_or_unwritable_file_is_an_error(echo_url: str, tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\n")
    with pytest.raises(UsageError, match="it is not UTF-8"):
        read_recording(str(tmp_path / "binary"))
    with pytest.raises(UsageError, match="No such file or directory"):
        read_recording(str(tmp_path / "missing"))
    done = run(echo_url, "--record", str(tmp_path / "no/folder"))
    assert (done.code, done.err) == (2, f"wschat: --record {tmp_path}/no/folder: No such file or directory\n")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_reported_at_the_end(echo_url: str) -> None:
    done = run(echo_url, "--record", "/dev/full", given="a\nb\n")
    assert (done.code, done.lines, done.err) == (2, ["a", "b"], "wschat: --record /dev/full: No space left on device\n")


@given(st.lists(st.tuples(st.booleans(), st.text() | st.binary())))
def test_any_messages_are_read_as_they_were_written(messages: list[tuple[bool, str | bytes]]) -> None:
    with tempfile.NamedTemporaryFile() as file:
        with Recording(file.name) as recording:
            for is_sent, message in messages:
                (recording.sent if is_sent else recording.received)(message)
        assert [(entry.is_sent, entry.message) for entry in read_recording(file.name).messages] == messages
