"""The hash of rules: a field is the JSON of room, kind and subject, its value that of the end and the moderator."""

from __future__ import annotations

import json
import logging
from typing import Any

from redis import Redis

from wschat.brokers.base import Rule

logger = logging.getLogger("wschat.brokers")


def read_rules(client: Redis, key: str) -> list[Rule]:
    """Return all rules. Logs those that cannot be read. Raises RedisError."""
    stored: Any = client.hgetall(key)
    rules = [_rule(field, value) for field, value in stored.items()]
    readable = [rule for rule in rules if rule is not None]
    if len(readable) < len(rules):
        logger.error("%d rules in Redis cannot be read and do not hold", len(rules) - len(readable))
    return readable


def field_of(rule: Rule) -> str:
    """Return the field of a rule."""
    return json.dumps([rule.room, rule.kind, rule.subject])


def value_of(rule: Rule) -> str:
    """Return the value of a rule's field."""
    return json.dumps([rule.until, rule.by])


def _rule(field: bytes, value: bytes) -> Rule | None:
    try:
        room, kind, subject = json.loads(field)
        until, by = json.loads(value)
        return Rule(str(room), str(kind), str(subject), float(until), str(by))
    except (TypeError, ValueError):
        return None
