"""What the catalog is made of: rows as the database gives them, and entries, which are rows made ready for use."""

from dataclasses import dataclass

import msgspec

from mqops.codec.payload import payload_value
from mqops.expressions import Filter
from mqops.message import Delivery
from mqops.model import HandlerSpec, QueueSpec, SubscriptionSpec, TopicScope, TopicSpec
from mqops.override import Override


class Row(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A row of ``mq_resources``. A snapshot holds these as they are."""

    uid: str
    kind: str
    tenant: str
    name: str
    generation: int
    revision: int
    implied_by: str | None
    spec: str
    """JSON text, complete: defaults are filled in."""
    labels: str = "{}"
    """JSON text, as ``annotations``."""
    annotations: str = "{}"
    managed_by: str = ""
    """The Source that it belongs to, or ``api``."""
    created_ms: int = 0
    """Milliseconds since 1970, as ``updated_ms``."""
    updated_ms: int = 0


@dataclass(frozen=True, slots=True)
class TenantEntry:
    """A tenant and the bucket that all its keys live in."""

    uid: str
    name: str
    bucket: int


@dataclass(frozen=True, slots=True)
class TopicEntry:
    """A topic or a queue, resolved to where its streams are."""

    uid: str
    kind: str
    """``Topic`` or ``Queue``."""
    tenant: str
    name: str
    bucket: int
    generation: int
    spec: TopicSpec | QueueSpec
    is_dead_letter: bool
    """Whether a subscription names it as the place for its dead letters."""


@dataclass(frozen=True, slots=True)
class HandlerEntry:
    """Where a subscription's messages are delivered to."""

    uid: str
    tenant: str
    name: str
    spec: HandlerSpec
    generation: int


@dataclass(frozen=True, slots=True)
class SubscriptionEntry:
    """A subscription with the topic, handler and filter that it names. Its streams and groups are in the bucket of
    the topic, which may be another tenant's."""

    uid: str
    tenant: str
    tenant_uid: str
    name: str
    topic: TopicEntry
    spec: SubscriptionSpec
    filter: Filter | None
    handler: HandlerEntry | None
    """None when it is pulled over HTTP."""
    generation: int
    implied_by_queue: bool
    override: Override | None = None
    """An operator's word; its time may be up."""

    def is_paused(self, now_ms: int) -> bool:
        """Whether nothing of it is handed out: as an operator says or, where none does, as it is declared."""
        if self.override is not None and self.override.holds(now_ms):
            return self.override.state == "paused"
        return self.spec.state == "paused"

    def wants(self, delivery: Delivery) -> bool:
        """Whether the filter lets the message through, pushed or pulled. Raises ``ExpressionFailed``."""
        if self.filter is None:
            return True
        return self.filter.matches(
            payload=payload_value(delivery.envelope.content_type, delivery.payload),
            headers=delivery.envelope.headers,
            key=delivery.key,
            topic=self.topic.name,
        )


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a key stands for."""

    tenant: str
    name: str
    roles: frozenset[str]
    scope: TopicScope | None = None
    """The topics that the key is limited to; None for none."""


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """A key of a credential, known by its SHA-256 alone."""

    principal: Principal
    expires_at: float | None
    """Seconds since 1970; None for never."""
    credential: str
    """The credential's uid."""


@dataclass(frozen=True, slots=True)
class Unusable:
    """A row that nothing can be done with, and why; the rest of the catalog goes on without it."""

    kind: str
    tenant: str
    name: str
    reason: str
