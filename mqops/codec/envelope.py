"""The stored form of an envelope: a MessagePack array of its fields, in their order and without those at the end that
have their defaults; so a field may be added at the end without a version."""

from hashlib import blake2b
from typing import Any
from uuid import UUID

import msgspec

from mqops.message import DeadLetterInfo, Envelope

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Envelope)
_info_decoder = msgspec.json.Decoder()


def encode_envelope(envelope: Envelope) -> bytes:
    """The bytes that the stream keeps beside the payload."""
    return _encoder.encode(envelope)


def content_digest(key: str, envelope: Envelope, payload: bytes, when: str = "") -> bytes:
    """16 bytes that are the same for two publishes of the same content under one idempotency key, for the same time
    (``when``; empty for at once). Leave the trace context out of ``envelope``: it is another one with every try."""
    digest = blake2b(payload, digest_size=16)
    digest.update(key.encode())
    digest.update(encode_envelope(envelope))
    digest.update(when.encode())
    return digest.digest()


def decode_envelope(data: bytes) -> Envelope:
    """Reads ``encode_envelope`` of this version and of earlier ones."""
    return _decoder.decode(data)


def decode_dead_letter_info(data: bytes) -> DeadLetterInfo:
    """Reads the record that the dead-letter step of the scripts writes (JSON; see ``streams/scripts/dead.lua``)."""
    value: dict[str, Any] = _info_decoder.decode(data)
    return DeadLetterInfo(
        message_id=str(UUID(value["id"])),
        topic=value["topic"],
        partition=int(value["partition"]),
        offset=int(value["offset"]),
        timestamp_ms=int(value["timestamp"]),
        subscription=value["subscription"],
        reason=value["reason"],
        detail=value["detail"],
        attempts=int(value["attempts"]),
        failed_at_ms=int(value["failedAt"]),
        redrives=int(value.get("redrives", 0)),
        subscription_uid=value.get("subscriptionId", ""),
        topic_uid=value.get("topicId", ""),
    )
