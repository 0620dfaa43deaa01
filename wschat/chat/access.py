"""Access: who somebody is, by the opening request: a token, a moderator's password, or just the name that they give.

With a secret, everybody needs a token; see `tokens`.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import math
from collections.abc import Mapping
from http import HTTPStatus

from wschat.chat.addresses import address_of, network_of
from wschat.chat.guest_secrets import is_secret
from wschat.chat.names import NAMELESS, RULE, key_of, normalize_name
from wschat.chat.rates import Allowances, Rate
from wschat.chat.sessions import Identity
from wschat.chat.tokens import CHALLENGE, Tokens, read_file
from wschat.errors import Rejected, RequestRefused, UsageError
from wschat.server.requests import Request

# From one place. Tokens are not counted: nobody guesses them.
_WRONG_PASSWORDS = Rate(10, 60)
_BASIC = 'Basic realm="wschat"'


class Access:
    """Who may come in, and as whom. From any thread."""

    def __init__(self, secret: bytes | None = None, moderators: Mapping[str, str] | None = None, *, audience: str | None = None) -> None:
        """`secret` is what tokens are signed with, None if there are none; `moderators` are names with their passwords.

        With an `audience`, tokens have to be for it, and without one, for none in particular. Raises UsageError.
        """
        self._tokens = None if secret is None else Tokens(secret, audience)
        self._passwords = {key_of(name): password for name, password in (moderators or {}).items()}
        self._wrong_passwords = Allowances(_WRONG_PASSWORDS)
        if secret is not None and moderators:
            raise UsageError("where everybody needs a token, a moderator has one with the claim 'mod', and not a password")
        if secret is None and audience is not None:
            raise UsageError("an audience is for tokens, and there is no secret that they are signed with")
        if key_of(NAMELESS) in self._passwords:
            raise UsageError(f"the name {NAMELESS} is for those who have none, and not for a moderator")

    @property
    def challenge(self) -> str | None:
        """How moderators are asked who they are (RFC 9110, section 11.6.1); None if there are none."""
        if self._tokens is not None:
            return CHALLENGE
        return _BASIC if self._passwords else None

    def identify(self, request: Request) -> Identity:
        """Who asks. Raises RequestRefused (400, 401, 429)."""
        if self._tokens is not None:
            return self._tokens.identify(request)
        name, password = self._credentials_of(request)
        if name is None:
            return Identity(secret=_secret_of(request))
        normal = normalize_name(name)
        if normal is None:
            raise RequestRefused(HTTPStatus.BAD_REQUEST, f"A name has {RULE}.")
        if key_of(normal) == key_of(NAMELESS):
            raise RequestRefused(HTTPStatus.BAD_REQUEST, f"The name {NAMELESS} is for those who have none.")
        expected = self._passwords.get(key_of(normal))
        if expected is None:
            return Identity(normal, secret=_secret_of(request))
        if password is None or not self._try(password, expected, network_of(address_of(request.remote_address))):
            text = f"The name {normal} belongs to a moderator, and needs its password: ?name={normal}&password=..."
            raise RequestRefused(HTTPStatus.UNAUTHORIZED, text, {"WWW-Authenticate": _BASIC})
        return Identity(normal, is_proven=True, is_moderator=True)

    def check_name(self, identity: Identity, name: str) -> None:
        """Raise Rejected if somebody cannot take this name on their own word."""
        if identity.is_proven:
            raise Rejected("forbidden", "Your name is the one that you have proven to be yours.")
        if key_of(name) == key_of(NAMELESS):
            raise Rejected("forbidden", f"The name {NAMELESS} is for those who have none.")
        if key_of(name) in self._passwords:
            raise Rejected("forbidden", f"The name {name} belongs to a moderator: connect with its password.")

    def _try(self, password: str, expected: str, place: str) -> bool:
        """Whether this is the password. Raises RequestRefused (429) for a place where too many wrong ones were tried."""
        seconds = self._wrong_passwords.try_acquire(place)  # before it is known: of many at once, no more are compared
        if seconds is not None:
            headers = {"Retry-After": str(math.ceil(seconds))}
            raise RequestRefused(HTTPStatus.TOO_MANY_REQUESTS, "Too many passwords from here were wrong; wait a little.", headers)
        is_right = hmac.compare_digest(password.encode(), expected.encode())
        if is_right:
            self._wrong_passwords.refund(place)
        return is_right

    def _credentials_of(self, request: Request) -> tuple[str | None, str | None]:
        """The name and the password that somebody gives, by the Authorization header or by `?name=&password=`.

        The header counts if it names a moderator. Any other login is for a proxy, and perhaps one that all who come through it share.
        """
        login = _basic_login_of(request)
        if login is not None and key_of(normalize_name(login[0]) or "") in self._passwords:
            return login
        return request.query.get("name"), request.query.get("password")


def read_moderator(text: str) -> tuple[str, str]:
    """The name and the password of `NAME:PASSWORD-FILE`. Raises UsageError."""
    name, colon, path = text.partition(":")
    normal = normalize_name(name)
    if not colon or normal is None:
        raise UsageError(f"a moderator is NAME:PASSWORD-FILE, not {text!r}")
    password = read_file(path).decode(errors="replace").strip()
    if not password:
        raise UsageError(f"there is no password in {path}")
    return normal, password


def _secret_of(request: Request) -> str | None:
    """The secret that a guest brings, if it may be one."""
    secret = request.query.get("secret")
    return secret if secret is not None and is_secret(secret) else None


def _basic_login_of(request: Request) -> tuple[str, str] | None:
    """The name and the password of basic authentication (RFC 7617), None if there is none that can be read."""
    kind, _, value = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        name, _, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    return name, password
