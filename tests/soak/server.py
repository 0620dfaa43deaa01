"""The server of the soak: one chat with a history, over plain TCP and over TLS. It ends when its standard input ends."""

from __future__ import annotations

import logging
import socket
import sys

from wschat import Limits, serve
from wschat.brokers.sqlite.broker import SqliteBroker
from wschat.chat.chat import Chat
from wschat.server.tls import Certificate
from wschat.web.site import Site


def listener() -> socket.socket:
    """Return a listening socket with small send buffers. By default the system would buffer megabytes that a client does not read."""
    sock = socket.create_server(("127.0.0.1", 0), backlog=1024)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 * 1024)
    return sock


def main() -> None:
    """Print the two ports, and serve."""
    logging.basicConfig(level="WARNING", stream=sys.stderr)
    chat = Chat(SqliteBroker(sys.argv[2]))
    site = Site(chat.http, 65_536)
    limits = Limits(max_connections_per_address=0, outbox_seconds=5)
    context = Certificate(sys.argv[1]).context
    with (
        serve(chat.handle, listener=listener(), check_request=chat.check_request, limits=limits, http=site) as plain,
        serve(chat.handle, listener=listener(), check_request=chat.check_request, limits=limits, http=site, tls=context) as tls,
    ):
        site.watch(plain.load)
        plain.start()
        tls.start()
        print(plain.port, tls.port, flush=True)
        sys.stdin.read()
    site.close()
    chat.close()


main()
