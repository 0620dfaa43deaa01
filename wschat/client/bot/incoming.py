"""What a bot is told: which events of its client are messages and members to handle."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue
from time import monotonic

from wschat.client.bot.message import Member, Message, Outlet
from wschat.client.bot.moderators import Moderators
from wschat.client.chat.conversation import comparable
from wschat.client.reconnect import Attempt
from wschat.events import Dropped, Error, Event, Gap, Joined, MemberEvent, MessageEvent, Notice, WhisperEvent

logger = logging.getLogger("wschat.bot")

_KEPT_SECONDS = 60.0  # after a rename, a message by the old name may still come
_EXITS = ("kick", "ban")


class Outages:
    """How long the last lost connection took to replace. Written by the thread of the client, read by that of the bot."""

    def __init__(self, on_attempt: Callable[[Attempt], object] | None = None, clock: Callable[[], float] = monotonic) -> None:
        """`on_attempt` is called with each attempt, too."""
        self._on_attempt = on_attempt
        self._clock = clock
        # Guards the two below. No other lock is taken while it is held.
        self._lock = threading.Lock()
        self._lost_at: float | None = None
        self._seconds = 0.0

    def on_attempt(self, attempt: Attempt) -> None:
        """Take note of an attempt to connect, and log it."""
        with self._lock:
            now = self._clock()
            if attempt.error is not None:
                self._lost_at = now if self._lost_at is None else self._lost_at
            else:
                self._seconds = 0.0 if self._lost_at is None else now - self._lost_at
                self._lost_at = None
        if attempt.error is None:
            logger.info("connected to %s", attempt.url)
        elif attempt.pause is not None:
            logger.warning("no connection to %s: %s; the next attempt is in %.1f s", attempt.url, attempt.error, attempt.pause)
        if self._on_attempt is not None:
            self._on_attempt(attempt)

    @property
    def seconds(self) -> float:
        """The seconds between the loss and the connection that has replaced it."""
        with self._lock:
            return self._seconds


class Incoming:
    """Takes the events of a client, in one thread, and returns what the bot is to handle.

    Left out are the bot's own messages, and those it has missed if the connection was lost for more than `catch_up` seconds.
    """

    def __init__(self, own_name: Callable[[], str | None], outlet: Outlet, outages: Outages, catch_up: float) -> None:
        self._own_name = own_name
        self._outlet = outlet
        self._outages = outages
        self._catch_up = catch_up
        self._moderators = Moderators()
        self._rooms: dict[str, None] = {}  # that the bot has joined, in order
        # By room: the epoch and the last number of what was missed for too long, and the number up to which the moderators are not known.
        self._left_out: dict[str, tuple[str, int]] = {}
        self._unsure_until: dict[str, int] = {}
        self._forgotten = 0  # how often
        self._learnt: SimpleQueue[tuple[int, Joined]] = SimpleQueue()
        self.is_unsure = False
        """True if the moderators are to be asked for."""
        self._name = own_name()
        self._former_names: dict[str, float] = {}  # in their comparable form, with the time until which they are the bot's

    def take(self, event: Event) -> Message | Member | None:
        """Return what to handle for an event, None for nothing."""
        self._note_name()
        self._note_moderators()
        if isinstance(event, MessageEvent):
            return self._message(event)
        if isinstance(event, WhisperEvent):
            return None if self._is_own(event.sender) else Message("", event.sender, event.text, 0, event.time, False, self._outlet)
        if isinstance(event, MemberEvent):
            return self._member(event)
        if isinstance(event, Joined):
            self._on_joined(event)
            self._leave_out_missed(event)
        elif isinstance(event, Dropped):
            logger.warning("the server sent %d events faster than the bot took them, which were dropped", event.count)
            self.forget_moderators()
        elif isinstance(event, Gap):
            logger.warning("messages before number %d of %s were missed: the server no longer has them", event.first, event.room)
        elif isinstance(event, (Error, Notice)):
            logger.info("the server says: %s", event.text)
        return None

    def forget_moderators(self) -> None:
        """Know no moderators any more, because events may have been missed, or messages may come after later events."""
        self._moderators.forget()
        self._forgotten += 1
        self.is_unsure = True

    def asking(self) -> tuple[list[str], Callable[[Joined], None]]:
        """Return the rooms whose moderators are to be asked for by joining again, and what to call with the replies, from any thread."""
        forgotten = self._forgotten
        return list(self._rooms), lambda joined: self._learnt.put((forgotten, joined))

    def _note_moderators(self) -> None:
        while not self._learnt.empty():
            forgotten, joined = self._learnt.get()
            if forgotten == self._forgotten:  # else they may have changed since
                self._on_joined(joined)

    def _on_joined(self, joined: Joined) -> None:
        self._moderators.on_joined(joined)
        self._unsure_until[joined.room] = joined.last

    def _leave_out_missed(self, joined: Joined) -> None:
        """Note that what was said in a room while the connection was lost is not handled, if that was for too long."""
        epoch, _ = self._left_out.get(joined.room, (joined.epoch, 0))
        if epoch != joined.epoch:  # the numbers begin anew
            del self._left_out[joined.room]
        seconds = self._outages.seconds
        if joined.room in self._rooms and seconds > self._catch_up:
            self._left_out[joined.room] = joined.epoch, joined.last
            text = "the connection was lost for %.0f s: what was said in %s meanwhile, up to number %d, is not handled"
            logger.warning(text, seconds, joined.room, joined.last)
        self._rooms[joined.room] = None

    def _message(self, event: MessageEvent) -> Message | None:
        _, left_out_until = self._left_out.get(event.room, ("", 0))
        if self._is_own(event.sender) or event.seq <= left_out_until:
            return None
        # Another member may have had the name when an older message was sent.
        is_moderator = event.seq > self._unsure_until.get(event.room, 0) and self._moderators.contains(event.room, event.sender)
        return Message(event.room, event.sender, event.text, event.seq, event.time, is_moderator, self._outlet)

    def _member(self, event: MemberEvent) -> Member | None:
        self._moderators.on_member(event)
        is_own = self._is_own(event.name)
        if is_own and event.event in _EXITS:
            logger.warning("the bot is no longer in %s: %s", event.room, event.event)
        if event.event != "join" or is_own:
            return None
        return Member(event.room, event.name, bool(event.moderator), self._outlet)

    def _note_name(self) -> None:
        """Keep a former name. The client knows its new one at once, and events by the former one may still wait to be taken."""
        name = self._own_name()
        if name != self._name:
            if self._name is not None:
                self._former_names[comparable(self._name)] = monotonic() + _KEPT_SECONDS
            self._name = name

    def _is_own(self, name: str) -> bool:
        key = comparable(name)
        return (self._name is not None and key == comparable(self._name)) or self._former_names.get(key, 0.0) > monotonic()
