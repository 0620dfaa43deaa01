"""The one conversation of a command that does not connect again: with a room, or over a connection."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from wschat.cli.client.conversation import Conversation, opening
from wschat.cli.client.options import ConnectOptions
from wschat.cli.client.output import Output
from wschat.cli.client.raw_conversation import RawConversation
from wschat.cli.client.recording import Recording
from wschat.cli.client.room_conversation import RoomConversation


@contextmanager
def conversing(options: ConnectOptions, *, subprotocols: Sequence[str] = ()) -> Iterator[Conversation]:
    """Open the conversation, and close it after the block. `subprotocols` are as for `ConnectOptions.open`. Raises CommandExit."""
    output = Output(options)
    with Recording(options.record) as recording:
        with opening(options):
            if options.room is not None:
                conversation: Conversation = RoomConversation(options.room, options, output, recording)
            else:
                conversation = RawConversation(options.open(subprotocols=subprotocols), options, output, recording)
        with conversation.running():
            yield conversation
        conversation.report_end()
