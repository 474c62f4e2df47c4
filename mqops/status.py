"""What the reconciler noted of a resource, as three conditions: ``Ready``, ``Reconciling``, ``Stalled``.

It is no configuration: it is kept in ``mq_conditions``, and a resource of which nothing was ever noted is as its last
apply left it. Plain data, for both planes.
"""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import msgspec


class Reason(StrEnum):
    """Why the conditions are what they are."""

    APPLIED = "Applied"
    """It is as declared, and whole."""
    DRIFTED = "Drifted"
    """It was changed outside: a row, a stream, a group, a setting on Redis."""
    REFUSED = "Refused"
    """A change of it is refused: by a guard, or because it cannot be."""
    FAILED = "Failed"
    """A change of it failed, and will be tried again."""
    WAITING = "Waiting"
    """A change of it waits for something else, which failed, is refused or was stopped before."""
    SUSPENDED = "Suspended"
    """Somebody wants it, or its source, to be left alone."""
    PINNED = "Pinned"
    """A rollback holds its source at an earlier revision."""


class Status(msgspec.Struct, frozen=True, gc=False):
    """What was noted of one resource. Times are milliseconds since 1970: since when each condition is as it is."""

    reason: str
    message: str
    observed_generation: int
    is_ready: bool
    is_reconciling: bool
    is_stalled: bool
    ready_since_ms: int
    reconciling_since_ms: int
    stalled_since_ms: int


def unnoted(generation: int, created_ms: int) -> Status:
    """Of a resource of which nothing was noted."""
    return Status(Reason.APPLIED.value, "", generation, True, False, False, created_ms, created_ms, created_ms)


def conditions(status: Status) -> list[dict[str, Any]]:
    """As answers show them."""
    return [
        _condition("Ready", status, status.is_ready, status.ready_since_ms),
        _condition("Reconciling", status, status.is_reconciling, status.reconciling_since_ms),
        _condition("Stalled", status, status.is_stalled, status.stalled_since_ms),
    ]


def _condition(kind: str, status: Status, holds: bool, since_ms: int) -> dict[str, Any]:
    return {
        "type": kind,
        "status": "True" if holds else "False",
        "reason": status.reason,
        "message": status.message,
        "observedGeneration": status.observed_generation,
        "lastTransitionTime": moment_of(since_ms),
    }


def moment_of(milliseconds: int) -> str:
    """Of milliseconds since 1970: RFC 3339, in UTC, to the second."""
    return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"
