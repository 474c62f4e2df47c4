"""How a message looks in an answer, pulled or looked at."""

from typing import Any
from uuid import UUID

from msgspec import UNSET, Raw, Struct, UnsetType

from mqops.api.timestamps import format_ms
from mqops.catalog import TopicEntry
from mqops.codec.payload import is_json, payload_as_json
from mqops.message import DeadLetterInfo, Delivery, format_id
from mqops.streams import StoredMessage


class DeadLetterJson(Struct, rename="camel"):
    """Where a dead letter comes from and why (requirement C4)."""

    message_id: str
    topic: str
    partition: int
    offset: int
    timestamp: str
    subscription: str
    reason: str
    detail: str
    attempts: int
    redrives: int
    failed_at: str


class MessageJson(Struct, rename="camel", kw_only=True):
    """A message; ``attempt`` and what follows it only where it was handed out."""

    ack_id: str | UnsetType = UNSET
    id: str
    topic: str
    key: str | UnsetType
    headers: dict[str, str]
    payload: Raw
    payload_encoding: str | UnsetType
    """``base64`` of what is not JSON."""
    content_type: str
    partition: int
    offset: int
    published_at: str
    timestamp: str | UnsetType
    expires_at: str | UnsetType
    producer: str
    correlation_id: str | UnsetType
    traceparent: str | UnsetType
    tracestate: str | UnsetType
    attempt: int | UnsetType = UNSET
    lease_until: str | UnsetType = UNSET
    dead_letter: DeadLetterJson | UnsetType


def message_json(topic: str, message: Delivery | StoredMessage, **handed_out: Any) -> MessageJson:
    """The answer's form of ``message``, read from ``topic``."""
    envelope = message.envelope
    return MessageJson(
        id=format_id(message.id),
        topic=topic,
        key=message.key or UNSET,
        headers=envelope.headers,
        payload=Raw(payload_as_json(envelope.content_type, message.payload)),
        payload_encoding=UNSET if is_json(envelope.content_type) else "base64",
        content_type=envelope.content_type,
        partition=message.partition,
        offset=message.position.offset,
        published_at=format_ms(message.position.milliseconds),
        timestamp=format_ms(envelope.timestamp) if envelope.timestamp is not None else UNSET,
        expires_at=format_ms(message.expires_at_ms) if message.expires_at_ms is not None else UNSET,
        producer=envelope.producer,
        correlation_id=envelope.correlation_id or UNSET,
        traceparent=envelope.traceparent or UNSET,
        tracestate=envelope.tracestate or UNSET,
        dead_letter=_dead_letter_json(message.dead_letter) if message.dead_letter is not None else UNSET,
        **handed_out,
    )


def topic_as_seen_by(tenant: str, topic: TopicEntry) -> str:
    """A topic's name in the tenant's own words: another's topic has its tenant in front."""
    return topic.name if topic.tenant == tenant else f"{topic.tenant}/{topic.name}"


def _dead_letter_json(info: DeadLetterInfo) -> DeadLetterJson:
    return DeadLetterJson(
        message_id=str(UUID(info.message_id)),
        topic=info.topic,
        partition=info.partition,
        offset=info.offset,
        timestamp=format_ms(info.timestamp_ms),
        subscription=info.subscription,
        reason=info.reason,
        detail=info.detail,
        attempts=info.attempts,
        redrives=info.redrives,
        failed_at=format_ms(info.failed_at_ms),
    )
