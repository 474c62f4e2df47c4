"""Payloads: stored as the bytes that came, read as values where an expression needs one, shown as JSON to pullers.

What its content type calls JSON is JSON: whoever takes a payload in has seen to that. All else is bytes.
"""

import base64
import re
from functools import lru_cache
from typing import Any

import msgspec

JSON = "application/json"
OCTETS = "application/octet-stream"

_WORD = r"[A-Za-z0-9!#$&^_.+-]{1,127}"
_CONTENT_TYPE = re.compile(rf"{_WORD}/{_WORD}(?:[ \t]*;[\x20-\x7e]*)?")
"""RFC 6838, section 4.2; of parameters, what a header can carry."""
_LONGEST_CONTENT_TYPE = 255

_decoder = msgspec.json.Decoder()


def payload_value(content_type: str, data: bytes) -> Any:
    """What an expression sees of a payload: its value when it is JSON, and None when it is not (or is nested too
    deeply to be read)."""
    if not is_json(content_type):
        return None
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def payload_as_json(content_type: str, data: bytes) -> bytes:
    """``data`` as a JSON text to put into an answer: itself when it is JSON, else a string of its base64."""
    return data if is_json(content_type) else b'"' + base64.b64encode(data) + b'"'


def is_json(content_type: str) -> bool:
    """Whether ``content_type`` says JSON, or what is written in it (RFC 6839, section 3.1), whatever its parameters."""
    return content_type == JSON or _says_json(content_type)


@lru_cache(maxsize=1_000)
def _says_json(content_type: str) -> bool:
    bare = content_type.partition(";")[0].strip().lower()
    return bare == JSON or bare.endswith("+json")


def is_content_type(text: str) -> bool:
    """Whether ``text`` can stand as a content type."""
    return len(text) <= _LONGEST_CONTENT_TYPE and _CONTENT_TYPE.fullmatch(text) is not None


def is_json_text(data: bytes) -> bool:
    """Whether ``data`` can stand in a JSON document as it is."""
    try:
        data.decode()
        _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True
