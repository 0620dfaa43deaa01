"""The negotiation of compression in the opening handshake (RFC 7692, sections 5 and 7.1; RFC 6455, section 9.1)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wschat.errors import UsageError
from wschat.protocol.deflate import Deflate, accept_answer, accept_offer, offer, parse_extensions

PMD = "permessage-deflate"


# The header


@pytest.mark.parametrize(
    ("header", "extensions"),
    [
        ("", []),
        ("foo", [("foo", [])]),
        ("foo; bar", [("foo", [("bar", None)])]),
        ("foo;bar=1;baz", [("foo", [("bar", "1"), ("baz", None)])]),
        (" foo ; bar = 1 , baz ", [("foo", [("bar", "1")]), ("baz", [])]),
        ('foo; bar="1"; baz=a-b', [("foo", [("bar", "1"), ("baz", "a-b")])]),
        ("foo; bar, foo; bar=2", [("foo", [("bar", None)]), ("foo", [("bar", "2")])]),
        ("Foo; BAR=Baz", [("foo", [("bar", "Baz")])]),
        ("foo; bar; bar", [("foo", [("bar", None), ("bar", None)])]),
    ],
)
def test_extensions_are_read_in_order_with_their_parameters(
    header: str, extensions: list[tuple[str, list[tuple[str, str | None]]]]
) -> None:
    assert list(parse_extensions(header)) == extensions


@pytest.mark.parametrize("header", ["foo, ", ", foo", "foo, , bar", ",", " "])
def test_empty_list_elements_are_ignored(header: str) -> None:
    # RFC 9110, section 5.6.1.2. They occur when several headers are joined and one of them is empty.
    assert [name for name, _ in parse_extensions(header)] == [name.strip() for name in header.split(",") if name.strip()]


MALFORMED = [
    "foo;",
    "foo; ",
    "foo;;bar",
    "foo; =1",
    "foo; bar=",
    'foo; bar="',
    'foo; bar=""',
    'foo; bar="a b"',
    "foo; bar=a b",
    "foo bar",
    "foo=1",
    "; foo",
    "foo@",
    "föö",
    "foo, @",
]


@pytest.mark.parametrize("header", MALFORMED)
def test_a_malformed_header_is_an_error(header: str) -> None:
    with pytest.raises(ValueError, match="malformed"):
        list(parse_extensions(header))


bits_of_headers = st.sampled_from(
    [PMD, "foo", "server_no_context_takeover", "client_max_window_bits", "server_max_window_bits", "8", "10", *';;;,,== "@']
)
any_headers = st.text() | st.lists(bits_of_headers, max_size=12).map("".join)


@given(any_headers)
def test_any_offer_is_accepted_or_declined(header: str) -> None:
    accepted = accept_offer(header, Deflate())
    if accepted is not None:
        answer, negotiated = accepted
        assert [name for name, _ in parse_extensions(answer)] == [PMD]
        assert negotiated.deflater(is_client=False).deflate(b"") == b"\x00"


@given(any_headers)
def test_any_answer_is_accepted_or_an_error(header: str) -> None:
    try:
        negotiated = accept_answer(header, Deflate())
    except ValueError:
        return
    assert negotiated is None or negotiated.deflater(is_client=True).deflate(b"") == b"\x00"


# Server side


ACCEPTED_OFFERS = [
    pytest.param(PMD, Deflate(), PMD, Deflate(), id="no parameters"),
    pytest.param(f"{PMD}; client_max_window_bits", Deflate(), PMD, Deflate(), id="the offer of browsers"),
    pytest.param(f" {PMD.upper()} ;Client_Max_Window_Bits ", Deflate(), PMD, Deflate(), id="case and spaces"),
    pytest.param(
        f"{PMD}; server_no_context_takeover",
        Deflate(),
        f"{PMD}; server_no_context_takeover",
        Deflate(server_no_context_takeover=True),
        id="server_no_context_takeover is requested",
    ),
    pytest.param(
        f"{PMD}; client_no_context_takeover",
        Deflate(),
        f"{PMD}; client_no_context_takeover",
        Deflate(client_no_context_takeover=True),
        id="client_no_context_takeover is announced",
    ),
    pytest.param(
        PMD,
        Deflate(server_no_context_takeover=True, client_no_context_takeover=True),
        f"{PMD}; server_no_context_takeover; client_no_context_takeover",
        Deflate(server_no_context_takeover=True, client_no_context_takeover=True),
        id="the server wants no context takeover",
    ),
    pytest.param(
        f"{PMD}; server_max_window_bits=10",
        Deflate(),
        f"{PMD}; server_max_window_bits=10",
        Deflate(server_max_window_bits=10),
        id="server_max_window_bits",
    ),
    pytest.param(
        f'{PMD}; server_max_window_bits="10"; client_max_window_bits="11"',
        Deflate(),
        f"{PMD}; server_max_window_bits=10; client_max_window_bits=11",
        Deflate(server_max_window_bits=10, client_max_window_bits=11),
        id="quoted values",
    ),
    pytest.param(
        f"{PMD}; server_max_window_bits=12",
        Deflate(server_max_window_bits=9),
        f"{PMD}; server_max_window_bits=9",
        Deflate(server_max_window_bits=9),
        id="the server uses a smaller window than requested",
    ),
    pytest.param(
        f"{PMD}; server_max_window_bits=10",
        Deflate(server_max_window_bits=12),
        f"{PMD}; server_max_window_bits=10",
        Deflate(server_max_window_bits=10),
        id="the server uses the smaller requested window",
    ),
    pytest.param(
        PMD,
        Deflate(server_max_window_bits=11),
        f"{PMD}; server_max_window_bits=11",
        Deflate(server_max_window_bits=11),
        id="the server announces its window",
    ),
    pytest.param(
        f"{PMD}; server_max_window_bits=15", Deflate(), f"{PMD}; server_max_window_bits=15", Deflate(), id="the largest window is confirmed"
    ),
    pytest.param(
        f"{PMD}; client_max_window_bits",
        Deflate(client_max_window_bits=10),
        f"{PMD}; client_max_window_bits=10",
        Deflate(client_max_window_bits=10),
        id="the window of the client is limited",
    ),
    pytest.param(PMD, Deflate(client_max_window_bits=10), PMD, Deflate(), id="the window of the client cannot be limited"),
    pytest.param(
        f"{PMD}; client_max_window_bits=9",
        Deflate(client_max_window_bits=12),
        f"{PMD}; client_max_window_bits=9",
        Deflate(client_max_window_bits=9),
        id="the client uses a smaller window than the server wants",
    ),
    pytest.param(
        f"{PMD}; client_max_window_bits=14",
        Deflate(client_max_window_bits=12),
        f"{PMD}; client_max_window_bits=12",
        Deflate(client_max_window_bits=12),
        id="the client uses the smaller window that the server wants",
    ),
    pytest.param(
        f"{PMD}; client_max_window_bits=8",
        Deflate(),
        f"{PMD}; client_max_window_bits=8",
        Deflate(client_max_window_bits=8),
        id="the smallest client_max_window_bits",
    ),
    pytest.param(f"x-webkit-deflate-frame, {PMD}", Deflate(), PMD, Deflate(), id="after another extension"),
    pytest.param(f"{PMD}; server_max_window_bits=8, {PMD}", Deflate(), PMD, Deflate(), id="a second offer, the first is impossible"),
    pytest.param(f"{PMD}; unknown, {PMD}", Deflate(), PMD, Deflate(), id="a second offer, the first is unknown"),
    pytest.param(
        f"{PMD}; server_no_context_takeover, {PMD}",
        Deflate(),
        f"{PMD}; server_no_context_takeover",
        Deflate(server_no_context_takeover=True),
        id="the first acceptable offer",
    ),
]


@pytest.mark.parametrize(("header", "wanted", "answer", "negotiated"), ACCEPTED_OFFERS)
def test_the_first_acceptable_offer_is_accepted(header: str, wanted: Deflate, answer: str, negotiated: Deflate) -> None:
    assert accept_offer(header, wanted) == (answer, negotiated)


INVALID_PARAMETERS = [
    "unknown",
    "unknown=1",
    "server_no_context_takeover=true",
    "client_no_context_takeover=1",
    "server_no_context_takeover; server_no_context_takeover",
    "client_no_context_takeover; client_no_context_takeover",
    "server_max_window_bits=10; server_max_window_bits=10",
    "client_max_window_bits=10; client_max_window_bits=12",
    "server_max_window_bits",
    *(f"{name}_max_window_bits={bits}" for name in ("server", "client") for bits in ("0", "7", "16", "010", "+9", "-9", "9.0", "a", "100")),
    'server_max_window_bits="7"',
]
DECLINED_OFFERS = [
    "",
    "foo",
    "permessage-bzip2",
    *(f"{PMD}; {parameters}" for parameters in INVALID_PARAMETERS),
    f"{PMD}; client_max_window_bits; client_max_window_bits",
    f"{PMD}; server_max_window_bits=8",
    *(f"{PMD}, {header}" for header in MALFORMED),
]


@pytest.mark.parametrize("header", DECLINED_OFFERS)
def test_an_unacceptable_offer_is_declined(header: str) -> None:
    assert accept_offer(header, Deflate()) is None


def test_a_server_with_a_window_that_zlib_lacks_declines() -> None:
    assert accept_offer(PMD, Deflate(server_max_window_bits=8)) is None


# Client side


@pytest.mark.parametrize(
    ("wanted", "header"),
    [
        (Deflate(), f"{PMD}; client_max_window_bits"),
        (
            Deflate(server_no_context_takeover=True, client_no_context_takeover=True),
            f"{PMD}; server_no_context_takeover; client_no_context_takeover; client_max_window_bits",
        ),
        (Deflate(server_max_window_bits=10), f"{PMD}; server_max_window_bits=10; client_max_window_bits"),
        (Deflate(client_max_window_bits=11), f"{PMD}; client_max_window_bits=11"),
    ],
)
def test_a_client_offers_its_settings(wanted: Deflate, header: str) -> None:
    assert offer(wanted) == header


ACCEPTED_ANSWERS = [
    ("", Deflate(), None),
    (PMD, Deflate(), Deflate()),
    (f"{PMD}; server_no_context_takeover", Deflate(), Deflate(server_no_context_takeover=True)),
    (f"{PMD}; client_no_context_takeover", Deflate(), Deflate(client_no_context_takeover=True)),
    (f"{PMD}; server_max_window_bits=10", Deflate(), Deflate(server_max_window_bits=10)),
    (f"{PMD}; server_max_window_bits=8", Deflate(), Deflate(server_max_window_bits=8)),
    (f'{PMD}; client_max_window_bits="10"', Deflate(), Deflate(client_max_window_bits=10)),
    (f"{PMD}; server_max_window_bits=9", Deflate(server_max_window_bits=10), Deflate(server_max_window_bits=9)),
    (f"{PMD}; server_max_window_bits=10", Deflate(server_max_window_bits=10), Deflate(server_max_window_bits=10)),
    (PMD, Deflate(client_max_window_bits=10), Deflate(client_max_window_bits=10)),
    (f"{PMD}; client_max_window_bits=9", Deflate(client_max_window_bits=10), Deflate(client_max_window_bits=9)),
    (PMD, Deflate(client_no_context_takeover=True), Deflate(client_no_context_takeover=True)),
    (
        f"{PMD}; server_no_context_takeover",
        Deflate(server_no_context_takeover=True),
        Deflate(server_no_context_takeover=True),
    ),
]


@pytest.mark.parametrize(("answer", "wanted", "negotiated"), ACCEPTED_ANSWERS)
def test_an_acceptable_answer_is_accepted(answer: str, wanted: Deflate, negotiated: Deflate | None) -> None:
    assert accept_answer(answer, wanted) == negotiated


REFUSED_ANSWERS = [
    ("foo", Deflate()),
    (f"{PMD}, {PMD}", Deflate()),
    (f"{PMD}, foo", Deflate()),
    *((f"{PMD}; {parameters}", Deflate()) for parameters in INVALID_PARAMETERS),
    (f"{PMD}; client_max_window_bits", Deflate()),
    (f"{PMD}; client_max_window_bits=8", Deflate()),
    (PMD, Deflate(server_max_window_bits=10)),
    (f"{PMD}; server_max_window_bits=11", Deflate(server_max_window_bits=10)),
    (PMD, Deflate(server_no_context_takeover=True)),
    *((f"{PMD}; {header}", Deflate()) for header in MALFORMED),
]


@pytest.mark.parametrize(("answer", "wanted"), REFUSED_ANSWERS)
def test_an_unacceptable_answer_is_an_error(answer: str, wanted: Deflate) -> None:
    with pytest.raises(ValueError, match=r"malformed|the server"):
        accept_answer(answer, wanted)


settings_of_a_side = st.builds(Deflate, st.booleans(), st.booleans(), st.integers(9, 15), st.integers(9, 15))


@given(settings_of_a_side, settings_of_a_side)
def test_both_sides_negotiate_the_same_within_the_settings_of_each(client: Deflate, server: Deflate) -> None:
    accepted = accept_offer(offer(client), server)
    assert accepted is not None
    answer, negotiated = accepted
    assert accept_answer(answer, client) == negotiated
    for wanted in (client, server):
        assert negotiated.server_max_window_bits <= wanted.server_max_window_bits
        assert negotiated.client_max_window_bits <= wanted.client_max_window_bits
        assert negotiated.server_no_context_takeover >= wanted.server_no_context_takeover
        assert negotiated.client_no_context_takeover >= wanted.client_no_context_takeover


@pytest.mark.parametrize("bits", [-15, 0, 7, 16])
def test_an_invalid_window_is_refused_at_once(bits: int) -> None:
    with pytest.raises(UsageError, match="window bits"):
        Deflate(server_max_window_bits=bits)
    with pytest.raises(UsageError, match="window bits"):
        Deflate(client_max_window_bits=bits)
