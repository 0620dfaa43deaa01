"""`wschat connect` as a pipe: a line in is a message out, and a message is a line out."""

from __future__ import annotations

from wschat.cli.client.conversation import Conversation, note_retry, opening
from wschat.cli.client.conversing import conversing
from wschat.cli.client.exit_codes import CommandExit, ExitCode
from wschat.cli.client.input import Lines, LineSender
from wschat.cli.client.options import ConnectOptions
from wschat.cli.client.output import Output
from wschat.cli.client.raw_conversation import RawConversation
from wschat.cli.client.recording import Recording

# For a line that is being sent when the last message that was asked for has been received.
_SECONDS_TO_SEND = 5.0


def run_pipe(options: ConnectOptions) -> None:
    """Send the lines of standard input and print messages until one of both ends. Raises CommandExit."""
    if options.reconnect and options.room is None:
        _run_reconnecting(options)
        return
    lines = Lines()
    with conversing(options) as conversation:
        _pipe(conversation, lines)
    if lines.unsent and not conversation.is_complete:
        raise CommandExit(ExitCode.UNMET, f"{options.place}: lines not sent: {lines.unsent}")


def _run_reconnecting(options: ConnectOptions) -> None:
    """Do so over one connection after the other, until the input ends or the number of messages that was asked for is received."""
    lines, output = Lines(), Output(options)
    with Recording(options.record) as recording, opening(options):
        for ws in options.reconnecting(lambda attempt: note_retry(attempt, options)):
            conversation = RawConversation(ws, options, output, recording)
            with conversation.running():
                _pipe(conversation, lines)
            if conversation.is_complete or (lines.are_all_sent and not options.count):
                conversation.report_end()
                return


def _pipe(conversation: Conversation, lines: Lines) -> None:
    with LineSender(lines, conversation.send_line, conversation.end_input) as sender:
        try:
            conversation.receive_all()
            sender.finish(_SECONDS_TO_SEND)
        finally:
            conversation.stop()  # the sender may still be waiting
