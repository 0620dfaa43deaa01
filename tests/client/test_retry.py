"""Final and temporary errors, and `Retry-After`."""

from __future__ import annotations

import ssl
import time
from email.utils import formatdate

import pytest

from wschat import OpeningFailed, UsageError
from wschat.client.retry import MAX_RETRY_AFTER, is_final, retry_after


@pytest.mark.parametrize("status", [400, 401, 403, 404, 407, 410, 426, 451])
def test_a_client_error_is_final(status: int) -> None:
    assert is_final(OpeningFailed("no", status))


@pytest.mark.parametrize("status", [None, 200, 302, 408, 425, 429, 500, 502, 503, 504])
def test_other_responses_are_not_final(status: int | None) -> None:
    assert not is_final(OpeningFailed("no", status))


def test_errors_of_the_network_are_not_final_but_a_bad_certificate_is() -> None:
    assert not is_final(ConnectionRefusedError())
    assert not is_final(TimeoutError())
    assert not is_final(ssl.SSLEOFError())
    assert is_final(ssl.SSLCertVerificationError())
    assert is_final(UsageError())


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("7", 7),
        (" 7 ", 7),
        ("9" * 5000, MAX_RETRY_AFTER),
        ("3600", MAX_RETRY_AFTER),
        ("-1", 0),
        ("7.5", 0),
        ("soon", 0),
        ("", 0),
        ("٣", 0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("Wed, 21 Oct 9999999 07:28:00 GMT", 0),
    ],
)
def test_retry_after_gives_the_seconds_to_wait(value: str, seconds: float) -> None:
    assert retry_after(OpeningFailed("busy", 503, {"retry-after": value})) == seconds


def test_a_date_is_compared_with_the_clock_of_the_server() -> None:
    headers = {"retry-after": "Wed, 21 Oct 2015 07:28:30 GMT", "date": "Wed, 21 Oct 2015 07:28:00 GMT"}
    assert retry_after(OpeningFailed("busy", 429, headers)) == 30


def test_a_date_is_compared_with_our_clock_if_the_server_shows_none() -> None:
    seconds = retry_after(OpeningFailed("busy", 429, {"retry-after": formatdate(time.time() + 100, usegmt=True)}))
    assert 90 < seconds <= 101


def test_other_errors_ask_for_no_wait() -> None:
    assert retry_after(OpeningFailed("busy", 503)) == 0
    assert retry_after(ConnectionRefusedError()) == 0
