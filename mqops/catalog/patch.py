"""Makes the next catalog from the last one and what has changed, without looking at what has not.

Pure: rows in, a view out. The work is a generator that pauses every few rows, so that the event loop goes on while
ten thousand rows are taken in. A row that cannot be used is set aside with its reason and the rest goes on.
"""

import logging
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from pydantic import ValidationError

from mqops.catalog.entries import (
    HandlerEntry,
    KeyEntry,
    Principal,
    Row,
    SubscriptionEntry,
    TenantEntry,
    TopicEntry,
    Unusable,
)
from mqops.catalog.index import Catalog, Reference
from mqops.catalog.specs import read_spec, references, topic_named
from mqops.expressions import compile_filter
from mqops.keys import bucket_of
from mqops.model import (
    CredentialSpec,
    HandlerSpec,
    QueueSpec,
    Strict,
    SubscriptionSpec,
    TopicScope,
    TopicSpec,
)
from mqops.override import Override

log = logging.getLogger(__name__)

_PAUSE_EVERY = 50


@dataclass(frozen=True, slots=True)
class News:
    """What is different now."""

    deleted: Iterable[str] = ()
    """Uids."""
    rows: Iterable[Row] = ()
    """New or changed."""
    overrides: Mapping[str, Override] = field(default_factory=dict)
    """All that are in force, by uid."""


def patch(base: Catalog, news: News, revision: int) -> Generator[None, None, Catalog]:
    """The catalog at ``revision``: ``base`` with ``news`` taken in. Each pause is a place where the caller may let
    others run; the generator's value is the result."""
    draft = _Draft(base)
    draft.override(news.overrides)
    for uid in news.deleted:
        draft.remove(uid)
    for count, row in enumerate(news.rows):
        draft.put(row)
        if count % _PAUSE_EVERY == 0:
            yield
    yield from draft.link()
    return draft.finish(revision)


class _Draft:
    """The mutable copy that a patch works on."""

    def __init__(self, base: Catalog) -> None:
        self._base = base
        self._rows = dict(base.rows)
        self._specs = dict(base.specs)
        self._unusable = dict(base.unusable)
        self._topics = dict(base.topics_by_uid)
        self._topic_names = dict(base.topics_by_name)
        self._subscriptions = dict(base.subscriptions_by_uid)
        self._subscription_names = dict(base.subscriptions_by_name)
        self._handlers = dict(base.handlers_by_name)
        self._tenants = dict(base.tenants)
        self._readers = dict(base.readers)
        self._keys = dict(base.keys)
        self._naming = dict(base.naming)
        self._overrides = base.overrides
        self._unlinked_tenants: set[str] = set()
        self._unlinked_topics: set[str] = set()
        self._unlinked_subscriptions: set[str] = set()
        self._put: dict[str, Callable[[Row, Any], None]] = {
            "Tenant": self._put_tenant,
            "Topic": self._put_topic,
            "Queue": self._put_topic,
            "Handler": self._put_handler,
            "Subscription": self._put_subscription,
            "Credential": self._put_credential,
            "Source": lambda row, spec: None,
        }

    def finish(self, revision: int) -> Catalog:
        return Catalog(
            installation=self._base.installation,
            environment=self._base.environment,
            revision=revision,
            rows=self._rows,
            specs=self._specs,
            unusable=self._unusable,
            topics_by_uid=self._topics,
            subscriptions_by_uid=self._subscriptions,
            tenants=self._tenants,
            topics_by_name=self._topic_names,
            subscriptions_by_name=self._subscription_names,
            handlers_by_name=self._handlers,
            readers=self._readers,
            keys=self._keys,
            naming=self._naming,
            overrides=self._overrides,
        )

    def override(self, overrides: Mapping[str, Override]) -> None:
        """Have these overrides and no others; the subscriptions that it makes a difference to are linked again."""
        before, self._overrides = self._overrides, overrides
        self._unlinked_subscriptions |= {
            uid for uid in {*before, *overrides} if uid in self._subscriptions and before.get(uid) != overrides.get(uid)
        }

    def put(self, row: Row) -> None:
        """Take a row in, new or changed."""
        self.remove(row.uid)
        self._rows[row.uid] = row
        put = self._put.get(row.kind)
        if put is None:
            self._set_aside(row, f"this version knows no kind {row.kind!r}")
            return
        try:
            spec = read_spec(row)
        except (ValidationError, ValueError) as error:
            self._set_aside(row, f"its spec cannot be used: {error}")
            return
        self._specs[row.uid] = spec
        put(row, spec)

    def remove(self, uid: str) -> None:
        """Forget a row and what was made of it; what names it is linked again."""
        row = self._rows.pop(uid, None)
        if row is None:
            return
        self._unusable.pop(uid, None)
        spec = self._specs.pop(uid, None)
        named = (row.tenant, row.name)
        if row.kind == "Tenant":
            tenant = self._tenants.get(row.name)
            if tenant is not None and tenant.uid == uid:  # else a renamed one has the name by now
                del self._tenants[row.name]
            self._unlinked_tenants.add(row.name)
        elif row.kind in ("Topic", "Queue"):
            self._drop_topic(uid)
            self._unlink_naming(("topic", *named))
        elif row.kind == "Handler":
            handler = self._handlers.get(named)
            if handler is not None and handler.uid == uid:
                del self._handlers[named]
            self._unlink_naming(("handler", *named))
        elif row.kind == "Subscription":
            self._drop_subscription(uid)
            if spec is not None:
                self._stop_naming(row, cast(SubscriptionSpec, spec))
        elif row.kind == "Credential" and spec is not None:
            self._drop_keys(uid, cast(CredentialSpec, spec))

    def link(self) -> Generator[None, None, None]:
        """Resolve what the rows name, topics before the subscriptions that read them."""
        self._unlink_tenants()
        yield
        for count, uid in enumerate(self._unlinked_topics):
            self._link_topic(uid)
            if count % _PAUSE_EVERY == 0:
                yield
        for count, uid in enumerate(self._unlinked_subscriptions):
            self._link_subscription(uid)
            if count % _PAUSE_EVERY == 0:
                yield

    # Putting in: by kind

    def _put_tenant(self, row: Row, spec: Strict) -> None:
        self._tenants[row.name] = TenantEntry(row.uid, row.name, bucket_of(row.uid))
        self._unlinked_tenants.add(row.name)

    def _put_topic(self, row: Row, spec: Strict) -> None:
        self._unlinked_topics.add(row.uid)

    def _put_handler(self, row: Row, spec: HandlerSpec) -> None:
        named = (row.tenant, row.name)
        self._handlers[named] = HandlerEntry(row.uid, row.tenant, row.name, spec, row.generation)
        self._unlink_naming(("handler", *named))

    def _put_subscription(self, row: Row, spec: SubscriptionSpec) -> None:
        for reference in references(row, spec):
            self._naming[reference] = self._naming.get(reference, frozenset()) | {row.uid}
            self._unlink_dead_letter_topic(reference)
        self._unlinked_subscriptions.add(row.uid)

    def _put_credential(self, row: Row, spec: CredentialSpec) -> None:
        scope = TopicScope(row.tenant, spec.topics) if spec.topics else None
        principal = Principal(row.tenant, spec.principal, frozenset(spec.roles), scope)
        for key in spec.keys:
            expires_at = key.expires_at.timestamp() if key.expires_at is not None else None
            others = self._keys.get(key.sha256, ())
            self._keys[key.sha256] = (*others, KeyEntry(principal, expires_at, row.uid))
            if any(other.principal != principal for other in others):
                log.error(
                    "Credential %s/%s claims a key that another principal has: it works for neither",
                    row.tenant,
                    row.name,
                )

    # Taking out

    def _drop_topic(self, uid: str) -> None:
        entry = self._topics.pop(uid, None)
        if entry is not None and self._topic_names.get((entry.tenant, entry.name)) is entry:
            del self._topic_names[entry.tenant, entry.name]

    def _drop_subscription(self, uid: str) -> None:
        entry = self._subscriptions.pop(uid, None)
        if entry is None:
            return
        if self._subscription_names.get((entry.tenant, entry.name)) is entry:
            del self._subscription_names[entry.tenant, entry.name]
        rest = tuple(reader for reader in self._readers.get(entry.topic.uid, ()) if reader.uid != uid)
        if rest:
            self._readers[entry.topic.uid] = rest
        else:
            self._readers.pop(entry.topic.uid, None)

    def _stop_naming(self, row: Row, spec: SubscriptionSpec) -> None:
        for reference in references(row, spec):
            rest = self._naming.get(reference, frozenset()) - {row.uid}
            if rest:
                self._naming[reference] = rest
            else:
                self._naming.pop(reference, None)
            self._unlink_dead_letter_topic(reference)

    def _drop_keys(self, uid: str, spec: CredentialSpec) -> None:
        for key in spec.keys:
            rest = tuple(entry for entry in self._keys.get(key.sha256, ()) if entry.credential != uid)
            if rest:
                self._keys[key.sha256] = rest
            else:
                self._keys.pop(key.sha256, None)

    # Linking

    def _unlink_naming(self, reference: Reference) -> None:
        self._unlinked_subscriptions |= self._naming.get(reference, frozenset())

    def _unlink_dead_letter_topic(self, reference: Reference) -> None:
        what, tenant, name = reference
        topic = self._topic_names.get((tenant, name)) if what == "deadLetter" else None
        if topic is not None:
            self._unlinked_topics.add(topic.uid)

    def _unlink_tenants(self) -> None:
        if not self._unlinked_tenants:
            return
        for row in self._rows.values():
            if row.tenant in self._unlinked_tenants and row.kind in ("Topic", "Queue"):
                self._unlinked_topics.add(row.uid)
            elif row.tenant in self._unlinked_tenants and row.kind == "Subscription":
                self._unlinked_subscriptions.add(row.uid)

    def _link_topic(self, uid: str) -> None:
        self._drop_topic(uid)
        row, spec = self._rows.get(uid), self._specs.get(uid)
        if row is None or spec is None:
            return
        named = (row.tenant, row.name)
        self._unlink_naming(("topic", *named))
        tenant = self._tenants.get(row.tenant)
        if tenant is None:
            self._set_aside(row, f"its tenant {row.tenant!r} is not in the catalog")
            return
        self._unusable.pop(uid, None)
        entry = TopicEntry(
            uid=uid,
            kind=row.kind,
            tenant=row.tenant,
            name=row.name,
            bucket=tenant.bucket,
            generation=row.generation,
            spec=cast(TopicSpec | QueueSpec, spec),
            is_dead_letter=("deadLetter", *named) in self._naming,
        )
        self._topics[uid] = self._topic_names[named] = entry

    def _link_subscription(self, uid: str) -> None:
        self._drop_subscription(uid)
        row, spec = self._rows.get(uid), cast(SubscriptionSpec | None, self._specs.get(uid))
        if row is None or spec is None:
            return
        tenant = self._tenants.get(row.tenant)
        topic = self._topic_names.get(topic_named(row.tenant, spec.topic))
        handler = self._handlers.get((row.tenant, spec.handler)) if spec.handler is not None else None
        if tenant is None:
            self._set_aside(row, f"its tenant {row.tenant!r} is not in the catalog")
        elif topic is None:
            self._set_aside(row, f"its topic {spec.topic!r} is not in the catalog")
        elif spec.handler is not None and handler is None:
            self._set_aside(row, f"its handler {spec.handler!r} is not in the catalog")
        else:
            self._unusable.pop(uid, None)
            self._add_subscription(row, spec, tenant, topic, handler)

    def _add_subscription(
        self, row: Row, spec: SubscriptionSpec, tenant: TenantEntry, topic: TopicEntry, handler: HandlerEntry | None
    ) -> None:
        entry = SubscriptionEntry(
            uid=row.uid,
            tenant=row.tenant,
            tenant_uid=tenant.uid,
            name=row.name,
            topic=topic,
            spec=spec,
            filter=compile_filter(spec.filter) if spec.filter is not None else None,
            handler=handler,
            generation=row.generation,
            implied_by_queue=row.implied_by is not None and topic.kind == "Queue" and row.implied_by == topic.uid,
            override=self._overrides.get(row.uid),
        )
        self._subscriptions[row.uid] = self._subscription_names[row.tenant, row.name] = entry
        self._readers[topic.uid] = (*self._readers.get(topic.uid, ()), entry)

    def _set_aside(self, row: Row, reason: str) -> None:
        if self._base.unusable.get(row.uid) != (entry := Unusable(row.kind, row.tenant, row.name, reason)):
            log.error("%s %s/%s cannot be used: %s", row.kind, row.tenant, row.name, reason)
        self._unusable[row.uid] = entry
