"""Certificates for tests."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path


def make_certificate(folder: Path, name: str = "localhost", password: str = "") -> Path:
    """Create a self-signed certificate for localhost; return a PEM file with the certificate and its key."""
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-days", "2"]
    command += [
        "-subj",
        f"/CN={name}",
        "-addext",
        "subjectAltName=DNS:localhost,IP:127.0.0.1",
        "-keyout",
        "key.pem",
        "-out",
        "certificate.pem",
    ]
    command += ["-passout", f"pass:{password}"] if password else ["-nodes"]
    folder.mkdir(exist_ok=True)
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_bytes((folder / "key.pem").read_bytes() + (folder / "certificate.pem").read_bytes())
    return both


def client_context(certificate: Path) -> ssl.SSLContext:
    """Return the TLS context of a client that trusts this certificate."""
    return ssl.create_default_context(cafile=certificate)
