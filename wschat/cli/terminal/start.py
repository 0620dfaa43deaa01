"""`run`: the screen for the options of `wschat connect`."""

from __future__ import annotations

import shutil

from wschat.cli.client.conversation import opening
from wschat.cli.client.options import ConnectOptions
from wschat.cli.client.recording import Recording
from wschat.cli.terminal.debugger import Debugger
from wschat.cli.terminal.debugger_model import DebuggerModel
from wschat.cli.terminal.line_history import open_history
from wschat.cli.terminal.screen import print_rows
from wschat.client.reconnect import reconnect

_ROWS_TO_PRINT = 1000


def run(options: ConnectOptions) -> int:
    """Show the screen until the user ends it, and return the exit code. Raises CommandExit if no connection can be opened."""
    with Recording(options.record) as recording:
        return run_debugger(options, recording)


def run_debugger(options: ConnectOptions, recording: Recording) -> int:
    """Run the debugger, and print at its end what it has shown."""
    model = DebuggerModel(options.place, options.verbose, options.timestamps)
    history = open_history("debugger")
    with opening(options):
        if not options.reconnect:
            debugger = Debugger(model, [options.open()], history, recording)
        else:
            connections = reconnect(
                options.target,
                headers=options.request_headers,
                cookies=options.request_cookies,
                origin=options.origin,
                subprotocols=options.subprotocols,
                proxy=options.proxy,
                tls=options.tls,
                limits=options.limits,
                on_attempt=lambda attempt: debugger.attempted(attempt),
            )
            debugger = Debugger(model, connections, history, recording)
        try:
            return debugger.run()
        finally:
            model.transcript.to_bottom()
            print_rows(model.transcript.view(shutil.get_terminal_size().columns, _ROWS_TO_PRINT))
