"""The backlog: what the kernel did not take of what one peer is sent, in the order in which it has to go.

What was offered may be dropped again. What was sent may not: somebody waited for it to be taken, and it may be a part of a
message, or refer to an earlier one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from time import monotonic

from wschat.connection.quota import Quota

# As much as one write takes: beyond this, joining costs more than the system calls it saves.
WRITE_BYTES = 64 * 1024

Chunk = bytes | memoryview


class SendBuffer:
    """Chunks of whole frames, the oldest first. For an outbox, under its lock.

    A chunk is begun, and has to go next and whole, when a part of it is gone, or when TLS has made a record of it: such a
    record has to be offered again, byte for byte, until it is taken.
    """

    __slots__ = ("_begun", "_chunks", "_held", "_pong", "_quotas", "_record_bytes", "size")

    def __init__(self, record_bytes: int, quotas: Sequence[Quota] = ()) -> None:
        self._chunks: deque[tuple[float, bool, Chunk]] = deque()  # since when it waits, and whether it may be dropped
        self._record_bytes = record_bytes  # so much of what a short write left has to be offered again
        self._begun = 0  # how many of the chunks have to go next, as they are
        self._pong: bytes | None = None  # the newest, which goes before whatever is not begun
        self._held: list[bytes] = []  # the messages that have to wait for the end of a fragmented one
        self._quotas = quotas
        self.size = 0
        """How many bytes wait, those that are held included."""

    def __bool__(self) -> bool:
        return bool(self._chunks)

    def __iter__(self) -> Iterator[Chunk]:
        return (chunk for _, _, chunk in self._chunks)

    @property
    def since(self) -> float:
        """Since when the oldest waits, a time of `monotonic`."""
        return self._chunks[0][0]

    def begin(self, data: bytes, sent: int) -> None:
        """Keep the rest of what the kernel took so many bytes of. For a backlog that is empty."""
        self._begun = 1 if sent or self._record_bytes else 0
        self.add(memoryview(data)[sent:])

    def add(self, data: Chunk, *, is_droppable: bool = False) -> None:
        """Put a chunk behind all others, if there is anything in it: a write of nothing would never come to an end."""
        if not data:
            return
        self._chunks.append((monotonic(), is_droppable, data))
        self._count(len(data))

    def hold(self, frames: list[bytes]) -> None:
        """Keep messages aside while another one is sent in fragments."""
        self._held += frames
        self._count(sum(map(len, frames)))

    def take_held(self) -> list[bytes]:
        """Take out the messages that were kept aside."""
        held, self._held = self._held, []
        self._count(-sum(map(len, held)))
        return held

    def has_room(self, size: int) -> bool:
        """Return True if every quota has room for so many bytes more."""
        return all(quota.has_room(size) for quota in self._quotas)

    def keep_pong(self, pong: bytes | None) -> None:
        """Have this pong sent before the others, in the place of an earlier one that still waits."""
        self._pong = pong

    def next_write(self) -> Chunk:
        """What to ask the kernel to take now."""
        if self._pong is not None and not self._begun:
            pong, self._pong = self._pong, None
            self._chunks.appendleft((monotonic(), False, pong))
            self._count(len(pong))
        # A pong that still waits goes right after what is begun.
        count = self._count_within(WRITE_BYTES) if self._pong is None else self._begun
        # Joined for this call only: what stays is still shared with the other peers.
        return self._chunks[0][2] if count == 1 else b"".join(islice(self, count))

    def took(self, sent: int, offered: int) -> None:
        """The kernel took so many bytes of those that it was offered."""
        self._count(-sent)
        left = offered - sent
        if sent:
            self._begun = 0
        while sent:
            since, is_droppable, chunk = self._chunks.popleft()
            if sent < len(chunk):
                self._chunks.appendleft((since, is_droppable, memoryview(chunk)[sent:]))
                self._begun = 1
                break
            sent -= len(chunk)
        self._begun = max(self._begun, self._count_covering(min(left, self._record_bytes)))
        if not self._chunks and self._pong is not None:
            pong, self._pong = self._pong, None
            self.add(pong)

    def drop(self) -> None:
        """Forget everything but what has been begun. That counts no more for any quota: it is going to be gone soon."""
        begun = self._take_begun()
        self.clear()
        self._chunks.extend(begun)
        self._begun = len(begun)
        self._quotas = ()
        self._count(sum(len(chunk) for chunk in self))

    def drop_oldest(self, is_too_much: Callable[[float], bool]) -> None:
        """Forget what was offered, the oldest first, while the answer is yes to the time since when it waits."""
        kept = self._take_begun()
        while self._chunks and is_too_much(self._chunks[0][0]):
            chunk = self._chunks.popleft()
            if chunk[1]:
                self._count(-len(chunk[2]))
            else:
                kept.append(chunk)
        self._chunks.extendleft(reversed(kept))

    def clear(self) -> None:
        """Forget everything."""
        self._chunks.clear()
        self._held.clear()
        self._begun = 0
        self._pong = None
        self._count(-self.size)

    def _count(self, size: int) -> None:
        self.size += size
        for quota in self._quotas:
            quota.change(size)

    def _take_begun(self) -> list[tuple[float, bool, Chunk]]:
        """Take out those that have to go as they are."""
        return [self._chunks.popleft() for _ in range(self._begun)]

    def _count_covering(self, size: int) -> int:
        """How many of the oldest chunks it takes to have so many bytes."""
        covered = 0
        for count, chunk in enumerate(self):
            if covered >= size:
                return count
            covered += len(chunk)
        return len(self._chunks)

    def _count_within(self, max_bytes: int) -> int:
        """How many of the oldest chunks have so many bytes together; at least one."""
        size = 0
        for count, chunk in enumerate(self):
            size += len(chunk)
            if size > max_bytes:
                return max(count, 1)
        return len(self._chunks)
