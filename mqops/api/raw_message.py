"""A message that a request is, not one that it describes: the body is the payload, byte for byte, of the type that the
request says; what else a message has stands in headers, spelt as webhooks carry it.
"""

from typing import Any

import msgspec
from msgspec import Raw

from mqops.api.edge import Headers, header_of
from mqops.api.message_body import MessageBody, Timestamp, check
from mqops.api.publish_body import Acks, OptionsBody
from mqops.codec.payload import OCTETS, is_content_type
from mqops.errors import InvalidRequest

KEY, PARTITION, TIMESTAMP = b"mqops-key", b"mqops-partition", b"mqops-timestamp"
TTL, EXPIRES = b"mqops-ttl", b"mqops-expires-at"
ACKS, TIMEOUT = b"mqops-acks", b"mqops-timeout"
_ACKS: dict[bytes, Acks] = {b"0": 0, b"1": 1, b"all": "all"}
_MOST_DIGITS = 15
OF_MESSAGE = b"mqops-header-"
"""What the headers of the message's own begin with."""


def content_type_of(headers: Headers) -> str:
    """Raises ``InvalidRequest`` for one that is none."""
    text = header_of(headers, b"content-type") or OCTETS
    if not is_content_type(text):
        raise InvalidRequest("Content-Type is no content type, such as text/plain")
    return text


def raw_message(headers: Headers, data: bytes) -> MessageBody:
    """Raises ``InvalidRequest``, naming the header, and ``SerializationFailed`` for what is not the JSON it is said to
    be."""
    message = message_in(headers, data, content_type_of(headers))
    check(message, "message")
    return message


def message_in(headers: Headers, data: bytes, content_type: str) -> MessageBody:
    """``data`` with what the headers say of it, not checked yet. Raises ``InvalidRequest``."""
    own = {
        name[len(OF_MESSAGE) :].decode("latin-1"): text_of(headers, name)
        for name in headers
        if name.startswith(OF_MESSAGE)
    }
    return MessageBody(
        payload=Raw(data),
        content_type=content_type,
        key=text_of(headers, KEY) if KEY in headers else None,
        headers=own or None,
        partition=_number(headers, PARTITION),
        timestamp=_time(headers, TIMESTAMP),
        ttl_ms=_number(headers, TTL),
        expires_at=_time(headers, EXPIRES),
    )


def raw_options(headers: Headers) -> OptionsBody | None:
    """``options`` of such a request. Raises ``InvalidRequest``."""
    if ACKS not in headers and TIMEOUT not in headers:
        return None
    try:
        acks = _ACKS[headers.get(ACKS, b"1")]
    except KeyError as error:
        raise InvalidRequest("Mqops-Acks is 0, 1 or all") from error
    return OptionsBody(acks=acks, timeout=_number(headers, TIMEOUT))


def text_of(headers: Headers, name: bytes) -> str:
    """A header's value, which is UTF-8. Raises ``InvalidRequest``."""
    try:
        return headers[name].decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"{name.decode('latin-1')} is not UTF-8") from error


def _number(headers: Headers, name: bytes) -> int | None:
    text = headers.get(name)
    if text is None:
        return None
    if not text.isdigit() or len(text) > _MOST_DIGITS:
        raise InvalidRequest(f"{name.decode()} is a whole number")
    return int(text)


def _time(headers: Headers, name: bytes) -> Timestamp | None:
    text = headers.get(name)
    if text is None:
        return None
    try:
        value: Any = int(text) if text.isdigit() else text_of(headers, name)
        found: Timestamp = msgspec.convert(value, Timestamp)
        return found
    except (msgspec.ValidationError, ValueError) as error:
        raise InvalidRequest(f"{name.decode()} is in milliseconds since 1970, or RFC 3339 text") from error
