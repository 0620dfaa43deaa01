"""The names of keys: those of one room are in one slot of a Redis Cluster, and no two rooms share any."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot

from wschat.brokers.redis.keys import Keys

names = st.text(alphabet=st.sampled_from("ab{}%:é\0 "))
KEYS = Keys("chat:")


@given(names, names)
def test_all_keys_of_a_room_are_in_one_slot_and_are_its_own(one: str, other: str) -> None:
    keys = [*KEYS.of_room(one), KEYS.batch(one, "n1")]
    assert len({key_slot(key.encode()) for key in keys}) == 1
    assert len({*keys}) == len(keys)
    assert one == other or {*keys}.isdisjoint([*KEYS.of_room(other), KEYS.batch(other, "n1")])
    assert all(key.startswith("chat:") for key in keys)
