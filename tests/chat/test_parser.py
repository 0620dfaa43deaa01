"""The parser: which JSON is an action, and the errors for other JSON."""

from __future__ import annotations

import dataclasses
import json
from time import thread_time
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.chat.actions.examples import examples
from wschat.chat import fields as field_types
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
from wschat.chat.actions.typing import Typing
from wschat.chat.actions.unban import Unban
from wschat.chat.actions.whisper import Whisper
from wschat.chat.actions.who import Who
from wschat.chat.fields import DEFAULT_MESSAGES, MAX_MESSAGES
from wschat.chat.parser import id_in, make_action, parse_action
from wschat.chat.schema import BadField
from wschat.errors import Rejected
from wschat.names import key_of, normalize_name

MAX_NUMBER = 2**53 - 1  # the largest safe integer in JavaScript

# For each type: the required fields and their action, the optional fields and the action with all fields.
EXAMPLES: list[tuple[dict[str, Any], AnyAction, dict[str, Any], AnyAction]] = [
    *examples(),
    ({"room": "tea"}, Join("tea"), {"since": 7, "epoch": "e1"}, Join("tea", 7, "e1")),
    ({"room": "tea"}, Leave("tea"), {}, Leave("tea")),
    ({"room": "tea", "text": "hi"}, Say("tea", "hi"), {}, Say("tea", "hi")),
    ({"to": "Bob", "text": "hi"}, Whisper("Bob", "hi"), {}, Whisper("Bob", "hi")),
    ({"name": "Bob"}, Nick("Bob"), {}, Nick("Bob")),
    ({"room": "tea"}, Typing("tea"), {}, Typing("tea")),
    ({"room": "tea"}, Who("tea"), {}, Who("tea")),
    ({}, ListRooms(), {}, ListRooms()),
    ({"room": "tea"}, History("tea", limit=DEFAULT_MESSAGES), {"before": 9, "since": 0, "limit": 5}, History("tea", 9, 0, 5)),
    ({"room": "tea", "name": "Bob"}, Kick("tea", "Bob"), {}, Kick("tea", "Bob")),
    ({"room": "tea", "name": "Bob"}, Mute("tea", "Bob"), {"seconds": 1.5}, Mute("tea", "Bob", 1.5)),
    ({"room": "tea", "name": "Bob"}, Ban("tea", "Bob"), {"seconds": 60}, Ban("tea", "Bob", 60)),
    ({"room": "tea", "name": "Bob"}, Unban("tea", "Bob"), {}, Unban("tea", "Bob")),
    ({"room": "tea", "name": "Bob"}, Op("tea", "Bob"), {}, Op("tea", "Bob")),
    ({}, Help(), {}, Help()),
]
KINDS = [type(request) for _, request, _, _ in EXAMPLES]


def parsed(kind: str, **fields: object) -> AnyAction:
    return parse_action(json.dumps({"type": kind, **fields}))


def rejected(text: str) -> Rejected:
    with pytest.raises(Rejected) as caught:
        parse_action(text)
    return caught.value


def outcome(text: str) -> AnyAction | Rejected:
    try:
        return parse_action(text)
    except Rejected as error:
        return error


def bad_field(fields: dict[str, object]) -> BadField:
    error = rejected(json.dumps(fields))
    assert isinstance(error, BadField)
    assert error.code == "bad-field"
    assert error.text.endswith(error.why)
    return error


# Valid requests


def test_there_is_an_example_of_every_action() -> None:
    assert {kind.type: kind for kind in KINDS} == {name: schema.kind for name, schema in ACTIONS.schemas.items()}


@pytest.mark.parametrize(("fields", "least", "more", "most"), EXAMPLES, ids=[kind.type for kind in KINDS])
def test_requests_of_each_type_are_parsed(fields: dict[str, Any], least: AnyAction, more: dict[str, Any], most: AnyAction) -> None:
    kind = least.type
    assert parsed(kind, **fields) == least
    assert parsed(kind, **fields, **more) == most
    assert parsed(kind, **fields, **more, id="a") == dataclasses.replace(most, id="a")
    assert make_action({"type": kind, **fields, "id": 7}) == dataclasses.replace(least, id=7)
    # The order of fields and the whitespace between them do not matter.
    backwards = dict(reversed({"type": kind, **fields, **more}.items()))
    assert parse_action(json.dumps(backwards, indent=4)) == most


@pytest.mark.parametrize(("fields", "least", "more", "most"), EXAMPLES, ids=[kind.type for kind in KINDS])
def test_null_is_the_same_as_a_missing_optional_field(
    fields: dict[str, Any], least: AnyAction, more: dict[str, Any], most: AnyAction
) -> None:
    assert parsed(least.type, **fields, **dict.fromkeys(more), id=None) == least


@pytest.mark.parametrize(("fields", "least", "more", "most"), EXAMPLES, ids=[kind.type for kind in KINDS])
def test_a_missing_required_field_is_an_error(fields: dict[str, Any], least: AnyAction, more: dict[str, Any], most: AnyAction) -> None:
    whole = {"type": least.type, **fields, **more}
    for name in fields:
        without = {other: value for other, value in whole.items() if other != name}
        for incomplete in (without, {**whole, name: None}):
            assert bad_field(incomplete).text == f'{least.type}: "{name}" is missing'


@pytest.mark.parametrize(("fields", "least", "more", "most"), EXAMPLES, ids=[kind.type for kind in KINDS])
@pytest.mark.parametrize("value", [1, None, {}, "x"])
def test_an_unknown_field_is_an_error(
    fields: dict[str, Any], least: AnyAction, more: dict[str, Any], most: AnyAction, value: object
) -> None:
    error = bad_field({"type": least.type, **fields, "colour": value})
    assert error.text.startswith(f'{least.type}: "colour" is unknown; the fields are ')
    assert all(f'"{name}"' in error.why for name in ["id", *fields, *more])


# Invalid fields

NOT_TEXTS = [1, 1.5, True, False, [], ["tea"], {}, {"a": "b"}]
NOT_NUMBERS = ["7", "", True, False, 7.0, 7.5, 1e3, -1, -1.5, MAX_NUMBER + 1, 10**4000, 1e400, -1e400, float("nan"), [], [7], {}]


@pytest.mark.parametrize(("fields", "least", "more", "most"), EXAMPLES, ids=[kind.type for kind in KINDS])
@pytest.mark.parametrize("value", NOT_TEXTS)
def test_a_string_field_must_be_a_string(
    fields: dict[str, Any], least: AnyAction, more: dict[str, Any], most: AnyAction, value: object
) -> None:
    for name in [name for name, example in (fields | more).items() if isinstance(example, str)]:
        error = bad_field({"type": least.type, **fields, **more, name: value})
        assert error.text == f'{least.type}: "{name}" must be a string'


@pytest.mark.parametrize(("fields", "least", "more", "most"), EXAMPLES, ids=[kind.type for kind in KINDS])
@pytest.mark.parametrize("value", ["\ud800", "a\udc00b", "\ude00\ud83d"])
def test_a_string_must_not_contain_lone_surrogates(
    fields: dict[str, Any], least: AnyAction, more: dict[str, Any], most: AnyAction, value: str
) -> None:
    """They cannot be encoded as UTF-8."""
    for name in [name for name, example in (fields | more).items() if isinstance(example, str)]:
        error = bad_field({"type": least.type, **fields, **more, name: value})
        assert error.text == f'{least.type}: "{name}" must not contain half a character (a lone surrogate)'


def test_a_pair_of_surrogates_is_a_character() -> None:
    assert parse_action(r'{"type": "say", "room": "tea", "text": "\ud83d\ude00"}') == Say("tea", "😀")


@pytest.mark.parametrize(
    ("kind", "field", "why"),
    [
        ("join", "since", "must be a whole number, 0 or greater"),
        ("history", "since", "must be a whole number, 0 or greater"),
        ("history", "before", "must be a whole number, 0 or greater"),
        ("history", "limit", f"must be a whole number from 1 to {MAX_MESSAGES}"),
    ],
)
@pytest.mark.parametrize("value", NOT_NUMBERS)
def test_an_integer_field_must_be_an_integer_in_range(kind: str, field: str, why: str, value: object) -> None:
    error = bad_field({"type": kind, "room": "tea", field: value})
    assert error.text == f'{kind}: "{field}" {why}'


@pytest.mark.parametrize("kind", ["mute", "ban"])
@pytest.mark.parametrize("value", [value for value in NOT_NUMBERS if value not in (7.0, 7.5, 1e3)] + [1e16, -0.001])
def test_seconds_must_be_a_number_in_range(kind: str, value: object) -> None:
    error = bad_field({"type": kind, "room": "tea", "name": "bob", "seconds": value})
    assert error.text == f'{kind}: "seconds" must be a number of seconds, 0 or greater'


@pytest.mark.parametrize("seconds", [0, 0.0, 0.001, 60, 60.5, 1e3, 100 * 366 * 86_400])
def test_seconds_may_have_a_fraction(seconds: float) -> None:
    assert parsed("mute", room="tea", name="bob", seconds=seconds) == Mute("tea", "bob", seconds)


@pytest.mark.parametrize(("limit", "since"), [(1, 0), (MAX_MESSAGES, MAX_NUMBER)])
def test_the_smallest_and_largest_numbers_are_valid(limit: int, since: int) -> None:
    assert parsed("history", room="tea", limit=limit, since=since) == History("tea", since=since, limit=limit)


@pytest.mark.parametrize("limit", [0, MAX_MESSAGES + 1])
def test_a_limit_out_of_range_is_an_error(limit: int) -> None:
    assert bad_field({"type": "history", "room": "tea", "limit": limit}).why == "must be a whole number from 1 to 1000"


@pytest.mark.parametrize("name", ["", " ", "two words", "x" * 33, "a/b", "<b>", "a\n", "💬", "a:b"])
def test_a_name_field_must_be_a_valid_name(name: str) -> None:
    rule = "1 to 32 letters, digits, '-', '_' or '.'"
    assert bad_field({"type": "nick", "name": name}).text == f'nick: "name" must be {rule}'
    assert bad_field({"type": "whisper", "to": name, "text": "hi"}).text == f'whisper: "to" must be {rule}'
    assert bad_field({"type": "join", "room": name}).text == f'join: "room" must be {rule}'
    for kind in ("kick", "op"):
        assert bad_field({"type": kind, "room": "tea", "name": name}).text == f'{kind}: "name" must be {rule}'


def test_names_are_normalized_and_rooms_are_replaced_by_their_key() -> None:
    assert parsed("nick", name="Ｚｏｅ\u0308") == Nick("Zoë")
    assert parsed("whisper", to="ＢＯＢ", text="hi") == Whisper("BOB", "hi")
    assert parsed("join", room="ＴＥＡ") == parsed("join", room="Tea") == Join("tea")
    assert parsed("kick", room="Tea", name="ＢＯＢ") == Kick("tea", "BOB")


@pytest.mark.parametrize("room", ["Tea", "STRASSE", "Straße", "ΣΊΣΥΦΟΣ", "İstanbul", "ß" * 17])
def test_the_shown_name_of_a_room_is_parsed_to_the_same_room(room: str) -> None:
    """A client uses the name of the room in the event `joined`."""
    try:
        joined = parsed("join", room=room)
    except BadField:
        return  # the name itself is invalid
    assert isinstance(joined, Join)
    assert parsed("say", room=joined.room, text="hi") == Say(joined.room, "hi")


@pytest.mark.parametrize("text", ["", " ", "\n\t", "\u3000"])
@pytest.mark.parametrize("fields", [{"type": "say", "room": "tea"}, {"type": "whisper", "to": "bob"}])
def test_a_blank_text_is_an_error(fields: dict[str, object], text: str) -> None:
    error = bad_field({**fields, "text": text})
    assert error.text == f'{fields["type"]}: "text" must not be blank'


@pytest.mark.parametrize("text", [" hi ", "a\nb", "\0", "💬", "<b>", '"', "/nick", "//", "x" * 60_000])
def test_the_text_of_a_message_is_not_changed(text: str) -> None:
    assert parsed("say", room="tea", text=text) == Say("tea", text)


@pytest.mark.parametrize("address", ["203.0.113.7", "2001:db8::1", "::1"])
@pytest.mark.parametrize(("kind", "record"), [("ban", Ban), ("unban", Unban)])
def test_an_address_can_be_banned(address: str, kind: str, record: type[Ban] | type[Unban]) -> None:
    assert parsed(kind, room="tea", name=address) == record("tea", address)


@pytest.mark.parametrize(("written", "meant"), [("::ffff:203.0.113.7", "203.0.113.7"), ("2001:DB8:0::7", "2001:db8::7")])
def test_addresses_are_normalized(written: str, meant: str) -> None:
    assert parsed("ban", room="tea", name=written) == Ban("tea", meant)


@pytest.mark.parametrize("name", ["Bob Smith", "", "203.0.113.7/24", "@203.0.113.7"])
@pytest.mark.parametrize("kind", ["ban", "mute", "unban"])
def test_a_subject_must_be_a_name_or_an_address(name: str, kind: str) -> None:
    assert bad_field({"type": kind, "room": "tea", "name": name}).why.startswith("must be a name (1 to 32 ")


@pytest.mark.parametrize(
    "name", [":", ":::", "2001:db8", "2001:db8::/32", "203.0.113.7:80", "a:b", ":" + "x" * 10_000, ":\0"], ids=lambda name: repr(name[:20])
)
def test_a_text_with_a_colon_must_be_a_valid_address(name: str) -> None:
    """Otherwise the moderator would get an ack for a ban without effect."""
    for kind in ("ban", "unban"):
        bad_field({"type": kind, "room": "tea", "name": name})


# Ids


@pytest.mark.parametrize("request_id", ["", "a", "x" * 128, "ü" * 128, "a\nb", 0, 1, -1, MAX_NUMBER, -MAX_NUMBER])
def test_an_id_is_a_string_or_an_integer(request_id: str | int) -> None:
    assert parsed("rooms", id=request_id) == ListRooms(id=request_id)
    assert id_in(json.dumps({"id": request_id})) == request_id


@pytest.mark.parametrize(
    "request_id",
    ["x" * 129, "\ud800", 1.0, 1.5, 1e3, True, False, [], ["a"], {}, MAX_NUMBER + 1, -MAX_NUMBER - 1, 10**4000, float("nan"), 1e400],
)
def test_other_ids_are_errors(request_id: object) -> None:
    error = bad_field({"type": "rooms", "id": request_id})
    assert error.text.startswith('rooms: "id" must ')
    assert id_in(json.dumps({"type": "rooms", "id": request_id})) is None


def test_a_string_and_an_integer_are_different_ids() -> None:
    assert parsed("rooms", id=1) != parsed("rooms", id="1")


@pytest.mark.parametrize(
    ("text", "request_id"),
    [
        ('{"id": 7}', 7),
        ('{"id": "a", "type": "fly"}', "a"),
        ('{"type": "say", "room": 5, "id": "a"}', "a"),
        ('{"type": "rooms", "colour": 1, "id": 0}', 0),
        ('{"id": 1, "id": 2}', 2),
        ('{"id": null}', None),
        ("{}", None),
        ('{"id": 7', None),
        ("", None),
        ("null", None),
        ("[7]", None),
        ('"id"', None),
        ("7", None),
    ],
)
def test_the_id_of_an_invalid_request_is_found(text: str, request_id: str | int | None) -> None:
    assert id_in(text) == request_id


# Invalid requests

DEEP = 100_000


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "hello",
        "{",
        '{"type": "rooms"',
        '{"type": "rooms"} {"type": "rooms"}',
        "{'type': 'rooms'}",
        '{"type": "rooms",}',
        '{"type": "say", "room": "tea", "text": "a\nb"}',  # a line break in a text is written \n
        "\ufeff{}",
        "[" * DEEP,
        "[" * DEEP + "]" * DEEP,
        '{"a":' * DEEP,
        '{"type":"rooms","id":' + "[" * DEEP + "]" * DEEP + "}",
        '{"type": "history", "room": "tea", "limit": ' + "9" * 5000 + "}",
        "null",
        "true",
        "5",
        "NaN",
        '"rooms"',
        "[]",
        '[{"type": "rooms"}]',
    ],
    ids=lambda text: repr(text[:30]),
)
def test_a_request_must_be_one_json_object(text: str) -> None:
    error = rejected(text)
    assert (error.code, error.seconds) == ("bad-request", None)
    assert error.text.startswith("A request must be one JSON object")
    assert id_in(text) is None


@pytest.mark.parametrize(
    "text",
    [
        '{"type":"who","room":[' + "{}," * 20_000 + "{}]}",
        '{"type":"who","room":[' + "1," * 30_000 + "1]}",
        '{"type":"who","room":' + '{"a":' * 3000 + "1" + "}" * 3000 + "}",
        '{"type":"who",' + " " * 60_000 + '"room":"tea"}',
        '{"type":"who","room":[' + '"",' * 20_000 + '""]}',
        '"\\"' * 16_000 + "\\",
        '"' + '\\"' * 32_000,
        '"' + '\\"' * 32_000 + "\\",
        '"' * 65_536,
        '{"' + "\\" * 65_000,
    ],
    ids=range(10),
)
def test_large_structures_are_rejected_before_they_are_parsed(text: str) -> None:
    begun = thread_time()
    assert rejected(text).code == "bad-request"
    assert thread_time() - begun < 0.02


def test_a_long_text_does_not_count_as_a_structure() -> None:
    text = '[{"a":1},"\\\n' * 4000
    request = {"type": "say", "room": "tea", "text": text}
    assert parse_action(json.dumps(request)) == Say("tea", text)
    assert parse_action(json.dumps(request, indent=8)) == Say("tea", text)


@pytest.mark.parametrize(
    "kind", ["fly", "", "Join", "JOIN", "join ", "say\0", "\ud800", "message", "type", None, 5, True, [], ["join"], {}]
)
def test_an_unknown_type_is_an_error(kind: object) -> None:
    error = rejected(json.dumps({"type": kind, "room": "tea", "id": 5}))
    assert error.code == "bad-request"
    assert error.text == f'"type" must be one of {", ".join(sorted(kind.type for kind in KINDS))}.'


def test_a_missing_type_is_an_error() -> None:
    assert rejected('{"room": "tea"}').text.startswith('"type" must be one of ban, ')
    assert rejected("{}").code == "bad-request"


def test_the_last_of_two_fields_counts() -> None:
    assert parse_action('{"type": "nick", "name": "a", "name": "b"}') == Nick("b")


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "x" * 50_000},
        {"type": "rooms", "x" * 50_000: 1},
        {"type": "rooms", "\U000e0001" * 15_000: 1},  # each is shown as ten characters
        {"type": "nick", "name": "x" * 50_000},
        {"type": "ban", "room": "tea", "name": "x" * 50_000},
        {"type": "rooms", "id": "x" * 50_000},
    ],
    ids=["type", "field", "field that cannot be shown", "name", "name or address", "id"],
)
def test_errors_are_short_for_long_requests(fields: dict[str, object]) -> None:
    """Otherwise a client could make the server send more than it sends itself."""
    assert len(rejected(json.dumps(fields)).text) < 500


# Any input

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=5), values, max_size=3),
    max_leaves=10,
)
FIELD_NAMES = sorted({"type", "colour", *(field.name for kind in KINDS for field in dataclasses.fields(kind))})
NEAR_REQUESTS = st.builds(
    lambda kind, fields: {"type": kind, **fields},
    st.sampled_from([kind.type for kind in KINDS]),
    st.dictionaries(st.sampled_from(FIELD_NAMES), ANYTHING | st.sampled_from(["tea", "bob", "::1", 1, 0.5]), max_size=6),
)


def check_parsed_or_rejected(text: str) -> None:
    found, request_id = outcome(text), id_in(text)
    assert request_id is None or type(request_id) in (str, int)
    if isinstance(found, Rejected):
        assert found.code in ("bad-request", "bad-field")
        assert found.text
        found.text.encode()  # it can be sent
    else:
        assert type(found) in KINDS
        assert found.id == request_id


@given(st.text(st.characters()))
def test_any_text_is_a_request_or_is_rejected(text: str) -> None:
    check_parsed_or_rejected(text)


@given(ANYTHING)
def test_any_json_is_a_request_or_is_rejected(value: object) -> None:
    check_parsed_or_rejected(json.dumps(value))


@given(NEAR_REQUESTS, st.data())
def test_any_object_like_a_request_is_a_request_or_is_rejected(fields: dict[str, object], data: st.DataObject) -> None:
    text = json.dumps(fields)
    check_parsed_or_rejected(text)
    check_parsed_or_rejected(text[: data.draw(st.integers(0, len(text)))])


NAMES = st.text(min_size=1, max_size=32).map(normalize_name).filter(lambda name: name is not None).map(str)
ROOM_NAMES = NAMES.map(key_of).filter(lambda key: normalize_name(key) == key)
LINES = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=field_types.MAX_LINE).map(lambda text: " ".join(text.split()))
# Valid values of the fields of each type, in normal form.
VALUES: dict[object, st.SearchStrategy[Any]] = {
    field_types.ActionId: st.none() | st.text(max_size=128) | st.integers(-MAX_NUMBER, MAX_NUMBER),
    field_types.Flag: st.booleans(),
    field_types.Limit: st.integers(1, MAX_MESSAGES),
    field_types.Line: LINES,
    field_types.Name: NAMES,
    field_types.NameOrAddress: NAMES,
    field_types.Number: st.integers(0, MAX_NUMBER),
    field_types.RoomName: ROOM_NAMES,
    field_types.Seconds: st.integers(0, 100 * 366 * 86_400) | st.floats(0, 100 * 366 * 86_400),
    field_types.Secret: st.from_regex(r"\A[A-Za-z0-9_-]{22,128}\Z"),
    field_types.String: st.text(),
    field_types.Text: st.text().filter(str.strip),
}


def values_of(kind: type[AnyAction]) -> dict[str, st.SearchStrategy[Any]]:
    hints = get_type_hints(kind, include_extras=True)
    return {field.name: value_of(hints[field.name]) for field in dataclasses.fields(kind)}


def value_of(hint: Any) -> st.SearchStrategy[Any]:
    """A value for a field of this type, which may be `Annotated[...] | None`."""
    if hint in VALUES:
        return VALUES[hint]
    return st.none() | VALUES[get_args(hint)[0]]


REQUESTS = st.sampled_from(KINDS).flatmap(lambda kind: st.builds(kind, **values_of(kind)))


@given(REQUESTS, st.booleans())
def test_actions_survive_a_round_trip_through_json(request: AnyAction, ascii_only: bool) -> None:
    fields = {"type": request.type, **vars(request)}
    assert parse_action(json.dumps(fields, ensure_ascii=ascii_only)) == request
    assert make_action(fields) == request
