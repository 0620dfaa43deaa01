"""`wschat connect URL`: talk to a WebSocket server from a terminal, a pipe or a script."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from typing import Any

import click

from wschat.cli.client.exit_codes import CommandExit, ExitCode, note
from wschat.cli.client.options import VARIABLES, ConnectOptions
from wschat.cli.client.steps import STEP_OPTIONS, ScriptCommand, steps_of
from wschat.cli.options import configured, options_of
from wschat.cli.version import version_option
from wschat.errors import UsageError
from wschat.stdio import open_standard_streams


@click.command(
    "connect",
    cls=ScriptCommand,
    params=[click.Argument(["url"]), *options_of(ConnectOptions, variables=VARIABLES, show_variables=False), *STEP_OPTIONS],
    context_settings={"max_content_width": 120},
)
@version_option
@click.pass_context
def main(context: click.Context, /, url: str, **_: Any) -> None:
    """Connect to the WebSocket at URL.

    On a terminal, this is an interactive screen. In a pipe, each line of standard input is sent and each message is printed; at the
    end of the input, the connection is closed, and messages that still arrive are printed. With --send or --expect, it is a script.

    The exit code is 0 if all went as asked, 1 if an expectation was not met in time, 2 for wrong options, 3 if the server could not
    be reached or refused, and 4 if the connection was lost or closed with an error.

    Each option but --send and --expect can also be given as an environment variable: --token as WSCHAT_CLIENT_TOKEN, for example.
    """
    open_standard_streams()
    is_quiet = False
    try:
        options = _options(context, url)
        is_quiet = options.quiet
        _run(options)
    except CommandExit as end:
        if not is_quiet:
            end.show()
        context.exit(end.code)
    except KeyboardInterrupt:
        context.exit(ExitCode.INTERRUPTED)


def _options(context: click.Context, url: str) -> ConnectOptions:
    """Return the options. Raises CommandExit if one is invalid, or if some of them cannot be given together."""
    try:
        return configured(ConnectOptions(url=url, steps=steps_of(context)), context)
    except UsageError as error:
        raise CommandExit(ExitCode.USAGE, str(error)) from None


def _run(options: ConnectOptions) -> None:
    """Run the command in the mode that the options and the standard streams ask for. Raises CommandExit."""
    if options.insecure and not options.quiet:
        note("the certificate of the server is not verified (--insecure)")
    # Each mode is imported when it is needed, so that --help is quick.
    if not options.is_for_pipes and _has_screen():
        from wschat.cli.terminal.start import run

        raise CommandExit(run(options))
    if options.replay is not None:
        from wschat.cli.client.replay import run_replay

        run_replay(options, options.replay)
    elif options.steps:
        from wschat.cli.client.script import run_script

        run_script(options)
    else:
        from wschat.cli.client.pipe import run_pipe

        run_pipe(options)


def _has_screen() -> bool:
    """Return True if an interactive screen can be shown. If only a package is missing for it, say so."""
    is_terminal = sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM", "dumb") not in ("", "dumb", "unknown")
    if is_terminal and find_spec("prompt_toolkit") is None:
        note('for the interactive screen: pip install "wschat[cli]"')
        return False
    return is_terminal
