"""The records of messages with keys."""

from __future__ import annotations

import pytest

from wschat.brokers.base import Duplicate
from wschat.brokers.idempotency import KeyRecord
from wschat.errors import Rejected


@pytest.mark.parametrize("text", ["", "one", "a\0b", "é", "x" * 100_000])
def test_the_same_text_has_the_number_of_the_first_message(text: str) -> None:
    result = KeyRecord.of(7, text).result_for(text)
    assert (type(result), result) == (Duplicate, 7)


@pytest.mark.parametrize(("first", "second"), [("one", "two"), ("", "\0"), ("é", "e\u0301"), ("x", "X")])
def test_another_text_is_rejected(first: str, second: str) -> None:
    result = KeyRecord.of(7, first).result_for(second)
    assert isinstance(result, Rejected)
    assert (result.code, result.text) == ("id-used", "This id belongs to a message with another text.")
