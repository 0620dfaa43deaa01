"""What a client has received: the logs of its rooms, and the events that wait for the caller."""

from __future__ import annotations

import threading
from dataclasses import replace

from wschat.client.chat.event_queue import EventQueue
from wschat.client.chat.requests import PendingRequest, wait_until
from wschat.client.chat.room_log import RoomLog, entries_in, room_of, seq_of
from wschat.events import Error, Event, HistoryEvent, Joined

_MAX_PAGE = 1000


class Inbox:
    """The rooms and events of one client. Methods may be called from any thread, and take the lock; only `take` may wait."""

    def __init__(self, lock: threading.RLock, max_events: int) -> None:
        self._lock = lock
        self._events = EventQueue(max_events)
        # Pages are fetched if so many events can be put, so that a slow caller does not cause a request for each event.
        self._room_for_pages = max(1, max_events // 2)
        self._rooms: dict[str, RoomLog] = {}
        self._is_behind = False
        self._has_changed = threading.Condition(lock)
        self._ended: Exception | None = None

    def take(self, until: float | None, delay: float | None) -> Event | None:
        """Return the next event. Wait until a time, or for some seconds; return None after the latter, and TimeoutError after the former.

        Once the client has ended and all events were taken, raises the error that has ended it.
        """
        with self._lock:
            if not len(self._events):
                if self._ended is not None:
                    raise self._ended.with_traceback(None)
                if not wait_until(self._has_changed, until, delay):
                    raise TimeoutError
            return self._events.take() if len(self._events) else None

    def end(self, error: Exception) -> None:
        """Wake all callers that wait. They get the events that are left, and then this error."""
        with self._lock:
            self._ended = error
            self._has_changed.notify_all()

    def receive(self, event: Event) -> None:
        """Receive an event that is not a reply."""
        with self._lock:
            seq = seq_of(event)
            if seq is None:
                self._events.offer(event)
            else:
                log = self._rooms.get(str(room_of(event)))
                if log is not None:  # else the client has left the room
                    log.receive(seq, event, self._events.put)
                    self._is_behind = self._is_behind or log.is_behind
            self._has_changed.notify()

    def enter(self, joined: Joined, since: int | None, epoch: str | None) -> None:
        """Follow a room that was joined, after a number of an epoch, or from now on. Does nothing for a room that is followed already."""
        with self._lock:
            if joined.room not in self._rooms:
                log = RoomLog(joined, since, epoch)
                self._resume(log, joined, is_first=since is None)
                self._rooms[joined.room] = log

    def resume(self, log: RoomLog, joined: Joined) -> None:
        """Go on following a room that was joined again. Raises ValueError, as `enter` does, if a message is wrong."""
        with self._lock:
            self._resume(log, joined, is_first=False)

    def lose_connection(self) -> None:
        """Fetch no entries of a room before it is joined again."""
        with self._lock:
            for log in self._rooms.values():
                log.lose_connection()

    def leave(self, room: str) -> None:
        """Do not follow a room any more."""
        with self._lock:
            self._rooms.pop(room, None)

    @property
    def rooms(self) -> list[RoomLog]:
        """The rooms that are followed."""
        with self._lock:
            return list(self._rooms.values())

    def missing_pages(self) -> list[PendingRequest]:
        """Return the requests for entries that are missing, if the caller has taken enough events."""
        if not self._is_behind:
            return []
        with self._lock:
            if self._events.free < self._room_for_pages:
                return []
            self._is_behind = False
            limit = min(_MAX_PAGE, self._events.free)
            return [self._page_of(log, limit) for log in self._rooms.values() if log.is_behind]

    def receive_page(self, log: RoomLog, reply: Event) -> None:
        """Receive the reply to such a request. Raises ValueError."""
        with self._lock:
            if isinstance(reply, HistoryEvent):
                log.receive_page(entries_in(reply.messages), reply.more, self._events.put)
            else:
                log.abandon_page(is_lost=not (isinstance(reply, Error) and reply.code == "unavailable"))
            self._is_behind = self._is_behind or log.is_behind
            self._has_changed.notify_all()  # of several callers, each may take one

    def _page_of(self, log: RoomLog, limit: int) -> PendingRequest:
        log.begin_page()
        request = PendingRequest(self._lock, "history", {"room": log.name, "since": log.delivered, "limit": limit})
        request.log = log
        return request

    def _resume(self, log: RoomLog, joined: Joined, *, is_first: bool) -> None:
        entries = entries_in(joined.messages)
        # The messages of the first time are the past; later ones are delivered as events.
        self._events.offer(joined if is_first else replace(joined, messages=(), more=False))
        log.resume(joined, entries, self._events.put)
        self._is_behind = self._is_behind or log.is_behind
        self._has_changed.notify_all()
