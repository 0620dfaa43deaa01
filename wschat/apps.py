"""Ready-made handlers: `python -m wschat.server --app wschat.apps:echo`."""

from __future__ import annotations

from wschat.connection.connection import Connection


def echo(ws: Connection) -> None:
    """Send every message back."""
    for message in ws:
        ws.send(message)
