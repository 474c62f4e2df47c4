"""The ackId of a pulled message: everything that settling it needs, so that no process has to remember it.

Opaque to clients: 44 characters of URL-safe base64, over a version, a checksum of the subscription's uid (an ackId of
another subscription is not taken for one of this), partition, position, token and attempt.
"""

import base64
import binascii
import re
import struct
import zlib
from dataclasses import dataclass

from mqops.message import Position

_VERSION = 1
_LAYOUT = struct.Struct(">BIHQQQH")
_TEXT = re.compile(r"[A-Za-z0-9_-]{44}")
_MOST_ATTEMPTS = 0xFFFF


@dataclass(frozen=True, slots=True)
class HandOut:
    """One hand-out of one message: what its ackId says."""

    partition: int
    position: Position
    token: int
    attempt: int


def format_ack_id(subscription: str, hand_out: HandOut) -> str:
    """The ackId of a message that the subscription with this uid handed out."""
    packed = _LAYOUT.pack(
        _VERSION,
        _checksum(subscription),
        hand_out.partition,
        hand_out.position.milliseconds,
        hand_out.position.offset,
        hand_out.token,
        min(hand_out.attempt, _MOST_ATTEMPTS),
    )
    return base64.urlsafe_b64encode(packed).decode()


def parse_ack_id(subscription: str, text: str) -> HandOut | None:
    """What ``text`` says; None when it is no ackId of this subscription."""
    if not _TEXT.fullmatch(text):
        return None
    try:
        version, checksum, partition, milliseconds, offset, token, attempt = _LAYOUT.unpack(
            base64.urlsafe_b64decode(text)
        )
    except (binascii.Error, struct.error):
        return None
    if version != _VERSION or checksum != _checksum(subscription):
        return None
    return HandOut(partition, Position(milliseconds, offset), token, attempt)


def _checksum(subscription: str) -> int:
    return zlib.crc32(subscription.encode())
