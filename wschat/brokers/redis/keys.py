"""The names of all keys. Those of one room have the room in braces, so that they are in one slot of a Redis Cluster."""

from __future__ import annotations

from typing import NamedTuple

DEFAULT_PREFIX = "wschat:"
"""The beginning of every key, unless the URL of the broker has another one."""


class RoomKeys(NamedTuple):
    """The keys of one room."""

    room: str
    """A hash: `last` is the number of the last message, `time` its time, and the fields that begin with `topic` are the topic."""
    log: str
    """A stream: the id of an entry is the number of the message and `-0`, its fields are those of the message."""
    keys: str
    """A hash: for each idempotency key the digest, which has 8 bytes, and the number of its message."""
    key_order: str
    """A list: number, space and key, the oldest first."""
    members: str
    """A hash: its fields are node, space and name, its values mean nothing."""
    events: str
    """A stream of the changes of `members`. An entry has the id of the one before, the node, `+` or `-`, and the name. Expires."""


class Keys:
    """The keys of one chat, all of which begin with a prefix."""

    def __init__(self, prefix: str = DEFAULT_PREFIX) -> None:
        self._prefix = prefix
        self.epoch = f"{prefix}epoch"
        """A string: the epoch of the log."""
        self.floor = f"{prefix}floor"
        """A string: the highest number of any forgotten room."""
        self.rooms = f"{prefix}rooms"
        """A sorted set of the names of all rooms with a log. It may have some more: a room is added before its first message."""
        self.rules = f"{prefix}rules"
        """A hash of the rules, as JSON."""
        self.maintenance = f"{prefix}maintenance"
        """A string: the node that does the maintenance at present. Expires."""
        self.relay = f"{prefix}relay"
        """A stream of what nodes tell all others: the node; `rules`, `text` or `epoch`; and the rules as JSON, or the text. Bounded."""
        self.nodes = f"{prefix}nodes"
        """A sorted set of the nodes, by the time when their leases end."""
        self.check = f"{prefix}check"
        """A string without a meaning, which is written to find out if that is possible. Expires."""

    def of_room(self, name: str) -> RoomKeys:
        """Return the keys of a room."""
        base = self._base(name)
        return RoomKeys(*(f"{base}{kind}" for kind in ("room", "log", "keys", "key-order", "members", "events")))

    def rooms_of(self, node: str) -> str:
        """Return the key of a set: the names of the rooms in which a node has members."""
        return f"{self._prefix}rooms-of:{node}"

    def batch(self, name: str, node: str) -> str:
        """Return the key of a string: the last batch that a node has appended to a room, with its results. Expires."""
        return f"{self._base(name)}batch:{node}"

    def wake_up(self, node: str) -> str:
        """Return the key of a stream to which an entry is added to wake the reader of a node. Expires."""
        return f"{self._prefix}wake-up:{node}"

    def _base(self, name: str) -> str:
        # Redis Cluster takes what is between the first braces. Colons in the name do no harm, since nothing follows it but the braces' end.
        tag = name.replace("%", "%25").replace("{", "%7B").replace("}", "%7D")
        return f"{self._prefix}{{room:{tag}}}:"
