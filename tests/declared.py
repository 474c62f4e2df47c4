"""Resources and observed states for tests, made the way the front of the reconciler and the two stores make them."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid5

from mqops.keys import Keyspace, bucket_of
from mqops.model import KINDS, Identity, SourceSpec
from reconciler.planning.live import subscription_meta, topic_meta
from reconciler.planning.placement import STORED, Placement, closing_tenants
from reconciler.state import Applied, LiveSubscription, LiveTopic, Observed, Origin, Resource

ROOT = "platform"
SOURCES: Mapping[str, SourceSpec] = {ROOT: SourceSpec(path="platform")}

_STORED_DEFAULTS = {"retention": "7d", "maxBacklog": 10_000, "maxMessageSize": "1MiB"}


def tenant(name: str = "acme", **changes: Any) -> Resource:
    return _resource(Identity("Tenant", "", name), {}, changes)


def topic(name: str, of: str = "acme", **changes: Any) -> Resource:
    return _resource(Identity("Topic", of, name), _STORED_DEFAULTS, changes)


def dead_letters(name: str, of: str = "acme", **changes: Any) -> Resource:
    return topic(name, of, **{"retention": "30d", "maxBacklog": None, **changes})


def queue(name: str, of: str = "acme", **changes: Any) -> Resource:
    own = {**_STORED_DEFAULTS, "ackDeadline": "30s", "deadLetter": f"{name}.deadletter"}
    return _resource(Identity("Queue", of, name), own, changes)


def handler(name: str, of: str = "acme", url: str = "https://acme.example/hook") -> Resource:
    http = {"url": url, "timeout": "15s", "headers": {}, "signingSecret": None}
    return _resource(Identity("Handler", of, name), {"type": "http", "http": http}, {})


def subscription(name: str, reads: str, of: str = "acme", **changes: Any) -> Resource:
    own = {"topic": reads, "concurrency": 5, "ackDeadline": "30s", "deadLetter": f"{reads}.deadletter"}
    return _resource(Identity("Subscription", of, name), own, changes)


def managed(resource: Resource, source: str) -> Resource:
    """``resource`` as another source declares it."""
    return replace(resource, managed_by=source)


def implied(resource: Resource, parent: Resource) -> Resource:
    """``resource`` as brought along by ``parent``."""
    return replace(resource, implied_by=parent.identity, origin=parent.origin)


def labelled(resource: Resource, **labels: str) -> Resource:
    return replace(resource, labels=labels)


def renamed(resource: Resource, former: str) -> Resource:
    """``resource`` as it says that it was called ``former``."""
    return replace(resource, renamed_from=former)


def respecified(resource: Resource, **changes: Any) -> Resource:
    """``resource`` with some fields of its spec changed."""
    return replace(resource, spec={**resource.spec, **changes})


def uid_of(identity: Identity) -> str:
    """The uid that ``observed`` gives a resource: the same each time."""
    return str(uuid5(UUID(int=0), str(identity)))


def observed(resources: Iterable[Resource] = (), revision: int = 1) -> Observed:
    """The state after ``resources`` were applied to empty stores, and nothing was published since."""
    resources = tuple(resources)
    applied = {resource.identity: Applied(uid_of(resource.identity), resource, 1, revision) for resource in resources}
    buckets = {identity.name: bucket_of(row.uid) for identity, row in applied.items() if identity.kind == "Tenant"}
    closing = closing_tenants(Observed(applied))
    placement = Placement(Keyspace(), {identity: row.uid for identity, row in applied.items()}, buckets, closing)
    topics = {row.uid: _live_topic(row, placement) for identity, row in applied.items() if identity.kind in STORED}
    subscriptions = {
        row.uid: _live_subscription(row, placement)
        for identity, row in applied.items()
        if identity.kind == "Subscription"
    }
    for live in subscriptions.values():
        source = topics[live.meta["topic"]]
        readers = {**source.readers, live.uid: "own" if live.meta["own"] == "1" else "foreign"}
        groups = {partition: {**found, live.uid: "0-0"} for partition, found in source.groups.items()}
        topics[source.uid] = replace(source, readers=readers, groups=groups)
    index = {live.uid: live.bucket for live in (*topics.values(), *subscriptions.values())}
    return Observed(applied, topics, subscriptions, index, {}, frozenset(buckets.values()), revision)


def _live_topic(row: Applied, placement: Placement) -> LiveTopic:
    bucket = placement.buckets[row.resource.identity.tenant]
    meta = {**topic_meta(row.resource, placement.closing), "min_generation": "1"}
    return LiveTopic(row.uid, bucket, meta, {partition: {} for partition in range(int(meta["partitions"]))})


def _live_subscription(row: Applied, placement: Placement) -> LiveSubscription:
    bucket = placement.bucket(row.resource.identity, row.resource.spec)
    assert bucket is not None
    return LiveSubscription(row.uid, bucket, subscription_meta(row.resource, placement))


def _resource(identity: Identity, own: Mapping[str, Any], changes: Mapping[str, Any]) -> Resource:
    spec = KINDS[identity.kind].spec.model_validate({**own, **changes}).model_dump(mode="json")
    return Resource(identity, spec, {}, {}, ROOT, Origin(f"{identity.tenant or identity.name}.yaml", 1))
