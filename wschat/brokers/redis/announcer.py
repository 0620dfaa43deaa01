"""The thread of a node that tells Redis its members, and removes those of nodes that are gone.

A node has a lease, which it renews. If the lease of a node is over, another node removes its members. A node that was only frozen, or
that Redis has forgotten, finds that it has no lease any more, and tells all its members again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Sequence
from time import monotonic
from typing import Any

from redis.exceptions import RedisError

from wschat.brokers.redis.members import MemberChange, Members
from wschat.brokers.redis.scripts import CHANGE_MEMBERS, RENEW_LEASE, SET_MEMBERS
from wschat.brokers.redis.server import Server
from wschat.daemons import start_daemon

logger = logging.getLogger("wschat.brokers")

LEASE_SECONDS = 20
"""How long the members of a node stay that does not renew its lease."""
_RENEW_INTERVAL = 5.0
# Seconds between two attempts while Redis cannot be reached.
_PAUSE = 0.5


class Announcer:
    """Keeps the members of a node in Redis up to date. Raises OSError if no thread can be started."""

    def __init__(self, server: Server, node: str, members: Members) -> None:
        self._server = server
        self._node = node
        self._members = members
        self._change_members = server.announcer_client.register_script(CHANGE_MEMBERS)
        self._set_members = server.announcer_client.register_script(SET_MEMBERS)
        self._renew_lease = server.announcer_client.register_script(RENEW_LEASE)
        self._must_set_all = False
        self._connections = 0
        self._renew_at = monotonic()
        self._is_closing = threading.Event()
        self._thread = start_daemon(self._run, "wschat-redis-members")

    def close(self) -> None:
        """Remove the members of this node, if Redis can be reached, and end the thread. Waits."""
        self._is_closing.set()
        self._members.has_changes.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._is_closing.is_set():
            try:
                self._work()
            except Exception as error:  # of Redis: the thread has to go on
                if not self._must_set_all:
                    logger.error("the members of this node cannot be kept in %s: %s", self._server.url, error)
                self._must_set_all = True  # some changes may be lost
                self._members.take_changes()  # which need not be kept then, however long Redis is gone
                self._is_closing.wait(_PAUSE)
            else:
                if not self._is_closing.is_set():  # `close` sets both, and taking the changes clears the second
                    self._members.has_changes.wait(max(0.0, self._renew_at - monotonic()))
        try:
            self._remove_node(self._node)
        except RedisError as error:
            logger.error("the members of this node cannot be removed from %s: %s", self._server.url, error)

    def _work(self) -> None:
        if self._connections != self._server.announcer_connections.count:  # Redis may have lost what it was told before
            self._connections, self._must_set_all = self._server.announcer_connections.count, True
        if monotonic() >= self._renew_at:
            self._renew()
        if self._must_set_all:
            self._members.take_changes()  # which the members that are read next include
            self._set_all(self._members.own())
            self._must_set_all = False
        else:
            self._send(self._members.take_changes())

    def _renew(self) -> None:
        is_new, gone = self._call(self._renew_lease, [self._server.keys.nodes], [self._node, LEASE_SECONDS])
        self._must_set_all = self._must_set_all or bool(is_new)
        for node in gone:
            self._remove_node(node.decode())
        self._renew_at = monotonic() + _RENEW_INTERVAL

    def _send(self, changes: Sequence[MemberChange]) -> None:
        by_room: dict[str, list[str]] = {}
        for room, sign, name in changes:
            by_room.setdefault(room, []).extend((sign, name))
        self._note_rooms(by_room)
        for room, arguments in by_room.items():
            keys = self._server.keys.of_room(room)
            self._call(self._change_members, [keys.members, keys.events], [self._node, *arguments])
        left = by_room.keys() - self._members.own().keys()
        if left:
            self._server.announcer_client.srem(self._server.keys.rooms_of(self._node), *left)

    def _set_all(self, members: dict[str, list[str]]) -> None:
        known = self._rooms_of(self._node)
        self._note_rooms(members)
        for room in {*known, *members}:
            self._set(self._node, room, members.get(room, []))

    def _remove_node(self, node: str) -> None:
        """Remove the members of a node. If this one is gone meanwhile, another one repeats it."""
        for room in self._rooms_of(node):
            self._set(node, room, [])
        self._server.announcer_client.delete(self._server.keys.rooms_of(node))
        self._server.announcer_client.zrem(self._server.keys.nodes, node)

    def _set(self, node: str, room: str, names: Sequence[str]) -> None:
        keys = self._server.keys.of_room(room)
        self._call(self._set_members, [keys.members, keys.events], [node, *names])

    def _rooms_of(self, node: str) -> list[str]:
        """Return the rooms in which a node has, or had, members."""
        found: Any = self._server.announcer_client.smembers(self._server.keys.rooms_of(node))
        return [room.decode() for room in found]

    def _note_rooms(self, rooms: Iterable[str]) -> None:
        names = list(rooms)
        if names:
            self._server.announcer_client.sadd(self._server.keys.rooms_of(self._node), *names)

    def _call(self, script: Any, keys: Sequence[str], arguments: Sequence[str | int]) -> Any:
        return script(keys=keys, args=arguments)
