"""TLS for clients."""

from __future__ import annotations

import contextlib
import socket
import ssl

from wschat.client.deadline import Deadline, shut_down
from wschat.client.failures import explained_tls
from wschat.forks import close_in_child


def start_tls(sock: socket.socket, host: str, place: str, context: ssl.SSLContext | None, deadline: Deadline, hint: str) -> ssl.SSLSocket:
    """Do the TLS handshake on a connected socket, and return the socket that replaces it.

    Raises OSError with a text that names `place`, and DeadlinePassed. `hint` tells what to do if the peer does not speak TLS.
    """
    # Made only when needed, because reading the authorities of the system takes a while.
    context = context or ssl.create_default_context()
    # Certificates contain neither zones nor the final dot of a name.
    name = host.partition("%")[0].rstrip(".")
    with contextlib.ExitStack() as undo:
        try:
            # The handshake is a step of its own, so that `cancel` finds the socket that waits.
            secured = undo.enter_context(context.wrap_socket(sock, server_hostname=name, do_handshake_on_connect=False))
            close_in_child(secured)
            deadline.wake_by(lambda: shut_down(secured))
            secured.settimeout(deadline.remaining())
            secured.do_handshake()
        except TimeoutError:
            deadline.remaining()
            raise
        except OSError as error:
            raise explained_tls(error, place, hint) from None
        undo.pop_all()
    return secured
