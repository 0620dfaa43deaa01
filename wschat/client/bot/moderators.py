"""The moderators of the rooms that a bot is in, from the events of the rooms."""

from __future__ import annotations

from wschat.events import Joined, MemberEvent

# Rights end when a member goes; a mute or a ban takes away those that were granted in the room.
_ENDING = ("leave", "kick", "ban", "mute")


class Moderators:
    """Who moderates which room. For the thread that receives the events, which are in the order of the room's messages."""

    def __init__(self) -> None:
        self._names: dict[str, set[str]] = {}

    def contains(self, room: str, name: str) -> bool:
        """Return True if a member moderates a room."""
        return name in self._names.get(room, ())

    def forget(self) -> None:
        """Know no moderators until the bot joins again, because events were dropped: one who has left may have been among them."""
        self._names.clear()

    def on_joined(self, event: Joined) -> None:
        """Take the moderators of a room that the bot has joined."""
        self._names[event.room] = set(event.moderators or ())

    def on_member(self, event: MemberEvent) -> None:
        """Take a change of one member."""
        names = self._names.get(event.room)
        if names is None:
            return
        if event.event == "op" or (event.event == "join" and event.moderator):
            names.add(event.name)
        elif event.event in _ENDING:
            names.discard(event.name)
        elif event.event == "rename" and event.name in names and event.new_name is not None:
            names.remove(event.name)
            names.add(event.new_name)
