"""Publishing: a message straight to the broker that the servers of a chat share, for workers and cron jobs."""

from __future__ import annotations

from contextlib import closing

from wschat.brokers.base import Draft, Retention
from wschat.brokers.opening import is_shared, open_broker, without_password
from wschat.chat.actions.say import Say, deduplication_key
from wschat.chat.parser import make_action
from wschat.chat.posting import post
from wschat.errors import Rejected, UsageError
from wschat.events import Id
from wschat.names import NAMELESS, RULE, normalize_name

_KEEP_ALL = Retention(messages=0, days=0)  # how much is kept is for the servers to decide


def publish(url: str, room: str, text: str, *, id: Id | None = None, name: str | None = None) -> int:  # noqa: A002
    """Append a message to a room of a chat, and return its number. The servers of the chat deliver it; none has to run.

    `url` is that of the broker, such as `redis://HOST`. A text that is published again with its `id` and `name` is appended once. `name` is
    that of the author, by default `Server`. Opens a connection, and waits until the message is durable. May be called from any thread.
    Raises UsageError, Rejected if the `id` belongs to another text, and HistoryUnavailable if the broker cannot be reached. The message may
    have been appended then, so repeat it with an `id`.
    """
    if not is_shared(url):
        raise UsageError(f"url must be that of a broker for several processes, such as redis://HOST, not {without_password(str(url))!r}")
    draft = _draft(room, text, id, name)
    with closing(open_broker(url, _KEEP_ALL)) as broker:
        return post(broker, draft).message.seq


def _draft(room: str, text: str, request_id: Id | None, name: str | None) -> Draft:
    """Return the draft of a message. Raises UsageError for an argument that is not valid."""
    try:
        say = make_action({"type": Say.type, "room": room, "text": text, "id": request_id})
    except Rejected as error:
        raise UsageError(error.text) from None
    assert isinstance(say, Say)
    author = NAMELESS if name is None else normalize_name(name)
    if author is None:
        raise UsageError(f"name must be {RULE}, not {name!r}")
    return Draft(say.room, author, say.text, deduplication_key(author, say.id))
