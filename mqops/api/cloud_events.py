"""CloudEvents 1.0 over HTTP, taken as they are: binary, structured and batched mode, in JSON.

An event's data is the payload, of the type that the event says; its attributes become headers of the message, ``ce-…``
as binary mode spells them. An event that comes again, known by its source and id, is stored once. Protocol: CloudEvents
1.0.2, its HTTP binding and its JSON format (https://github.com/cloudevents/spec).
"""

import base64
import re
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any
from urllib.parse import unquote

import msgspec
from msgspec import Raw

from mqops.api.edge import Headers, decode
from mqops.api.message_body import MessageBody, Timestamp, check
from mqops.api.publish_body import MAX_MESSAGES
from mqops.api.raw_message import message_in, text_of
from mqops.codec.payload import JSON, OCTETS, is_content_type, is_json
from mqops.errors import InvalidRequest

EVENT, BATCH = b"application/cloudevents", b"application/cloudevents-batch"
_FORMAT = b"+json"
_HEADER = b"ce-"
_REQUIRED = ("specversion", "id", "source", "type")
BINARY = frozenset(_HEADER + name.encode() for name in _REQUIRED)
"""A request that has one of these headers is an event in binary mode."""
_NAME = re.compile(r"[a-z0-9]{1,64}")
"""Of an attribute, by its section "Naming Conventions"; that advises 20 characters at most, and asks for no limit."""
_NOTHING = b"null"

_Members = dict[str, Raw]
_event_decoder = msgspec.json.Decoder(_Members)
_batch_decoder = msgspec.json.Decoder(list[_Members])


def events_of(headers: Headers, content_type: bytes, data: bytes) -> Sequence[MessageBody] | None:
    """The messages that the events of a request are; None when it has none. ``content_type`` is without parameters,
    in lower case. Raises ``InvalidRequest``, naming the attribute, and ``SerializationFailed``."""
    if content_type.startswith(EVENT):
        if content_type == EVENT + _FORMAT:
            return [_structured(decode(_event_decoder, data), "event")]
        if content_type == BATCH + _FORMAT:
            return _batched(decode(_batch_decoder, data))
        raise InvalidRequest(
            "events are taken in JSON: application/cloudevents+json or application/cloudevents-batch+json"
        )
    return None if BINARY.isdisjoint(headers) else [_binary(headers, data)]


def _batched(events: list[_Members]) -> list[MessageBody]:
    if not 1 <= len(events) <= MAX_MESSAGES:
        raise InvalidRequest(f"events: a request has 1 to {MAX_MESSAGES} events, not {len(events)}")
    return [_structured(members, f"events[{index}]") for index, members in enumerate(events)]


def _binary(headers: Headers, data: bytes) -> MessageBody:
    attributes = {
        name[len(_HEADER) :].decode("latin-1"): _unquoted(text_of(headers, name), name)
        for name in headers
        if name.startswith(_HEADER)
    }
    if "datacontenttype" in attributes:
        raise InvalidRequest("event.datacontenttype is the Content-Type of the request in binary mode")
    content_type = text_of(headers, b"content-type") if headers.get(b"content-type") else OCTETS
    message = message_in(headers, data or _NOTHING if is_json(content_type) else data, content_type)
    return _message(attributes, message, "event")


def _unquoted(value: str, name: bytes) -> str:
    """HTTP binding, section 3.1.3.2."""
    try:
        return unquote(value, errors="strict")
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"{name.decode('latin-1')} is not UTF-8") from error


def _structured(members: _Members, where: str) -> MessageBody:
    attributes: dict[str, str] = {}
    for name, raw in members.items():
        if name not in ("data", "data_base64") and bytes(raw) != _NOTHING:
            attributes[name] = _value(raw, f"{where}.{name}")
    content_type = attributes.pop("datacontenttype", JSON)
    message = MessageBody(payload=Raw(_data(members, content_type, where)), content_type=content_type)
    return _message(attributes, message, where)


def _value(raw: Raw, where: str) -> str:
    """An attribute's value as a header has it."""
    value = msgspec.json.decode(raw)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return value
    raise InvalidRequest(f"{where} is text, a whole number, or true or false")


def _data(members: _Members, content_type: str, where: str) -> bytes:
    if "data_base64" in members:
        if "data" in members:
            raise InvalidRequest(f"{where} has either data or data_base64, not both")
        try:
            return base64.b64decode(msgspec.json.decode(members["data_base64"], type=str), validate=True)
        except (msgspec.MsgspecError, ValueError) as error:
            raise InvalidRequest(f"{where}.data_base64 is not base64") from error
    data = bytes(members.get("data", _NOTHING))
    if data.startswith(b'"') and not is_json(content_type):
        text: str = msgspec.json.decode(data)
        return text.encode()
    return data


def _message(attributes: Mapping[str, str], message: MessageBody, where: str) -> MessageBody:
    _check_attributes(attributes, message, where)
    message.headers = {**(message.headers or {}), **{f"ce-{name}": value for name, value in attributes.items()}}
    if "time" in attributes:
        message.timestamp = _time(attributes["time"], f"{where}.time")
    if "expirytime" in attributes:
        message.expires_at = _time(attributes["expirytime"], f"{where}.expirytime")
    message.key = attributes.get("partitionkey", message.key)
    check(message, where)
    # Not what a publisher could give as an idempotency key, so that the two cannot be taken for each other.
    identity = f"{attributes['source']}\0{attributes['id']}".encode()
    message.idempotency_key = f"event\n{blake2b(identity, digest_size=20).hexdigest()}"
    return message


def _check_attributes(attributes: Mapping[str, str], message: MessageBody, where: str) -> None:
    for name in _REQUIRED:
        if not attributes.get(name):
            raise InvalidRequest(f"{where}.{name} is required")
    if attributes["specversion"] != "1.0":
        raise InvalidRequest(f"{where}.specversion is 1.0, the only one that there is")
    for name, value in attributes.items():
        if not _NAME.fullmatch(name):
            raise InvalidRequest(f"{where}.{name}: an attribute's name has lower-case letters and digits")
        if not value and name in ("subject", "dataschema"):
            raise InvalidRequest(f"{where}.{name} is not empty where it is there")
    if message.content_type is not None and not is_content_type(message.content_type):
        raise InvalidRequest(f"{where}.datacontenttype is no content type, such as text/plain")


def _time(text: str, where: str) -> Any:
    try:
        return msgspec.convert(text, Timestamp)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"{where} is RFC 3339 text") from error
