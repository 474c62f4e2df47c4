"""What YAML 1.1 reads in a scalar without quotes. Pure.

``no`` is false there, which ``wording`` explains to whom it surprises. Three things that only ever surprise stay text:
dates, numbers in octal or base 60, and numbers with underscores.
"""

import math
import re
from functools import lru_cache
from typing import Any

_WORDS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
}
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})", re.ASCII)
_FLOAT = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?", re.ASCII)


def plain_value(text: str) -> Any:
    """``text`` as null, a truth, a number or text."""
    return text if len(text) > 40 else _short_plain_value(text)


@lru_cache(maxsize=16_384)
def _short_plain_value(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "0123456789+-.":
        return text
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        number = float(text)
        return number if math.isfinite(number) else text
    return text
