"""TLS for clients."""

from __future__ import annotations

import socket
import ssl

from wschat.client.deadline import Deadline
from wschat.client.failures import explained_tls


def start_tls(sock: socket.socket, host: str, place: str, context: ssl.SSLContext | None, deadline: Deadline, hint: str) -> ssl.SSLSocket:
    """Do the TLS handshake on a connected socket, and return the socket that replaces it.

    Raises OSError with a text that names `place`, and DeadlinePassed. `hint` tells what to do if the peer does not speak TLS.
    """
    # Made only when needed, because reading the authorities of the system takes a while.
    context = context or ssl.create_default_context()
    sock.settimeout(deadline.remaining())
    # Certificates contain neither zones nor the final dot of a name.
    name = host.partition("%")[0].rstrip(".")
    try:
        return context.wrap_socket(sock, server_hostname=name)
    except TimeoutError:
        deadline.remaining()
        raise
    except OSError as error:
        raise explained_tls(error, place, hint) from None
