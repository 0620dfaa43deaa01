"""Responses of an application to a request for a WebSocket: after its end, and to a request that is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPStatus
from http.client import responses
from typing import Any
from wsgiref.util import is_hop_by_hop

from wschat.errors import RequestRefused

StartResponse = Callable[..., Any]

CLOSED_STATUS = int(HTTPStatus.SWITCHING_PROTOCOLS)
"""The status of the response after a WebSocket: the one that its client was sent. The server logs it."""


def closing_response(start_response: StartResponse) -> Iterable[bytes]:
    """Return the response of an application whose WebSocket has ended: the server finds that the client is gone, and logs 101."""
    start_response(f"{CLOSED_STATUS} Switching Protocols", [])
    return []


def refusing_response(refusal: RequestRefused, start_response: StartResponse) -> Iterable[bytes]:
    """Return the response to a request that is refused."""
    body, headers = encode_refusal(refusal)
    start_response(f"{refusal.status} {responses.get(refusal.status, 'Refused')}", list(headers.items()))
    return [body]


def encode_refusal(refusal: RequestRefused) -> tuple[bytes, dict[str, str]]:
    """Return the body and the headers of the response to a request that is refused."""
    body = (refusal.text + "\n").encode()
    # An application may not set those of the connection (PEP 3333), such as Upgrade.
    own = {name: value for name, value in refusal.headers.items() if not is_hop_by_hop(name)}
    return body, {"Content-Type": "text/plain; charset=utf-8", "Content-Length": str(len(body)), **own}
