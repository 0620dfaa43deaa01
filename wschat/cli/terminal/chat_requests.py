"""The requests of the chat to its server, which a thread of their own makes, one after another. It waits while there is no connection."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import monotonic, time
from typing import Any, TypeVar

from wschat.cli.terminal.call_queue import CallQueue
from wschat.cli.terminal.chat_model import ChatModel, Waiting
from wschat.cli.terminal.chat_room import Entry, Room
from wschat.cli.terminal.room_recording import RoomRecording
from wschat.cli.terminal.worker import Task, Worker
from wschat.client.chat.client import ChatClient
from wschat.errors import UsageError, WSChatError

_ENTRIES_IN_PAGE = 100
_TYPING_TIMEOUT = 1.0
_ERRORS = (WSChatError, OSError)  # what a request may raise: it has failed, or the client has ended

T = TypeVar("T")


class Requests:
    """Makes requests, and hands what comes of them to the model, in the thread of the screen.

    Public methods are for that thread and never wait, except for `finish`. They raise UsageError if too many requests are waiting.
    """

    def __init__(self, client: ChatClient, model: ChatModel, calls: CallQueue, recording: RoomRecording) -> None:
        self._client = client
        self._recording = recording
        self._model = model
        self._calls = calls
        self._worker = Worker(calls.fail)

    def start(self) -> None:
        """Start the thread, ask the server for its commands and rooms, for completion, and measure its latency."""
        self._worker.start()
        self._submit(partial(self._try, partial(self._client.run, "commands", timeout=None), self._model.apply))
        self._submit(partial(self._try, self._client.rooms, lambda rooms: self._model.set_known_rooms([room.room for room in rooms])))
        self._submit(partial(self._try, self._ping, self._set_latency))

    def finish(self, timeout: float) -> None:
        """Wait until all requests are made, `timeout` seconds at most."""
        self._worker.finish(timeout)

    def say(self, waiting: Waiting) -> None:
        """Say a message in a room. It is shown as waiting until the server has it."""
        self._submit(partial(self._say, waiting))
        self._model.wait_for(waiting)

    def ask(self, request_type: str, **fields: Any) -> None:
        """Make a request, and show its reply."""
        self._submit(partial(self._make, partial(self._client.run, request_type, **fields), self._model.reply))

    def join(self, name: str) -> None:
        """Join a room, and bring it to the front."""
        self._submit(partial(self._make, lambda: self._client.join(name).room, self._model.go_to_joined))

    def leave(self, room: Room) -> None:
        """Leave a room, and remove it."""
        if room.is_joined:
            self._submit(partial(self._make, partial(self._client.leave, room.name), lambda _: self._model.forget(room)))
        else:
            self._model.forget(room)

    def whisper(self, name: str, text: str) -> None:
        """Send a text to one user only, and show it."""
        self._submit(partial(self._make, partial(self._client.whisper, name, text), lambda _: self._model.whispered(name, text, time())))

    def load_older(self, room: Room) -> None:
        """Read the page of messages before those that are shown of a room, unless too many requests are waiting."""
        room.is_loading = self._worker.submit(partial(self._load_older, room))

    def tell_typing(self, room: Room) -> None:
        """Tell the members of a room that the user is typing, if that is possible now."""
        run = partial(self._client.run, "typing", room=room.name, timeout=_TYPING_TIMEOUT)
        self._worker.submit(partial(self._try, run, lambda _: None))

    def _submit(self, task: Task) -> None:
        if not self._worker.submit(task):
            raise UsageError("too many messages wait to be sent")

    # In the thread of the requests

    def _make(self, ask: Callable[[], T], show: Callable[[T], object]) -> None:
        """Make a request, and show what comes of it or why it failed."""
        try:
            result = ask()
        except _ERRORS as error:
            self._calls.put(partial(self._model.fail, text_of(error)))
        else:
            self._calls.put(partial(show, result))

    def _try(self, ask: Callable[[], T], show: Callable[[T], object]) -> None:
        """Make a request of the program's own, whose failure need not be shown."""
        try:
            result = ask()
        except _ERRORS:
            return
        self._calls.put(partial(show, result))

    def _say(self, waiting: Waiting) -> None:
        error = None
        try:
            began_at = monotonic()
            self._recording.sent(waiting.room, waiting.text)  # first, because it may be received while `say` returns
            self._client.say(waiting.room, waiting.text, timeout=None)
            self._calls.put(partial(self._set_latency, monotonic() - began_at))
        except _ERRORS as failure:
            if self._client.closed is not None:
                return  # it stays among those that wait
            error = text_of(failure)
        self._calls.put(partial(self._model.said, waiting, error))

    def _load_older(self, room: Room) -> None:
        entries: list[Entry] = []
        more = True
        before = room.oldest_seq
        try:
            while more and not entries:  # a page may have only entries of unknown kinds
                page = self._client.history(room.name, before=before, limit=_ENTRIES_IN_PAGE)
                entries = [entry for entry in page if isinstance(entry, Entry)]
                more = len(page) == _ENTRIES_IN_PAGE
                before = getattr(page[0], "seq", None) if page else None
        except _ERRORS as error:
            self._calls.put(partial(self._model.fail, text_of(error)))
        self._calls.put(partial(room.add_older, entries, more=more))

    def _ping(self) -> float:
        began_at = monotonic()
        self._client.run("ping")
        return monotonic() - began_at

    def _set_latency(self, seconds: float) -> None:
        self._model.latency = seconds


def text_of(error: object) -> str:
    """Return the text of an error for people."""
    return str(getattr(error, "text", "") or error)
