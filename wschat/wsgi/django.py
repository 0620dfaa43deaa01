"""WebSockets as views of Django. Needs Django 4.2 or newer, which is imported here."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse

from wschat.errors import RequestRefused
from wschat.wsgi.opening import accept
from wschat.wsgi.responses import CLOSED_STATUS, encode_refusal
from wschat.wsgi.running import run_handler

View = Callable[..., Any]


def websocket(**options: Any) -> Callable[[View], View]:
    """Return a decorator that makes a view of a function of the request, the open `Connection`, and the arguments of the path.

    `options` are those of `accept`. The WebSocket is closed when the function returns, with 1011 if it raises an exception.
    """

    def decorate(function: View) -> View:
        @functools.wraps(function)
        def view(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            try:
                ws = accept(request.environ, **options)
            except RequestRefused as refusal:
                body, headers = encode_refusal(refusal)
                return HttpResponse(body, status=refusal.status, headers=headers)
            run_handler(lambda ws: function(request, ws, *args, **kwargs), ws, request.environ)
            return HttpResponse(status=CLOSED_STATUS)

        return view

    return decorate
