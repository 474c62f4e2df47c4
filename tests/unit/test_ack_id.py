"""ackIds: what goes in comes out, and nothing else does."""

from hypothesis import given
from hypothesis import strategies as st

from mqops.api.ack_id import HandOut, format_ack_id, parse_ack_id
from mqops.message import Position

hand_outs = st.builds(
    HandOut,
    partition=st.integers(0, 1023),
    position=st.builds(Position, st.integers(0, 2**63), st.integers(0, 2**63)),
    token=st.integers(1, 2**63),
    attempt=st.integers(1, 100),
)


@given(st.uuids().map(str), hand_outs)
def test_an_ack_id_says_what_was_handed_out(subscription: str, hand_out: HandOut) -> None:
    assert parse_ack_id(subscription, format_ack_id(subscription, hand_out)) == hand_out


@given(hand_outs)
def test_an_ack_id_is_44_characters_that_need_no_escaping(hand_out: HandOut) -> None:
    text = format_ack_id("a", hand_out)
    assert len(text) == 44
    assert text.replace("-", "").replace("_", "").isalnum()


@given(hand_outs)
def test_the_ack_id_of_another_subscription_is_none(hand_out: HandOut) -> None:
    assert parse_ack_id("this", format_ack_id("that", hand_out)) is None


@given(st.text() | st.text(alphabet="abcXYZ019-_=", min_size=44, max_size=44))
def test_garbage_is_none(text: str) -> None:
    assert parse_ack_id("subscription", text) is None


def test_another_version_is_none() -> None:
    text = format_ack_id("s", HandOut(0, Position(1, 1), 1, 1))
    assert parse_ack_id("s", "Ag" + text[2:]) is None
