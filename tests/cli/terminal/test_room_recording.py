"""The lines of a room in a recording."""

from __future__ import annotations

import json
from pathlib import Path

from wschat.cli.client.recording import Recording
from wschat.cli.terminal.room_recording import RoomRecording
from wschat.errors import ConnectionClosed
from wschat.events import Joined, MemberEvent, MessageEvent, WhisperEvent


def joined(room: str) -> Joined:
    return Joined(room, "epoch", 0, ["alice"], (), False, False)


def test_lines_of_the_room_and_whispers_are_recorded(tmp_path: Path) -> None:
    with Recording(str(tmp_path / "record")) as recording:
        room = RoomRecording(recording, "ws://place/", "Tea")
        room.received(joined("coffee"))
        for _ in range(2):
            room.received(joined("tea"))
        room.sent("coffee", "not this")
        room.sent("tea", "one")
        room.received(MessageEvent("coffee", 1, "bob", "nor this", 0.0))
        room.received(MessageEvent("tea", 1, "alice", "one", 0.0))
        room.received(MemberEvent("tea", "leave", "bob"))
        room.received(WhisperEvent("bob", "alice", "psst", 0.0))
        room.closed(ConnectionClosed(1000, ""))
    entries = [json.loads(line) for line in (tmp_path / "record").read_text().splitlines()]
    assert [entry.get("text", entry["type"]) for entry in entries] == ["open", "one", "alice: one", "bob whispers: psst", "close"]


def test_a_room_that_was_never_joined_leaves_an_empty_recording(tmp_path: Path) -> None:
    with Recording(str(tmp_path / "record")) as recording:
        RoomRecording(recording, "ws://place/", "tea").closed(ConnectionClosed(1006, "lost"))
    assert (tmp_path / "record").read_text() == ""
