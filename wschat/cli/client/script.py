"""Scripts of `wschat connect`: `--send` and `--expect`."""

from __future__ import annotations

import re

from wschat.cli.client.conversation import Conversation
from wschat.cli.client.conversing import conversing
from wschat.cli.client.options import ConnectOptions
from wschat.cli.client.steps import Send
from wschat.cli.client.transcript import text_of


def run_script(options: ConnectOptions) -> None:
    """Take the steps of the command line one after another, and print what is received meanwhile. Raises CommandExit."""
    with conversing(options) as conversation:
        for number, step in enumerate(options.steps, 1):
            with conversation.expecting(f"{step} (step {number} of {len(options.steps)})") as until:
                if isinstance(step, Send):
                    conversation.send_bytes(step.data, until)
                else:
                    _expect(conversation, step.pattern, until)
        conversation.end_input()
        conversation.receive_all()


def _expect(conversation: Conversation, pattern: re.Pattern[str], until: float | None) -> None:
    while not pattern.search(text_of(conversation.receive(until))):
        pass
    conversation.forget()
