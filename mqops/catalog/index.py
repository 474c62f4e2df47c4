"""The catalog as one immutable view, found by name or by uid in one look-up.

A view is never changed: ``mqops.catalog.patch`` makes the next one from it. Whoever keeps a view for the length of a
request therefore sees one state of things.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from mqops.catalog.entries import (
    HandlerEntry,
    KeyEntry,
    Row,
    SubscriptionEntry,
    TenantEntry,
    TopicEntry,
    Unusable,
)
from mqops.model import Strict
from mqops.override import Override

Named = tuple[str, str]
"""Tenant and name."""

Reference = tuple[str, str, str]
"""What kind of thing a subscription names (``topic``, ``handler``, ``deadLetter``), and its tenant and name."""


@dataclass(frozen=True, slots=True, eq=False)
class Catalog:
    """Everything that is declared, as of ``revision``."""

    installation: str
    environment: str
    revision: int = 0
    rows: Mapping[str, Row] = field(default_factory=dict)
    """By uid, as everything down to ``subscriptions_by_uid``."""
    specs: Mapping[str, Strict] = field(default_factory=dict)
    unusable: Mapping[str, Unusable] = field(default_factory=dict)
    topics_by_uid: Mapping[str, TopicEntry] = field(default_factory=dict)
    subscriptions_by_uid: Mapping[str, SubscriptionEntry] = field(default_factory=dict)
    tenants: Mapping[str, TenantEntry] = field(default_factory=dict)
    topics_by_name: Mapping[Named, TopicEntry] = field(default_factory=dict)
    subscriptions_by_name: Mapping[Named, SubscriptionEntry] = field(default_factory=dict)
    handlers_by_name: Mapping[Named, HandlerEntry] = field(default_factory=dict)
    readers: Mapping[str, tuple[SubscriptionEntry, ...]] = field(default_factory=dict)
    """A topic's uid → the subscriptions that read it."""
    keys: Mapping[str, tuple[KeyEntry, ...]] = field(default_factory=dict)
    """SHA-256 of a key, in hexadecimal → the credentials that claim it."""
    naming: Mapping[Reference, frozenset[str]] = field(default_factory=dict)
    """What is named → uids of the subscriptions that name it."""
    overrides: Mapping[str, Override] = field(default_factory=dict)
    """By uid: what operators want of subscriptions, whatever the revision."""

    def tenant(self, name: str) -> TenantEntry | None:
        return self.tenants.get(name)

    def topic(self, tenant: str, name_or_uid: str) -> TopicEntry | None:
        """The tenant's topic or queue of that name or uid."""
        entry = self.topics_by_name.get((tenant, name_or_uid))
        if entry is None:
            entry = self.topics_by_uid.get(name_or_uid)
            if entry is not None and entry.tenant != tenant:
                return None
        return entry

    def subscription(self, tenant: str, name_or_uid: str) -> SubscriptionEntry | None:
        """The tenant's subscription of that name or uid; a queue's implied one is among them."""
        entry = self.subscriptions_by_name.get((tenant, name_or_uid))
        if entry is None:
            entry = self.subscriptions_by_uid.get(name_or_uid)
            if entry is not None and entry.tenant != tenant:
                return None
        return entry

    def subscriptions_of(self, topic: str) -> tuple[SubscriptionEntry, ...]:
        """The subscriptions that read the topic with this uid, other tenants' included."""
        return self.readers.get(topic, ())

    def queue_subscription(self, queue: str) -> SubscriptionEntry | None:
        """The implied subscription of the queue with this uid."""
        return next((reader for reader in self.readers.get(queue, ()) if reader.implied_by_queue), None)

    def push_subscriptions(self) -> tuple[SubscriptionEntry, ...]:
        """All that are delivered to a handler."""
        return tuple(entry for entry in self.subscriptions_by_uid.values() if entry.handler is not None)

    def topics(self) -> tuple[TopicEntry, ...]:
        """All topics and queues."""
        return tuple(self.topics_by_uid.values())

    def partitions(self) -> Iterator[tuple[int, str, int]]:
        """Every partition of every topic and queue: bucket, uid, number."""
        for topic in self.topics_by_uid.values():
            for number in range(topic.spec.partitions):
                yield topic.bucket, topic.uid, number

    def key(self, digest: str) -> KeyEntry | None:
        """The key with this SHA-256 (hexadecimal), expired or not. A key that two principals claim is nobody's:
        whoever copies a digest from another's manifest must not receive that other's messages."""
        entries = self.keys.get(digest, ())
        if not entries or any(entry.principal != entries[0].principal for entry in entries):
            return None
        return entries[0]

    def why_unusable(self, kinds: tuple[str, ...], tenant: str, name_or_uid: str) -> str | None:
        """Why a declared resource is not among the entries; None when nothing of that name is declared."""
        return next(
            (
                entry.reason
                for uid, entry in self.unusable.items()
                if entry.kind in kinds and entry.tenant == tenant and name_or_uid in (entry.name, uid)
            ),
            None,
        )
