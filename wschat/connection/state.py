"""The states of a connection. They only ever advance, and only `Transport._advance` changes one."""

from __future__ import annotations

from enum import IntEnum

from wschat.protocol.frames import CloseCode

CloseStatus = tuple[int, str]
"""A close code and a reason (RFC 6455, sections 7.1.5 and 7.1.6)."""

LOST: CloseStatus = (CloseCode.ABNORMAL, "connection lost")
"""The close status of a connection that ended without a close frame."""

LEFT_TO_PARENT: CloseStatus = (CloseCode.ABNORMAL, "left to the parent process")
"""The close status, in a forked child, of a connection that its parent has opened."""


class State(IntEnum):
    """The state of a connection, in the order in which it advances."""

    OPEN = 0
    """Frames can be sent."""
    CLOSING = 1
    """A close frame was sent or the peer is gone: nothing more can be sent. The socket is still open."""
    CLOSED = 2
    """The socket is closed."""


# Plain names, because looking up a member in its class is slow, and each read asks for the state.
OPEN, CLOSING, CLOSED = State
