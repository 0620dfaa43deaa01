"""The bounds of one read."""

from __future__ import annotations

from collections.abc import Iterable

from wschat.brokers.base import Message

MAX_PAGE_CHARACTERS = 128 * 1024
"""The most characters of text in one page, unless it is a single message. A request of a few bytes must not cost a long read, nor
have an answer that is more than its client can take."""


def page_of(messages: Iterable[Message], limit: int) -> list[Message]:
    """Return the first messages: `limit` at most, and as many as fit a page, but one at least."""
    page: list[Message] = []
    size = 0
    for message in messages:
        size += len(message.text)
        if len(page) >= limit or (page and size > MAX_PAGE_CHARACTERS):
            break
        page.append(message)
    return page
