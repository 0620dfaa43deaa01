"""The server of the soak: one chat, over plain TCP and over TLS. It ends when its standard input does."""

from __future__ import annotations

import logging
import sys

from wschat import Limits, serve
from wschat.chat.plain import PlainChat
from wschat.server.tls import Certificate


def main() -> None:
    """Serve; the two ports are printed."""
    logging.basicConfig(level="WARNING", stream=sys.stderr)
    chat = PlainChat()
    limits = Limits(max_connections_per_address=0, outbox_bytes=256 * 1024, outbox_seconds=5)
    with (
        serve(chat.handle, port=0, check_request=chat.check_request, limits=limits) as plain,
        serve(chat.handle, port=0, check_request=chat.check_request, limits=limits, tls=Certificate(sys.argv[1]).context) as tls,
    ):
        plain.start()
        tls.start()
        print(plain.port, tls.port, flush=True)
        sys.stdin.read()


main()
