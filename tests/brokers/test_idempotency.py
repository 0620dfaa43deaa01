"""The records of messages with keys."""

from __future__ import annotations

import pytest

from wschat.brokers.base import TOPIC, Draft, Duplicate
from wschat.brokers.idempotency import KeyRecord
from wschat.errors import Rejected


def draft_of(text: str, kind: str = "") -> Draft:
    return Draft("lobby", "alice", text, "k", kind=kind)


@pytest.mark.parametrize("kind", ["", TOPIC])
@pytest.mark.parametrize("text", ["", "one", "a\0b", "é", "x" * 100_000])
def test_the_same_text_has_the_number_of_the_first_message(text: str, kind: str) -> None:
    result = KeyRecord.of(7, draft_of(text, kind)).result_for(draft_of(text, kind))
    assert (type(result), result) == (Duplicate, 7)


@pytest.mark.parametrize(("first", "second"), [("one", "two"), ("", "\0"), ("é", "e\u0301"), ("x", "X")])
def test_another_text_is_rejected(first: str, second: str) -> None:
    result = KeyRecord.of(7, draft_of(first)).result_for(draft_of(second))
    assert isinstance(result, Rejected)
    assert (result.code, result.text) == ("id-used", "This id belongs to a message with another text.")


@pytest.mark.parametrize(("first", "second"), [("", TOPIC), (TOPIC, ""), (TOPIC, "topics")])
@pytest.mark.parametrize("text", ["", "one", "topic"])
def test_another_kind_is_rejected(text: str, first: str, second: str) -> None:
    assert isinstance(KeyRecord.of(7, draft_of(text, first)).result_for(draft_of(text, second)), Rejected)


def test_records_that_were_stored_before_there_were_kinds_hold() -> None:
    assert KeyRecord(7, bytes.fromhex("34f2ddaa8b7615c9")).result_for(draft_of("one")) == 7
