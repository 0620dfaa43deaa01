"""TLS, a client's side."""

from __future__ import annotations

import socket
import ssl

from wschat.client.deadline import Deadline
from wschat.client.failures import explained_tls


def start_tls(sock: socket.socket, host: str, place: str, context: ssl.SSLContext | None, deadline: Deadline, hint: str) -> ssl.SSLSocket:
    """Do the TLS handshake on a connected socket, whose place the socket that is returned takes.

    Raises OSError with a text for `place`, and DeadlinePassed. `hint` is what to do where the peer does not speak TLS.
    """
    # Making a context takes a while: the authorities that the system trusts are read.
    context = context or ssl.create_default_context()
    sock.settimeout(deadline.remaining())
    # Certificates know neither zones nor the dot at the end of a full name.
    name = host.partition("%")[0].rstrip(".")
    try:
        return context.wrap_socket(sock, server_hostname=name)
    except TimeoutError:
        deadline.remaining()
        raise
    except OSError as error:
        raise explained_tls(error, place, hint) from None
