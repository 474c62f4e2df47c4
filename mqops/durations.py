"""Durations and sizes as manifests write them: ``250ms``, ``30s``, ``15m``, ``7d``; ``64KiB``, ``1MiB``.

Inside the program a duration is an ``int`` of milliseconds and a size an ``int`` of bytes. Text is read and written
here and nowhere else, so that one meaning has one spelling and a plan shows no difference where there is none.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, WithJsonSchema

from mqops.errors import InvalidValue

_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_BYTES = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}

DURATION_PATTERN = r"^(0|[0-9]{1,15}(\.[0-9]{1,6})?(ms|s|m|h|d))$"
SIZE_PATTERN = r"^[0-9]{1,15}(B|KiB|MiB|GiB)$"

_UNIT_WORDS = {
    **dict.fromkeys(("msec", "msecs", "milli", "millis", "millisecond", "milliseconds"), "ms"),
    **dict.fromkeys(("sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), "m"),
    **dict.fromkeys(("hr", "hrs", "hour", "hours"), "h"),
    **dict.fromkeys(("day", "days"), "d"),
    **{unit: unit for unit in _MS},
}


@lru_cache(maxsize=1024)
def parse_duration(text: str) -> int:
    """Milliseconds in ``text``; raises ``InvalidValue`` naming what is accepted."""
    if text == "0":
        return 0
    match = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,6})?)(ms|s|m|h|d)", text, re.ASCII)
    if match is None:
        raise InvalidValue(
            f'"{text}" is not a duration: write a number and a unit, like 250ms, 30s, 15m, 12h or 7d',
            _near_duration(text),
        )
    milliseconds = Fraction(match[1]) * _MS[match[2]]
    if milliseconds.denominator != 1:
        raise InvalidValue(f'"{text}" is finer than a millisecond')
    return int(milliseconds)


@lru_cache(maxsize=1024)
def format_duration(milliseconds: int) -> str:
    """The shortest spelling that ``parse_duration`` reads back: the largest unit that divides it."""
    if milliseconds == 0:
        return "0s"
    unit = next(unit for unit in ("d", "h", "m", "s", "ms") if milliseconds % _MS[unit] == 0)
    return f"{milliseconds // _MS[unit]}{unit}"


@lru_cache(maxsize=1024)
def parse_size(text: str) -> int:
    """Bytes in ``text``; raises ``InvalidValue`` naming what is accepted."""
    match = re.fullmatch(r"([0-9]{1,15})(B|KiB|MiB|GiB)", text, re.ASCII)
    if match is None:
        raise InvalidValue(
            f'"{text}" is not a size: write a number and a unit, like 512B, 64KiB, 1MiB or 2GiB', _near_size(text)
        )
    return int(match[1]) * _BYTES[match[2]]


def format_size(size_bytes: int) -> str:
    """The shortest spelling that ``parse_size`` reads back."""
    if size_bytes == 0:
        return "0B"
    unit = next(unit for unit in ("GiB", "MiB", "KiB", "B") if size_bytes % _BYTES[unit] == 0)
    return f"{size_bytes // _BYTES[unit]}{unit}"


def _near_duration(text: str) -> str:
    """``7 days`` → ``7d``, ``1h30m`` → ``90m``, ``2 weeks`` → ``14d``; empty when there is no telling."""
    if re.fullmatch(r"[0-9]{1,15}", text.strip(), re.ASCII):
        return f"{text.strip()}s"
    parts = re.findall(r"([0-9]{1,9}) *([a-z]+)", text.lower(), re.ASCII)
    if not parts or re.sub(r"[0-9]{1,9} *[a-z]+|[ ,]", "", text.lower(), flags=re.ASCII):
        return ""
    total = 0
    for number, word in parts:
        days = 7 if word in ("w", "week", "weeks") else 1
        unit = "d" if days == 7 else _UNIT_WORDS.get(word)
        if unit is None:
            return ""
        total += int(number) * days * _MS[unit]
    return format_duration(total)


def _near_size(text: str) -> str:
    """``64 kb`` → ``64KiB``; empty when no number and unit can be made out."""
    match = re.fullmatch(r" *([0-9]{1,15}) *([kmg]?)(?:i?b|bytes?)? *", text.lower(), re.ASCII)
    return f"{match[1]}{match[2].upper()}{'iB' if match[2] else 'B'}" if match else ""


def _read_duration(value: Any) -> Any:
    if isinstance(value, str):
        return parse_duration(value)
    is_number = isinstance(value, int) and not isinstance(value, bool)
    message = "a duration is text, a number and a unit, like 30s"
    raise InvalidValue(f"{value} has no unit: {message}" if is_number else message, f"{value}s" if is_number else "")


def _read_size(value: Any) -> Any:
    if isinstance(value, str):
        return parse_size(value)
    is_number = isinstance(value, int) and not isinstance(value, bool)
    message = "a size is text, a number and a unit, like 1MiB"
    raise InvalidValue(f"{value} has no unit: {message}" if is_number else message, f"{value}B" if is_number else "")


@dataclass(frozen=True, slots=True)
class Within:
    """Refuses what is outside of ``low`` to ``high``, both included and written as in a manifest."""

    low: str
    high: str
    parse: Callable[[str], int]
    spell: Callable[[int], str]

    def __call__(self, value: int) -> int:
        if not self.parse(self.low) <= value <= self.parse(self.high):
            raise InvalidValue(f"{self.spell(value)} is outside of {self.low} to {self.high}")
        return value


def duration_within(low: str, high: str) -> AfterValidator:
    """Refuses a ``Duration`` outside of ``low`` to ``high``, both included and written as in a manifest."""
    return AfterValidator(Within(low, high, parse_duration, format_duration))


def size_within(low: str, high: str) -> AfterValidator:
    """Refuses a ``Size`` outside of ``low`` to ``high``, both included and written as in a manifest."""
    return AfterValidator(Within(low, high, parse_size, format_size))


Duration = Annotated[
    int,
    BeforeValidator(_read_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN, "examples": ["30s", "7d"]}),
]
"""A duration in a manifest; milliseconds in Python."""

Size = Annotated[
    int,
    BeforeValidator(_read_size),
    PlainSerializer(format_size, return_type=str),
    WithJsonSchema({"type": "string", "pattern": SIZE_PATTERN, "examples": ["64KiB", "1MiB"]}),
]
"""A size in a manifest; bytes in Python."""
