"""`wschat`: the command whose subcommands are in the modules beside this one."""

from __future__ import annotations

from importlib import import_module

import click

from wschat.cli.version import version_option

_SUBCOMMANDS = ("backup", "connect", "say", "serve", "token")


class _Group(click.Group):
    """A command that imports only the subcommand that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the subcommands."""
        return list(_SUBCOMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a subcommand, None if there is none of that name."""
        if cmd_name not in _SUBCOMMANDS:
            return None
        command: click.Command = import_module(f"wschat.cli.{cmd_name}").main
        return command


@click.group(cls=_Group, name="wschat", context_settings={"max_content_width": 120})
@version_option
def main() -> None:
    """Serve WebSockets, talk to a WebSocket server, or do something for a chat."""
