"""Payloads: stored as the bytes that came, read as values where an expression needs one, shown as JSON to pullers.

JSON is the one format of this version. A payload of another content type can only have been written by something
else than mqops; it is carried unharmed, as base64.
"""

import base64
from typing import Any

import msgspec

JSON = "application/json"

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
    """Whether ``content_type`` says JSON, whatever its parameters."""
    return content_type == JSON or content_type.partition(";")[0].strip().lower() == JSON
