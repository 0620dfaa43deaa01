"""The table of rules."""

from __future__ import annotations

import sqlite3
from math import isfinite
from typing import Any

from wschat.brokers.base import Rule

SET_RULE = "INSERT OR REPLACE INTO rules VALUES (?, ?, ?, ?, ?)"
"""Stores a rule, whose fields are the parameters."""
DELETE_RULE = "DELETE FROM rules WHERE room = ? AND kind = ? AND subject = ?"
"""Deletes the rule of a room, a kind and a subject."""


def read_rules(database: sqlite3.Connection) -> tuple[list[Rule], int]:
    """Return all rules, and how many cannot be read. The connection has to return texts as bytes. Raises sqlite3.Error."""
    rows = database.execute("SELECT room, kind, subject, until, decided_by FROM rules").fetchall()
    rules = [rule for rule in map(_rule, rows) if rule is not None]
    return rules, len(rows) - len(rules)


def _rule(row: Any) -> Rule | None:
    """Return the rule of a row; None if a value has the wrong type."""
    room, kind, subject, until, by = row
    try:
        rule = Rule(room.decode(), kind.decode(), subject.decode(), until, by.decode())
    except (AttributeError, UnicodeDecodeError):
        return None
    return rule if type(until) is float and isfinite(until) else None
