"""Rules, for brokers that keep nothing beyond the process."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from wschat.brokers.base import Rule, RuleStore


class LocalRules(RuleStore):
    """Keeps the rules in memory."""

    def __init__(self) -> None:
        super().__init__()
        self._rules_lock = threading.Lock()  # guards _rules; no other lock is acquired while it is held
        self._rules: dict[tuple[str, str, str], Rule] = {}

    def rules(self) -> list[Rule]:
        with self._rules_lock:
            return list(self._rules.values())

    def set_rules(self, rules: Sequence[Rule]) -> None:
        with self._rules_lock:
            self._rules.update((rule[:3], rule) for rule in rules)

    def delete_rules(self, rules: Sequence[Rule]) -> None:
        with self._rules_lock:
            for rule in rules:
                self._rules.pop(rule[:3], None)
