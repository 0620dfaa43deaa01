"""What a bot says in a test."""

from __future__ import annotations

from wschat.client.bot.recorder import Recorder


def test_replies_are_texts_that_know_where_they_went() -> None:
    recorder = Recorder()
    assert recorder.say("tea", "hello") == 1
    recorder.whisper("alice", "psst")
    assert recorder.replies == ["hello", "psst"]
    assert [(reply.room, reply.to) for reply in recorder.replies] == [("tea", ""), ("", "alice")]
