"""The body of a publish request: read strictly. Nothing is accepted and ignored: what is not known is refused by name.

A payload is any JSON value and is kept as its exact bytes, never decoded and written anew.
"""

import re
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from mqops.api.edge import decode
from mqops.errors import InvalidRequest

MAX_MESSAGES = 1_000
MAX_KEY_BYTES = 1_024
MAX_TIMEOUT_MS = 60_000
MAX_HEADERS = 64
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")
"""What a webhook can carry: RFC 9110, section 5.6.2."""
_LAST_TIMESTAMP_MS = 253_402_300_799_999
"""The end of the year 9999: what RFC 3339 can write."""

Timestamp = int | Annotated[datetime, Meta(tz=True)]


class MessageBody(Struct, forbid_unknown_fields=True, gc=False):
    """One message of a request."""

    payload: Raw
    key: str | None = None
    headers: dict[str, str] | None = None
    partition: int | None = None
    timestamp: Timestamp | None = None

    @property
    def timestamp_ms(self) -> int | None:
        """When the event happened, if the publisher says (ms since 1970)."""
        if isinstance(self.timestamp, datetime):
            return round(self.timestamp.timestamp() * 1000)
        return self.timestamp


class OptionsBody(Struct, forbid_unknown_fields=True):
    """How a request wants to be treated."""

    compression: str = "none"
    acks: int | str = 1
    timeout: int | None = None


class TopicBody(Struct, forbid_unknown_fields=True):
    """A request to a topic or queue that the path names: messages, or one message inline."""

    payload: Raw | UnsetType = UNSET
    key: str | None = None
    headers: dict[str, str] | None = None
    partition: int | None = None
    timestamp: Timestamp | None = None
    messages: list[MessageBody] | UnsetType = UNSET
    options: OptionsBody | None = None


class NamingBody(TopicBody, forbid_unknown_fields=True):
    """A request that names its topic or queue itself."""

    topic: str | UnsetType = UNSET
    queue: str | UnsetType = UNSET

    @property
    def target(self) -> tuple[str, str]:
        """Kind and name of where to publish. Raises ``InvalidRequest`` unless exactly one is named."""
        if isinstance(self.topic, str) and self.queue is UNSET:
            return "Topic", self.topic
        if isinstance(self.queue, str) and self.topic is UNSET:
            return "Queue", self.queue
        raise InvalidRequest("name exactly one of topic and queue")


_topic_decoder = msgspec.json.Decoder(TopicBody)
_naming_decoder = msgspec.json.Decoder(NamingBody)


def read_topic_body(body: bytes) -> TopicBody:
    """Raises ``InvalidRequest`` and ``SerializationFailed``, as ``read_naming_body``."""
    return decode(_topic_decoder, body)


def read_naming_body(body: bytes) -> NamingBody:
    return decode(_naming_decoder, body)


def messages_of(body: TopicBody) -> list[MessageBody]:
    """The messages of a request, each checked by itself. Raises ``InvalidRequest``."""
    if isinstance(body.messages, UnsetType):
        if isinstance(body.payload, UnsetType):
            raise InvalidRequest('a message needs a payload: send {"payload": …} or {"messages": [{"payload": …}]}')
        messages = [MessageBody(body.payload, body.key, body.headers, body.partition, body.timestamp)]
    else:
        messages = body.messages
        if body.payload is not UNSET or (body.key, body.headers, body.partition, body.timestamp) != (None,) * 4:
            raise InvalidRequest("a request has either messages or one message inline, not both")
        if not 1 <= len(messages) <= MAX_MESSAGES:
            raise InvalidRequest(f"a request has 1 to {MAX_MESSAGES} messages, not {len(messages)}")
    for index, message in enumerate(messages):
        if message.key is not None or message.timestamp is not None or message.headers:
            _check(message, index)
    return messages


def timeout_ms_of(body: TopicBody) -> int | None:
    """How long the caller waits at most; None for as long as it takes. Raises ``InvalidRequest`` for options that
    this version has not."""
    options = body.options
    if options is None:
        return None
    if options.compression != "none":
        raise InvalidRequest(
            f"options.compression {options.compression!r} is not available in this version: use 'none'"
        )
    if options.acks != 1:
        raise InvalidRequest(f"options.acks {options.acks!r} is not available in this version: use 1")
    if options.timeout is not None and not 1 <= options.timeout <= MAX_TIMEOUT_MS:
        raise InvalidRequest(f"options.timeout is in milliseconds, from 1 to {MAX_TIMEOUT_MS}")
    return options.timeout


def _check(message: MessageBody, index: int) -> None:
    if message.key is not None and not 1 <= len(message.key.encode()) <= MAX_KEY_BYTES:
        raise InvalidRequest(f"messages[{index}].key has 1 to {MAX_KEY_BYTES} bytes")
    if message.headers:
        _check_headers(message.headers, index)
    timestamp_ms = message.timestamp_ms
    if timestamp_ms is not None and not 0 <= timestamp_ms <= _LAST_TIMESTAMP_MS:
        raise InvalidRequest(f"messages[{index}].timestamp is in milliseconds since 1970, or RFC 3339 text")


def _check_headers(headers: dict[str, str], index: int) -> None:
    if len(headers) > MAX_HEADERS:
        raise InvalidRequest(f"messages[{index}].headers are {len(headers)}, at most {MAX_HEADERS} are taken")
    for name in headers:
        if not _HEADER_NAME.fullmatch(name):
            raise InvalidRequest(
                f"messages[{index}].headers: {name!r} is not a header's name: use letters, digits and -"
            )
