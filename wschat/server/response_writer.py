"""Writing an HTTP response to a connection, part by part (RFC 9110, RFC 9112). Nothing here touches a socket."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from email.utils import formatdate
from http import HTTPStatus
from http.client import responses

import h11

WITHOUT_BODY = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
"""The statuses of responses that have no body and no length."""
# The most that is written at once. A peer has `Limits.send_timeout` for each write.
_WRITE_BYTES = 64 * 1024


class _FilePart:
    """Stands for bytes of a file in the output of h11."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count


class ResponseWriter:
    """Writes one response. The head goes with the first part of the body, so that a small response is one packet.

    All methods raise h11.LocalProtocolError for what is not valid HTTP, such as a body longer than its Content-Length.
    """

    def __init__(
        self,
        http: h11.Connection,
        method: str,
        send: Callable[[bytes], None],
        send_file: Callable[[int, int, int], None] | None,
    ) -> None:
        """`method` is that of the request. `send` sends bytes; `send_file` a part of a file: its descriptor, an offset and a number of
        bytes. Both wait for the client. `send_file` is None if the connection cannot do that."""
        self._h11 = http
        self._send_bytes = send
        self._send_file_part = send_file
        self._unsent = b""
        self.status: int | None = None
        """The status of the response, None before `begin`."""
        self.body_bytes = 0
        """The bytes of the body so far."""
        self.has_body = method != "HEAD"
        """False if the response to this request, or with the status of `begin`, has no body: then what is written is dropped."""
        self.has_begun = False
        """True if a part of the response may have reached the client."""
        self.has_ended = False
        """True if the response is complete."""

    def begin(self, status: int, headers: Iterable[tuple[str, str]], reason: str | None = None) -> None:
        """Set status and headers. Date is added if it is missing, and so is what delimits the body and the connection."""
        # As bytes, because h11 takes only ASCII as str, and an origin that is repeated in a header may be another text. Without the white
        # space around values, which is no part of them, and which Django's cookies have.
        raw_headers, has_date = [], False
        for name, value in headers:
            raw_headers.append((name.encode("latin-1"), value.strip(" \t").encode("latin-1")))
            has_date = has_date or name.lower() == "date"
        if not has_date:
            raw_headers.insert(0, (b"Date", formatdate(usegmt=True).encode()))
        if self._h11.their_state in (h11.SEND_BODY, h11.ERROR):
            raw_headers.append((b"Connection", b"close"))  # an unread body may be of any length
        reason = responses.get(status, "") if reason is None else reason
        self._unsent = self._h11.send(h11.Response(status_code=status, headers=raw_headers, reason=reason.encode("latin-1"))) or b""
        self.has_body = self.has_body and status not in WITHOUT_BODY
        self.status = int(status)

    def write(self, data: bytes) -> None:
        """Send a part of the body. Without effect if the response has none."""
        if not self.has_body:
            return
        for start in range(0, len(data) or 1, _WRITE_BYTES):
            part = data[start : start + _WRITE_BYTES]  # the same object if it is all of the data
            self._send(self._h11.send(h11.Data(data=part)) or b"")
            self.body_bytes += len(part)

    @property
    def sends_files(self) -> bool:
        """True if `send_file` may be called."""
        return self._send_file_part is not None

    def send_file(self, descriptor: int, offset: int, count: int) -> None:
        """Send a part of a file as a part of the body, without reading it into memory."""
        assert self._send_file_part is not None
        if not self.has_body or not count:
            return
        for piece in self._h11.send_with_data_passthrough(h11.Data(data=_FilePart(count))) or ():  # type: ignore[arg-type]  # has a length
            if isinstance(piece, _FilePart):
                self.flush()
                self._send_file_part(descriptor, offset, count)
            else:
                self._send(piece)
        self.body_bytes += count

    def flush(self) -> None:
        """Send the head if nothing has been sent yet."""
        self._send(b"")

    def end(self) -> None:
        """Send what is left of the response."""
        self._send(self._h11.send(h11.EndOfMessage()) or b"")
        self.has_ended = True

    def _send(self, data: bytes) -> None:
        data, self._unsent = self._unsent + data, b""
        if data:
            self.has_begun = True
            self._send_bytes(data)
