"""`run`: the screen for the options of `wschat connect`: the chat for a chat of wschat, the debugger for any other server."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial

from wschat.cli.client.conversation import opening
from wschat.cli.client.exit_codes import CommandExit, ExitCode, note
from wschat.cli.client.options import ConnectOptions
from wschat.cli.client.recording import Recording
from wschat.cli.terminal.chat import Chat
from wschat.cli.terminal.chat_requests import text_of
from wschat.cli.terminal.debugger import Debugger
from wschat.cli.terminal.debugger_model import DebuggerModel
from wschat.cli.terminal.guest_secrets import GuestSecrets
from wschat.cli.terminal.line_history import open_history
from wschat.cli.terminal.probe import default_names, find_chat, nameless, room_of, with_secret
from wschat.cli.terminal.room_recording import RoomRecording
from wschat.cli.terminal.screen import print_rows
from wschat.cli.terminal.transcript import Transcript
from wschat.client.chat.client import ChatClient
from wschat.client.reconnect import Attempt
from wschat.connection.connection import Connection
from wschat.errors import ConnectionClosed, Rejected
from wschat.events import Welcome

_MAX_ROWS_OF_DEBUGGER = 1000


def run(options: ConnectOptions) -> int:
    """Show the screen until the user ends it, and return the exit code.

    With a subprotocol, or a recording of no room, that is the debugger, whatever the server is. Raises CommandExit if no connection can be
    opened, or if the server ends it permanently.
    """
    with opening(options):
        if options.subprotocols or (options.record and options.room is None):
            return run_debugger(options, None if options.reconnect else options.open())
        secrets, server = GuestSecrets(), options.uri.place
        guest, name = nameless(options)
        found = find_chat(with_secret(guest, secrets.find(server)))
        if isinstance(found, Welcome):
            if found.secret is not None:
                secrets.store(server, found.secret)
            return run_chat(with_secret(guest, found.secret), name, found)
        if options.room is not None:
            found.close()
            raise CommandExit(ExitCode.NOT_CONNECTED, f"{options.place}: the server is no chat of wschat, so it has no room {options.room}")
        if options.reconnect:
            found.close()
            return run_debugger(options, None)
        return run_debugger(options, found)


def run_chat(options: ConnectOptions, name: str | None, welcome: Welcome) -> int:
    """Run the chat. A user without a name gets one that is free."""
    if welcome.name is not None or name is not None:
        return _run_chat(options, name)
    for default_name in default_names():
        try:
            return _run_chat(options, default_name)
        except CommandExit as end:
            if not (isinstance(end.__cause__, Rejected) and end.__cause__.code == "name-taken"):
                raise
    raise CommandExit(ExitCode.NOT_CONNECTED, f"{options.place}: no name is free: give one by --name")


def run_debugger(options: ConnectOptions, ws: Connection | None) -> int:
    """Run the debugger on an open connection, or on one after the other."""
    model = DebuggerModel(options.place, options.verbose, options.timestamps)
    with Recording(options.record) as recording:
        connections = [ws] if ws else options.reconnecting(lambda attempt: debugger.attempted(attempt))
        debugger = Debugger(model, connections, open_history("debugger"), recording)
        try:
            return debugger.run()
        finally:
            _print(model.transcript, _MAX_ROWS_OF_DEBUGGER)


def _run_chat(options: ConnectOptions, name: str | None) -> int:
    with Recording(options.record) as recording:
        room_recording = RoomRecording(recording, options.place, room_of(options))
        chat = Chat(options.place, partial(_make_client, options, name), open_history("chat"), room_recording)
        try:
            code = chat.run()
        except Rejected as error:
            raise CommandExit(ExitCode.NOT_CONNECTED, f"{options.place}: {text_of(error)}") from error
        except ConnectionClosed as closed:
            raise CommandExit(ExitCode.CLOSED, f"{options.place}: connection closed: {closed}") from closed
    _print(chat.transcript, shutil.get_terminal_size().lines - 2)
    for waiting in chat.unsaid:
        note(f"not said in {waiting.room}: {waiting.text}")
    return code


def _make_client(options: ConnectOptions, name: str | None, on_attempt: Callable[[Attempt], object]) -> ChatClient:
    return ChatClient(
        options.target,
        name=name,
        rooms=[room_of(options)],
        headers=options.request_headers,
        cookies=options.request_cookies,
        origin=options.origin,
        proxy=options.proxy,
        tls=options.tls,
        limits=options.limits,
        on_attempt=on_attempt,
    )


def _print(transcript: Transcript, max_rows: int) -> None:
    transcript.to_bottom()
    transcript.footer = []
    print_rows(transcript.view(shutil.get_terminal_size().columns, max_rows))
