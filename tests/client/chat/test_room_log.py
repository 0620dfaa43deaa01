"""The log of a room as a client delivers it: each entry once and in order, even if entries are lost, late, repeated or deleted."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from wschat.client.chat.room_log import RoomLog, entries_in
from wschat.events import Event, Gap, Joined, MessageEvent, OtherEvent, TopicEvent


class Caller:
    """Records the delivered events, up to its capacity."""

    def __init__(self, capacity: int = 1000) -> None:
        self.capacity = capacity
        self.got: list[Event] = []

    def put(self, event: Event) -> bool:
        if len(self.got) == self.capacity:
            return False
        self.got.append(event)
        return True

    @property
    def numbers(self) -> list[object]:
        """The numbers of the entries; -N for a gap before N."""
        return [-event.first if isinstance(event, Gap) else getattr(event, "seq", None) for event in self.got]


def fields(seq: int) -> dict[str, object]:
    return {"room": "tea", "seq": seq, "from": "alice", "text": f"text {seq}", "time": 1.0}


def message(seq: int) -> MessageEvent:
    return MessageEvent("tea", seq, "alice", f"text {seq}", 1.0)


def joined(last: int, numbers: Sequence[int] = (), *, epoch: str = "e", more: bool = False) -> Joined:
    return Joined("tea", epoch, last, ["alice"], [fields(seq) for seq in numbers], more, gap=False)


def resume(log: RoomLog, caller: Caller, event: Joined) -> None:
    log.resume(event, entries_in(event.messages), caller.put)


def receive_page(log: RoomLog, caller: Caller, numbers: Sequence[int], *, more: bool = False) -> None:
    log.receive_page([(seq, message(seq)) for seq in numbers], more, caller.put)


@pytest.fixture
def caller() -> Caller:
    return Caller()


@pytest.fixture
def log() -> RoomLog:
    """A log that had 10 entries when it was joined."""
    log = RoomLog(event := joined(10, range(1, 11)))
    log.resume(event, entries_in(event.messages), Caller().put)
    return log


def receive(log: RoomLog, caller: Caller, *numbers: int) -> None:
    for seq in numbers:
        log.receive(seq, message(seq), caller.put)


def test_only_entries_after_the_join_are_delivered(log: RoomLog, caller: Caller) -> None:
    resume(log, caller, joined(10, range(1, 11)))
    receive(log, caller, 11, 12)
    assert caller.got == [message(11), message(12)]
    assert not log.is_behind


def test_earlier_entries_are_delivered_after_a_given_number(caller: Caller) -> None:
    log = RoomLog(joined(10, [8, 9, 10]), since=7)
    resume(log, caller, joined(10, [8, 9, 10]))
    receive(log, caller, 11)
    assert caller.numbers == [8, 9, 10, 11]


def test_missed_entries_are_delivered_once(log: RoomLog, caller: Caller) -> None:
    receive(log, caller, 11, 12, 12, 11)
    resume(log, caller, joined(15, [11, 12, 13, 14, 15]))
    receive(log, caller, 15, 16)
    assert caller.numbers == [11, 12, 13, 14, 15, 16]


def test_missed_entries_are_fetched_in_pages_before_new_ones_are_delivered(log: RoomLog, caller: Caller) -> None:
    resume(log, caller, joined(16, [11, 12], more=True))
    assert log.is_behind
    log.begin_page()
    assert not log.is_behind
    receive(log, caller, 17, 18)
    receive_page(log, caller, [13, 14], more=True)
    log.begin_page()
    receive(log, caller, 19)
    receive_page(log, caller, [15, 16, 17])
    receive(log, caller, 20)
    assert caller.numbers == [11, 12, 13, 14, 15, 16, 17, 18, 19, 20]
    assert not log.is_behind


def test_more_new_entries_than_can_be_held_are_fetched_too(log: RoomLog, caller: Caller) -> None:
    resume(log, caller, joined(12))
    resume(log, caller, joined(12, [11], more=True))
    log.begin_page()
    receive(log, caller, *range(13, 1000))
    receive_page(log, caller, [12, 13])
    assert log.is_behind
    log.begin_page()
    receive_page(log, caller, range(14, 1000))
    assert caller.numbers[-1] == 999
    assert not log.is_behind


def test_a_full_queue_loses_nothing(log: RoomLog) -> None:
    caller = Caller(capacity=3)
    receive(log, caller, *range(11, 17))
    assert log.is_behind
    caller.capacity = 5
    log.begin_page()
    receive_page(log, caller, range(14, 17))
    assert log.is_behind
    caller.capacity = 100
    log.begin_page()
    receive_page(log, caller, [16])
    receive(log, caller, 17)
    assert caller.numbers == [11, 12, 13, 14, 15, 16, 17]


def test_a_full_queue_loses_no_held_entries(log: RoomLog) -> None:
    caller = Caller(capacity=0)
    resume(log, caller, joined(11, [11]))
    log.begin_page()
    receive(log, caller, 12, 13, 14)
    caller.capacity = 1
    receive_page(log, caller, [11])
    assert log.is_behind
    caller.capacity = 10
    log.begin_page()
    receive_page(log, caller, [12, 13, 14])
    assert caller.numbers == [11, 12, 13, 14]


def test_deleted_entries_are_a_gap(log: RoomLog, caller: Caller) -> None:
    resume(log, caller, joined(20, [15, 16, 19]))
    receive(log, caller, 21)
    assert caller.numbers == [-15, 15, 16, -19, 19, -21, 21]
    assert not log.is_behind


def test_a_gap_waits_for_room_in_the_queue(log: RoomLog) -> None:
    caller = Caller(capacity=0)
    resume(log, caller, joined(20, [20]))
    assert log.is_behind
    caller.capacity = 1
    log.begin_page()
    receive_page(log, caller, [20])
    assert caller.numbers == [-20]
    caller.capacity = 2
    log.begin_page()
    receive_page(log, caller, [20])
    assert caller.numbers == [-20, 20]


def test_an_empty_page_ends_the_search(log: RoomLog, caller: Caller) -> None:
    resume(log, caller, joined(12, more=True))
    log.begin_page()
    receive_page(log, caller, [], more=True)
    assert not log.is_behind
    receive(log, caller, 13)
    assert caller.numbers == [-13, 13]


def test_a_new_log_is_delivered_from_its_beginning(log: RoomLog, caller: Caller) -> None:
    resume(log, caller, joined(2, [1, 2], epoch="f"))
    assert (log.epoch, log.delivered, log.is_behind) == ("f", 0, True)
    log.begin_page()
    receive_page(log, caller, [1, 2])
    receive(log, caller, 3)
    assert caller.numbers == [-1, 1, 2, 3]


def test_a_log_that_has_lost_its_end_continues(log: RoomLog, caller: Caller) -> None:
    resume(log, caller, joined(7, [6, 7]))
    receive(log, caller, 8)
    assert caller.numbers == [-8, 8]


def test_a_page_that_could_not_be_read_is_requested_again_or_given_up(log: RoomLog, caller: Caller) -> None:
    receive(log, caller, 13)
    log.begin_page()
    log.abandon_page(is_lost=False)
    assert log.is_behind
    log.begin_page()
    log.abandon_page(is_lost=True)
    assert not log.is_behind
    receive(log, caller, 14)
    assert caller.numbers == [-14, 14]


def test_nothing_is_fetched_before_the_room_is_joined_again(log: RoomLog, caller: Caller) -> None:
    receive(log, caller, 13)
    assert log.is_behind
    log.lose_connection()
    assert not log.is_behind
    resume(log, caller, joined(13, [11], more=True))
    assert log.is_behind
    assert caller.numbers == [11]


def test_entries_of_other_kinds_are_entries() -> None:
    topic = {"type": "topic", "room": "tea", "seq": 2, "from": "alice", "text": "Green", "time": 1.0}
    entries = entries_in([fields(1), topic, {"type": "poll", "room": "tea", "seq": 3}])
    assert entries == [
        (1, message(1)),
        (2, TopicEvent("tea", 2, "alice", "Green", 1.0)),
        (3, OtherEvent({"type": "poll", "room": "tea", "seq": 3})),
    ]


@pytest.mark.parametrize("wrong", [7, {}, {"room": "tea"}, {"type": "poll", "room": "tea"}, {"type": "pong"}])
def test_an_invalid_entry_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"an entry of a log|is missing or has a wrong type"):
        entries_in([wrong])
