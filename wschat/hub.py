"""The hub: a lock-protected set of connections, and the broadcast that reaches them all.

Batching grows with the load: a thread that broadcasts appends its message, and the one thread that gets the flush lock sends all
messages appended so far, with one write for each member, while the others go back to their work. The busier the hub, the more
messages share a write.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from time import monotonic
from typing import NamedTuple, Protocol, cast

from wschat.connection.background_threads import acquire_background_threads, release_background_threads
from wschat.connection.connection import Connection
from wschat.connection.cork import current
from wschat.connection.streams import was_interrupted
from wschat.counters import counters
from wschat.errors import UsageError
from wschat.forks import ForkAware, check_process
from wschat.protocol.encoding import payload_of

logger = logging.getLogger("wschat.hub")

# How often a thread flushes what others have appended meanwhile, before it leaves the rest to the writer thread.
_ROUNDS = 4


class MessageEncoding(Protocol):
    """How messages to a member are encoded. Members with equal encodings are sent the same bytes."""

    def encoder(self) -> Callable[[object], bytes]:
        """Return a function that encodes a message."""

    def __hash__(self) -> int:
        """Each broadcast looks encodings up."""


class Member(Protocol):
    """A `Connection`, or an object that can be sent to in the same way."""

    @property
    def encoding(self) -> MessageEncoding:
        """How messages to it are encoded. The same as long as it is a member."""

    @property
    def offer(self) -> Callable[..., None]:
        """A function that sends bytes without waiting; it also takes `is_droppable`. The same as long as it is a member."""


class _Broadcast(NamedTuple):
    """A message to all members except some."""

    message: str | bytes
    exclude: frozenset[Member]
    added_at: float


class _Admission(NamedTuple):
    """A connection that gets a greeting, and then the broadcasts added after the admission."""

    connection: Member
    greeting: str | bytes | None


class _DirectMessages(NamedTuple):
    """Messages to one connection only."""

    connection: Member
    messages: Sequence[str | bytes]


_Pending = _Broadcast | _Admission | _DirectMessages


class _Group(NamedTuple):
    """Members with one encoding, which are sent the same bytes."""

    encoding: MessageEncoding
    members: Sequence[Member]
    offers: Sequence[Callable[..., None]]  # `offer` of each member, so that a broadcast does not touch the members themselves


_NO_MEMBERS: frozenset[Member] = frozenset()


class Hub(ForkAware):
    """A set of connections. Methods may be called from any thread, and never wait for a peer.

    Methods raise UsageError for an argument that is not a connection or not a message. A hub that has members when the process forks
    belongs to the parent: in the child, to join, to broadcast and to iterate raise UsageError.
    """

    def __init__(self) -> None:
        self._make_locks()
        # In the order of joining, which is roughly that of the members and their sockets in memory: a broadcast is faster in this order.
        self._members: dict[Member, None] = {}
        self._snapshot: tuple[Member, ...] | None = ()  # the members, or None after a change until they are needed
        self._groups: list[_Group] | None = []  # the members by encoding, or None likewise: neither keeps a member that has left
        self._admissions: dict[Member, _Admission] = {}  # the last admission of each connection that waits for it
        self._pending: deque[_Pending] = deque()  # appended to by any thread, emptied by the thread that flushes
        self._watch_forks()

    def _make_locks(self) -> None:
        # Guards `_members`, `_snapshot`, `_groups` and `_admissions`; no other lock is taken while it is held.
        self._members_lock = threading.Lock()
        # Held by the one thread that flushes. Only ever tried, never waited for. The locks of outboxes are taken while it is held.
        self._flush_lock = threading.Lock()

    def _leave_to_parent(self) -> None:
        self._make_locks()
        if self._members or self._admissions or self._pending:
            super()._leave_to_parent()
            self._members.clear()
            self._snapshot, self._groups = (), []
            self._admissions.clear()
            self._pending.clear()
        else:  # such as one that a module makes before gunicorn starts its workers
            self._watch_forks()

    def _check_usable(self, connection: Member) -> None:
        self._check_process()
        _check_member(connection)
        check_process(connection)

    def join(self, connection: Member) -> None:
        """Add a connection. It gets what is broadcast from now on, and perhaps messages that were not flushed yet."""
        self._check_usable(connection)
        with self._members_lock:
            self._members[connection] = None
            self._snapshot = self._groups = None

    def admit(self, connection: Member, greeting: str | bytes | None = None) -> None:
        """Add a connection that gets a greeting, and then exactly the messages added after this call.

        A member is taken out and admitted again. An admission replaces one that has not taken effect yet; both greetings are sent.
        Like a message, an admission has its place in the order, and takes effect with the next `flush`.
        """
        self._check_usable(connection)
        admission = _Admission(connection, None if greeting is None else _sendable(greeting))
        with self._members_lock:
            replaced = self._admissions.get(connection)
            self._admissions[connection] = admission
            self._members.pop(connection, None)
            self._snapshot = self._groups = None
        if replaced is not None and replaced.greeting is not None:
            self._pending.append(_DirectMessages(connection, [replaced.greeting]))
        self._pending.append(admission)

    def leave(self, connection: Member) -> str | bytes | None:
        """Remove a connection, if it is a member. Return the greeting of an admission that has not taken effect yet, else None."""
        _check_member(connection)
        with self._members_lock:
            self._members.pop(connection, None)
            self._snapshot = self._groups = None
            admission = self._admissions.pop(connection, None)
            return None if admission is None else admission.greeting

    @property
    def is_deserted(self) -> bool:
        """True if the hub has no members and no admissions."""
        with self._members_lock:  # else a connection could be admitted between the two looks, and be found by neither
            return not self._members and not self._admissions

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[Connection]:
        """Iterate over the members at this moment."""
        self._check_process()
        # A caller that adds other members than connections knows their type.
        return iter(cast("tuple[Connection, ...]", self._current_members()))

    def __contains__(self, connection: object) -> bool:
        return connection in self._members

    def broadcast(self, message: str | bytes, exclude: Collection[Member] = ()) -> None:
        """Send a message to all members except the excluded: text for str, binary for bytes.

        All members get all messages in the same order. Never waits for a peer: one whose outbox is full is evicted, one that is gone is
        skipped. The message may be sent after this has returned, and after a message that is then sent to a member directly: while
        another thread flushes, or while the calling thread handles one of several messages of a read.
        """
        self.add(message, exclude)
        self.send_soon()

    def add(self, message: str | bytes, exclude: Collection[Member] = ()) -> None:
        """Give a message to all members its place in the order, without sending it. Call `send_soon` or `flush` after that.

        For callers that hold a lock of their own while they decide on the order.
        """
        self._check_process()
        self._pending.append(_Broadcast(_sendable(message), _members_of(exclude) if exclude else _NO_MEMBERS, monotonic()))

    def add_for(self, connection: Member, *messages: str | bytes) -> None:
        """Give messages to one connection their place in the order, without sending them. Call `send_soon` or `flush` after that."""
        self._check_usable(connection)
        if messages:
            self._pending.append(_DirectMessages(connection, [_sendable(message) for message in messages]))

    def send_soon(self) -> None:
        """Send what was added: now, or when the calling thread is uncorked."""
        cork = current.cork
        if cork is None or not cork.add(self):
            self.flush()

    def flush(self) -> None:
        """Send what was added, unless another thread is doing so. Never waits for a peer."""
        rounds = 0
        # Looked at again after the release: the threads that appended meanwhile found the lock taken.
        while self._pending and self._flush_lock.acquire(blocking=False):
            try:
                self._process(self._pop_pending())
            finally:
                self._flush_lock.release()
            rounds += 1
            if rounds == _ROUNDS and self._pending and self._flush_in_background():
                return

    def _flush_in_background(self) -> bool:
        """Leave the rest to the writer thread. Return False if it cannot be started."""
        try:
            background = acquire_background_threads()
        except OSError:
            return False
        background.writer.flush_soon(self)
        release_background_threads(background)
        return True

    def _collect(self, frames: dict[Member, list[bytes]]) -> None:
        """Add the pending broadcasts to the frames for each member. If not all are plain broadcasts, send everything at once instead.

        Requires the flush lock.
        """
        assert self._flush_lock.locked()
        pending = self._pop_pending()
        items = [item for item in pending if isinstance(item, _Broadcast) and not item.exclude]
        if len(items) < len(pending):
            self._process(pending)
        elif items:
            for group in (groups := self._current_groups()):
                encoded = _encode([item.message for item in items], group.encoding)
                for member in group.members:
                    frames.setdefault(member, []).append(encoded)
            now = monotonic()
            counters.count_fan_out(sum(len(group.members) for group in groups) * len(items), [now - item.added_at for item in items])

    def _pop_pending(self) -> list[_Pending]:
        return [self._pending.popleft() for _ in range(len(self._pending))]

    def _current_members(self) -> tuple[Member, ...]:
        with self._members_lock:
            if self._snapshot is None:
                self._snapshot = tuple(self._members)
            return self._snapshot

    def _current_groups(self) -> list[_Group]:
        groups, members = self._groups, self._current_members()
        if groups is None:
            by_encoding: dict[MessageEncoding, list[Member]] = {}
            for member in members:
                by_encoding.setdefault(member.encoding, []).append(member)
            groups = [_Group(encoding, group, [member.offer for member in group]) for encoding, group in by_encoding.items()]
            with self._members_lock:
                if self._snapshot is members:
                    self._groups = groups
        return groups

    def _process(self, pending: list[_Pending]) -> None:
        """Send broadcasts to the members, then carry out admissions, then send direct messages. Requires the flush lock."""
        assert self._flush_lock.locked()
        items = [item for item in pending if isinstance(item, _Broadcast)]
        if items:
            self._deliver(items)
        if len(items) < len(pending):
            self._carry_out_admissions(pending)
            self._send_direct_messages(pending)

    def _deliver(self, items: list[_Broadcast]) -> None:
        messages = [item.message for item in items]
        excluded = frozenset[Member]().union(*(item.exclude for item in items))
        deliveries = 0
        interruption: BaseException | None = None  # raised after all other members were sent their messages
        for group in self._current_groups():
            some_excluded = excluded.intersection(group.members) if excluded else _NO_MEMBERS
            offers = group.offers
            if some_excluded:
                offers = [offer for member, offer in zip(group.members, offers, strict=True) if member not in some_excluded]
            frames = _encode(messages, group.encoding)
            deliveries += len(offers) * len(items)
            for offer in offers:
                try:
                    offer(frames)
                except BaseException as error:
                    interruption = _log_failure(group.members[group.offers.index(offer)], error) or interruption
            for member in some_excluded:
                wanted = [item.message for item in items if member not in item.exclude]
                deliveries += len(wanted)
                try:
                    if wanted:
                        _offer(member, wanted)
                except BaseException as error:
                    interruption = error
        if interruption is not None:
            raise interruption
        if deliveries:
            now = monotonic()
            counters.count_fan_out(deliveries, [now - item.added_at for item in items])

    def _carry_out_admissions(self, pending: list[_Pending]) -> None:
        for place, admission in enumerate(pending):
            if not isinstance(admission, _Admission):
                continue
            connection, greeting = admission
            with self._members_lock:
                if self._admissions.get(connection) is not admission:
                    continue  # the connection has left, and may have been admitted again
                self._members[connection] = None
                self._snapshot = self._groups = None
                del self._admissions[connection]
            messages = [item.message for item in pending[place:] if isinstance(item, _Broadcast) and connection not in item.exclude]
            counters.count_fan_out(len(messages), ())
            if greeting is not None:
                messages.insert(0, greeting)
            if messages:
                _offer(connection, messages, is_droppable=greeting is None)

    def _send_direct_messages(self, pending: list[_Pending]) -> None:
        by_connection: dict[Member, list[str | bytes]] = {}
        for item in pending:
            if isinstance(item, _DirectMessages):
                by_connection.setdefault(item.connection, []).extend(item.messages)
        for connection, messages in by_connection.items():
            _offer(connection, messages, is_droppable=False)


def flush_together(hubs: Collection[Hub]) -> None:
    """Send what was added to several hubs, with one write for a member of several. Never waits for a peer."""
    held = [hub for hub in hubs if hub._flush_lock.acquire(blocking=False)]
    try:
        frames: dict[Member, list[bytes]] = {}
        for hub in held:
            hub._collect(frames)
        for member, parts in frames.items():
            _offer_frames(member, b"".join(parts))
    finally:
        for hub in held:
            hub._flush_lock.release()
    for hub in hubs:  # what was added meanwhile
        hub.flush()


def _check_member(connection: object) -> None:
    if not hasattr(connection, "offer"):
        raise UsageError(f"a member of a hub must be a Connection, not {connection!r}")


def _members_of(exclude: Collection[Member]) -> frozenset[Member]:
    if hasattr(exclude, "offer"):  # iterating over a connection would receive from it
        raise UsageError("exclude must be a collection of connections, not a connection: exclude=[connection]")
    members = frozenset(exclude)
    for member in members:
        _check_member(member)
    return members


def _sendable(message: str | bytes) -> str | bytes:
    """Return the message as an immutable object. Raises UsageError here, in the caller, rather than in the thread that flushes."""
    if type(message) is str and message.isascii():  # nearly always, and then it can be encoded
        return message
    _, payload = payload_of(message)
    return message if isinstance(message, str) else payload


def _offer(member: Member, messages: list[str | bytes], *, is_droppable: bool = True) -> None:
    _offer_frames(member, _encode(messages, member.encoding), is_droppable=is_droppable)


def _offer_frames(member: Member, frames: bytes, *, is_droppable: bool = True) -> None:
    """Send frames to one member. An error is logged: raised, it would keep other members from getting their messages."""
    try:
        member.offer(frames, is_droppable=is_droppable)
    except BaseException as error:
        if _log_failure(member, error) is not None:
            raise


def _log_failure(member: Member, error: BaseException) -> BaseException | None:
    """Log an error that a member's `offer` raised. Return the error instead if a signal handler raised it."""
    if not isinstance(error, Exception) or was_interrupted(error):
        return error
    logger.error("a broadcast to %r failed", member, exc_info=error)
    return None


def _encode(messages: list[str | bytes], encoding: MessageEncoding) -> bytes:
    return b"".join(map(encoding.encoder(), messages))
