"""Fragmented messages, sent as the caller's iterable makes their parts (RFC 6455, section 5.4)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from wschat.connection.outbox import Outbox
from wschat.connection.transport import TransportClosed
from wschat.errors import UsageError
from wschat.protocol.encoding import encode_fragments
from wschat.protocol.frames import CloseCode


def send_fragments(outbox: Outbox, parts: object, *, masks: bool, send_close: Callable[[int, str], None]) -> None:
    """Send one message with a fragment for each part; send nothing if there are no parts. Wait for room before each fragment.

    If the iterable raises an exception, the peer has half a message, which only the end of the connection can take back:
    `send_close` is called with a close code and a reason. Raises TransportClosed, UsageError if `parts` is not an iterable of str or of
    bytes, and what the iterable raises.
    """
    if isinstance(parts, Mapping) or not isinstance(parts, Iterable):
        raise UsageError(f"a message must be str, bytes, or an iterable of either, not {type(parts).__name__}")
    frames = encode_fragments(parts, masks=masks)
    first = next(frames, None)
    if first is None:
        return
    outbox.begin_fragmented()
    try:
        outbox.write_part(first)
        for frame in frames:
            outbox.write_part(frame)
    except TransportClosed:
        raise
    except BaseException:
        send_close(CloseCode.INTERNAL_ERROR, "a message could not be finished")
        raise
    finally:
        outbox.end_fragmented()
