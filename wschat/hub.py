"""The hub: a lock-protected set of connections, and the broadcast that reaches them all.

Batching that grows with the load: a broadcaster appends its message, and whoever gets hold of the right to flush sends all
that has been appended, one write for each peer, while the others go back to their work. The busier it is, the more messages
share a write. What is said is not known here.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterator
from time import monotonic
from typing import NamedTuple, Protocol, cast

from wschat.connection.background_threads import acquire_background_threads, release_background_threads
from wschat.connection.connection import Connection
from wschat.connection.cork import current
from wschat.connection.streams import was_interrupted
from wschat.counters import counters
from wschat.errors import UsageError
from wschat.protocol.encoding import payload_of

logger = logging.getLogger("wschat.hub")

# How often a broadcaster flushes what others have appended meanwhile, until the writer thread takes over.
_ROUNDS = 4


class Wire(Protocol):
    """How a member is sent messages. Members with equal ones are sent the same bytes."""

    def encoder(self) -> Callable[[object], bytes]:
        """What makes bytes of a message."""

    def __hash__(self) -> int:
        """Wires are looked up with each broadcast."""


class Member(Protocol):
    """What may be in a hub: a `Connection`, or what can be sent to like one."""

    @property
    def encoding(self) -> Wire:
        """How it is sent messages."""

    @property
    def offer(self) -> Callable[..., None]:
        """Called with bytes and perhaps `is_droppable`; never waits."""


class _Item(NamedTuple):
    """A message to all members but some."""

    message: str | bytes
    exclude: frozenset[Member]
    added_at: float


class _Admission(NamedTuple):
    """Somebody who gets what was added after it, and `greeting` before that."""

    connection: Member
    greeting: str | bytes | None


class _Answer(NamedTuple):
    """Something for one connection only."""

    connection: Member
    message: str | bytes


_Pending = _Item | _Admission | _Answer


_NOBODY: frozenset[Member] = frozenset()


class Hub:
    """A set of connections. Every method may be called from any thread, and none waits for a peer.

    Raises UsageError at once for what is no connection and no message.
    """

    def __init__(self) -> None:
        self._members_guard = threading.Lock()  # guards the three below; no other lock is taken while it is held
        self._members: set[Member] = set()
        self._snapshot: tuple[Member, ...] | None = ()  # the members, made when it is needed after a change
        self._admissions: dict[Member, _Admission] = {}  # of those who are about to be in, the last one of each
        self._pending: deque[_Pending] = deque()  # appended to by any thread, emptied by the one that flushes
        # The right to flush. Only ever tried, never waited for. The locks of outboxes are taken while it is held.
        self._flushing = threading.Lock()

    def join(self, connection: Member) -> None:
        """Have this connection get what is broadcast from now on, and perhaps what is still on its way."""
        _check_member(connection)
        with self._members_guard:
            self._members.add(connection)
            self._snapshot = None

    def admit(self, connection: Member, greeting: str | bytes | None = None) -> None:
        """Have this connection get a greeting, and then what is added after this call: nothing of what was added before.

        One that is in already begins anew. An admission takes the place of one that has not taken effect yet; both greetings are sent.

        Like `add`, it is in order with what other threads add, and takes effect with the next `flush`.
        """
        _check_member(connection)
        admission = _Admission(connection, None if greeting is None else _sendable(greeting))
        with self._members_guard:
            replaced = self._admissions.get(connection)
            self._admissions[connection] = admission
            self._members.discard(connection)
            self._snapshot = None
        if replaced is not None and replaced.greeting is not None:
            self._pending.append(_Answer(connection, replaced.greeting))
        self._pending.append(admission)

    def leave(self, connection: Member) -> str | bytes | None:
        """Take it out again; nothing happens if it is not in. Returns the greeting, if it was admitted and has not got it yet."""
        _check_member(connection)
        with self._members_guard:
            self._members.discard(connection)
            self._snapshot = None
            admission = self._admissions.pop(connection, None)
            return None if admission is None else admission.greeting

    @property
    def is_deserted(self) -> bool:
        """Whether nobody is in it nor about to be."""
        with self._members_guard:  # or somebody might be let in between the two looks, and be found by neither
            return not self._members and not self._admissions

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[Connection]:
        """The members of this moment."""
        return iter(cast("tuple[Connection, ...]", self._current_members()))  # who puts in others knows what they are

    def __contains__(self, connection: object) -> bool:
        return connection in self._members

    def broadcast(self, message: str | bytes, exclude: Collection[Member] = ()) -> None:
        """Send a message to all members but the excluded: text for str, binary for bytes.

        All members get all messages in one order. Never waits for a peer: one whose outbox is full is evicted, one that is
        gone is passed over. The message may leave after this has returned, and after what is then sent to a member directly:
        while another thread flushes, or at the end of a turn (a read that brought several messages).
        """
        self.add(message, exclude)
        self.send_soon()

    def add(self, message: str | bytes, exclude: Collection[Member] = ()) -> None:
        """The first half of a broadcast: give the message its place in the order. `send_soon` or `flush` has to follow.

        For callers that hold a lock of their own while they decide on the order: this one never writes.
        """
        self._pending.append(_Item(_sendable(message), _members_of(exclude) if exclude else _NOBODY, monotonic()))

    def answer(self, connection: Member, message: str | bytes) -> None:
        """Give a message to one connection a place in the order, after what was added before. Like `add`, it does not write."""
        _check_member(connection)
        self._pending.append(_Answer(connection, _sendable(message)))

    def send_soon(self) -> None:
        """The second half of a broadcast: send what was added, now or at the end of the calling thread's turn."""
        cork = current.cork
        if cork is None or not cork.defer(self):
            self.flush()

    def flush(self) -> None:
        """Send what is pending, unless another thread is doing so just now. Never waits."""
        rounds = 0
        # Looked at again after letting go: what was appended in between found the right taken.
        while self._pending and self._flushing.acquire(blocking=False):
            try:
                self._work_off(self._take_pending())
            finally:
                self._flushing.release()
            rounds += 1
            if rounds == _ROUNDS and self._pending and self._hand_over():
                return

    def _hand_over(self) -> bool:
        """Have the writer thread go on flushing. Return False if there is none."""
        try:
            background = acquire_background_threads()
        except OSError:
            return False
        background.writer.take_over(self)
        release_background_threads(background)
        return True

    def _collect(self, frames: dict[Member, list[bytes]]) -> None:
        """Have what is pending be sent by whoever has the right to flush, who has these frames for members of other hubs, too."""
        pending = self._take_pending()
        items = [item for item in pending if isinstance(item, _Item) and not item.exclude]
        if len(items) < len(pending):
            self._work_off(pending)
        elif items:
            encoded: dict[Wire, bytes] = {}
            members = self._current_members()
            for member in members:
                if member.encoding not in encoded:
                    encoded[member.encoding] = _encode([item.message for item in items], member.encoding)
                frames.setdefault(member, []).append(encoded[member.encoding])
            now = monotonic()
            counters.count_fan_out(len(members) * len(items), [now - item.added_at for item in items])

    def _take_pending(self) -> list[_Pending]:
        return [self._pending.popleft() for _ in range(len(self._pending))]

    def _current_members(self) -> tuple[Member, ...]:
        with self._members_guard:
            if self._snapshot is None:
                self._snapshot = tuple(self._members)
            return self._snapshot

    def _work_off(self, pending: list[_Pending]) -> None:
        items = [item for item in pending if isinstance(item, _Item)]
        if items:
            self._deliver(items)
        if len(items) < len(pending):
            self._let_in(pending)
            self._give_answers(pending)

    def _deliver(self, items: list[_Item]) -> None:
        encoded: dict[Wire, bytes] = {}
        excluded = frozenset[Member]().union(*(item.exclude for item in items))
        members = self._current_members()
        deliveries = len(members) * len(items)
        interruption: BaseException | None = None  # raised when the others have got their messages
        for member in members:
            if excluded and member in excluded:
                wanted = [item.message for item in items if member not in item.exclude]
                deliveries -= len(items) - len(wanted)
                if wanted:
                    _offer(member, wanted)
                continue
            frames = encoded.get(member.encoding)
            if frames is None:
                frames = encoded[member.encoding] = _encode([item.message for item in items], member.encoding)
            try:
                member.offer(frames)
            except BaseException as error:
                interruption = _failed(member, error) or interruption
        if interruption is not None:
            raise interruption
        if deliveries:
            now = monotonic()
            counters.count_fan_out(deliveries, [now - item.added_at for item in items])

    def _let_in(self, pending: list[_Pending]) -> None:
        for place, admission in enumerate(pending):
            if not isinstance(admission, _Admission):
                continue
            connection, greeting = admission
            with self._members_guard:
                if self._admissions.get(connection) is not admission:
                    continue  # it has left, and may be about to be let in anew
                self._members.add(connection)
                self._snapshot = None
                del self._admissions[connection]
            messages = [item.message for item in pending[place:] if isinstance(item, _Item) and connection not in item.exclude]
            counters.count_fan_out(len(messages), ())
            if greeting is not None:
                messages.insert(0, greeting)
            if messages:
                _offer(connection, messages, is_droppable=greeting is None)

    def _give_answers(self, pending: list[_Pending]) -> None:
        answers: dict[Member, list[str | bytes]] = {}
        for answer in pending:
            if isinstance(answer, _Answer):
                answers.setdefault(answer.connection, []).append(answer.message)
        for connection, messages in answers.items():
            _offer(connection, messages, is_droppable=False)


def flush_together(hubs: Collection[Hub]) -> None:
    """Send what is pending in several hubs, with one write for a member of many. Never waits."""
    held = [hub for hub in hubs if hub._flushing.acquire(blocking=False)]
    try:
        frames: dict[Member, list[bytes]] = {}
        for hub in held:
            hub._collect(frames)
        for member, parts in frames.items():
            _offer_frames(member, b"".join(parts))
    finally:
        for hub in held:
            hub._flushing.release()
    for hub in hubs:  # what was appended meanwhile
        hub.flush()


def _check_member(connection: object) -> None:
    if not hasattr(connection, "offer"):
        raise UsageError(f"a member of a hub must be a Connection, not {connection!r}")


def _members_of(exclude: Collection[Member]) -> frozenset[Member]:
    if hasattr(exclude, "offer"):  # to iterate over a connection would be to receive from it
        raise UsageError("exclude must be a collection of connections, not a connection: exclude=[connection]")
    members = frozenset(exclude)
    for member in members:
        _check_member(member)
    return members


def _sendable(message: str | bytes) -> str | bytes:
    """The message, which may not change any more. What cannot be sent is the caller's error, not that of the thread that flushes."""
    _, payload = payload_of(message)
    return message if isinstance(message, str) else payload


def _offer(member: Member, messages: list[str | bytes], *, is_droppable: bool = True) -> None:
    _offer_frames(member, _encode(messages, member.encoding), is_droppable=is_droppable)


def _offer_frames(member: Member, frames: bytes, *, is_droppable: bool = True) -> None:
    """Send frames to one member. An error there is logged, or the others would lose their messages by it."""
    try:
        member.offer(frames, is_droppable=is_droppable)
    except BaseException as error:
        if _failed(member, error) is not None:
            raise


def _failed(member: Member, error: BaseException) -> BaseException | None:
    """Log what a member's `offer` has raised. Return what is not the member's, but that of a signal handler."""
    if not isinstance(error, Exception) or was_interrupted(error):
        return error
    logger.error("a broadcast to %r failed", member, exc_info=error)
    return None


def _encode(messages: list[str | bytes], encoding: Wire) -> bytes:
    return b"".join(map(encoding.encoder(), messages))
