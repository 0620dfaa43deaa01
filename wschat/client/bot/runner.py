"""One run of a bot: its client, the thread that takes the client's events, and the threads of its handlers."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Hashable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from functools import partial
from time import monotonic

from wschat.callables import name_of
from wschat.client.bot.commands import Call
from wschat.client.bot.handlers import Handlers, Periodic
from wschat.client.bot.incoming import Incoming, Outages
from wschat.client.bot.loop_guard import LoopGuard
from wschat.client.bot.message import Member, Message, Outlet
from wschat.client.bot.outlets import ClientOutlet, CountingOutlet
from wschat.client.bot.schedule import Schedule
from wschat.client.bot.workers import Workers
from wschat.client.chat.client import ChatClient
from wschat.daemons import join_daemon, start_daemon
from wschat.errors import ConnectionClosed, OutcomeUnknown, UsageError, WSChatError
from wschat.events import Joined
from wschat.limits import MAX_SECONDS

logger = logging.getLogger("wschat.bot")

_MODERATORS = "moderators"  # the key of the job that asks for them
_DRAIN_SECONDS = 5.0  # for the handlers of what was received before the bot was stopped
_MIN_SAY_TIMEOUT = 10.0
_COMPLAINT_SECONDS = 60.0
_REFUSED = "%d messages were not handled: too many of their senders were waiting"
_TOO_LATE = "%d messages were not handled: the bot was stopping when they came"


@dataclass(frozen=True)
class Settings:
    """The settings of a run. Raises UsageError for one that could not work."""

    workers: int
    """The number of threads for handlers."""
    max_pending: int
    """How many messages may wait or be handled."""
    max_answers: int
    """How many answers a sender may draw at once; 0 for no limit."""
    catch_up: float
    """The seconds for which a lost connection is made up for."""

    def __post_init__(self) -> None:
        for name, least in (("workers", 1), ("max_pending", 1), ("max_answers", 0)):
            number = getattr(self, name)
            if number < least:
                raise UsageError(f"{name} must be at least {least}, not {number}")
        if not 0 <= self.catch_up <= MAX_SECONDS:  # also refuses NaN
            raise UsageError(f"catch_up must be 0 to {MAX_SECONDS:g} seconds, not {self.catch_up}")

    def outlet(self, client: ChatClient) -> Outlet:
        """Return where texts go. Like messages that were missed, they are made up for within `catch_up` seconds."""
        return ClientOutlet(client, max(_MIN_SAY_TIMEOUT, self.catch_up))


class Runner:
    """Runs handlers until `close`. `on_end` is called with the error that has ended the client.

    `speak_by` provides a context in which what the calling thread says goes to an outlet.
    """

    def __init__(
        self,
        handlers: Handlers,
        client: ChatClient,
        outages: Outages,
        settings: Settings,
        speak_by: Callable[[Outlet], AbstractContextManager[None]],
        on_end: Callable[[Exception], object],
    ) -> None:
        self._handlers = handlers
        self._client = client
        self._outlet = settings.outlet(client)
        self._incoming = Incoming(lambda: client.name, self._outlet, outages, settings.catch_up)
        self._workers = Workers(settings.workers, settings.max_pending)
        self._guard = LoopGuard(settings.max_answers)
        self._speak_by = speak_by
        self._on_end = on_end
        self._schedule = Schedule(handlers.periodic, self._submit_periodic)
        # For the thread that takes the events: how many messages were refused and not reported yet, or came too late, and when what was
        # logged.
        self._refused = 0
        self._too_late = 0
        self._complained_at: dict[str, float] = {}

    def start(self) -> None:
        """Start the threads. Raises OSError if one cannot be started."""
        with ExitStack() as undo:
            undo.callback(self._workers.stop, 0)
            self._workers.start()
            self._schedule.start()
            undo.callback(self._schedule.stop)
            self._client.start()
            undo.callback(self._client.close)
            self._thread = start_daemon(self._run, "wschat-bot")
            undo.pop_all()

    def close(self) -> None:
        """Handle what was received, at most 5 seconds long, close the connection, and wait for the threads."""
        self._schedule.stop()
        unfinished = self._workers.stop(_DRAIN_SECONDS)
        if unfinished:
            logger.warning("%d handlers and messages were not finished within %g s", unfinished, _DRAIN_SECONDS)
        self._client.close()
        join_daemon(self._thread)
        for text, number in ((_REFUSED, self._refused), (_TOO_LATE, self._too_late)):
            if number:
                logger.warning(text, number)

    def _run(self) -> None:
        try:
            for event in self._client:
                received = self._incoming.take(event)
                if received is not None and (isinstance(received, Member) or self._handlers.wants(received)):
                    self._submit(_origin(received), partial(self._handle, received))
                if self._incoming.is_unsure and not self._workers.is_busy(_MODERATORS):
                    self._incoming.is_unsure = not self._workers.submit(
                        _MODERATORS, partial(self._ask_for_moderators, *self._incoming.asking())
                    )
        except Exception as error:
            logger.error("the bot has no connection any more: %s", error)
            self._on_end(error)

    def _submit(self, key: Hashable, job: Callable[[], object]) -> None:
        """Give a message to the workers. If the queue is full, wait: the client keeps what comes meanwhile, and fetches what it cannot."""
        if self._workers.is_full:
            self._complain("the handlers are slower than the messages that come: messages wait")
            self._incoming.forget_moderators()  # the client may fetch messages after it has delivered later events
        if self._workers.submit(key, job, wait=True):
            return
        if self._workers.is_stopping:
            self._too_late += 1
        else:
            self._refused += 1
            if self._complain(_REFUSED, self._refused):
                self._refused = 0

    def _complain(self, text: str, *arguments: object) -> bool:
        """Log a warning, unless it was logged within the last minute. Return False then."""
        now = monotonic()
        if now < self._complained_at.get(text, -math.inf) + _COMPLAINT_SECONDS:
            return False
        self._complained_at[text] = now
        logger.warning(text, *arguments)
        return True

    def _submit_periodic(self, periodic: Periodic) -> None:
        if not self._workers.is_busy(periodic):
            call = Call(name_of(periodic.function), periodic.function)
            self._workers.submit(periodic, partial(self._run_calls, [call], self._outlet, None))

    def _ask_for_moderators(self, rooms: Sequence[str], learn: Callable[[Joined], object]) -> None:
        for room in rooms:
            try:
                if self._client.name in self._client.members(room):  # else it has left
                    learn(self._client.join(room))
            except (WSChatError, TimeoutError) as error:
                logger.warning("the moderators of %s are not known: %s", room, error)

    def _handle(self, received: Message | Member) -> None:
        room, name = _origin(received)
        outlet = CountingOutlet(self._outlet, partial(self._guard.count_answer, room, name))
        received = replace(received, outlet=outlet)
        message = received if isinstance(received, Message) else None
        calls = self._handlers.calls_for_member(received) if isinstance(received, Member) else self._handlers.calls_for_message(received)
        if calls and self._guard.is_admitted(room, name):
            self._run_calls(calls, outlet, message)

    def _run_calls(self, calls: Sequence[Call], outlet: Outlet, message: Message | None) -> None:
        with self._speak_by(outlet):
            for call in calls:
                try:
                    call.run()
                except Exception as error:
                    self._report(call, message, error)

    def _report(self, call: Call, message: Message | None, error: Exception) -> None:
        """Log the error of a handler, and tell the sender who waits for an answer."""
        if isinstance(error, (ConnectionClosed, OutcomeUnknown)) or (isinstance(error, TimeoutError) and not self._client.connected):
            logger.warning("%s could not answer: %s", call.name, error)
            return
        logger.error("%s failed", call.name, exc_info=error)
        if message is not None and call.apology:
            self._apologize(call, message)

    def _apologize(self, call: Call, message: Message) -> None:
        try:
            message.reply(call.apology)
        except Exception as error:
            logger.warning("%s could not answer that it has failed: %s", call.name, error)


def _origin(received: Message | Member) -> tuple[str, str]:
    return received.room, received.sender if isinstance(received, Message) else received.name
