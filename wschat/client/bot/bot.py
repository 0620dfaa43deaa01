"""`Bot`: a program that takes part in a chat and answers."""

from __future__ import annotations

import itertools
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from wschat.client.bot.decorators import Decorators
from wschat.client.bot.handlers import Handlers
from wschat.client.bot.incoming import Outages
from wschat.client.bot.message import Message, Outlet
from wschat.client.bot.outlets import Recorder, Reply
from wschat.client.bot.runner import Runner, Settings
from wschat.client.chat.client import ChatClient
from wschat.client.chat.conversation import is_same_name
from wschat.errors import UsageError

if TYPE_CHECKING:
    from typing_extensions import Self

_SECRET_BYTES = 24


class Bot(Decorators):
    """A member of a chat that answers commands and messages.

    ::

        bot = wschat.Bot("ws://localhost:8080", name="dice", rooms=["lobby"])

        @bot.command("roll", help="roll dice: !roll 2d6")
        def roll(message, dice="1d6"):
            message.reply(throw(dice))

        bot.run()

    Handlers run in `workers` threads. Those for messages of one sender in one room run one after the other, in order; all others may run at
    the same time. At most `max_pending` messages may wait or be handled; above that, the bot waits before it takes more. Once it is half of
    that, a sender may have a tenth of it in one room; a message above that is not handled, which is logged. An exception of a handler is
    logged; the sender of a command, or of a message that has a pattern, is told.

    The bot takes no notice of its own messages, also of those of another connection by its name, nor of those from before it joined. After
    a lost connection it handles the messages that it has missed, unless the connection was lost for more than `catch_up` seconds; no
    command for moderators is among those. A sender who draws more than `max_answers` answers in a row is ignored until it has been
    quiet for a minute, which ends an exchange with another bot: see `LoopGuard`; 0 is for no limit.
    """

    def __init__(
        self,
        url: str | Callable[[], str],
        *,
        name: str,
        rooms: Iterable[str] = ("lobby",),
        token: str | Callable[[], str | None] | None = None,
        password: str | None = None,
        secret: str | None = None,
        prefix: str = "!",
        workers: int = 8,
        max_pending: int = 1000,
        max_answers: int = 20,
        catch_up: float = 60.0,
        **options: Any,
    ) -> None:
        """Nothing is connected before `run` or `start`.

        `prefix` is how commands begin. `url`, `name`, `rooms`, `token`, `password`, `secret` and the `options` are those of `ChatClient`.
        Without a token or a password, a program that is started again within five minutes needs the same `secret` to have its name back.
        Raises UsageError if an argument is invalid.
        """
        super().__init__(Handlers(prefix))
        if not isinstance(name, str) or not name:
            raise UsageError(f"a bot must have a name, not {name!r}")
        self.name = name
        """The name of the bot."""
        if isinstance(rooms, str) or not (rooms := tuple(rooms)):
            raise UsageError(f'rooms must be a list of names, such as ["lobby"], not {rooms!r}')
        self.rooms = rooms
        """The rooms that the bot joins."""
        self._options: dict[str, Any] = {"name": name, "rooms": rooms, "token": token, "password": password, **options}
        # The name of a guest is reserved for its secret when it leaves: with a new one, `run` could not be called again.
        self._options["secret"] = secret or secrets.token_urlsafe(_SECRET_BYTES)
        self._url = url
        self._settings = Settings(workers, max_pending, max_answers, catch_up)
        self._make_client()  # for its checks of the arguments
        self._fed = itertools.count(1)
        self._local = threading.local()  # its `outlet` is that of the handler that runs in the thread
        # What ends `run`: an error, or None for `stop`. A SimpleQueue, because a signal handler may put into it whatever its thread does.
        self._ends: SimpleQueue[Exception | None] = SimpleQueue()
        # Guards the two below. No other lock is taken while it is held.
        self._state_lock = threading.Lock()
        self._client: ChatClient | None = None
        self._runner: Runner | None = None

    # Running

    def run(self) -> None:
        """Connect, and handle messages until `stop` is called or the user presses Ctrl-C.

        Connects again when the connection is lost. Raises an error that another attempt would not change, as `ChatClient` does, and
        UsageError if the bot runs already.
        """
        self.start()
        error = None
        try:
            error = self._ends.get()
        except KeyboardInterrupt:
            pass
        finally:
            self.close()
        if error is not None:
            raise error

    def start(self) -> Self:
        """Run in threads of its own, and return the bot. `close` must follow. An error that ends the connection is logged.

        Raises UsageError if the bot runs already, and OSError if a thread cannot be started.
        """
        with self._state_lock:
            if self._client is not None:
                raise UsageError("the bot runs already")
            self._handlers.is_closed = True
            outages = Outages(self._options.get("on_attempt"))
            client = self._client = self._make_client(on_attempt=outages.on_attempt)
        runner = Runner(self._handlers, client, outages, self._settings, self._speak_by, self._ends.put)
        try:
            runner.start()
        except OSError:
            with self._state_lock:
                self._client, self._handlers.is_closed = None, False
            raise
        with self._state_lock:
            self._runner = runner
        return self

    def stop(self) -> None:
        """Have `run` return. May be called from any thread, also by a handler, and from a signal handler; never waits."""
        self._ends.put(None)

    def close(self) -> None:
        """End the run. What was received is handled first, at most 5 seconds long. Waits for the threads; not for a handler to call.

        May be called more than once, and by any other thread.
        """
        with self._state_lock:
            runner, self._runner = self._runner, None
        if runner is not None:
            runner.close()
            with self._state_lock:
                self._client, self._handlers.is_closed = None, False
            while not self._ends.empty():
                self._ends.get()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def client(self) -> ChatClient:
        """The client, for what the bot has no method for: history, members, moderation. Raises UsageError if the bot does not run."""
        with self._state_lock:
            client = self._client
        if client is None:
            raise UsageError("the bot does not run: call run() or start() first")
        return client

    # Speaking

    def say(self, room: str, text: object, *, id: str | None = None) -> int:  # noqa: A002
        """Send a text to a room and return its number, once the server has made it durable. Any object is sent as its `str`.

        From any thread. Waits `catch_up` seconds at most, 10 at least, in which a lost connection may come back. With an `id`, the text is
        said once however often this is called, also by the next run of the program. Raises what `ChatClient.say` raises, and UsageError
        if the bot does not run.
        """
        return self._outlet().say(room, str(text), id=id)

    def whisper(self, name: str, text: object) -> None:
        """Send a text to one user. From any thread. Otherwise as `say`."""
        self._outlet().whisper(name, str(text))

    def feed(self, text: str, sender: str = "alice", room: str = "lobby", moderator: bool = False) -> list[Reply]:
        """Handle a message as if it had been received, without a server, and return what the bot has said. For tests.

        Handlers run in the calling thread, and what they raise passes through. A `Reply` is a str with the attributes `room` and `to`.
        An empty `room` makes the message a whisper to the bot.
        """
        recorder = Recorder()
        message = Message(room, sender, text, next(self._fed) if room else 0, time.time(), moderator and bool(room), recorder)
        if not is_same_name(sender, self.name):
            with self._speak_by(recorder):
                for call in self._handlers.calls_for_message(message):
                    call.run()
        return recorder.replies

    def _outlet(self) -> Outlet:
        outlet: Outlet | None = getattr(self._local, "outlet", None)
        return self._settings.outlet(self.client) if outlet is None else outlet

    @contextmanager
    def _speak_by(self, outlet: Outlet) -> Iterator[None]:
        """Have what the calling thread says go to an outlet."""
        before = getattr(self._local, "outlet", None)
        self._local.outlet = outlet
        try:
            yield
        finally:
            self._local.outlet = before

    def _make_client(self, **options: Any) -> ChatClient:
        return ChatClient(self._url, **{**self._options, **options})
