"""Every exception that wschat raises, in one tree.  Nothing else belongs here.

WSChatError
├── UsageError          you erred: the call makes no sense, whatever the peer does (also a ValueError)
├── PeerError           the peer erred
│   ├── ProtocolViolation   it broke RFC 6455 or a limit; carries the close code to answer with
│   ├── RequestRefused      its opening request is not one we serve; carries the HTTP status to answer with
│   ├── OpeningFailed       it would not open a WebSocket for us; carries its HTTP status, headers and body
│   └── Rejected            it asked the chat for something that cannot be; carries the code and the text of the error event
├── HttpConnectionClosed  a connection has ended as plain HTTP, without a WebSocket
├── HistoryUnavailable  neither erred: what is said cannot be kept just now, or what was said not be read
└── ConnectionClosed    it is over; carries the close code and the reason

A network that fails while connecting is an OSError, a wait that takes too long a TimeoutError, as in the standard library.
"""

from __future__ import annotations

from collections.abc import Mapping


class WSChatError(Exception):
    """The root of all errors of wschat."""


class UsageError(WSChatError, ValueError):
    """The caller asked for something that cannot be: a bad argument, or a call at the wrong time."""


class PeerError(WSChatError):
    """The other side did something wrong."""


class ProtocolViolation(PeerError):
    """The peer broke the protocol (RFC 6455, section 7.1.7) or went past a limit.

    `code` is the close code to answer with, `reason` says in a few words what was wrong.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{reason} ({int(code)})")
        self.code = int(code)
        self.reason = reason


class RequestRefused(PeerError):
    """An HTTP request that is not answered with a WebSocket.

    `status` is the HTTP status to answer with, `text` a sentence for whoever sent it, `headers` go into the answer.
    Raise it in `check_request` to refuse an opening.
    """

    def __init__(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{status}: {text}")
        self.status = int(status)
        self.text = text
        self.headers = dict(headers or {})


class OpeningFailed(PeerError):
    """The server, or a proxy on the way to it, did not open a WebSocket.

    `status` is the HTTP status of its answer, or None where it did not answer in HTTP; `headers` and `body` are those of the
    answer, the body as far as it came. The text has the status and the first line of the body.
    """

    def __init__(self, text: str, status: int | None = None, headers: Mapping[str, str] | None = None, body: bytes = b"") -> None:
        super().__init__(text)
        self.status = status
        self.headers = dict(headers or {})
        self.body = body


class Rejected(PeerError):
    """A request to the chat that is answered with an `error` event. The connection goes on.

    `code` is one of a few words that a program can tell apart, `text` a sentence for people; `seconds` is after how long it
    may go better, where that is known.
    """

    def __init__(self, code: str, text: str, seconds: float | None = None) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text
        self.seconds = seconds


class HistoryUnavailable(WSChatError):
    """The log of a room cannot be written or read just now: a full disk, a file that somebody else has locked.

    What was to be said has not been said, and may be tried again.
    """


class HttpConnectionClosed(WSChatError):
    """An HTTP connection has ended without a WebSocket: the client left or was too slow, or all its requests have been answered."""


class ConnectionClosed(WSChatError):
    """The WebSocket is over: no message can be sent or received any more.

    `code` and `reason` are the peer's, or ours where the peer gave none (RFC 6455, section 7.1.5).
    1005 means a close without a code, 1006 that the connection was lost without a close.
    """

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"{int(code)} {reason}".rstrip())
        self.code = int(code)
        self.reason = reason
