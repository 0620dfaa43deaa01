"""Events as JSON."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wschat.brokers.base import Duplicate
from wschat.events import Ack, Id, to_json

IDS = st.text(st.characters(exclude_categories=["Cs"])) | st.integers()
NUMBERS = st.none() | st.integers(0, 2**53) | st.integers(0, 2**53).map(Duplicate)


@given(IDS, NUMBERS)
def test_an_ack_is_written_as_any_other_event(request_id: Id, seq: int | None) -> None:
    fields = {"type": "ack", "id": request_id} | ({} if seq is None else {"seq": int(seq)})
    assert Ack(request_id, seq).as_json() == to_json(fields)
