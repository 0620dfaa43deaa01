"""Every exception that wschat raises, in one tree.

WSChatError
├── UsageError          the caller erred: a wrong argument, or a call at the wrong time (also a ValueError)
├── PeerError           the peer erred
│   ├── ProtocolViolation   broke RFC 6455 or exceeded a limit; has the close code to send
│   ├── RequestRefused      sent a request that is refused; has the HTTP status of the response
│   ├── OpeningFailed       did not open a WebSocket; has its HTTP status, headers and body
│   └── Rejected            asked the chat for something impossible; has the code and the text of the error event
├── HttpConnectionClosed  the HTTP connection ended without a WebSocket
├── OutcomeUnknown      neither erred: a request may have been carried out or not; has its id, to send it again
├── HistoryUnavailable  neither erred: the log of a room cannot be written or read at the moment
└── ConnectionClosed    the connection is closed; has the close code and the reason

As in the standard library, a network failure while connecting raises OSError, and a wait that takes too long raises TimeoutError.
"""

from __future__ import annotations

from collections.abc import Mapping


class WSChatError(Exception):
    """The base of all exceptions of wschat."""


class UsageError(WSChatError, ValueError):
    """The caller made a mistake: a wrong argument, or a call at the wrong time."""


class PeerError(WSChatError):
    """The peer did something wrong."""


class ProtocolViolation(PeerError):
    """The peer broke the protocol (RFC 6455, section 7.1.7) or exceeded a limit.

    `code` and `reason` are those of the close frame to send.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{reason} ({int(code)})")
        self.code = int(code)
        self.reason = reason


class RequestRefused(PeerError):
    """An HTTP request that is refused. Raise it in `check_request` to refuse an opening handshake.

    `status` is the HTTP status of the response, `text` a sentence for its body; `headers` are added to the response.
    """

    def __init__(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{status}: {text}")
        self.status = int(status)
        self.text = text
        self.headers = dict(headers or {})


class OpeningFailed(PeerError):
    """The server, or a proxy on the way to it, did not open a WebSocket.

    `status` is the HTTP status of the response, or None if the response was not HTTP; `headers` and `body` are those of the response,
    the body as far as it was received. The text has the status and the first line of the body.
    """

    def __init__(self, text: str, status: int | None = None, headers: Mapping[str, str] | None = None, body: bytes = b"") -> None:
        super().__init__(text)
        self.status = status
        self.headers = dict(headers or {})
        self.body = body


class Rejected(PeerError):
    """A request to the chat that is answered with an `error` event. The connection stays open.

    `code` is a word for programs, `text` a sentence for people; `seconds` is the time after which to try again, or None.
    """

    def __init__(self, code: str, text: str, seconds: float | None = None) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text
        self.seconds = seconds


class OutcomeUnknown(WSChatError):
    """A request to the chat was sent, and the connection or the time ended before the reply. It may have been carried out or not.

    `id` is the id of the request. A text that is said again with this id is said once, even if the first request was carried out.
    """

    def __init__(self, text: str, request_id: str | int) -> None:
        super().__init__(text)
        self.id = request_id


class HistoryUnavailable(WSChatError):
    """The log of a room cannot be written or read at the moment, for example because the disk is full or the file is locked.

    A message that could not be written was not sent, unless the log is on another machine: then that may be unknown. The caller may try
    again, with the same id.
    """


class HttpConnectionClosed(WSChatError):
    """An HTTP connection has ended without a WebSocket: the client left or was too slow, or all its requests have been answered."""


class ConnectionClosed(WSChatError):
    """The WebSocket is closed: no message can be sent or received any more.

    `code` and `reason` are those of the peer's close frame, or of ours if the peer's has none (RFC 6455, section 7.1.5).
    1005 stands for a close frame without a code, 1006 for a connection lost without a close frame.
    """

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"{int(code)} {reason}".rstrip())
        self.code = int(code)
        self.reason = reason
