"""`wschat`: the command whose subcommands are in the modules beside this one."""

from __future__ import annotations

import click

from wschat.cli import connect, serve, token


@click.group(name="wschat", context_settings={"max_content_width": 120})
def main() -> None:
    """Serve WebSockets, talk to a WebSocket server, or make a token for a chat."""


for command in (serve.main, connect.main, token.main):
    main.add_command(command)
