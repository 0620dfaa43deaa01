"""The queue of events: its maximum length, and dropped events."""

from __future__ import annotations

from wschat.client.chat.event_queue import EventQueue
from wschat.events import Dropped, Event, TypingEvent

ALICE, BOB, CAROL = (TypingEvent("tea", name) for name in ("alice", "bob", "carol"))


def drain(events: EventQueue) -> list[Event]:
    return [events.take() for _ in range(len(events))]


def test_events_come_in_order() -> None:
    events = EventQueue(2)
    assert events.put(ALICE)
    assert events.put(BOB)
    assert drain(events) == [ALICE, BOB]


def test_a_full_queue_refuses_events() -> None:
    events = EventQueue(2)
    events.offer(ALICE)
    events.offer(BOB)
    assert not events.put(CAROL)
    assert (len(events), events.free) == (2, 0)


def test_dropped_events_are_counted_where_they_were() -> None:
    events = EventQueue(2)
    for event in (ALICE, BOB, CAROL, CAROL):
        events.offer(event)
    assert events.take() == ALICE
    assert not events.put(ALICE)  # it would come before the count
    assert events.take() == BOB
    assert events.put(ALICE)
    assert drain(events) == [Dropped(2), ALICE]
