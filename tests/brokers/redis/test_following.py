"""Following rooms: what is delivered, and when results are reported."""

from __future__ import annotations

from tests.brokers.wiring import RecordingSubscriber, texts
from wschat.brokers.base import Message
from wschat.brokers.redis.following import FollowedRooms, RoomState
from wschat.brokers.redis.members import Members


class Rooms:
    """A followed room, and what Redis says about it."""

    def __init__(self) -> None:
        self.state = RoomState(5, None, True)
        self.followed = FollowedRooms(lambda room: self.state, lambda room, seq, time: True, Members("n1"))
        self.subscriber = RecordingSubscriber()
        self.reported: list[bool] = []
        self.followed.subscribe("tea", self.subscriber)

    def deliver(self, *seqs: int, losses: int = 0) -> None:
        self.followed.deliver("tea", seqs[-1], [Message("tea", seq, "alice", f"{seq}", 1.0) for seq in seqs], losses)


def test_a_result_is_reported_after_its_delivery() -> None:
    rooms = Rooms()
    rooms.followed.report_after("tea", 7, rooms.reported.append, 0)
    rooms.deliver(6)
    assert rooms.reported == []
    rooms.deliver(6, 7, 8)
    assert rooms.reported == [True]
    assert texts(rooms.subscriber.messages) == ["6", "7", "8"]
    rooms.followed.report_after("tea", 8, rooms.reported.append, 0)
    rooms.followed.report_after("coffee", 99, rooms.reported.append, 0)
    assert rooms.reported == [True] * 3


def test_results_are_reported_when_the_room_is_followed_no_longer() -> None:
    rooms = Rooms()
    rooms.followed.report_after("tea", 7, rooms.reported.append, 0)
    rooms.followed.unsubscribe("tea", rooms.subscriber)
    assert rooms.reported == [True]
    assert not rooms.followed.has_reports()


def test_after_a_loss_nothing_is_delivered_that_was_read_before() -> None:
    rooms = Rooms()
    rooms.followed.report_after("tea", 7, rooms.reported.append, 0)
    losses = rooms.followed.positions(-1).losses
    rooms.state = RoomState(2, None, True)
    assert not rooms.followed.refresh()
    rooms.followed.begin_anew()
    assert (rooms.subscriber.losses, rooms.reported) == ([2], [False])
    rooms.deliver(6, 7, losses=losses)
    assert rooms.subscriber.messages == []
    rooms.deliver(3, losses=rooms.followed.positions(-1).losses)
    assert texts(rooms.subscriber.messages) == ["3"]
