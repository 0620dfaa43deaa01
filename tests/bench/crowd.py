"""The crowd: many bare WebSockets in one loop that sends messages on schedule and checks every byte that arrives.

Apart from their own acks, all members of a room receive the same bytes in the same order. The first member to receive them
appends them to one transcript, and those of the others are compared with it, which takes a `memcmp`. The transcript is parsed
once, after the run. That is fast enough for a million deliveries a second in one thread of Python.
"""

from __future__ import annotations

import gc
import select
import socket
import time
from array import array
from collections.abc import Callable, Sequence
from time import monotonic

from tests.concurrency import TIMEOUT
from tests.server.raw import request

# How often due messages are sent and arrived bytes are read. Waiting for each event instead would wake this process up thousands of
# times a second, which would cost the server time in its system calls.
_SECONDS_BETWEEN_TICKS = 0.001
_READ_BYTES = 256 * 1024
_WRITE_BYTES = 64 * 1024
# The number of members read between two checks of the clock.
_READS_TOGETHER = 64
_SECONDS_TO_WAIT_FOR_THE_REST = 5.0
# The number of members whose deliveries are timed.
_MEMBERS_TIMED = 10

_CLOSE = b"\x88\x82\0\0\0\0\x03\xe8"  # with the code 1000
_CLOSE_BYTE = b"\x88"  # the first byte of a close frame
_CLOSE_HEAD_BYTES = 4  # of a server's close frame, before the reason
_ACK = b'{"type":"ack"'
_ACK_HEAD_BYTES = 2  # of a frame that is as short as an ack
_BYTES_SHOWN = 200

TEXT_BYTES = 64
_TEXT_END = b"-."


def text_of(number: int) -> bytes:
    """Return the text of a message: its number, padded."""
    return b"%08d" % number + b"-" * (TEXT_BYTES - 8 - len(_TEXT_END)) + _TEXT_END


TEXT_PATTERN = rb"(?P<number>\d{8})-{54}-\."
"""Matches the texts of `text_of`."""


def masked(payload: bytes) -> bytes:
    """Return a client's text frame. The masking key is 0, which costs the server the same as any other, and the crowd nothing."""
    if len(payload) > 125:
        return b"\x81\xfe" + len(payload).to_bytes(2, "big") + b"\0\0\0\0" + payload
    return bytes((0x81, 0x80 | len(payload))) + b"\0\0\0\0" + payload


def _send(sock: socket.socket, data: bytes) -> int:
    """Return how many bytes the kernel takes now. If the peer has disconnected, all of them: the next read finds the end."""
    try:
        return sock.send(data)
    except BlockingIOError:
        return 0
    except OSError:
        return len(data)


class Member:
    """One bare WebSocket."""

    def __init__(self, number: int, port: int, target: str, subprotocol: str | None = None) -> None:
        self.number = number
        self.socket = socket.create_connection(("127.0.0.1", port), TIMEOUT)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(request(target=target, headers={"Sec-WebSocket-Protocol": subprotocol}))
        self.position = 0  # the number of bytes of the transcript that it has received
        self.arrivals: list[tuple[float, int]] | None = None  # times and positions, if this member is timed
        self.acks: list[tuple[float, bytes]] = []  # the time of arrival, and the JSON
        self.unread = b""  # the beginning of a frame, which may be an ack
        self.unsent = bytearray()  # bytes that the kernel did not take
        self.failure: str | None = None

    def read_until(self, is_enough: Callable[[bytes], object]) -> None:
        """Wait for the bytes that arrive before the benchmark begins."""
        received = b""
        while not is_enough(received):
            data = self.socket.recv(_READ_BYTES)
            if not data:
                raise ConnectionError(f"the server closed the connection after {received[-500:]!r}")
            received += data

    def begin_close(self) -> None:
        """Send a close frame. `close` must follow."""
        self.socket.settimeout(TIMEOUT)
        if self.failure is None:
            self.socket.sendall(_CLOSE)

    def close(self) -> None:
        """Wait until the server ends the connection."""
        while self.failure is None and self.socket.recv(_READ_BYTES):
            pass
        self.socket.close()


class Crowd:
    """The members of one room. The first of them are the talkers, which take turns to send."""

    def __init__(self, members: Sequence[Member], talkers: int, frame_of: Callable[[int], bytes], *, acks: bool) -> None:
        self.members = members
        self.talkers = members[:talkers]
        self.transcript = bytearray()
        self.sent_at = array("d")  # when each message was sent: its delay includes the time until the server reads it
        self.worst_lag = 0.0
        self.acks = 0
        self._frame_of = frame_of
        self._wants_acks = acks
        self._received = 0  # the number of messages in the transcript
        self._congested: set[Member] = set()
        self._buffer = bytearray(_READ_BYTES)
        self._epoll = select.epoll()
        self._by_descriptor = {member.socket.fileno(): member for member in members}
        for member in members:
            member.socket.setblocking(False)
            self._epoll.register(member.socket, select.EPOLLIN)
        for member in members[:: max(1, len(members) // _MEMBERS_TIMED)]:
            member.arrivals = []

    def run(self, rate: int, seconds: float) -> None:
        """Send messages at this rate for this many seconds, and wait until all have arrived or no more do."""
        total = max(1, int(rate * seconds))
        gc.collect()
        gc.disable()  # there is no garbage here, and a collection takes longer than a tick
        began_at = monotonic() + 10 * _SECONDS_BETWEEN_TICKS
        give_up_at = began_at + seconds + _SECONDS_TO_WAIT_FOR_THE_REST
        next_tick = began_at
        while True:
            now = monotonic()
            self._send_until(min(total, int((now - began_at) * rate) + 1), began_at, rate)
            if self._read(next_tick):
                give_up_at = max(give_up_at, monotonic() + _SECONDS_TO_WAIT_FOR_THE_REST)
            if len(self.sent_at) == total and (self._has_received_everything(total) or monotonic() > give_up_at):
                break
            next_tick = max(next_tick + _SECONDS_BETWEEN_TICKS, now)
            time.sleep(max(0.0, next_tick - monotonic()))
        gc.enable()
        self._epoll.close()

    def close(self) -> None:
        """Disconnect all members."""
        for step in (Member.begin_close, Member.close):
            for member in self.members:
                try:
                    step(member)
                except OSError as error:
                    member.failure = f"could not close: {error!r}"

    def _has_received_everything(self, total: int) -> bool:
        everywhere = len(self.transcript)
        return (
            self._received >= total
            and (self.acks >= total or not self._wants_acks)
            and all(member.position == everywhere or member.failure for member in self.members)
        )

    # Sending

    def _send_until(self, due: int, began_at: float, rate: int) -> None:
        """Send the messages that are due."""
        for member in tuple(self._congested):
            self._write_unsent(member)
        sent_at, talkers, frame_of = self.sent_at, self.talkers, self._frame_of
        if len(sent_at) < due:
            self.worst_lag = max(self.worst_lag, monotonic() - began_at - len(sent_at) / rate)
        for number in range(len(sent_at), due):
            sent_at.append(monotonic())
            self._write(talkers[number % len(talkers)], frame_of(number))

    def _write(self, member: Member, frame: bytes) -> None:
        """Send a frame, or keep what the kernel does not take for the next tick."""
        sent = 0 if member.unsent else _send(member.socket, frame)
        if sent < len(frame):
            member.unsent += frame[sent:]
            self._congested.add(member)

    def _write_unsent(self, member: Member) -> None:
        sent = _send(member.socket, bytes(member.unsent[:_WRITE_BYTES]))
        del member.unsent[:sent]
        if not member.unsent:
            self._congested.discard(member)

    # Reading

    def _read(self, until: float) -> bool:
        """Read until nothing is left or it is later than `until`. Return True if something was read."""
        has_read = False
        while events := self._epoll.poll(0, _READS_TOGETHER):
            has_read = True
            for descriptor, _ in events:
                self._receive(self._by_descriptor[descriptor])
            if monotonic() >= until:
                break
        return has_read

    def _receive(self, member: Member) -> None:
        try:
            size = member.socket.recv_into(self._buffer)
        except BlockingIOError:
            return
        except OSError:
            size = 0
        now = monotonic()
        # No other byte has this value: texts are ASCII, and no message has this length.
        end = self._buffer.find(_CLOSE_BYTE, 0, size)
        with memoryview(self._buffer)[: size if end < 0 else end] as data:
            if self._wants_acks and member.number < len(self.talkers):
                self._take_out_acks(member, now, member.unread + bytes(data))
            else:
                self._compare(member, data)
        if member.arrivals is not None:
            member.arrivals.append((now, member.position))
        if not size or end >= 0:
            reason = bytes(self._buffer[end + _CLOSE_HEAD_BYTES : size]) if size else "connection lost"
            self._fail(member, f"was closed by the server: {reason!r}")

    def _take_out_acks(self, member: Member, now: float, data: bytes) -> None:
        """Collect the acks in these bytes, and compare the rest.

        Every frame ends with the brace of its JSON, and no other byte is one: there is none in the texts, and no frame has the
        length (125 bytes) that would look like one.
        """
        whole = data.rfind(b"}") + 1
        start = 0
        while (found := data.find(_ACK, start, whole)) >= 0:
            end = data.find(b"}", found) + 1
            self._compare(member, data[start : found - _ACK_HEAD_BYTES])
            member.acks.append((now, data[found:end]))
            self.acks += 1
            start = end
        self._compare(member, data[start:whole])
        member.unread = data[whole:]

    def _compare(self, member: Member, data: bytes | memoryview) -> None:
        """Compare the next bytes of a member with the transcript, or append them if it is the first member to receive them."""
        if member.failure:
            return
        transcript, start = self.transcript, member.position
        if not transcript.startswith(data, start):
            known = len(transcript) - start
            if known >= len(data) or not transcript.endswith(data[:known]):
                differs_at = next((at for at, (own, other) in enumerate(zip(data, transcript[start:], strict=False)) if own != other), 0)
                sent, others = bytes(data[differs_at:]), bytes(transcript[start + differs_at :])
                self._fail(member, f"was sent {sent[:_BYTES_SHOWN]!r} where others were sent {others[:_BYTES_SHOWN]!r}")
                return
            seen_to = max(0, len(transcript) - len(_TEXT_END) + 1)  # the end of a text may be split
            transcript += data[known:]
            self._received += transcript.count(_TEXT_END, seen_to)
        member.position += len(data)

    def _fail(self, member: Member, failure: str) -> None:
        if member.failure is None:
            member.failure = failure
            self._epoll.unregister(member.socket)
