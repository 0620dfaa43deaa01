"""`wschat connect` as a pipe: a line in is a message out, and a message is a line out."""

from __future__ import annotations

from wschat.cli.client.conversation import Conversation, opening
from wschat.cli.client.input import Lines, LineSender
from wschat.cli.client.options import ConnectOptions
from wschat.cli.client.output import Output
from wschat.cli.client.recording import Recording


def run_pipe(options: ConnectOptions) -> None:
    """Send the lines of standard input and print messages until one of both ends. Raises CommandExit."""
    output, lines = Output(options), Lines()
    with Recording(options.record) as recording:
        with opening(options):
            ws = options.open()
        conversation = Conversation(ws, options, output, recording)
        with conversation.running(), LineSender(lines, conversation.send_line, ws.begin_close):
            while True:
                conversation.receive()
