"""The body of a publish request, read strictly: what is not known is refused by name, never ignored."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec
from msgspec import UNSET, Struct, UnsetType

from mqops.api.edge import decode
from mqops.api.message_body import MessageBody, check_all
from mqops.errors import InvalidRequest

MAX_MESSAGES = 1_000
MAX_BATCH_MESSAGES = 10_000
"""Of a batch, in all of its requests together."""
MAX_TIMEOUT_MS = 60_000


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
        check_all(body.messages, "")
        return parts
    if (body.topic, body.queue, body.messages) != (UNSET,) * 3:
        raise InvalidRequest("a batch has either requests, or messages to one topic or queue, not both")
    if sum(len(request.messages) for request in body.requests) > MAX_BATCH_MESSAGES or not body.requests:
        raise InvalidRequest(f"requests of a batch have 1 to {MAX_BATCH_MESSAGES} messages together")
    parts = []
    for index, request in enumerate(body.requests):
        where = f"requests[{index}]."
        _counted(request.messages, MAX_BATCH_MESSAGES, f"{where}messages")
        check_all(request.messages, where)
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
    check_all(messages, "")
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
