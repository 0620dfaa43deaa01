"""Which failed attempts to connect are final, and how long a server asks its clients to wait. Pure: no clock, no waiting."""

from __future__ import annotations

import ssl
import time
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from wschat.errors import OpeningFailed

MAX_RETRY_AFTER = 600.0
"""The most seconds of a `Retry-After` that are obeyed."""

_RETRIED = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
_CLIENT_ERRORS = range(400, 500)


def is_final(error: Exception) -> bool:
    """Return True if another attempt would fail for the same reason.

    Final are errors of usage, a certificate that cannot be verified, and the responses 4xx, but for 408, 425 and 429.
    """
    if isinstance(error, OpeningFailed):
        return error.status in _CLIENT_ERRORS and error.status not in _RETRIED
    return isinstance(error, ssl.SSLCertVerificationError) or not isinstance(error, OSError)


def retry_after(error: Exception) -> float:
    """Return the seconds of the `Retry-After` header (RFC 9110, section 10.2.3) of a refusal; 0 without one, `MAX_RETRY_AFTER` at most."""
    if not isinstance(error, OpeningFailed):
        return 0.0
    value = error.headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(min(int(value[:10]), MAX_RETRY_AFTER))
    until = _seconds_since_1970(value)
    if until is None:
        return 0.0
    # The clock of the server, if the response has it: ours may be wrong.
    now = _seconds_since_1970(error.headers.get("date", "")) or time.time()
    return min(max(0.0, until - now), MAX_RETRY_AFTER)


def _seconds_since_1970(http_date: str) -> float | None:
    try:
        return parsedate_to_datetime(http_date).timestamp()
    except (ValueError, OverflowError):
        return None
