"""Access: the identity of a client, found in its request: by a token, by a moderator's password, or by the name that it gives.

With a secret, every client needs a token; see `tokens`.
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
from wschat.chat.rates import Allowances, Rate
from wschat.chat.sessions import Identity
from wschat.chat.tokens import CHALLENGE, Tokens, read_file
from wschat.errors import Rejected, RequestRefused, UsageError
from wschat.names import NAMELESS, RULE, key_of, normalize_name
from wschat.server.requests import Request

# From one network. Tokens are not counted: they cannot be guessed.
_WRONG_PASSWORDS = Rate(10, 60)
_BASIC = 'Basic realm="wschat"'


class Access:
    """Who may connect, and by which name. From any thread."""

    def __init__(self, secret: bytes | None = None, moderators: Mapping[str, str] | None = None, *, audience: str | None = None) -> None:
        """`secret` is the key that tokens are signed with, None for no tokens; `moderators` are names with their passwords.

        With an `audience`, tokens must be for it; without one, they must not name any. Raises UsageError.
        """
        self._tokens = None if secret is None else Tokens(secret, audience)
        self._passwords = {key_of(name): password for name, password in (moderators or {}).items()}
        self._wrong_passwords = Allowances(_WRONG_PASSWORDS)
        if secret is not None and moderators:
            raise UsageError("with a secret for tokens, a moderator must have a token with the claim 'mod', not a password")
        if secret is None and audience is not None:
            raise UsageError("an audience is for tokens, which need a secret")
        if key_of(NAMELESS) in self._passwords:
            raise UsageError(f"the name of a moderator must not be {NAMELESS}, which stands for clients without a name")

    @property
    def challenge(self) -> str | None:
        """The `WWW-Authenticate` header for moderators (RFC 9110, section 11.6.1), None if there are none."""
        if self._tokens is not None:
            return CHALLENGE
        return _BASIC if self._passwords else None

    def identify(self, request: Request) -> Identity:
        """Return the identity of a request's client. Raises RequestRefused (400, 401, 429)."""
        if self._tokens is not None:
            return self._tokens.identify(request)
        name, password = self._credentials_of(request)
        if name is None:
            return Identity(secret=_secret_of(request))
        normal = normalize_name(name)
        if normal is None:
            raise RequestRefused(HTTPStatus.BAD_REQUEST, f"The name must be {RULE}.")
        if key_of(normal) == key_of(NAMELESS):
            raise RequestRefused(HTTPStatus.BAD_REQUEST, f"The name {NAMELESS} is reserved for clients without a name.")
        expected = self._passwords.get(key_of(normal))
        if expected is None:
            return Identity(normal, secret=_secret_of(request))
        if password is None or not self._is_right(password, expected, network_of(address_of(request.remote_address))):
            text = f"The name {normal} belongs to a moderator and needs a password: ?name={normal}&password=..."
            raise RequestRefused(HTTPStatus.UNAUTHORIZED, text, {"WWW-Authenticate": _BASIC})
        return Identity(normal, is_proven=True, is_moderator=True)

    def check_name(self, identity: Identity, name: str) -> None:
        """Raise Rejected if a client may not take this name without proof."""
        if identity.is_proven:
            raise Rejected("forbidden", "You cannot change a name that is proven by a token or a password.")
        if key_of(name) == key_of(NAMELESS):
            raise Rejected("forbidden", f"The name {NAMELESS} is reserved for clients without a name.")
        if key_of(name) in self._passwords:
            raise Rejected("forbidden", f"The name {name} belongs to a moderator: connect with the password.")

    def _is_right(self, password: str, expected: str, network: str) -> bool:
        """Return True if this is the password. Raises RequestRefused (429) if too many wrong ones came from this network."""
        seconds = self._wrong_passwords.try_acquire(network)  # before the comparison, so that of many at once no more are compared
        if seconds is not None:
            headers = {"Retry-After": str(math.ceil(seconds))}
            raise RequestRefused(HTTPStatus.TOO_MANY_REQUESTS, "Too many wrong passwords from your address. Wait, then try again.", headers)
        is_right = hmac.compare_digest(password.encode(), expected.encode())
        if is_right:
            self._wrong_passwords.refund(network)
        return is_right

    def _credentials_of(self, request: Request) -> tuple[str | None, str | None]:
        """Return the name and the password of the Authorization header or of `?name=&password=`.

        The header counts if it names a moderator. Any other login is for a proxy, whose clients may share it.
        """
        login = _basic_login_of(request)
        if login is not None and key_of(normalize_name(login[0]) or "") in self._passwords:
            return login
        return request.query.get("name"), request.query.get("password")


def read_moderator(text: str) -> tuple[str, str]:
    """Return the name and the password of `NAME:PASSWORD-FILE`. Raises UsageError."""
    name, colon, path = text.partition(":")
    normal = normalize_name(name)
    if not colon or normal is None:
        raise UsageError(f"a moderator must be NAME:PASSWORD-FILE, not {text!r}")
    password = read_file(path).decode(errors="replace").strip()
    if not password:
        raise UsageError(f"the password file {path} is empty")
    return normal, password


def _secret_of(request: Request) -> str | None:
    """Return the secret that a guest brings, None if it brings none or a malformed one."""
    secret = request.query.get("secret")
    return secret if secret is not None and is_secret(secret) else None


def _basic_login_of(request: Request) -> tuple[str, str] | None:
    """Return the name and the password of basic authentication (RFC 7617), None if there is none or it is malformed."""
    kind, _, value = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        name, _, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    return name, password
