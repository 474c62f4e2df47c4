"""What became of a message that was to be published: stored, not stored, or not known."""

from dataclasses import dataclass
from enum import StrEnum

import msgspec

from mqops.message import Position


class Reason(StrEnum):
    """Why a message was not stored."""

    STALE = "STALE"
    """The publisher knows an outdated form of the topic: refresh the catalog and send again."""
    GONE = "GONE"
    """The topic is not there, or being deleted."""
    PAUSED = "PAUSED"
    """The topic takes nothing at the moment."""
    BACKLOG = "BACKLOG"
    """A subscription has as much unfinished as the topic allows; the detail is its uid."""
    CONFLICT = "CONFLICT"
    """The idempotency token was used with another message."""
    OVERLOADED = "OVERLOADED"
    """Too much is on its way to the server already."""
    UNAVAILABLE = "UNAVAILABLE"
    """The server is away, loading, read-only or out of memory."""
    FLUSHED = "FLUSHED"
    """The server has lost its data and waits for the reconciler."""
    DAMAGED = "DAMAGED"
    """The topic's stream is not as it should be and waits for the reconciler."""


class Stored(msgspec.Struct, frozen=True):
    """It is in the stream. ``duplicate``: an earlier publish under the same idempotency token put it there."""

    id: bytes
    partition: int
    position: Position
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Scheduled:
    """It is kept until its time. ``duplicate``: an earlier request under the same idempotency token put it there."""

    id: bytes
    partition: int
    due_ms: int
    """When it is to be stored in its partition (server clock, ms since 1970)."""
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class NotStored:
    """It is not in the stream; sending it again is safe."""

    reason: Reason
    detail: str = ""


class Doubt(StrEnum):
    """Why it is not known whether a message is stored."""

    LOST = "LOST"
    """The connection was lost after the write."""
    UNSYNCED = "UNSYNCED"
    """It was written, and is not known to be on disk."""
    LATE = "LATE"
    """Nothing was heard of it in the time that the caller gave."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """The message is in the stream once or not at all."""

    id: bytes
    detail: str
    doubt: Doubt = Doubt.LOST


class Sent(msgspec.Struct, frozen=True):
    """It is on its way, and nobody waits for what becomes of it."""

    id: bytes
    partition: int


Outcome = Stored | Scheduled | NotStored | Unknown | Sent
