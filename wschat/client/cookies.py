"""The cookies of one `connect`: those that the caller gives, and those that the answers set (RFC 6265)."""

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
    """Cookies by name, which are for the first origin only, and a jar, which knows for which hosts and paths its cookies are.

    Without the caller's own jar there is one for this `connect` alone, so that a cookie set by a redirect is sent where that leads.
    """

    def __init__(self, given: Mapping[str, str] | CookieJar | None) -> None:
        """Raises UsageError for what cannot be in a header."""
        self._given = dict(given) if isinstance(given, Mapping) else {}
        for name, value in self._given.items():
            check_value("Cookie", f"{name}={value}")
        self._jar = None if given is None or isinstance(given, Mapping) else given

    def header(self, uri: WebSocketURI) -> str:
        """The value of the `Cookie` header of a request, "" for none."""
        from_jar = self._from_jar(uri)
        newer = {pair.partition("=")[0] for pair in from_jar}
        return "; ".join([f"{name}={value}" for name, value in self._given.items() if name not in newer] + from_jar)

    def take(self, uri: WebSocketURI, response: Response) -> None:
        """Put the cookies that an answer sets into the jar."""
        if not response.set_cookies:
            return
        from http.cookiejar import CookieJar
        from urllib.request import Request

        if self._jar is None:
            self._jar = CookieJar()
        self._jar.extract_cookies(cast("HTTPResponse", _Headers(response)), Request(uri.http_url))

    def leave_origin(self) -> None:
        """Send the given cookies no more: a redirect leads elsewhere."""
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
    """What a `CookieJar` takes for an answer."""

    def __init__(self, response: Response) -> None:
        self._headers = Message()
        for value in response.set_cookies:
            self._headers["Set-Cookie"] = value

    def info(self) -> Message:
        """The headers."""
        return self._headers
