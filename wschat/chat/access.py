"""Access: who somebody is, by the opening request: a token, a moderator's password, or just the name that they give.

With a secret, everybody needs a token (a JWT, HS256), from the `Authorization` header, the cookie `wschat_token`, or
`?token=`. Its claims: `sub` the name, `rooms` glob patterns (all rooms, where there is no such claim), `mod`, `exp`.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import math
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

from wschat.chat.addresses import address_of, place_of
from wschat.chat.guest_secrets import is_secret
from wschat.chat.names import NAMELESS, RULE, key_of, normalize_name
from wschat.chat.rates import Allowances, Rate
from wschat.chat.sessions import Identity
from wschat.errors import Rejected, RequestRefused, UsageError
from wschat.server.requests import Request

_ALGORITHM = "HS256"
_MIN_SECRET_BYTES = 32  # RFC 7518, section 3.2: no less than the hash has
_COOKIE = "wschat_token"
# From one place. Tokens are not counted: nobody guesses them.
_WRONG_PASSWORDS = Rate(10, 60)
_BASIC, _BEARER = 'Basic realm="wschat"', 'Bearer realm="wschat"'


class Access:
    """Who may come in, and as whom. From any thread."""

    def __init__(self, secret: bytes | None = None, moderators: Mapping[str, str] | None = None) -> None:
        """`secret` is what tokens are signed with, None if there are none; `moderators` are names with their passwords."""
        self._secret = secret
        self._passwords = {key_of(name): password for name, password in (moderators or {}).items()}
        self._wrong_passwords = Allowances(_WRONG_PASSWORDS)
        if secret is not None:
            _import_jwt()
            if moderators:
                raise UsageError("where everybody needs a token, a moderator has one with the claim 'mod', and not a password")

    @property
    def challenge(self) -> str | None:
        """How moderators are asked who they are (RFC 9110, section 11.6.1); None if there are none."""
        if self._secret is not None:
            return _BEARER
        return _BASIC if self._passwords else None

    def identify(self, request: Request) -> Identity:
        """Who asks. Raises RequestRefused (400, 401, 429)."""
        if self._secret is not None:
            return self._by_token(self._secret, _token_of(request))
        name, password = _credentials_of(request)
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
        if password is None or not self._try(password, expected, place_of(address_of(request.remote_address))):
            raise _unauthorized(f"The name {normal} belongs to a moderator, and needs its password: ?name={normal}&password=...", _BASIC)
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
        seconds = self._wrong_passwords.take(place)  # before it is known: of many at once, no more are compared
        if seconds is not None:
            headers = {"Retry-After": str(math.ceil(seconds))}
            raise RequestRefused(HTTPStatus.TOO_MANY_REQUESTS, "Too many passwords from here were wrong; wait a little.", headers)
        is_right = hmac.compare_digest(password.encode(), expected.encode())
        if is_right:
            self._wrong_passwords.give_back(place)
        return is_right

    def _by_token(self, secret: bytes, token: str | None) -> Identity:
        if token is None:
            raise _unauthorized("A token is needed here: in the Authorization header, the cookie wschat_token, or ?token=.", _BEARER)
        jwt = _import_jwt()
        try:
            claims = jwt.decode(token, secret, algorithms=[_ALGORITHM], options={"require": ["sub"]})
        except jwt.InvalidTokenError as error:
            raise _unauthorized(f"The token is not valid: {error}.", _BEARER) from None
        subject, rooms, expires_at = claims["sub"], claims.get("rooms", ["*"]), claims.get("exp")
        name = normalize_name(subject) if isinstance(subject, str) else None
        if name is None:
            raise _unauthorized(f"The token is not valid: its 'sub' is a name of {RULE}.", _BEARER)
        if not isinstance(rooms, list) or not all(isinstance(room, str) for room in rooms):
            raise _unauthorized("The token is not valid: its 'rooms' is a list of patterns.", _BEARER)
        if expires_at is not None and type(expires_at) not in (int, float):
            raise _unauthorized("The token is not valid: its 'exp' is a number.", _BEARER)
        patterns = tuple(key_of(room) for room in rooms)
        return Identity(name, is_proven=True, is_moderator=claims.get("mod") is True, rooms=patterns, expires_at=expires_at)


def mint(secret: bytes, name: str, *, rooms: list[str] | None = None, is_moderator: bool = False, expires_at: float | None = None) -> str:
    """A token for somebody; `expires_at` is in seconds since 1970, and without it the token is good for ever. Raises UsageError."""
    if normalize_name(name) is None:
        raise UsageError(f"a name has {RULE}, not {name!r}")
    claims: dict[str, object] = {"sub": normalize_name(name)}
    if rooms:
        claims["rooms"] = rooms
    if is_moderator:
        claims["mod"] = True
    if expires_at is not None:
        claims["exp"] = math.ceil(expires_at)
    return str(_import_jwt().encode(claims, secret, algorithm=_ALGORITHM))


def read_secret(path: str) -> bytes:
    """The secret in a file, without the blanks around it. Raises UsageError if it is none or too short."""
    secret = _read(path).strip()
    if len(secret) < _MIN_SECRET_BYTES:
        raise UsageError(f"the secret in {path} has {len(secret)} bytes, and needs {_MIN_SECRET_BYTES} at least")
    return secret


def read_moderator(text: str) -> tuple[str, str]:
    """The name and the password of `NAME:PASSWORD-FILE`. Raises UsageError."""
    name, colon, path = text.partition(":")
    normal = normalize_name(name)
    if not colon or normal is None:
        raise UsageError(f"a moderator is NAME:PASSWORD-FILE, not {text!r}")
    password = _read(path).decode(errors="replace").strip()
    if not password:
        raise UsageError(f"there is no password in {path}")
    return normal, password


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None


def _import_jwt() -> Any:
    try:
        import jwt
    except ImportError:
        raise UsageError("tokens need PyJWT: pip install 'wschat[auth]'") from None
    return jwt


def _unauthorized(text: str, challenge: str) -> RequestRefused:
    return RequestRefused(HTTPStatus.UNAUTHORIZED, text, {"WWW-Authenticate": challenge})


def _token_of(request: Request) -> str | None:
    kind, _, value = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return value.strip()
    # By hand: http.cookies takes nothing after a cookie that it does not understand, and others set cookies here, too.
    for cookie in request.headers.get("cookie", "").split(";"):
        name, _, value = cookie.strip().partition("=")
        if name == _COOKIE:
            return value.strip('"')
    return request.query.get("token")


def _secret_of(request: Request) -> str | None:
    """The secret that a guest brings, if it may be one."""
    secret = request.query.get("secret")
    return secret if secret is not None and is_secret(secret) else None


def _credentials_of(request: Request) -> tuple[str | None, str | None]:
    """The name and the password that somebody gives, by `?name=&password=` or by the Authorization header."""
    kind, _, value = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "basic":
        try:
            name, _, password = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, ValueError):
            raise RequestRefused(HTTPStatus.BAD_REQUEST, "The Authorization header is not a name and a password in base64.") from None
        return name, password
    query = request.query
    return query.get("name"), query.get("password")
