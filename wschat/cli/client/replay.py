"""`--replay`: send the messages of a recording again."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from time import monotonic

from wschat.cli.client.conversation import Conversation, opening
from wschat.cli.client.conversing import conversing
from wschat.cli.client.options import ConnectOptions
from wschat.cli.client.recording import Message, read_recording

# How many messages are received at most once another one is due to be sent.
_MESSAGES_BEFORE_A_SEND = 1000


def run_replay(options: ConnectOptions, path: str) -> None:
    """Send the sent messages of a recording at their times, and expect the received ones in their order. Raises CommandExit."""
    with opening(options):
        recording = read_recording(path)
    sent = [message for message in recording.messages if message.is_sent]
    received = [message.message for message in recording.messages if not message.is_sent]
    with conversing(options, subprotocols=[recording.subprotocol] if recording.subprotocol else []) as conversation:
        receiver = _Receiver(conversation, received if options.check else [])
        began_at = monotonic()
        for number, message in enumerate(sent, 1):
            step = f"sending message {number} of {len(sent)} of {path}"
            with conversation.expecting(step):
                receiver.receive_until(began_at + message.at / options.speed)
            with conversation.expecting(step) as until:
                conversation.send(message.message, until)
        receiver.receive_expected(path)
        conversation.end_input()
        conversation.receive_all()


class _Receiver:
    """Receives the messages of a replay: the expected ones in their order, and any others."""

    def __init__(self, conversation: Conversation, expected: Iterable[Message]) -> None:
        self._conversation = conversation
        self._expected = deque(expected)
        self._number = len(self._expected)

    def receive_until(self, due: float) -> None:
        """Receive what arrives before a message is due to be sent."""
        for _ in range(_MESSAGES_BEFORE_A_SEND):
            try:
                self._receive(due)
            except TimeoutError:
                return

    def receive_expected(self, path: str) -> None:
        """Receive until all expected messages have been received."""
        while self._expected:
            number = self._number - len(self._expected) + 1
            with self._conversation.expecting(f"received message {number} of {self._number} of {path}") as until:
                while not self._receive(until):
                    pass

    def _receive(self, until: float | None) -> bool:
        """Receive a message. Return True if it is the one that is expected next."""
        message = self._conversation.receive(until)
        if not self._expected or message != self._expected[0]:
            return False
        self._expected.popleft()
        self._conversation.forget()
        return True
