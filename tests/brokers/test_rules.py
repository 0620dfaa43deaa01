"""Rules in memory, as far as the contract suite does not test them."""

from __future__ import annotations

from wschat.brokers.base import Rule
from wschat.brokers.rules import LocalRules


def test_the_returned_list_does_not_change() -> None:
    store, rule = LocalRules(), Rule("lobby", "ban", "mallory", 0.0, "alice")
    before = store.rules()
    store.set_rules([rule])
    after = store.rules()
    store.delete_rules([rule])
    assert (before, after, store.rules()) == ([], [rule], [])
