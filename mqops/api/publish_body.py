"""The body of a publish request: read strictly. Nothing is accepted and ignored: what is not known is refused by name.

A payload is any JSON value and is kept as its exact bytes, never decoded and written anew.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType, field

from mqops.api.edge import decode
from mqops.errors import InvalidRequest

MAX_MESSAGES = 1_000
MAX_BATCH_MESSAGES = 10_000
"""Of a batch, in all of its requests together."""
MAX_KEY_BYTES = 1_024
MAX_TIMEOUT_MS = 60_000
MAX_HEADERS = 64
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")
"""What a webhook can carry: RFC 9110, section 5.6.2."""
_TOKEN = re.compile(r"[\x20-\x7e]{1,255}")
_LAST_TIMESTAMP_MS = 253_402_300_799_999
"""The end of the year 9999: what RFC 3339 can write."""

Timestamp = int | Annotated[datetime, Meta(tz=True)]


class MessageBody(Struct, forbid_unknown_fields=True, gc=False, kw_only=True):
    """One message of a request."""

    payload: Raw | UnsetType = UNSET
    key: str | None = None
    headers: dict[str, str] | None = None
    partition: int | None = None
    timestamp: Timestamp | None = None
    idempotency_key: str | None = field(default=None, name="idempotencyKey")
    correlation_id: str | None = field(default=None, name="correlationId")

    @property
    def timestamp_ms(self) -> int | None:
        """When the event happened, if the publisher says (ms since 1970)."""
        if isinstance(self.timestamp, datetime):
            return round(self.timestamp.timestamp() * 1000)
        return self.timestamp

    @property
    def data(self) -> bytes:
        """The payload's bytes. Only of a message that was checked: it has one."""
        return bytes(self.payload) if not isinstance(self.payload, UnsetType) else b""

    @property
    def is_there(self) -> bool:
        """Whether anything of a message is given."""
        return any(getattr(self, name) not in (None, UNSET) for name in MessageBody.__struct_fields__)


Acks = Literal[0, 1, "all"]
"""When a publish is answered: at once, when Redis has it, when it is on the Redis server's disk."""


class Options(NamedTuple):
    """How a request is treated."""

    acks: Acks = 1
    timeout_ms: int | None = None
    """How long the caller waits at most; None for as long as it takes."""


DEFAULT_OPTIONS = Options()


class OptionsBody(Struct, forbid_unknown_fields=True):
    """How a request wants to be treated."""

    compression: str = "none"
    acks: Acks = 1
    timeout: int | None = None


class TopicBody(MessageBody, forbid_unknown_fields=True, kw_only=True):
    """A request to a topic or queue that the path names: messages, or one message inline."""

    messages: list[MessageBody] | UnsetType = UNSET
    options: OptionsBody | None = None


class NamingBody(TopicBody, forbid_unknown_fields=True, kw_only=True):
    """A request that names its topic or queue itself."""

    topic: str | UnsetType = UNSET
    queue: str | UnsetType = UNSET

    @property
    def target(self) -> tuple[str, str]:
        """Kind and name of where to publish. Raises ``InvalidRequest`` unless exactly one is named."""
        return _target(self.topic, self.queue, "")


class BatchRequestBody(Struct, forbid_unknown_fields=True):
    """One of several requests of a batch: what goes to one topic or queue."""

    messages: list[MessageBody]
    topic: str | UnsetType = UNSET
    queue: str | UnsetType = UNSET


class BatchBody(Struct, forbid_unknown_fields=True):
    """Many messages at once: to the one topic or queue that it names, or in requests to several."""

    topic: str | UnsetType = UNSET
    queue: str | UnsetType = UNSET
    messages: list[MessageBody] | UnsetType = UNSET
    requests: list[BatchRequestBody] | UnsetType = UNSET
    options: OptionsBody | None = None


class Part(NamedTuple):
    """What a batch sends to one place."""

    kind: str
    name: str
    messages: list[MessageBody]


_topic_decoder = msgspec.json.Decoder(TopicBody)
_naming_decoder = msgspec.json.Decoder(NamingBody)
_batch_decoder = msgspec.json.Decoder(BatchBody)


def read_topic_body(body: bytes) -> TopicBody:
    """Raises ``InvalidRequest`` and ``SerializationFailed``, as ``read_naming_body``."""
    return decode(_topic_decoder, body)


def read_naming_body(body: bytes) -> NamingBody:
    return decode(_naming_decoder, body)


def read_batch_body(body: bytes) -> BatchBody:
    return decode(_batch_decoder, body)


def parts_of(body: BatchBody) -> list[Part]:
    """What a batch sends where, each message checked by itself. Raises ``InvalidRequest``, naming the field."""
    if isinstance(body.requests, UnsetType):
        if isinstance(body.messages, UnsetType):
            raise InvalidRequest("a batch has messages to one topic or queue, or requests to several")
        parts = [Part(*_target(body.topic, body.queue, ""), _counted(body.messages, MAX_BATCH_MESSAGES, "messages"))]
        _check_all(body.messages, "")
        return parts
    if (body.topic, body.queue, body.messages) != (UNSET,) * 3:
        raise InvalidRequest("a batch has either requests, or messages to one topic or queue, not both")
    if sum(len(request.messages) for request in body.requests) > MAX_BATCH_MESSAGES or not body.requests:
        raise InvalidRequest(f"requests of a batch have 1 to {MAX_BATCH_MESSAGES} messages together")
    parts = []
    for index, request in enumerate(body.requests):
        where = f"requests[{index}]."
        _counted(request.messages, MAX_BATCH_MESSAGES, f"{where}messages")
        _check_all(request.messages, where)
        parts.append(Part(*_target(request.topic, request.queue, where), request.messages))
    return parts


def _target(topic: str | UnsetType, queue: str | UnsetType, where: str) -> tuple[str, str]:
    if isinstance(topic, str) and queue is UNSET:
        return "Topic", topic
    if isinstance(queue, str) and topic is UNSET:
        return "Queue", queue
    raise InvalidRequest(f"name exactly one of {where}topic and {where}queue")


def _counted(messages: list[MessageBody], most: int, field: str) -> list[MessageBody]:
    if not 1 <= len(messages) <= most:
        raise InvalidRequest(f"{field}: a request has 1 to {most} messages, not {len(messages)}")
    return messages


def messages_of(body: TopicBody) -> Sequence[MessageBody]:
    """The messages of a request, each checked by itself. Raises ``InvalidRequest``."""
    if isinstance(body.messages, UnsetType):
        if body.payload is UNSET:
            raise InvalidRequest('a message needs a payload: send {"payload": …} or {"messages": [{"payload": …}]}')
        messages: list[MessageBody] = [body]
    else:
        messages = _counted(body.messages, MAX_MESSAGES, "messages")
        if body.is_there:
            raise InvalidRequest("a request has either messages or one message inline, not both")
    _check_all(messages, "")
    return messages


def options_of(body: OptionsBody | None) -> Options:
    """Raises ``InvalidRequest`` for options that this version has not."""
    if body is None:
        return DEFAULT_OPTIONS
    if body.compression != "none":
        raise InvalidRequest(f"options.compression {body.compression!r} is not available in this version: use 'none'")
    if body.timeout is not None and not 1 <= body.timeout <= MAX_TIMEOUT_MS:
        raise InvalidRequest(f"options.timeout is in milliseconds, from 1 to {MAX_TIMEOUT_MS}")
    return Options(body.acks, body.timeout)


def _check_all(messages: list[MessageBody], where: str) -> None:
    for index, message in enumerate(messages):
        if message.payload is UNSET:
            raise InvalidRequest(f"{where}messages[{index}] needs a payload")
        if (
            message.key is not None
            or message.headers
            or message.timestamp is not None
            or message.idempotency_key is not None
            or message.correlation_id is not None
        ):
            _check(message, f"{where}messages[{index}]")


def _check(message: MessageBody, where: str) -> None:
    if message.key is not None and not 1 <= len(message.key.encode()) <= MAX_KEY_BYTES:
        raise InvalidRequest(f"{where}.key has 1 to {MAX_KEY_BYTES} bytes")
    for name, text in (("idempotencyKey", message.idempotency_key), ("correlationId", message.correlation_id)):
        if text is not None:
            check_token(text, f"{where}.{name}")
    if message.headers:
        check_headers(message.headers, f"{where}.headers")
    timestamp_ms = message.timestamp_ms
    if timestamp_ms is not None and not 0 <= timestamp_ms <= _LAST_TIMESTAMP_MS:
        raise InvalidRequest(f"{where}.timestamp is in milliseconds since 1970, or RFC 3339 text")


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
