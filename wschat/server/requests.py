"""HTTP requests, as far as a WebSocket server needs them: a head that is read, an answer that refuses.

The grammar is h11's business. What makes a request an opening is in `opening`.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from http import HTTPStatus
from http.client import responses
from urllib.parse import parse_qsl

import h11

from wschat.errors import RequestRefused
from wschat.limits import Limits

_READ_BYTES = 4096
_UNLIMITED = 1 << 30
_TOO_LARGE = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE


@dataclass(frozen=True)
class Request:
    """The head of an HTTP request; header names are in lower case, and a header that came twice is joined with commas."""

    method: str
    target: str
    headers: dict[str, str]

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> dict[str, str]:
        """The parameters of the query; the last one of a name counts."""
        return dict(parse_qsl(self.target.partition("?")[2], keep_blank_values=True))


class Exchange:
    """One request on a fresh connection. Waits for the peer without a limit of its own: a deadline shuts the socket down."""

    def __init__(self, sock: socket.socket, limits: Limits) -> None:
        self._socket = sock
        self._limits = limits
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=limits.max_head_bytes or _UNLIMITED)
        self._wants_body = True

    def read_request(self) -> Request | None:
        """The request; None if the peer left before it was whole. Raises RequestRefused for one that is none (400, 431)."""
        try:
            # h11 limits what is not a whole head yet; that a whole one is not longer either is seen to here.
            left = self._limits.max_head_bytes or _UNLIMITED
            while (event := self._http.next_event()) is h11.NEED_DATA:
                if not left:
                    raise RequestRefused(_TOO_LARGE, f"A request's head may have {self._limits.max_head_bytes} bytes.")
                data = self._socket.recv(min(_READ_BYTES, left))
                if not data:
                    return None
                left -= len(data)
                self._http.receive_data(data)
        except h11.RemoteProtocolError as error:
            status = _TOO_LARGE if error.error_status_hint == _TOO_LARGE else HTTPStatus.BAD_REQUEST
            raise RequestRefused(status, f"This is not an HTTP request that can be served: {error}.") from None
        assert isinstance(event, h11.Request)
        self._wants_body = event.method != b"HEAD"
        if event.http_version < b"1.1":
            raise RequestRefused(HTTPStatus.BAD_REQUEST, "This server speaks HTTP/1.1.")
        if self._limits.max_headers and len(event.headers) > self._limits.max_headers:
            raise RequestRefused(_TOO_LARGE, f"A request may have {self._limits.max_headers} headers.")
        headers: dict[str, str] = {}
        for raw_name, raw_value in event.headers:
            name, value = raw_name.decode("ascii"), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        return Request(event.method.decode("ascii"), event.target.decode("ascii"), headers)

    @property
    def already_read(self) -> bytes:
        """What was read beyond the head."""
        return self._http.trailing_data[0]

    def refuse(self, refusal: RequestRefused) -> None:
        """Answer with a status and a sentence, and end the connection."""
        body = (refusal.text + "\n").encode()
        headers = {
            "Content-Type": "text/plain; charset=utf-8",
            "Content-Length": str(len(body)),
            "Connection": "close",
            **refusal.headers,
        }
        reason = responses.get(refusal.status, "")
        answer = self._http.send(h11.Response(status_code=refusal.status, headers=list(headers.items()), reason=reason)) or b""
        if self._wants_body:
            answer += self._http.send(h11.Data(data=body)) or b""
        try:
            self._socket.sendall(answer)
            self._socket.shutdown(socket.SHUT_WR)
            # Closing with unread input would reset the connection, and the answer might be lost.
            while self._socket.recv(_READ_BYTES):
                pass
        except OSError:
            pass  # it left without waiting for the answer
