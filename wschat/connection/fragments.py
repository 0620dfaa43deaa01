"""Sending a message in fragments, as the caller's iterable makes them (RFC 6455, section 5.4)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from wschat.connection.outbox import Outbox, OutboxClosed
from wschat.errors import UsageError
from wschat.protocol.encoding import encode_fragments
from wschat.protocol.frames import CloseCode


def send_fragments(outbox: Outbox, parts: object, *, masks: bool, give_up: Callable[[int, str], None]) -> None:
    """Send a message, a fragment for each part; nothing if there is none. Waits for room before each.

    `give_up` is called with a close code and a reason if the parts break off: the peer has half a message then, which nothing but
    the end of the connection can take back. Raises OutboxClosed, UsageError for what is no iterable of str or bytes, and whatever
    the iterable raises.
    """
    if isinstance(parts, Mapping) or not isinstance(parts, Iterable):
        raise UsageError(f"a message is str, bytes, or an iterable of either, not {type(parts).__name__}")
    frames = encode_fragments(parts, masks=masks)
    first = next(frames, None)
    if first is None:
        return
    outbox.open_message()
    try:
        outbox.write_part(first)
        for frame in frames:
            outbox.write_part(frame)
    except OutboxClosed:
        raise
    except BaseException:
        give_up(CloseCode.INTERNAL_ERROR, "a message could not be finished")
        raise
    finally:
        outbox.close_message()
