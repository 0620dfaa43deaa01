"""The site: which path is what. To add a page or a call, add it to the table.

Who may come in, and what is done, is decided by the chat; see `api` for its calls.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus

from wschat.errors import RequestRefused
from wschat.server.answers import Call, EventsResponse, Response
from wschat.web.files import Files

_NOSNIFF = {"X-Content-Type-Options": "nosniff"}

Answer = Response | EventsResponse


class Site:
    """The `HttpHandler` of a chat. From any thread."""

    def __init__(self) -> None:
        self._files = Files()

    def __call__(self, call: Call) -> Answer:
        """Answer a request. Raises RequestRefused."""
        path = call.request.path
        if path == "/":
            return self._files.answer(call, "index.html")
        if path == "/stats":
            return self._files.answer(call, "stats.html")
        return self._files.answer(call, path.removeprefix("/static/"))
