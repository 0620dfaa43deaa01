"""`wschat connect URL`: send the lines of standard input, and print the messages of the server."""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import sys
import threading
from typing import NoReturn

import click

from wschat.client.connect import connect
from wschat.client.escapes import indented, one_line
from wschat.connection.connection import Connection
from wschat.errors import ConnectionClosed, OpeningFailed, UsageError
from wschat.protocol.frames import CloseCode
from wschat.stdio import discard, open_standard_streams

_SILENT = (CloseCode.NORMAL, CloseCode.NO_STATUS)
_CLEAN = (*_SILENT, CloseCode.GOING_AWAY)
_FAILED, _NOT_OPENED, _INTERRUPTED = 1, 2, 130


@click.command("connect", context_settings={"auto_envvar_prefix": "WSCHAT_CLIENT", "show_default": True})
@click.argument("url")
@click.option("--header", "headers", multiple=True, metavar="NAME:VALUE", help="Header of the opening request. May be repeated.")
@click.option("--origin", help="Value of the Origin header.")
@click.option("--subprotocol", "subprotocols", multiple=True, help="Subprotocol to offer. May be repeated.")
@click.option("--proxy", metavar="URL", help='HTTP or SOCKS proxy; "" for no proxy.  [default: as in the environment]')
def main(url: str, headers: tuple[str, ...], origin: str | None, subprotocols: tuple[str, ...], proxy: str | None) -> None:
    """Connect to the WebSocket at URL, send each line of standard input, and print each message.

    At the end of the input, the connection is closed, and messages that still arrive are printed. On a terminal, control characters
    are escaped, and the second and further lines of a message are indented. The exit code is 0 after a clean end, 1 if the
    connection was lost or closed with an error, and 2 if it could not be opened.
    """
    open_standard_streams()
    try:
        ws = connect(url, headers=_headers(headers), origin=origin, subprotocols=subprotocols, proxy=proxy)
    except (OSError, UsageError, OpeningFailed) as error:
        _quit(_NOT_OPENED, str(error))
    except KeyboardInterrupt:
        _quit(_INTERRUPTED)
    output = Output()
    try:
        with Input(ws):
            for message in ws:
                output.show(message)
    except KeyboardInterrupt:
        ws.close()
        _quit(_INTERRUPTED)
    except OSError as error:
        ws.close()
        discard(sys.stdout)
        _quit(_FAILED, "" if isinstance(error, BrokenPipeError) else f"cannot write to standard output: {error.strerror}")
    closed = ws.closed
    if closed is not None and closed.code not in _SILENT:
        _quit(0 if closed.code in _CLEAN else _FAILED, f"connection closed: {closed}")


class Output:
    """Standard output. On a terminal, control characters of messages are escaped. Raises OSError if it cannot be written to."""

    def __init__(self) -> None:
        self._bytes = sys.stdout.buffer
        self._is_terminal = sys.stdout.isatty()

    def show(self, message: str | bytes) -> None:
        """Print a message."""
        if self._is_terminal:
            text = message if isinstance(message, str) else message.decode(errors="backslashreplace")
            message = indented(text)
        self._bytes.write(message.encode() if isinstance(message, str) else message)
        self._bytes.write(b"\n")
        self._bytes.flush()


class Input:
    """Sends the lines of standard input on a connection, in a thread that ends with the block."""

    def __init__(self, ws: Connection) -> None:
        self._ws = ws
        self._wake_up, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._send_lines, name="wschat-input")

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._wake_up.close()
        self._thread.join()
        self._woken.close()

    def _send_lines(self) -> None:
        rest = b""
        try:
            while chunk := self._read():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    self._ws.send(line.decode(errors="replace").removesuffix("\r"))
            if rest:
                self._ws.send(rest.decode(errors="replace"))
            self._ws.begin_close()
        except ConnectionClosed:
            pass  # the thread that prints messages reports it

    def _read(self) -> bytes:
        """Return the next bytes of the input, b"" at the end of the input or of the block."""
        with selectors.SelectSelector() as selector:
            selector.register(self._woken, selectors.EVENT_READ)
            selector.register(sys.stdin.fileno(), selectors.EVENT_READ)
            if any(key.fileobj is self._woken for key, _ in selector.select()):
                return b""
            try:
                return os.read(sys.stdin.fileno(), 65536)
            except OSError:  # the terminal is gone
                return b""


def _headers(texts: tuple[str, ...]) -> dict[str, str]:
    headers = {}
    for text in texts:
        name, colon, value = text.partition(":")
        if not colon or not name.strip():
            raise UsageError(f"a header must be NAME:VALUE, not {text!r}")
        headers[name.strip()] = value.strip()
    return headers


def _quit(code: int, text: str = "") -> NoReturn:
    if text:
        with contextlib.suppress(OSError):  # the exit code tells it as well
            print(f"wschat: {one_line(text)}", file=sys.stderr)
    raise SystemExit(code)


if __name__ == "__main__":
    main()
