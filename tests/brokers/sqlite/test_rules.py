"""The table of rules, as far as the contract suite does not test it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.brokers.sqlite.wiring import change
from wschat.brokers.base import Rule
from wschat.brokers.sqlite.broker import SqliteBroker


@pytest.mark.parametrize("change_of_rule", ["until = 'never'", "until = 9e999", "room = x'ff'", "decided_by = CAST(x'ff' AS TEXT)"])
def test_an_unreadable_rule_is_skipped(path: Path, broker: SqliteBroker, caplog: pytest.LogCaptureFixture, change_of_rule: str) -> None:
    rules = [Rule("lobby", "ban", name, 0.0, "alice") for name in ("mallory", "trent")]
    broker.set_rules(rules)
    change(path, f"UPDATE rules SET {change_of_rule} WHERE subject = 'mallory'")
    assert broker.rules() == rules[1:]
    assert f"1 rules in {path} cannot be read and do not hold" in caplog.text
