"""Durations and sizes: one meaning, one spelling."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mqops.durations import format_duration, format_size, parse_duration, parse_size
from mqops.errors import InvalidValue


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("250ms", 250), ("30s", 30_000), ("15m", 900_000), ("12h", 43_200_000), ("7d", 604_800_000), ("0", 0), ("0s", 0),
     ("1.5s", 1_500), ("2.3s", 2_300), ("0.001s", 1), ("1.1d", 95_040_000)],
)  # fmt: skip
def test_durations_are_read(text: str, milliseconds: int) -> None:
    assert parse_duration(text) == milliseconds


@pytest.mark.parametrize(
    ("text", "suggestion"),
    [("7 days", "7d"), ("30", "30s"), ("1h30m", "90m"), ("2 weeks", "14d"), ("10 min", "10m"), ("5 Minutes", "5m"),
     ("100 msec", "100ms"), ("1 hour, 30 minutes", "90m"), ("", ""), ("soon", ""), ("-1s", ""), ("1e3s", ""),
     ("٣s", ""), ("1s\n", ""), ("9" * 400 + "d", ""), ("PT30S", ""), ("5 parsecs", ""), ("s", "")],
)  # fmt: skip
def test_what_is_no_duration_is_refused_with_what_was_meant(text: str, suggestion: str) -> None:
    with pytest.raises(InvalidValue, match="is not a duration: write a number and a unit, like 250ms") as caught:
        parse_duration(text)
    assert caught.value.suggestion == suggestion


def test_nothing_is_finer_than_a_millisecond() -> None:
    with pytest.raises(InvalidValue, match=r'"1\.5ms" is finer than a millisecond'):
        parse_duration("1.5ms")


@pytest.mark.parametrize(
    ("text", "size"), [("0B", 0), ("512B", 512), ("64KiB", 65_536), ("1MiB", 2**20), ("2GiB", 2**31)]
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "suggestion"),
    [
        ("64KB", "64KiB"),
        ("1M", "1MiB"),
        ("1 gb", "1GiB"),
        ("512", "512B"),
        ("10 bytes", "10B"),
        ("1.5MiB", ""),
        ("", ""),
    ],
)
def test_what_is_no_size_is_refused_with_what_was_meant(text: str, suggestion: str) -> None:
    with pytest.raises(InvalidValue, match="is not a size: write a number and a unit, like 512B") as caught:
        parse_size(text)
    assert caught.value.suggestion == suggestion


@given(st.integers(0, 10**14))
def test_what_is_written_reads_back_the_same(number: int) -> None:
    assert parse_duration(format_duration(number)) == number
    assert parse_size(format_size(number % 10**12)) == number % 10**12


@pytest.mark.parametrize("parse", [parse_duration, parse_size])
@given(text=st.one_of(st.text(), st.from_regex(r"[0-9. ]{0,20} ?[a-zA-Z]{0,8}", fullmatch=True)))
def test_any_text_is_read_or_refused_and_suggestions_are_right(parse: Callable[[str], int], text: str) -> None:
    try:
        parse(text)
    except InvalidValue as error:
        if error.suggestion:
            parse(error.suggestion)
