"""What a node tells all others: which rules it has changed, and texts of the chat. The reader brings it."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Sequence
from typing import Any

from redis import Redis

from wschat.brokers.base import Listener, Rule
from wschat.brokers.callbacks import call_logged
from wschat.brokers.redis.following import NO_EVENT
from wschat.brokers.redis.keys import Keys
from wschat.brokers.redis.rules import field_of, value_of

logger = logging.getLogger("wschat.brokers")

# About this many entries are kept: a node reads them within milliseconds.
_MAX_ENTRIES = 10_000
_RULES, _TEXT, _EPOCH = b"rules", b"text", b"epoch"


class RelayStream:
    """The stream by which nodes tell each other something, from now on. Methods that ask Redis wait, and raise RedisError."""

    def __init__(self, client: Redis, keys: Keys, node: str) -> None:
        self._client = client
        self._keys = keys
        self._node = node
        newest: Any = client.xrevrange(keys.relay, count=1)
        self.begins_after: bytes = newest[0][0] if newest else NO_EVENT
        """The id of the last entry that this node need not read."""
        self.key = keys.relay.encode()
        """The key of the stream."""
        # Guards the two below, and is held while the listener is called; taken before its locks.
        self._listener_lock = threading.Lock()
        self._listener: Listener | None = None
        self._kept: list[Any] = []  # what came before there was a listener

    def tell(self, text: str) -> None:
        """Tell the other nodes a text."""
        self._add(self._client, _TEXT, text)

    def change_rules(self, changed: Sequence[Rule], deleted: Sequence[Rule]) -> None:
        """Store and delete rules, and tell the other nodes, as one step."""
        if not changed and not deleted:
            return
        with self._client.pipeline() as pipeline:
            if changed:
                pipeline.hset(self._keys.rules, mapping={field_of(rule): value_of(rule) for rule in changed})
            if deleted:
                pipeline.hdel(self._keys.rules, *map(field_of, deleted))
            self._add(pipeline, _RULES, json.dumps([changed, deleted]))
            pipeline.execute()

    def listen(self, listener: Listener) -> None:
        """Give what other nodes tell to a listener, also what has come before."""
        with self._listener_lock:
            self._listener, kept = listener, self._kept
            self._kept = []
            for entry in kept:
                call_logged(self._take_one, listener, entry)

    def take(self, entries: Sequence[Any]) -> bool:
        """Give entries of the stream to the listener, without those of this node. Return True if one of them tells of a new epoch."""
        with self._listener_lock:
            for entry in entries:
                if self._listener is None:
                    self._kept.append(entry)
                else:
                    call_logged(self._take_one, self._listener, entry)
        return any(_EPOCH in fields for _, fields in entries)

    def _take_one(self, listener: Listener, entry: Any) -> None:
        _, (_, node, _, kind, _, data) = entry
        if node.decode() == self._node:
            return
        if kind == _TEXT:
            listener.on_told(data.decode())
        elif kind == _RULES:  # a later version may have other kinds
            changed, deleted = ([Rule(*fields) for fields in rules] for rules in json.loads(data))
            listener.on_rules(changed, deleted)

    def _add(self, client: Redis, kind: bytes, data: str) -> None:
        client.xadd(self._keys.relay, {"n": self._node, "k": kind, "d": data}, maxlen=_MAX_ENTRIES)
