"""`wschat connect` as a pipe: a line in is a message out, and a message is a line out."""

from __future__ import annotations

from wschat.cli.client.conversation import Conversation, conversing, opening
from wschat.cli.client.exit_codes import note
from wschat.cli.client.input import Lines, LineSender
from wschat.cli.client.options import ConnectOptions
from wschat.cli.client.output import Output
from wschat.cli.client.recording import Recording
from wschat.client.reconnect import Attempt


def run_pipe(options: ConnectOptions) -> None:
    """Send the lines of standard input and print messages until one of both ends. Raises CommandExit."""
    if options.reconnect:
        _run_reconnecting(options)
        return
    with conversing(options) as conversation:
        _pipe(conversation, Lines())


def _run_reconnecting(options: ConnectOptions) -> None:
    """Do so over one connection after the other, until the input ends or the number of messages that was asked for is received."""

    def tell(attempt: Attempt) -> None:
        if attempt.error is not None and attempt.pause is not None and not options.quiet:
            note(f"{attempt.url}: {attempt.error}; connecting again in {attempt.pause:.1f} s")

    lines, output = Lines(), Output(options)
    with Recording(options.record) as recording, opening(options):
        for ws in options.reconnecting(tell):
            conversation = Conversation(ws, options, output, recording)
            with conversation.running():
                _pipe(conversation, lines)
            if lines.are_all_sent or conversation.is_complete:
                conversation.report_end()
                return


def _pipe(conversation: Conversation, lines: Lines) -> None:
    with LineSender(lines, conversation.send_line, conversation.end_input):
        conversation.receive_all()
