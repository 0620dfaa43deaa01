"""`Bot`: commands, handlers and timers on top of a `ChatClient`. `Message` and `Member` are for annotations of handlers."""

from wschat.client.bot.message import Member, Message

__all__ = ["Member", "Message"]
