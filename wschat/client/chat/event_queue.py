"""The events that wait for the caller of a client, at most so many. Guarded by the lock of the client."""

from __future__ import annotations

from collections import deque

from wschat.events import Dropped, Event


class EventQueue:
    """A bounded queue of events."""

    def __init__(self, max_events: int) -> None:
        self._max_events = max_events
        self._events: deque[Event] = deque()
        self._dropped = 0

    def __len__(self) -> int:
        return len(self._events)

    @property
    def free(self) -> int:
        """The number of events that can still be put."""
        return self._max_events - len(self._events)

    def put(self, event: Event) -> bool:
        """Add an event. Return False if the queue is full: then it is to be put again later."""
        if self._dropped and self.free >= 2:
            self._events.append(Dropped(self._dropped))
            self._dropped = 0
        if self.free < 1 or self._dropped:
            return False
        self._events.append(event)
        return True

    def offer(self, event: Event) -> None:
        """Add an event, or drop it if the queue is full."""
        if not self.put(event):
            self._dropped += 1

    def take(self) -> Event:
        """Remove the first event and return it. There must be one."""
        return self._events.popleft()
