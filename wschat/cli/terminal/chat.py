"""The chat on a terminal: a screen for a `ChatClient`.

Three threads besides the client's own: the main one has the screen, one receives events, and the worker makes requests, which wait while
there is no connection.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import monotonic, time

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
    Quit,
    Request,
    Say,
    ShowHelp,
    TakeName,
    WhisperTo,
    parse_line,
)
from wschat.cli.terminal.chat_model import ChatModel, Waiting
from wschat.cli.terminal.chat_room import Entry, Room
from wschat.cli.terminal.completion import ChatCompleter
from wschat.cli.terminal.rows import Row
from wschat.cli.terminal.screen import Screen
from wschat.cli.terminal.transcript import Transcript
from wschat.cli.terminal.worker import Worker
from wschat.client.chat.client import ChatClient
from wschat.client.reconnect import Attempt
from wschat.daemons import start_daemon
from wschat.errors import UsageError, WSChatError
from wschat.events import Event

SECONDS_TO_CLOSE = 2.0
_OLDER = 100
_SECONDS_BETWEEN_TYPING = 4.0
_ERRORS = (WSChatError, OSError)  # what a request may raise: it failed, or the client has ended


class Chat:
    """The view of a chat, and its requests. `run` may be called once."""

    def __init__(self, place: str, make_client: Callable[[Callable[[Attempt], object]], ChatClient], history: History) -> None:
        """`make_client` makes a client that has not been started, given the function to call with its attempts to connect."""
        self.calls = CallQueue()
        self._client = make_client(self._attempted)
        self.model = ChatModel(place, lambda: self._client.name)
        self.completer = ChatCompleter(self._commands, self._rooms, self._names)
        self._worker = Worker()
        self._tell_typing_at = 0.0
        self._screen = Screen(self, self.calls, history)

    def run(self) -> int:
        """Show the screen until the user ends it, and return the exit code. Raises the error that has ended the client."""
        try:
            return self._screen.run(self._start)
        finally:
            self._client.stop()
            self._worker.stop(SECONDS_TO_CLOSE)
            self.calls.run_to_end(SECONDS_TO_CLOSE)
            self._client.close()

    def _start(self) -> None:
        self._client.start()
        start_daemon(self._receive, "wschat-receiver")
        self._worker.start()
        for task in (self._ask_commands, self._ask_rooms):
            self._worker.submit(task)

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
        if now >= self._tell_typing_at and self._worker.submit(partial(self._tell_typing, room.name)):
            self._tell_typing_at = now + _SECONDS_BETWEEN_TYPING

    def reached_top(self) -> None:
        """Read older messages of the room in front."""
        room = self.model.current
        if room is not None and room.has_older and not room.is_loading and self._worker.submit(partial(self._load_older, room)):
            room.is_loading = True

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

    def _do(self, request: Request) -> None:
        model = self.model
        if isinstance(request, Say):
            waiting = Waiting(self._current().name, request.text)
            self._submit(partial(self._say, waiting))
            model.wait_for(waiting)
        elif isinstance(request, JoinRoom):
            room = model.rooms.get(request.room.casefold())
            if room is not None and room.is_joined:
                model.go_to(room)
            else:
                self._submit(partial(self._join, request.room))
        elif isinstance(request, LeaveRoom):
            self._leave(self._find(request.room) if request.room else self._current(is_joined=False))
        elif isinstance(request, GoToRoom):
            model.go_to(self._find(request.room))
        elif isinstance(request, TakeName):
            self._submit(partial(self._request, lambda: self._client.run("nick", name=request.name)))
        elif isinstance(request, WhisperTo):
            self._submit(partial(self._whisper, request))
        elif isinstance(request, AskServer):
            room_name = self._current().name
            self._submit(partial(self._request, lambda: self._client.run("say", room=room_name, text=request.line)))
        else:
            self._do_here(request)

    def _do_here(self, request: LoadOlder | ShowHelp | Clear | Quit) -> None:
        if isinstance(request, LoadOlder):
            self.transcript.to_top()
            self.reached_top()
        elif isinstance(request, ShowHelp):
            usages = [*self._commands().values(), ("//TEXT", "say a text that begins with a slash"), *KEYS]
            self.model.show_help(usages)
        elif isinstance(request, Clear):
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
        room = self.model.rooms.get(text.casefold()) or next((room for room in rooms if room.name.startswith(text.casefold())), None)
        if room is None:
            raise UsageError(f"you are not in {text}: /join {text}")
        return room

    def _leave(self, room: Room) -> None:
        if room.is_joined:
            self._submit(partial(self._leave_room, room))
        else:
            self.model.forget(room)

    def _submit(self, task: Callable[[], None]) -> None:
        if not self._worker.submit(task):
            raise UsageError("too many messages wait to be sent")

    # Completion

    def _commands(self) -> dict[str, tuple[str, str]]:
        return {**self.model.commands, **LOCAL_COMMANDS}

    def _rooms(self) -> list[str]:
        return [*self.model.rooms, *self.model.known_rooms]

    def _names(self) -> list[str]:
        room = self.model.current
        return [name for name in room.members if name != self.model.me()] if room else []

    # Requests, which the worker makes

    def _request(self, ask: Callable[[], Event]) -> None:
        """Make a request, and show its reply or why it failed."""
        try:
            self.calls.put(partial(self.model.reply, ask()))
        except _ERRORS as error:
            self.calls.put(partial(self.model.fail, text_of(error)))

    def _say(self, waiting: Waiting) -> None:
        error = None
        try:
            began_at = monotonic()
            self._client.say(waiting.room, waiting.text, timeout=None)
            self.calls.put(partial(self._set_latency, monotonic() - began_at))
        except _ERRORS as failure:
            error = text_of(failure)
        self.calls.put(partial(self.model.said, waiting, error))

    def _join(self, name: str) -> None:
        def go(room: str) -> None:
            self.model.go_to(self.model.rooms.get(room))

        try:
            room = self._client.join(name).room
        except _ERRORS as error:
            self.calls.put(partial(self.model.fail, text_of(error)))
        else:
            self.calls.put(partial(go, room))

    def _leave_room(self, room: Room) -> None:
        try:
            self._client.leave(room.name)
        except _ERRORS as error:
            self.calls.put(partial(self.model.fail, text_of(error)))
        else:
            self.calls.put(partial(self.model.forget, room))

    def _whisper(self, request: WhisperTo) -> None:
        try:
            self._client.whisper(request.name, request.text)
        except _ERRORS as error:
            self.calls.put(partial(self.model.fail, text_of(error)))
        else:
            self.calls.put(partial(self.model.whispered, request.name, request.text, time()))

    def _load_older(self, room: Room) -> None:
        entries: list[Entry] = []
        more = True
        before = room.oldest_seq
        try:
            while more and not entries:
                page = self._client.history(room.name, before=before, limit=_OLDER)
                entries = [entry for entry in page if isinstance(entry, Entry)]
                more = len(page) == _OLDER
                before = getattr(page[0], "seq", None) if page else None
        except _ERRORS as error:
            self.calls.put(partial(self.model.fail, text_of(error)))
        self.calls.put(lambda: room.add_older(entries, more=more))

    def _ask_commands(self) -> None:
        try:
            began_at = monotonic()
            commands = self._client.run("commands", timeout=None)
            self.calls.put(partial(self.model.apply, commands))
            self.calls.put(partial(self._set_latency, monotonic() - began_at))
        except _ERRORS:
            pass  # the chat works without completion

    def _ask_rooms(self) -> None:
        try:
            rooms = [room.room for room in self._client.rooms(timeout=None)]
            self.calls.put(partial(self.model.set_known_rooms, rooms))
        except _ERRORS:
            pass

    def _tell_typing(self, room: str) -> None:
        try:
            self._client.run("typing", room=room, timeout=1)
        except _ERRORS:
            pass  # it was not important

    def _set_latency(self, seconds: float) -> None:
        self.model.latency = seconds

    # What happens to the client

    def _attempted(self, attempt: Attempt) -> None:
        """Show when the next attempt to connect begins. For the thread of the client."""
        if attempt.pause is not None:
            self.calls.put(partial(self.model.lost, text_of(attempt.error), attempt.pause))

    def _receive(self) -> None:
        try:
            for event in self._client:
                self.calls.put(partial(self.model.apply, event))
        except Exception as error:
            self.calls.put(partial(_raise, error))
        finally:
            self.calls.close()


def text_of(error: object) -> str:
    """Return the text of an error for people."""
    return str(getattr(error, "text", "") or error)


def _raise(error: Exception) -> None:
    raise error
