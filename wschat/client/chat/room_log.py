"""The log of one room as a client receives it: each entry once and in order, over lost connections and while the caller is slow.

Guarded by the lock of the client.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence

from wschat.client.event_parser import event_from
from wschat.events import Event, Gap, Joined, OtherEvent

# The most entries that are kept while earlier ones are being fetched. Beyond it, they are fetched as well.
_MAX_HELD = 256

Entry = tuple[int, Event]
"""An entry of a log, with its number."""
Put = Callable[[Event], bool]
"""Delivers an event. Returns False if there is no room for it now."""


class RoomLog:
    """Which entries of a room's log were delivered, and which are missing."""

    def __init__(self, joined: Joined, since: int | None = None, epoch: str | None = None) -> None:
        """Begin after the number `since` of an epoch; without one, after the last entry. `resume` must follow."""
        self.name = joined.room
        """The room's name, as the server writes it."""
        self.epoch = joined.epoch if epoch is None else epoch
        """The epoch of the log."""
        self.delivered = joined.last if since is None else since
        """The number of the last entry that was delivered."""
        self._last = joined.last
        self._is_joined = False
        self._is_fetching = False
        self._last_when_fetching = 0
        self._is_gap_due = False
        self._held: deque[Entry] = deque(maxlen=_MAX_HELD)

    @property
    def is_behind(self) -> bool:
        """True if entries are missing, and can be fetched, and are not being fetched."""
        return self.delivered < self._last and self._is_joined and not self._is_fetching

    def resume(self, joined: Joined, entries: Sequence[Entry], put: Put) -> None:
        """Go on after joining with the number `delivered` as `since`."""
        self._is_joined = True
        self._held.clear()
        self._last = joined.last
        if joined.epoch == self.epoch and self.delivered <= joined.last:
            self.begin_page()
            self.receive_page(entries, joined.more, put)
            return
        # The numbers begin anew: everything in the new log is news. In the same epoch, a part of the log was lost.
        self._is_fetching = False
        self._is_gap_due = True
        self.delivered = joined.last if joined.epoch == self.epoch else 0
        self.epoch = joined.epoch

    def lose_connection(self) -> None:
        """Note that nothing can be fetched until `resume`."""
        self._is_joined = self._is_fetching = False

    def receive(self, seq: int, entry: Event, put: Put) -> None:
        """Receive a new entry."""
        self._last = max(self._last, seq)
        if self._is_fetching:
            self._held.append((seq, entry))
        elif seq == self.delivered + 1:
            self._deliver([(seq, entry)], put)

    def begin_page(self) -> None:
        """Note that the entries after `delivered` are being fetched."""
        self._is_fetching = True
        self._last_when_fetching = self._last

    def receive_page(self, entries: Sequence[Entry], more: bool, put: Put) -> None:
        """Receive the entries that were fetched. `more` is true if there are more after them."""
        self._is_fetching = False
        if not self._deliver(entries, put) or (more and entries):
            return
        known = self._last_when_fetching  # the page would have had what is kept up to here
        if self._deliver(self._take_held(known), put) and self.delivered < known:
            self.delivered = known
            self._is_gap_due = True

    def abandon_page(self, *, is_lost: bool) -> None:
        """Note that the entries could not be fetched, now or, if they are lost, ever."""
        self._is_fetching = False
        if is_lost:
            self.delivered = self._last
            self._is_gap_due = True

    def _take_held(self, known: int) -> list[Entry]:
        """Return the entries that were held back, up to the first one before which entries above `known` are missing."""
        last = max(self.delivered, known)
        ready = []
        for seq, entry in self._held:
            if seq > last + 1:
                break
            ready.append((seq, entry))
            last = max(last, seq)
        self._held.clear()
        return ready

    def _deliver(self, entries: Iterable[Entry], put: Put) -> bool:
        """Deliver entries between which none is kept. Return False if there was no room for all."""
        for seq, entry in entries:
            if seq <= self.delivered:
                continue
            if self._is_gap_due or seq > self.delivered + 1:
                if not put(Gap(self.name, seq)):
                    return False
                self._is_gap_due = False
                self.delivered = seq - 1
            if not put(entry):
                return False
            self.delivered = seq
        return True


def entries_in(messages: Sequence[object]) -> list[Entry]:
    """Return the entries of a `joined` or `history` event, with their numbers. Raises ValueError if one is not an entry."""
    entries = []
    for fields in messages:
        if not isinstance(fields, dict):
            raise ValueError(f"an entry of a log must be an object, not {fields!r}")
        entry = event_from(fields, "message")
        seq = seq_of(entry)
        if seq is None:
            raise ValueError('an entry of a log must have a number "seq"')
        entries.append((seq, entry))
    return entries


def seq_of(event: Event) -> int | None:
    """Return the number of an event in the log of its room, None if it is no entry of a log."""
    seq = event.data.get("seq") if isinstance(event, OtherEvent) else getattr(event, "seq", None)
    return seq if isinstance(seq, int) and room_of(event) is not None else None


def room_of(event: Event) -> str | None:
    """Return the room of an event, None if it has none."""
    room = event.data.get("room") if isinstance(event, OtherEvent) else getattr(event, "room", None)
    return room if isinstance(room, str) else None
