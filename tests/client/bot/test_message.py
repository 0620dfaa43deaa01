"""The arguments of handlers: messages and members."""

from __future__ import annotations

from wschat.client.bot.message import Member, Message
from wschat.client.bot.outlets import Recorder


def test_a_message_is_answered_where_it_was_sent_or_to_its_author() -> None:
    recorder = Recorder()
    message = Message("tea", "alice", "hi", 7, 1.0, False, recorder)
    message.reply(42)
    message.whisper("psst")
    assert [(str(reply), reply.room, reply.to) for reply in recorder.replies] == [("42", "tea", ""), ("psst", "", "alice")]


def test_a_whisper_is_answered_to_its_author() -> None:
    recorder = Recorder()
    Message("", "alice", "hi", 0, 1.0, False, recorder).reply("psst")
    assert [(str(reply), reply.room, reply.to) for reply in recorder.replies] == [("psst", "", "alice")]


def test_a_member_is_greeted_in_the_room_or_alone() -> None:
    recorder = Recorder()
    member = Member("tea", "alice", False, recorder)
    member.reply("hello")
    member.whisper("psst")
    assert [(str(reply), reply.room, reply.to) for reply in recorder.replies] == [("hello", "tea", ""), ("psst", "", "alice")]
