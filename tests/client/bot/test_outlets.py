"""The destinations of the texts of a bot."""

from __future__ import annotations

from wschat.client.bot.outlets import CountingOutlet, Recorder


def test_replies_are_texts_with_their_destination() -> None:
    recorder = Recorder()
    assert recorder.say("tea", "hello") == 1
    recorder.whisper("alice", "psst")
    assert recorder.replies == ["hello", "psst"]
    assert [(reply.room, reply.to) for reply in recorder.replies] == [("tea", ""), ("", "alice")]


def test_the_first_text_of_a_handler_is_counted() -> None:
    counted: list[int] = []
    outlet = CountingOutlet(Recorder(), lambda: counted.append(1))
    outlet.whisper("alice", "one")
    outlet.say("tea", "two")
    assert counted == [1]
