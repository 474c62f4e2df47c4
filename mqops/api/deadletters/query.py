"""Which dead letters are meant, as a query string or a body says it, and where a long look goes on."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec

from mqops.api.directory import DeadLetters
from mqops.api.management.page import single
from mqops.catalog import Catalog
from mqops.errors import InvalidRequest
from mqops.message import Position
from mqops.streams import Sought

FILTERS = ("reason", "originalTopic", "subscription", "key", "since", "until")

_Text = Annotated[str, msgspec.Meta(min_length=1)]
_Time = Annotated[datetime, msgspec.Meta(tz=True)]
_CURSOR = re.compile(r"([0-9]{1,15})\.([0-9]{1,4})\.([0-9]{1,15}-[0-9]{1,15})")
_START = Position(0, 0)


class FilterBody(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """All that is said has to hold."""

    reason: _Text | None = None
    original_topic: _Text | None = None
    """Where they come from; of another tenant with it in front, ``tenant/name``."""
    subscription: _Text | None = None
    """That failed: its name now or then, or its uid."""
    key: str | None = None
    since: _Time | None = None
    until: _Time | None = None
    """When they failed: from this moment, up to but not including that."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a long look goes on. What fails after it began is not among what it looks for: otherwise what is redriven
    and fails again would never let it end."""

    until_ms: int
    partition: int
    after: Position | None

    def __str__(self) -> str:
        return f"{self.until_ms}.{self.partition}.{self.after or _START}"

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """Raises ``InvalidRequest``."""
        parts = _CURSOR.fullmatch(text)
        if parts is None:
            raise InvalidRequest("cursor is the cursor of an earlier answer")
        after = Position.parse(parts[3])
        return cls(int(parts[1]), int(parts[2]), None if after == _START else after)


def filter_of(parameters: Mapping[str, Any]) -> FilterBody:
    """What the query string asks for. Raises ``InvalidRequest`` naming the parameter."""
    given = {name: single(parameters, name) for name in FILTERS if name in parameters}
    for name, value in given.items():
        try:
            msgspec.convert({name: value}, FilterBody)
        except msgspec.ValidationError as error:
            raise InvalidRequest(f"{name}: {str(error).partition(' - at')[0]}") from error
    return msgspec.convert(given, FilterBody)


def sought(of: DeadLetters, wanted: FilterBody, catalog: Catalog) -> Sought:
    """What to look for. Raises ``InvalidRequest`` for a subscription beside the one that the path names."""
    tenant = of.topic.tenant
    failed: frozenset[str] = frozenset()
    if of.reader is not None:
        if wanted.subscription is not None:
            raise InvalidRequest("subscription: the path names one already")
        failed = frozenset({of.reader.uid, f"{tenant}/{of.reader.name}"})
    elif wanted.subscription is not None:
        known = catalog.subscription(tenant, wanted.subscription)
        failed = frozenset({wanted.subscription, f"{tenant}/{wanted.subscription}", *((known.uid,) if known else ())})
    topic = wanted.original_topic or ""
    return Sought(
        reason=wanted.reason or "",
        topic=topic if not topic or "/" in topic else f"{tenant}/{topic}",
        subscriptions=failed,
        key=wanted.key,
        since_ms=_milliseconds(wanted.since),
        until_ms=_milliseconds(wanted.until),
    )


def letter_id(text: str) -> bytes | None:
    """The 16 bytes of an id; None for what is none."""
    try:
        return UUID(text).bytes if len(text) == 36 else None
    except ValueError:
        return None


def _milliseconds(time: datetime | None) -> int | None:
    return None if time is None else int(time.timestamp() * 1000)
