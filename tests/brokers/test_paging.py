"""The bounds of one read."""

from __future__ import annotations

from collections.abc import Iterator

from tests.brokers.wiring import numbers, upto
from wschat.brokers.base import Message
from wschat.brokers.paging import MAX_PAGE_CHARACTERS, page_of


def message(seq: int, length: int = 1) -> Message:
    return Message("lobby", seq, "alice", "x" * length, 0.0)


def test_a_page_has_as_many_messages_as_its_limit() -> None:
    messages = [message(seq) for seq in upto(5)]
    for limit in range(8):
        assert numbers(page_of(messages, limit)) == upto(min(limit, 5))


def test_a_page_has_as_much_text_as_fits_it() -> None:
    half = MAX_PAGE_CHARACTERS // 2
    assert numbers(page_of([message(seq, half) for seq in upto(5)], 5)) == [1, 2]
    assert numbers(page_of([message(1, half), message(2, half + 1)], 5)) == [1]


def test_a_single_message_may_be_longer_than_a_page() -> None:
    assert numbers(page_of([message(1, MAX_PAGE_CHARACTERS + 1), message(2)], 5)) == [1]


def test_no_more_messages_are_read_than_one_beyond_the_page() -> None:
    read: list[int] = []

    def reading() -> Iterator[Message]:
        for seq in upto(100):
            read.append(seq)
            yield message(seq)

    assert numbers(page_of(reading(), 3)) == [1, 2, 3]
    assert len(read) <= 4
