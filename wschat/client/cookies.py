"""The cookies of one `connect`: given by the caller, and set by responses (RFC 6265)."""

from __future__ import annotations

from collections.abc import Mapping
from email.message import Message
from typing import TYPE_CHECKING, cast

from wschat.client.handshake import check_value
from wschat.client.response import Response
from wschat.client.uri import WebSocketURI

if TYPE_CHECKING:
    from http.client import HTTPResponse
    from http.cookiejar import CookieJar


class Cookies:
    """Cookies by name, which are for the first origin only, and a jar, which knows the hosts and paths of its cookies.

    If the caller gives no jar, this `connect` has one of its own, so that a cookie set by a redirect is sent to its target.
    Raises UsageError for a name or value that cannot be sent in a header.
    """

    def __init__(self, given: Mapping[str, str] | CookieJar | None) -> None:
        self._given = dict(given) if isinstance(given, Mapping) else {}
        for name, value in self._given.items():
            check_value("Cookie", f"{name}={value}")
        self._jar = None if given is None or isinstance(given, Mapping) else given

    def header(self, uri: WebSocketURI) -> str:
        """Return the value of the `Cookie` header of a request, "" for no header."""
        from_jar = self._from_jar(uri)
        newer = {pair.partition("=")[0] for pair in from_jar}
        return "; ".join([f"{name}={value}" for name, value in self._given.items() if name not in newer] + from_jar)

    def extract(self, uri: WebSocketURI, response: Response) -> None:
        """Put the cookies that a response sets into the jar."""
        if not response.set_cookies:
            return
        from http.cookiejar import CookieJar
        from urllib.request import Request

        if self._jar is None:
            self._jar = CookieJar()
        self._jar.extract_cookies(cast("HTTPResponse", _Headers(response)), Request(uri.http_url))

    def forget_origin(self) -> None:
        """Drop the given cookies, because a redirect leads to another origin."""
        self._given = {}

    def _from_jar(self, uri: WebSocketURI) -> list[str]:
        if self._jar is None:
            return []
        from urllib.request import Request

        request = Request(uri.http_url)
        self._jar.add_cookie_header(request)
        header = request.get_header("Cookie")
        return header.split("; ") if header else []


class _Headers:
    """The part of an `HTTPResponse` that a `CookieJar` reads."""

    def __init__(self, response: Response) -> None:
        self._headers = Message()
        for value in response.set_cookies:
            self._headers["Set-Cookie"] = value

    def info(self) -> Message:
        """Return the headers."""
        return self._headers
