"""The TLS context of `--cafile`, `--cert`, `--key` and `--insecure`."""

from __future__ import annotations

import ssl

from wschat.errors import UsageError


def make_context(cafile: str | None, cert: str | None, key: str | None, *, is_insecure: bool) -> ssl.SSLContext:
    """Return a context for a client. Reads the files; raises UsageError if one of them cannot be read or does not hold what it must."""
    try:
        context = ssl.create_default_context(cafile=cafile)
    except OSError as error:  # also an SSLError
        raise UsageError(f"--cafile {cafile}: {_reason(error, 'PEM certificates')}") from None
    if is_insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if cert is not None:
        try:
            context.load_cert_chain(cert, key)
        except OSError as error:
            files = f"--cert {cert}" if key is None else f"--cert {cert} and --key {key}"
            raise UsageError(f"{files}: {_reason(error, 'a PEM certificate and its private key')}") from None
    return context


def _reason(error: OSError, content: str) -> str:
    return f"{content} are needed" if isinstance(error, ssl.SSLError) else error.strerror or str(error)
