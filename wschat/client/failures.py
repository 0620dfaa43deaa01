"""Network errors while connecting, with texts that name the host, the port and the usual reason."""

from __future__ import annotations

import errno
import ssl
from typing import TypeVar

from wschat.connection.streams import was_interrupted

TRUST_HINT = "tls=ssl.create_default_context(cafile=...)"
"""How a program trusts a certificate that no known authority has signed."""

_NOT_PERMITTED = "not permitted to connect to {place}: does a firewall or a sandbox forbid it?"
_REASONS = {
    errno.ECONNREFUSED: "connection refused by {place}: is the server running?",
    errno.ECONNRESET: "connection reset by {place}",
    errno.EPIPE: "connection closed by {place}",
    errno.ENOTCONN: "connection closed by {place}",
    errno.EHOSTUNREACH: "no route to {place}: is the host up?",
    errno.ENETUNREACH: "the network of {place} is unreachable: is this machine online?",
    errno.ETIMEDOUT: "no answer from {place}: is the host up, and does no firewall drop its packets?",
    errno.EACCES: _NOT_PERMITTED,
    errno.EPERM: _NOT_PERMITTED,
}
# The reasons that versions of OpenSSL give for a response that is not TLS.
_NOT_TLS = {"WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"}
# X509_V_ERR_* codes of a certificate that is not signed by a known authority.
_UNKNOWN_AUTHORITY = {18, 19, 20, 21}

_Error = TypeVar("_Error", bound=OSError)


def explained(error: _Error, place: str) -> _Error:
    """Return an error of a socket with the same type and errno, and with a text that names `place`."""
    if isinstance(error, ssl.SSLError):  # its numbers are not those of the errno module
        return _with_text(error, f"the TLS connection to {place} failed: {error.reason or error}")
    reason = _REASONS.get(error.errno or 0, f"cannot talk to {{place}}: {error.strerror or error}")
    return _with_text(error, reason.format(place=place))


def explained_tls(error: OSError, place: str, hint: str) -> OSError:
    """Return an error of the TLS handshake with a text that names `place`. `hint` tells what to do if the peer does not speak TLS."""
    if isinstance(error, ssl.SSLCertVerificationError):
        text = f"the certificate of {place} cannot be verified: {error.verify_message}"
        if error.verify_code in _UNKNOWN_AUTHORITY:
            text += f" (if you trust it: {TRUST_HINT})"
        return _with_text(error, text)
    if isinstance(error, (ssl.SSLEOFError, ConnectionResetError, BrokenPipeError)):
        return _with_text(error, f"{place} closed the connection during the TLS handshake: does it speak TLS?")
    if isinstance(error, ssl.SSLError):
        if error.reason in _NOT_TLS:
            return _with_text(error, f"{place} does not speak TLS: {hint}")
        return _with_text(error, f"the TLS handshake with {place} failed: {error.reason or error}")
    return explained(error, place)


def _with_text(error: _Error, text: str) -> _Error:
    if was_interrupted(error):  # raised by a signal handler, not by the socket
        return error
    # With a number, the text of an OSError begins with it, unlike the text of an SSLError.
    described = type(error)(error.errno, text) if isinstance(error, ssl.SSLError) else type(error)(text)
    described.errno = error.errno
    described.__dict__.update(error.__dict__)  # the attributes of ssl: reason, verify_code
    return described
