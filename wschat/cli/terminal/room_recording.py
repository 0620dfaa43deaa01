"""The recording of the chat: the lines of one room, as `wschat connect --room` records them in a pipe."""

from __future__ import annotations

from wschat.cli.client.recording import Recording
from wschat.cli.client.room_conversation import line_of
from wschat.client.chat.conversation import comparable
from wschat.client.chat.room_log import room_of
from wschat.errors import ConnectionClosed
from wschat.events import Event, Joined


class RoomRecording:
    """Records what is said in one room, and whispers. One thread may say, and another one receive."""

    def __init__(self, recording: Recording, place: str, room: str) -> None:
        """`place` is the URL without its query."""
        self._recording = recording
        self._place = place
        self._room = comparable(room)
        self._is_open = False

    def sent(self, room: str, text: str) -> None:
        """Note a text that is said next."""
        if room == self._room:
            self._recording.sent(text)

    def received(self, event: Event) -> None:
        """Note an event."""
        if room_of(event) not in (None, self._room):
            return
        if isinstance(event, Joined) and not self._is_open:
            self._is_open = True
            self._recording.opened(self._place, None)
        elif (line := line_of(event)) is not None:
            self._recording.received(line)

    def closed(self, error: Exception | None) -> None:
        """Note how the client has ended, if it was in the room."""
        if self._is_open and isinstance(error, ConnectionClosed):
            self._recording.closed(error)
