"""The chat on a terminal: a screen for a `ChatClient`.

Three threads besides the client's own: the main one has the screen, one receives events, and one makes requests, which wait while there is
no connection.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import monotonic

from prompt_toolkit.history import History

from wschat.cli.terminal import chat_status
from wschat.cli.terminal.call_queue import CallQueue
from wschat.cli.terminal.chat_commands import (
    KEYS,
    LOCAL_COMMANDS,
    AskServer,
    Clear,
    GoToRoom,
    JoinRoom,
    LeaveRoom,
    LoadOlder,
    ParsedLine,
    Quit,
    Say,
    ShowHelp,
    TakeName,
    WhisperTo,
    parse_line,
)
from wschat.cli.terminal.chat_model import ChatModel, Waiting
from wschat.cli.terminal.chat_requests import Requests, text_of
from wschat.cli.terminal.chat_room import Room
from wschat.cli.terminal.completion import ChatCompleter
from wschat.cli.terminal.room_recording import RoomRecording
from wschat.cli.terminal.rows import Row
from wschat.cli.terminal.screen import Screen
from wschat.cli.terminal.transcript import Transcript
from wschat.client.chat.client import ChatClient
from wschat.client.chat.conversation import comparable
from wschat.client.reconnect import Attempt
from wschat.daemons import start_daemon
from wschat.errors import UsageError

SECONDS_TO_CLOSE = 2.0
_SECONDS_BETWEEN_TYPING = 4.0


class Chat:
    """The view of a chat, and its requests. `run` may be called once."""

    def __init__(
        self, place: str, make_client: Callable[[Callable[[Attempt], object]], ChatClient], history: History, recording: RoomRecording
    ) -> None:
        """`make_client` makes a client that has not been started, given the function to call with its attempts to connect."""
        self._recording = recording
        self.calls = CallQueue()
        self._client = make_client(self._attempted)
        self.model = ChatModel(place, lambda: self._client.name)
        self.completer = ChatCompleter(self._commands, self._rooms, self._names)
        self._requests = Requests(self._client, self.model, self.calls, recording)
        self._tell_typing_at = 0.0
        self._screen = Screen(self, self.calls, history)

    def run(self) -> int:
        """Show the screen until the user ends it, and return the exit code. Raises the error that has ended the client."""
        try:
            return self._screen.run(self._start)
        finally:
            self._stop()

    @property
    def unsaid(self) -> list[Waiting]:
        """The messages that the server did not get until the end."""
        return self.model.waiting

    def _start(self) -> None:
        self._client.start()
        start_daemon(self._receive, "wschat-receiver")
        self._requests.start()

    def _stop(self) -> None:
        """Send what waits, if there is a connection, and end the client."""
        if self._client.connected:
            self._requests.finish(SECONDS_TO_CLOSE)
        self._client.stop()
        self._requests.finish(SECONDS_TO_CLOSE)
        self.calls.run_to_end(SECONDS_TO_CLOSE)
        self._client.close()
        self._recording.closed(self._client.closed)

    # What the screen asks for

    @property
    def transcript(self) -> Transcript:
        """The lines of the room in front."""
        return self.model.transcript

    def title(self) -> tuple[Row, Row]:
        """Return the parts of the row at the top."""
        return chat_status.title(self.model)

    def status(self) -> tuple[Row, Row]:
        """Return the parts of the status line."""
        if self._client.latency is not None:
            self.model.latency = self._client.latency
        return chat_status.status(self.model)

    def prompt(self) -> Row:
        """Return what stands before the line that the user types."""
        return chat_status.prompt(self.model)

    def accept(self, text: str) -> bool:
        """Do what a line asks for. What cannot be done stays in the prompt."""
        try:
            self._do(parse_line(text))
        except UsageError as error:
            self.model.fail(str(error))
            return True
        return False

    def typed(self, text: str) -> None:
        """Tell the other members of the room in front that the user is typing, once in a while."""
        room, now = self.model.current, monotonic()
        if room is None or not room.is_joined or not text or text.startswith("/") or not self._client.connected:
            return
        if now >= self._tell_typing_at:
            self._tell_typing_at = now + _SECONDS_BETWEEN_TYPING
            self._requests.tell_typing(room)

    def reached_top(self) -> None:
        """Read older messages of the room in front."""
        room = self.model.current
        if room is not None and room.has_older and not room.is_loading:
            self._requests.load_older(room)

    def key(self, name: str) -> None:
        """Go to another room."""
        model = self.model
        rooms = list(model.rooms.values())
        if name == "unread":
            target = model.next_unread()
        elif name.isdecimal():
            target = rooms[int(name) - 1] if int(name) <= len(rooms) else None
        else:
            target = model.neighbour(1 if name == "next" else -1)
        if target is not None:
            model.go_to(target)

    # What the user asks for. Raises UsageError if that cannot be done now

    def _do(self, line: ParsedLine) -> None:
        requests = self._requests
        if isinstance(line, Say):
            requests.say(Waiting(self._current().name, line.text))
        elif isinstance(line, JoinRoom):
            room = self.model.rooms.get(comparable(line.room))
            if room is not None and room.is_joined:
                self.model.go_to(room)
            else:
                requests.join(line.room)
        elif isinstance(line, LeaveRoom):
            requests.leave(self._find(line.room) if line.room else self._current(is_joined=False))
        elif isinstance(line, GoToRoom):
            self.model.go_to(self._find(line.room))
        elif isinstance(line, TakeName):
            requests.ask("nick", name=line.name)
        elif isinstance(line, WhisperTo):
            requests.whisper(line.name, line.text)
        elif isinstance(line, AskServer):
            requests.ask("say", room=self._current().name, text=line.line)
        else:
            self._do_here(line)

    def _do_here(self, line: LoadOlder | ShowHelp | Clear | Quit) -> None:
        if isinstance(line, LoadOlder):
            self.transcript.to_top()
            self.reached_top()
        elif isinstance(line, ShowHelp):
            usages = [*self._commands().values(), ("//TEXT", "say a text that begins with a slash"), *KEYS]
            self.model.show_help(usages)
        elif isinstance(line, Clear):
            self.transcript.clear()
        else:
            self._screen.end()

    def _current(self, *, is_joined: bool = True) -> Room:
        room = self.model.current
        if room is None:
            raise UsageError("you are not in a room: /join one first")
        if is_joined and not room.is_joined:
            raise UsageError(f"you are not in {room.name} any more: /join {room.name}")
        return room

    def _find(self, text: str) -> Room:
        rooms = list(self.model.rooms.values())
        if text.isdecimal() and 1 <= int(text) <= len(rooms):
            return rooms[int(text) - 1]
        room = self.model.rooms.get(comparable(text)) or next((room for room in rooms if room.name.startswith(comparable(text))), None)
        if room is None:
            raise UsageError(f"you are not in {text}: /join {text}")
        return room

    # Completion

    def _commands(self) -> dict[str, tuple[str, str]]:
        return {**self.model.commands, **LOCAL_COMMANDS}

    def _rooms(self) -> list[str]:
        return [*self.model.rooms, *self.model.known_rooms]

    def _names(self) -> list[str]:
        room = self.model.current
        return [name for name in room.members if name != self.model.me()] if room else []

    # What happens to the client

    def _attempted(self, attempt: Attempt) -> None:
        """Show when the next attempt to connect begins. For the thread of the client."""
        if attempt.pause is not None:
            self.calls.put(partial(self.model.lost, text_of(attempt.error), attempt.pause))

    def _receive(self) -> None:
        try:
            for event in self._client:
                self._recording.received(event)
                self.calls.put(partial(self.model.apply, event))
        except Exception as error:
            self.calls.fail(error)
        finally:
            self.calls.close()
