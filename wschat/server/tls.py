"""TLS for servers: the context for a certificate and its key, how to reload both while the server runs, and the handshake."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path

from wschat.counters import Refusal, counters
from wschat.errors import HttpConnectionClosed, UsageError
from wschat.server.logs import log_refused

logger = logging.getLogger("wschat.server")


class Certificate:
    """A certificate chain and its private key, in PEM files. Thread-safe. Raises UsageError if they cannot be loaded."""

    def __init__(self, certificate: str | Path, key: str | Path | None = None) -> None:
        self._files = (certificate, key or certificate)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        """The context for a server, with TLS 1.2 and newer."""
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.reload()

    def reload(self) -> None:
        """Read the files again, for connections that are accepted from now on. Raises UsageError, and then nothing has changed."""
        # A failed load leaves a context with one of both files, so another context tries first.
        self._load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
        self._load(self.context)

    def try_to_reload(self) -> None:
        """Read the files again, and log the result. Keep the certificate if the files cannot be loaded."""
        try:
            self.reload()
        except UsageError as error:
            logger.error("the certificate stays as it is: %s", error)
        else:
            logger.info("the certificate was reloaded")

    def _load(self, context: ssl.SSLContext) -> None:
        certificate, key = self._files

        def refuse_to_ask() -> str:
            raise UsageError(f"the key in {key} is encrypted: give a key without a password")

        try:
            context.load_cert_chain(certificate, key, refuse_to_ask)
        except ssl.SSLError as error:
            raise UsageError(f"{certificate} and {key} are not a certificate and its key: {error.reason or error}") from None
        except OSError as error:
            raise UsageError(f"cannot read {certificate} and {key}: {error.strerror}") from None


def check_server_context(context: object) -> None:
    """Raise UsageError unless this is None or a context for a server."""
    if context is None:
        return
    if not isinstance(context, ssl.SSLContext):
        raise UsageError(f"tls must be an ssl.SSLContext, not {context!r}")
    if context.protocol == ssl.PROTOCOL_TLS_CLIENT:
        raise UsageError(
            "tls is a context for a client: make one for a server by ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) and load_cert_chain"
        )


def do_handshake(sock: ssl.SSLSocket, client_address: object) -> None:
    """Wait for the TLS handshake of an accepted connection. Raises HttpConnectionClosed if it fails."""
    try:
        sock.do_handshake()
    except OSError as error:
        counters.count_refusal(Refusal.NO_TLS)
        log_refused(client_address, f"{Refusal.NO_TLS.value}: {getattr(error, 'reason', None) or error}")
        raise HttpConnectionClosed("the TLS handshake failed") from None
