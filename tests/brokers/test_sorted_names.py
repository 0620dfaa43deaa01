"""A sorted set of names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wschat.brokers.sorted_names import SortedNames


@pytest.mark.parametrize(
    ("after", "limit", "expected"),
    [
        (None, 10, ["B", "a", "b", "é", "😀"]),
        (None, 2, ["B", "a"]),
        (None, 0, []),
        ("a", 2, ["b", "é"]),
        ("aa", 1, ["b"]),
        ("", 1, ["B"]),
        ("😀", 10, []),
    ],
)
def test_a_page_begins_after_a_name(after: str | None, limit: int, expected: list[str]) -> None:
    assert SortedNames(["é", "b", "B", "😀", "a"]).after(after, limit) == expected


@given(st.sets(st.text(max_size=3)), st.sets(st.text(max_size=3)), st.none() | st.text(max_size=3), st.integers(0, 5))
def test_sorted_names_equals_a_sorted_set(added: set[str], others: set[str], after: str | None, limit: int) -> None:
    names = SortedNames(others)
    for name in added - others:
        names.add(name)
    for name in others - added:
        names.remove(name)
    assert len(names) == len(added)
    assert names.after(after, limit) == sorted(name for name in added if after is None or name > after)[:limit]
