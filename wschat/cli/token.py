"""`wschat token NAME`: a token for a chat that runs with `--auth-secret-file`."""

from __future__ import annotations

import time

import click

from wschat.chat.tokens import mint, read_secret
from wschat.errors import UsageError

_MAX_SECONDS = 100 * 366 * 86_400


@click.command("token", context_settings={"show_default": True})
@click.argument("name")
@click.option(
    "--auth-secret-file",
    "secret_file",
    required=True,
    envvar="WSCHAT_AUTH_SECRET_FILE",
    show_envvar=True,
    help="File with the secret of the server.",
)
@click.option(
    "--room", "rooms", multiple=True, metavar="PATTERN", help="Room, or a pattern of rooms like 'tea*'. May be repeated.  [default: all]"
)
@click.option("--auth-audience", "audience", envvar="WSCHAT_AUTH_AUDIENCE", show_envvar=True, help="Audience of the server, if it has one.")
@click.option("--mod", is_flag=True, help="Make NAME a moderator of these rooms.")
@click.option("--seconds", type=click.IntRange(1, _MAX_SECONDS), help="Seconds until the token expires.  [default: never]")
def main(name: str, secret_file: str, rooms: tuple[str, ...], audience: str | None, mod: bool, seconds: int | None) -> None:
    """Print a token that lets NAME into the chat."""
    try:
        expires_at = None if seconds is None else time.time() + seconds
        secret = read_secret(secret_file)
        # Without --room, no list: an empty list would be for no room at all.
        print(mint(secret, name, rooms=list(rooms) or None, is_moderator=mod, expires_at=expires_at, audience=audience))
    except UsageError as error:
        raise click.UsageError(str(error)) from None
