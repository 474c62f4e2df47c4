"""A message as requests have it, and what it has to be like.

A payload is any JSON value, kept as its exact bytes, never decoded and written anew; or bytes of another content type.
"""

import base64
import re
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType, field

from mqops.codec.payload import OCTETS, is_content_type, is_json, is_json_text
from mqops.errors import InvalidRequest, SerializationFailed

MAX_KEY_BYTES = 1_024
MAX_HEADERS = 64
LONGEST_TTL_MS = 3650 * 86_400_000
"""As the longest retention."""
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")
"""What a webhook can carry: RFC 9110, section 5.6.2."""
_TOKEN = re.compile(r"[\x20-\x7e]{1,255}")
_LAST_TIMESTAMP_MS = 253_402_300_799_999
"""The end of the year 9999: what RFC 3339 can write."""

Timestamp = int | Annotated[datetime, Meta(tz=True)]

_text_decoder = msgspec.json.Decoder(str)


class MessageBody(Struct, forbid_unknown_fields=True, gc=False, kw_only=True):
    """One message of a request."""

    payload: Raw | UnsetType = UNSET
    key: str | None = None
    headers: dict[str, str] | None = None
    partition: int | None = None
    timestamp: Timestamp | None = None
    idempotency_key: str | None = field(default=None, name="idempotencyKey")
    correlation_id: str | None = field(default=None, name="correlationId")
    content_type: str | None = field(default=None, name="contentType")
    ttl_ms: int | None = field(default=None, name="ttlMs")
    expires_at: Timestamp | None = field(default=None, name="expiresAt")
    payload_encoding: Literal["base64"] | None = field(default=None, name="payloadEncoding")

    @property
    def timestamp_ms(self) -> int | None:
        """When the event happened, if the publisher says (ms since 1970)."""
        return _in_ms(self.timestamp)

    @property
    def expires(self) -> str:
        """When it expires, as ``NewMessage.expires`` has it."""
        if self.ttl_ms is None:
            return "" if self.expires_at is None else str(_in_ms(self.expires_at))
        return f"+{self.ttl_ms}"

    @property
    def data(self) -> bytes:
        """The payload's bytes. Only of a message that was checked: it has one."""
        return bytes(self.payload) if not isinstance(self.payload, UnsetType) else b""

    @property
    def is_there(self) -> bool:
        """Whether anything of a message is given."""
        return any(getattr(self, name) not in (None, UNSET) for name in MessageBody.__struct_fields__)


def check_all(messages: list[MessageBody], where: str) -> None:
    """Raises ``InvalidRequest``, naming the field; ``where`` is what stands before ``messages`` in the body."""
    for index, message in enumerate(messages):
        if message.payload is UNSET:
            raise InvalidRequest(f"{where}messages[{index}] needs a payload")
        if (
            message.key is not None
            or message.headers
            or message.timestamp is not None
            or message.idempotency_key is not None
            or message.correlation_id is not None
            or message.content_type is not None
            or message.payload_encoding is not None
            or message.ttl_ms is not None
            or message.expires_at is not None
        ):
            _take_in(message, f"{where}messages[{index}]")
            check(message, f"{where}messages[{index}]")


def check(message: MessageBody, where: str) -> None:
    """One message, at ``where``. Raises ``InvalidRequest``, and ``SerializationFailed`` for what is not the JSON that
    its type says."""
    if message.key is not None and not 1 <= len(message.key.encode()) <= MAX_KEY_BYTES:
        raise InvalidRequest(f"{where}.key has 1 to {MAX_KEY_BYTES} bytes")
    if message.idempotency_key is not None:
        check_token(message.idempotency_key, f"{where}.idempotencyKey")
    if message.correlation_id is not None:
        check_token(message.correlation_id, f"{where}.correlationId")
    if message.headers:
        check_headers(message.headers, f"{where}.headers")
    if message.content_type is not None:
        if not is_content_type(message.content_type):
            raise InvalidRequest(f"{where}.contentType is no content type, such as text/plain")
        if is_json(message.content_type) and not is_json_text(message.data):
            raise SerializationFailed(f"{where}.payload is not JSON, as its content type says")
    if message.timestamp is not None:
        _check_time(message.timestamp, f"{where}.timestamp")
    if message.expires_at is not None:
        _check_time(message.expires_at, f"{where}.expiresAt")
    if message.ttl_ms is not None and not 1 <= message.ttl_ms <= LONGEST_TTL_MS:
        raise InvalidRequest(f"{where}.ttlMs is in milliseconds, from 1 to {LONGEST_TTL_MS}")
    if message.ttl_ms is not None and message.expires_at is not None:
        raise InvalidRequest(f"{where} has either ttlMs or expiresAt, not both")


def _check_time(time: Timestamp, field: str) -> None:
    if not 0 <= (_in_ms(time) or 0) <= _LAST_TIMESTAMP_MS:
        raise InvalidRequest(f"{field} is in milliseconds since 1970, or RFC 3339 text")


def _in_ms(time: Timestamp | None) -> int | None:
    return round(time.timestamp() * 1000) if isinstance(time, datetime) else time


def check_token(text: str, field: str) -> str:
    """``text``, when it can be an idempotency key or a correlation id. Raises ``InvalidRequest``."""
    if not _TOKEN.fullmatch(text):
        raise InvalidRequest(f"{field} has 1 to 255 printable ASCII characters")
    return text


def check_headers(headers: dict[str, str], field: str) -> None:
    """Raises ``InvalidRequest``, naming the ``field``."""
    if len(headers) > MAX_HEADERS:
        raise InvalidRequest(f"{field} are {len(headers)}, at most {MAX_HEADERS} are taken")
    for name in headers:
        if not _HEADER_NAME.fullmatch(name):
            raise InvalidRequest(f"{field}: {name!r} is not a header's name: use letters, digits and -")


def _take_in(message: MessageBody, where: str) -> None:
    """What comes as base64 is bytes from here on."""
    if message.payload_encoding is not None:
        message.content_type = message.content_type or OCTETS
        message.payload = Raw(_decoded(message.data, where))
    elif message.content_type is not None and not is_json(message.content_type):
        raise InvalidRequest(
            f'{where}.contentType is not JSON, and the payload is: send base64 of it with "payloadEncoding": "base64"'
        )


def _decoded(text: bytes, where: str) -> bytes:
    try:
        return base64.b64decode(_text_decoder.decode(text), validate=True)
    except (msgspec.MsgspecError, ValueError) as error:
        raise InvalidRequest(f"{where}.payload is not the base64 that payloadEncoding says") from error
