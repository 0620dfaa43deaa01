"""The parser of slash commands: the action of each line, and the errors for invalid lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.chat.actions.examples import commands
from wschat.chat.action import AnyAction
from wschat.chat.actions import ACTIONS
from wschat.chat.actions.ban import Ban
from wschat.chat.actions.help import Help
from wschat.chat.actions.history import History
from wschat.chat.actions.join import Join
from wschat.chat.actions.kick import Kick
from wschat.chat.actions.leave import Leave
from wschat.chat.actions.mute import Mute
from wschat.chat.actions.nick import Nick
from wschat.chat.actions.op import Op
from wschat.chat.actions.rooms import ListRooms
from wschat.chat.actions.say import Say
from wschat.chat.actions.unban import Unban
from wschat.chat.actions.whisper import Whisper
from wschat.chat.actions.who import Who
from wschat.chat.parser import parse_command
from wschat.chat.text import is_command, unescape
from wschat.errors import Rejected
from wschat.v1 import ME_PREFIX

# Command lines in the lobby, and their actions.
REQUESTS = {
    "/nick Alice": Nick("Alice"),
    "/join tea": Join("tea"),
    "/leave": Leave("lobby"),
    "/who": Who("lobby"),
    "/rooms": ListRooms(),
    "/msg Bob hi": Whisper("Bob", "hi"),
    "/me waves": Say("lobby", "/me waves"),
    "/history": History("lobby", limit=20),
    "/history 5": History("lobby", limit=5),
    "/help": Help(),
    "/kick Bob": Kick("lobby", "Bob"),
    "/mute Bob": Mute("lobby", "Bob"),
    "/mute Bob 90": Mute("lobby", "Bob", 90),
    "/mute Bob 0": Mute("lobby", "Bob", 0),
    "/mute Bob 1.5": Mute("lobby", "Bob", 1.5),
    "/ban Bob": Ban("lobby", "Bob"),
    "/ban Bob 90": Ban("lobby", "Bob", 90),
    "/ban 203.0.113.7": Ban("lobby", "203.0.113.7"),
    "/ban 2001:db8::1 90": Ban("lobby", "2001:db8::1", 90),
    "/unban Bob": Unban("lobby", "Bob"),
    "/unban 2001:db8::1": Unban("lobby", "2001:db8::1"),
    "/op Bob": Op("lobby", "Bob"),
    **commands(),
}
ELSEWHERE = ("/nick", "/join", "/rooms", "/msg", "/help")  # commands that need no room


def rejected(line: str, room: str | None = "lobby") -> str:
    """Return the text of the error for an invalid line."""
    with pytest.raises(Rejected) as caught:
        parse_command(line, room)
    assert caught.value.code == "bad-command"
    return caught.value.text


def outcome(line: str, room: str | None) -> AnyAction | Rejected:
    try:
        return parse_command(line, room, "a")
    except Rejected as error:
        return error


# Commands and escapes


@pytest.mark.parametrize(
    ("text", "is_one"), [("/nick", True), ("/", True), ("/x", True), ("//nick", False), ("", False), (" /nick", False)]
)
def test_one_slash_begins_a_command(text: str, is_one: bool) -> None:
    assert is_command(text) == is_one


@pytest.mark.parametrize(
    ("text", "unescaped"), [("//nick", "/nick"), ("//", "/"), ("///", "//"), ("hi", "hi"), ("a//b", "a//b"), (" //x", " //x"), ("", "")]
)
def test_two_slashes_are_an_escape_for_one(text: str, unescaped: str) -> None:
    assert unescape(text) == unescaped


@given(st.text())
def test_any_text_can_be_escaped(text: str) -> None:
    escaped = "/" + text if text.startswith("/") else text
    assert not is_command(escaped)
    assert unescape(escaped) == text


# Actions of commands


@pytest.mark.parametrize(("line", "request_made"), REQUESTS.items())
def test_each_command_is_parsed_to_its_action(line: str, request_made: AnyAction) -> None:
    assert parse_command(line, "lobby") == request_made


def test_there_is_an_example_of_every_command() -> None:
    assert {line.split()[0] for line in REQUESTS} == {f"/{name}" for name in ACTIONS.commands}


@pytest.mark.parametrize("line", REQUESTS)
@pytest.mark.parametrize("request_id", ["a", 7, None])
def test_the_action_gets_the_id_of_the_request(line: str, request_id: str | int | None) -> None:
    assert parse_command(line, "lobby", request_id).id == request_id


@pytest.mark.parametrize(("line", "request_made"), REQUESTS.items())
def test_commands_ignore_case(line: str, request_made: AnyAction) -> None:
    name, blank, words = line.partition(" ")
    assert parse_command(f"{name.upper()}{blank}{words}", "lobby") == request_made
    assert parse_command(f"{name.title()}{blank}{words}", "lobby") == request_made


@pytest.mark.parametrize(("line", "request_made"), [item for item in REQUESTS.items() if not item[0].startswith(("/me", "/msg"))])
def test_whitespace_around_words_is_ignored(line: str, request_made: AnyAction) -> None:
    """Phones add a space after each word that they complete."""
    assert parse_command(line.replace(" ", "   "), "lobby") == request_made
    assert parse_command(f"{line} ", "lobby") == request_made
    assert parse_command(f"{line} \t ", "lobby") == request_made


@pytest.mark.parametrize(
    ("line", "request_made"),
    [
        ("/me  waves  at   Bob", Say("lobby", "/me waves  at   Bob")),
        ("/me a\nb", Say("lobby", "/me a\nb")),
        ("/me /nick", Say("lobby", "/me /nick")),
        ("/me //", Say("lobby", "/me //")),
        ("/msg Bob  two   words", Whisper("Bob", "two   words")),
        ("/msg  Bob a\n\nb", Whisper("Bob", "a\n\nb")),
        ("/msg Bob /nick alice", Whisper("Bob", "/nick alice")),
        ("/msg Bob //", Whisper("Bob", "//")),
    ],
)
def test_a_text_at_the_end_of_a_line_is_not_changed(line: str, request_made: AnyAction) -> None:
    assert parse_command(line, "lobby") == request_made


def test_me_keeps_its_prefix_in_the_text() -> None:
    request = parse_command("/me waves", "lobby")
    assert isinstance(request, Say)
    assert request.text.startswith(ME_PREFIX)
    assert unescape(request.text) == request.text


def test_names_and_rooms_are_normalized() -> None:
    assert parse_command("/nick ＢＯＢ", None) == Nick("BOB")
    assert parse_command("/join ＴＥＡ", None) == Join("tea")


# Without a room


@pytest.mark.parametrize(("line", "request_made"), REQUESTS.items())
def test_commands_about_a_room_need_one(line: str, request_made: AnyAction) -> None:
    if line.startswith(ELSEWHERE):
        assert parse_command(line, None) == request_made
    else:
        assert rejected(line, None) == "You are not in a room. Type /join ROOM to enter one."


# Invalid lines


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("/", "/"),
        ("/ ", "/"),
        ("/ nick alice", "/"),
        ("/fly", "/fly"),
        ("/fly to the moon", "/fly"),
        ("//", "//"),
        ("/nickalice", "/nickalice"),
    ],
)
def test_an_unknown_command_is_an_error(line: str, named: str) -> None:
    assert rejected(line) == f"Unknown command {named}. Type /help for a list, or start with // to send it as text."
    assert rejected(line, None) == rejected(line)


@pytest.mark.parametrize(
    "line",
    [
        "/nick",
        "/nick ",
        "/join",
        "/leave now",
        "/who Bob",
        "/rooms all",
        "/msg",
        "/msg Bob",
        "/msg Bob ",
        "/me",
        "/me  ",
        "/help me",
        "/kick",
        "/mute",
        "/ban",
        "/unban",
        "/op",
    ],
)
def test_a_wrong_number_of_words_gets_the_usage(line: str) -> None:
    assert rejected(line) == f"Usage: {usage_of(line)}"


NAME_RULE = "NAME must be 1 to 32 letters, digits, '-', '_' or '.'"
ROOM_RULE = "ROOM must be 1 to 32 letters, digits, '-', '_' or '.'"
ADDRESS_RULE = "NAME|ADDRESS must be a name (1 to 32 letters, digits, '-', '_' or '.') or an IP address"
NUMBER_RULE = "LINES must be a whole number from 1 to 1000"
SECONDS_RULE = "SECONDS must be a number of seconds, 0 or greater"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("/nick two words", NAME_RULE),
        ("/nick " + "x" * 33, NAME_RULE),
        ("/nick <b>", NAME_RULE),
        ("/join two words", ROOM_RULE),
        ("/join #tea", ROOM_RULE),
        ("/msg @bob hi", NAME_RULE),
        ("/kick Bob Smith", NAME_RULE),
        ("/kick @Bob", NAME_RULE),
        ("/mute @Bob", ADDRESS_RULE),
        ("/mute 2001:db8::/32", ADDRESS_RULE),
        ("/ban @Bob", ADDRESS_RULE),
        ("/ban a/b 5", ADDRESS_RULE),
        ("/unban Bob Smith", ADDRESS_RULE),
        ("/op Bob Smith", NAME_RULE),
        ("/history 0", NUMBER_RULE),
        ("/history -1", NUMBER_RULE),
        ("/history 1001", NUMBER_RULE),
        ("/history 1.5", NUMBER_RULE),
        ("/history ٣", NUMBER_RULE),
        ("/history ²", NUMBER_RULE),
        ("/history all", NUMBER_RULE),
        ("/history 5 6", NUMBER_RULE),
        ("/history " + "9" * 400, NUMBER_RULE),
        ("/history " + "9" * 5000, NUMBER_RULE),  # more digits than Python converts
        ("/mute Bob soon", SECONDS_RULE),
        ("/mute Bob 10 minutes", SECONDS_RULE),
        ("/mute Bob -1", SECONDS_RULE),
        ("/mute Bob nan", SECONDS_RULE),
        ("/mute Bob inf", SECONDS_RULE),
        ("/mute Bob 1e400", SECONDS_RULE),
        ("/mute Bob " + "9" * 5000, SECONDS_RULE),
        ("/ban Bob 5m", SECONDS_RULE),
    ],
    ids=lambda text: text[:30],
)
def test_an_invalid_word_gets_the_rule_and_the_usage(line: str, why: str) -> None:
    assert rejected(line) == f"{why}. Usage: {usage_of(line)}"


def usage_of(line: str) -> str:
    return ACTIONS.commands[line[1:].split()[0]].command.usage


def test_errors_are_short_for_long_lines() -> None:
    assert len(rejected("/" + "x" * 60_000)) < 200
    assert len(rejected("/nick " + "x" * 60_000)) < 200


# Help


def test_every_usage_names_its_command() -> None:
    for name, (command, _) in ACTIONS.commands.items():
        assert command.usage.split()[0] == f"/{name}"


def test_commands_for_everyone_come_before_those_for_moderators() -> None:
    order = [(entry.schema.kind.needs_moderator, name) for name, entry in ACTIONS.commands.items()]
    assert order == sorted(order)
    assert {needs_moderator for needs_moderator, _ in order} == {False, True}


# Any input

NEAR_COMMANDS = st.builds(
    lambda name, words: " ".join([f"/{name}", *words]),
    st.sampled_from(sorted(ACTIONS.commands)),
    st.lists(st.text(st.characters()) | st.sampled_from(["bob", "::1", "5", "0.5", "-1", "1e999", "nan", "9" * 4999, ""]), max_size=4),
)


@given(st.text(st.characters()).map(lambda text: f"/{text}") | NEAR_COMMANDS, st.sampled_from(["lobby", None]))
def test_any_line_that_begins_with_a_slash_is_a_request_or_is_rejected(line: str, room: str | None) -> None:
    found = outcome(line, room)
    if isinstance(found, Rejected):
        assert found.code == "bad-command"
        assert found.text
    else:
        assert found.id == "a"
        assert getattr(found, "room", "") is not None
