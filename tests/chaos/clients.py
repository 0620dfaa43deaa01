"""The clients of the chaos: talkers, a listener and a bot. Each notes what it has said or heard."""

from __future__ import annotations

import itertools
import threading

import wschat
from tests.chaos.notes import Notes
from wschat.client.bot.message import Message
from wschat.events import Dropped, Gap, MessageEvent

ROOM = "tea"
COMMAND = "!ping "
ANSWER = "pong "
_TEXTS_PER_COMMAND = 5


class Talker:
    """Says one text after the other, and repeats what it does not know about. Each fifth text is a command for the bot."""

    def __init__(self, client: wschat.ChatClient, said: Notes, timeout: float) -> None:
        self._client = client
        self._said = said
        self._timeout = timeout
        self.commands = 0
        """How many of the texts are commands."""
        self.repeated = 0
        """How often `say` was called again with an id."""

    def run(self, is_over: threading.Event) -> None:
        """Talk until `is_over` is set. Raises the error that ends the client."""
        for number in itertools.count(1):
            if is_over.is_set():
                return
            is_command = number % _TEXTS_PER_COMMAND == 0
            text = f"{COMMAND if is_command else ''}{self._client.name} {number}"
            self._said.add(self._say(text), text)
            self.commands += is_command

    def _say(self, text: str) -> int:
        request_id = None
        while True:
            try:
                return self._client.say(ROOM, text, id=request_id, timeout=self._timeout)
            except wschat.OutcomeUnknown as unknown:
                request_id = unknown.id
                self.repeated += 1
            except TimeoutError:
                self.repeated += 1


class Listener:
    """Notes each message of the room."""

    def __init__(self, client: wschat.ChatClient, heard: Notes) -> None:
        self._client = client
        self._heard = heard
        self.last_seq = 0
        """The number of the last message that was heard."""
        self.missed: list[object] = []
        """Gaps, and events that were dropped."""

    def run(self) -> None:
        """Listen until the client is closed. Raises the error that has ended it."""
        for event in self._client:
            if isinstance(event, MessageEvent):
                self._heard.add(event.seq, event.text)
                self.last_seq = event.seq
            elif isinstance(event, (Gap, Dropped)):
                self.missed.append(event)


class AnsweringBot:
    """A bot that notes each message of the others, and answers their commands."""

    def __init__(self, url: str, heard: Notes, limits: wschat.Limits) -> None:
        # Nothing is left out: no message is too many, too old, or one too many of its sender.
        self.bot = wschat.Bot(url, name="bot", rooms=[ROOM], max_pending=100_000, max_answers=0, catch_up=1e6, max_pause=1.0, limits=limits)
        """The bot."""
        self.answers = 0
        """How many commands were answered."""
        # Guards the notes and the number: handlers run in several threads.
        lock = threading.Lock()

        @self.bot.on_message()
        def note(message: Message) -> None:
            with lock:
                heard.add(message.seq, message.text)

        @self.bot.command(COMMAND.strip(" !"))
        def answer(message: Message, text: str) -> None:
            message.reply(f"{ANSWER}{text}")
            with lock:
                self.answers += 1
