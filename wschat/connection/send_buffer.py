"""The send buffer: bytes for one peer that the kernel did not take, in the order in which they must be sent.

An offer may be dropped later on. A frame that was sent may not: its sender waited for room, and it may be a part of a message or
compressed with a reference to an earlier one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from time import monotonic
from typing import Final

from wschat.connection.quota import Quota

# The most that one write offers to the kernel: above this, joining chunks costs more than the system calls that it saves.
WRITE_BYTES: Final = 64 * 1024

Chunk = bytes | memoryview


class SendBuffer:
    """Chunks of whole frames, the oldest first. Belongs to a transport and is guarded by its lock.

    The chunks at the front of which a part was sent, or of which TLS has made a record, are committed: they must be sent next,
    unchanged. OpenSSL insists on being offered such a record again, byte for byte, until the kernel takes it.
    """

    __slots__ = ("_chunks", "_committed", "_held", "_pong", "_quotas", "_record_bytes", "is_holding", "size")

    def __init__(self, record_bytes: int, quotas: Sequence[Quota] = ()) -> None:
        self._chunks: deque[tuple[float, bool, Chunk]] = deque()  # (added at, is droppable, chunk)
        self._record_bytes = record_bytes  # after a short write, this many bytes must be offered again
        self._committed = 0  # how many chunks are committed
        self._pong: bytes | None = None  # the newest pong, to be sent before all chunks that are not committed
        self._held: list[bytes] = []
        self._quotas = quotas
        self.is_holding = False
        """True while a fragmented message is being sent, so that whole messages must be held."""
        self.size = 0
        """Bytes in the buffer, held messages included."""

    def __bool__(self) -> bool:
        return bool(self._chunks)

    def __iter__(self) -> Iterator[Chunk]:
        return (chunk for _, _, chunk in self._chunks)

    @property
    def oldest_since(self) -> float:
        """The time, by `monotonic`, when the oldest chunk was added."""
        return self._chunks[0][0]

    def add_rest(self, data: bytes, sent: int) -> None:
        """Add what is left of `data` after the kernel has taken `sent` bytes. The buffer must be empty."""
        self._committed = 1 if sent or self._record_bytes else 0
        self.add(memoryview(data)[sent:])

    def add(self, data: Chunk, *, is_droppable: bool = False) -> None:
        """Add a chunk behind all others. An empty one is ignored: to write it would never succeed."""
        if not data:
            return
        self._chunks.append((monotonic(), is_droppable, data))
        self._change_size(len(data))

    def hold(self, frames: list[bytes]) -> None:
        """Hold whole messages until the end of a fragmented one."""
        self._held += frames
        self._change_size(sum(map(len, frames)))

    def pop_held(self) -> list[bytes]:
        """Remove the held messages and return them."""
        held, self._held = self._held, []
        self._change_size(-sum(map(len, held)))
        return held

    def has_room(self, size: int) -> bool:
        """Return True if every quota has room for `size` bytes more."""
        return all(quota.has_room(size) for quota in self._quotas)

    def set_pong(self, pong: bytes | None) -> None:
        """Set the pong to send before the other chunks, in place of an earlier one that was not sent yet."""
        self._pong = pong

    def next_write(self) -> Chunk:
        """Return the bytes to offer to the kernel next."""
        if self._pong is not None and not self._committed:
            pong, self._pong = self._pong, None
            self._chunks.appendleft((monotonic(), False, pong))
            self._change_size(len(pong))
        # A pong that still waits is sent right after the committed chunks.
        count = self._count_within(WRITE_BYTES) if self._pong is None else self._committed
        # Joined for this call only: the chunks themselves are shared with other peers.
        return self._chunks[0][2] if count == 1 else b"".join(islice(self, count))

    def consume(self, sent: int, offered: int) -> None:
        """Remove the `sent` bytes that the kernel took of `offered` bytes."""
        self._change_size(-sent)
        left = offered - sent
        if sent:
            self._committed = 0
        while sent:
            since, is_droppable, chunk = self._chunks.popleft()
            if sent < len(chunk):
                self._chunks.appendleft((since, is_droppable, memoryview(chunk)[sent:]))
                self._committed = 1
                break
            sent -= len(chunk)
        self._committed = max(self._committed, self._count_covering(min(left, self._record_bytes)))
        if not self._chunks and self._pong is not None:
            pong, self._pong = self._pong, None
            self.add(pong)

    def discard_uncommitted(self) -> None:
        """Discard everything except committed chunks. Those count for no quota any more: the connection ends soon."""
        committed = self._pop_committed()
        self.clear()
        self._chunks.extend(committed)
        self._committed = len(committed)
        self._quotas = ()
        self._change_size(sum(len(chunk) for chunk in self))

    def drop_oldest_while(self, is_too_much: Callable[[float], bool]) -> None:
        """Drop droppable chunks, the oldest first, while `is_too_much` returns True for the time when the oldest was added."""
        kept = self._pop_committed()
        while self._chunks and is_too_much(self._chunks[0][0]):
            chunk = self._chunks.popleft()
            if chunk[1]:
                self._change_size(-len(chunk[2]))
            else:
                kept.append(chunk)
        self._chunks.extendleft(reversed(kept))

    def clear(self) -> None:
        """Discard everything."""
        self._chunks.clear()
        self._held.clear()
        self._committed = 0
        self._pong = None
        self._change_size(-self.size)

    def _change_size(self, size: int) -> None:
        self.size += size
        for quota in self._quotas:
            quota.change(size)

    def _pop_committed(self) -> list[tuple[float, bool, Chunk]]:
        return [self._chunks.popleft() for _ in range(self._committed)]

    def _count_covering(self, size: int) -> int:
        """Return how many chunks from the front have at least `size` bytes."""
        covered = 0
        for count, chunk in enumerate(self):
            if covered >= size:
                return count
            covered += len(chunk)
        return len(self._chunks)

    def _count_within(self, max_bytes: int) -> int:
        """Return how many chunks from the front have at most `max_bytes` bytes; at least one."""
        size = 0
        for count, chunk in enumerate(self):
            size += len(chunk)
            if size > max_bytes:
                return max(count, 1)
        return len(self._chunks)
