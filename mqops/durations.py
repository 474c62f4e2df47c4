"""Durations and sizes as manifests write them: ``250ms``, ``30s``, ``15m``, ``7d``; ``64KiB``, ``1MiB``.

Inside the program a duration is an ``int`` of milliseconds and a size an ``int`` of bytes. Text is read and written
here and nowhere else, so that one meaning has one spelling and a plan shows no difference where there is none.
"""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_BYTES = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}

DURATION_PATTERN = r"^(0|[0-9]+(\.[0-9]+)?(ms|s|m|h|d))$"
SIZE_PATTERN = r"^[0-9]+(B|KiB|MiB|GiB)$"


def parse_duration(text: str) -> int:
    """Milliseconds in ``text``; raises ``ValueError`` naming what is accepted."""
    if text == "0":
        return 0
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)", text)
    if match is None:
        raise ValueError(f"{text!r} is not a duration: write a number and a unit, like 250ms, 30s, 15m, 12h or 7d")
    milliseconds = float(match[1]) * _MS[match[2]]
    if milliseconds != int(milliseconds):
        raise ValueError(f"{text!r} is finer than a millisecond")
    return int(milliseconds)


def format_duration(milliseconds: int) -> str:
    """The shortest spelling that ``parse_duration`` reads back: the largest unit that divides it."""
    if milliseconds == 0:
        return "0s"
    unit = next(unit for unit in ("d", "h", "m", "s", "ms") if milliseconds % _MS[unit] == 0)
    return f"{milliseconds // _MS[unit]}{unit}"


def parse_size(text: str) -> int:
    """Bytes in ``text``; raises ``ValueError`` naming what is accepted."""
    match = re.fullmatch(r"([0-9]+)(B|KiB|MiB|GiB)", text)
    if match is None:
        raise ValueError(f"{text!r} is not a size: write a number and a unit, like 512B, 64KiB, 1MiB or 2GiB")
    return int(match[1]) * _BYTES[match[2]]


def format_size(size_bytes: int) -> str:
    """The shortest spelling that ``parse_size`` reads back."""
    if size_bytes == 0:
        return "0B"
    unit = next(unit for unit in ("GiB", "MiB", "KiB", "B") if size_bytes % _BYTES[unit] == 0)
    return f"{size_bytes // _BYTES[unit]}{unit}"


def _read_duration(value: Any) -> Any:
    if isinstance(value, str):
        return parse_duration(value)
    raise ValueError("write a duration as text: a number and a unit, like 30s")


def _read_size(value: Any) -> Any:
    if isinstance(value, str):
        return parse_size(value)
    raise ValueError("write a size as text: a number and a unit, like 1MiB")


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
