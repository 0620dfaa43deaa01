"""`wschat backup FILE`: a copy of the history of a chat, while its server runs."""

from __future__ import annotations

from pathlib import Path

import click

from wschat.brokers.opening import path_of, without_password
from wschat.brokers.sqlite.backup import back_up
from wschat.cli.chat import default_history
from wschat.errors import UsageError


@click.command("backup", context_settings={"max_content_width": 120})
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--history",
    metavar="PATH",
    envvar="WSCHAT_HISTORY",
    show_envvar=True,
    help="The history, as for the server.  [default: history.sqlite in the user's state directory]",
)
def main(file: Path, history: str | None) -> None:
    """Copy the history of a chat to the new file FILE. The server may run meanwhile.

    Serve the copy with --history FILE. The exit code is 0 if the copy is whole and on the disk, and 2 if not.
    """
    try:
        url = default_history() if history is None else history
        path = path_of(url)
        if path is None:
            raise UsageError(f"only a history in a file can be copied, not {without_password(url)}")
        number = back_up(path, file)
    except UsageError as error:
        raise click.UsageError(str(error)) from None
    print(f"{file}: {number:,} messages")
