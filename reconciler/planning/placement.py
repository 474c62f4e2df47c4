"""Where things live: the uid of each resource and the bucket of each tenant, as far as they are known. Pure.

A uid, once given, is kept whatever happens to a row: it is found again in the history, or on Redis by the name that
each topic's and subscription's meta says. A tenant's bucket follows from its uid, so it is kept with it.
"""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass

from mqops.keys import Keyspace, bucket_of
from mqops.model import Identity
from reconciler.state import LiveSubscription, LiveTopic, Observed, RowEdit

STORED = ("Topic", "Queue")
"""The kinds that hold messages: they share one namespace, and what is said of topics goes for queues."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Uids and buckets, by name."""

    keys: Keyspace
    uids: Mapping[Identity, str]
    buckets: Mapping[str, int]
    """By tenant."""
    closing: frozenset[str] = frozenset()
    """Names of tenants that are being closed."""

    def topic(self, tenant: str, reference: str) -> Identity:
        """The topic or queue that ``reference`` means to ``tenant``: ``name``, or ``tenant/name``."""
        return resolve(tenant, reference, self.uids)

    def bucket(self, identity: Identity, spec: Mapping[str, object]) -> int | None:
        """The bucket that a topic's, queue's or subscription's keys live in: that of the topic's tenant."""
        owner = self.topic(identity.tenant, str(spec["topic"])) if identity.kind == "Subscription" else identity
        return self.buckets.get(owner.tenant)

    def base(self, topic: Identity) -> str:
        """What a topic's keys begin with; empty while it has no uid."""
        uid, bucket = self.uids.get(topic), self.buckets.get(topic.tenant)
        return "" if uid is None or bucket is None else self.keys.bucket(bucket) + uid


def resolve(tenant: str, reference: str, known: Container[Identity]) -> Identity:
    """The identity of the topic or queue called ``reference`` in ``tenant``; of a Topic, when ``known`` has neither."""
    owner, separator, name = reference.partition("/")
    tenant, name = (owner, name) if separator else (tenant, reference)
    queue = Identity("Queue", tenant, name)
    return queue if queue in known else Identity("Topic", tenant, name)


def placement_of(observed: Observed, wanted: Iterable[Identity]) -> Placement:
    """Where everything is that has a row, and what of ``wanted`` can be found again without one."""
    uids = {identity: applied.uid for identity, applied in observed.applied.items()}
    missing = [identity for identity in wanted if identity not in uids]
    buckets = _buckets(observed)
    if missing:
        found = strays(observed, buckets)
        written = {edit.identity: edit.uid for edit in unplaced(observed)}
        for identity in missing:
            if identity in found:
                uids[identity] = found[identity]
            elif identity in observed.lost:
                uids[identity] = observed.lost[identity].uid
            elif identity in written:
                uids[identity] = written[identity]
    return Placement(observed.keys, uids, buckets, closing_tenants(observed))


def closing_tenants(observed: Observed) -> frozenset[str]:
    """Names of the tenants that are closing as of what is applied."""
    return frozenset(
        identity.name
        for identity, applied in observed.applied.items()
        if identity.kind == "Tenant" and applied.resource.spec["state"] == "closing"
    )


def strays(observed: Observed, buckets: Mapping[str, int]) -> dict[Identity, str]:
    """Uids of the topics and subscriptions on Redis that no row claims, that are not being removed, and that lie in
    the bucket of their topic's tenant. Of several with one name, the one that the history knows, else the first."""
    found: dict[Identity, str] = {}
    for live in _unclaimed(observed):
        if "closing" in live.meta or not _is_at_home(live, observed, buckets):
            continue
        identity = _called(live)
        lost = observed.lost.get(identity)
        if identity not in found or (lost is not None and lost.uid == live.uid):
            found[identity] = live.uid
    return found


def unclaimed(observed: Observed) -> dict[Identity, str]:
    """The same of all whose name no row has either, without what the history says."""
    found = strays(observed, _buckets(observed))
    return {identity: uid for identity, uid in found.items() if identity not in observed.applied}


def astray(observed: Observed) -> dict[str, Identity]:
    """By uid: the topics and subscriptions on Redis that no row claims, and that are not being removed."""
    return {live.uid: _called(live) for live in _unclaimed(observed) if "closing" not in live.meta}


def unplaced(observed: Observed) -> list[RowEdit]:
    """Rows written by hand that stand for nothing in ``observed.applied``: that are no resource, or have the name of
    another."""
    if not observed.edits:
        return []
    placed = {applied.uid for applied in observed.applied.values()}
    return [edit for edit in observed.edits.values() if edit.uid not in placed]


@dataclass(frozen=True, slots=True)
class Leftover:
    """What a delete that was interrupted has left on Redis: it is closing, and no row claims it."""

    uid: str
    bucket: int
    identity: Identity


def leftovers(observed: Observed) -> tuple[Leftover, ...]:
    """All of them, subscriptions before the topics they read."""
    return tuple(
        Leftover(live.uid, live.bucket, _called(live))
        for live in sorted(_unclaimed(observed), key=lambda live: isinstance(live, LiveTopic))
        if "closing" in live.meta
    )


def _called(live: LiveTopic | LiveSubscription) -> Identity:
    return Identity(live.meta["kind"], live.meta.get("tenant", ""), live.meta.get("name", ""))


def _unclaimed(observed: Observed) -> list[LiveTopic | LiveSubscription]:
    claimed = {applied.uid for applied in observed.applied.values()}.union(observed.edits)
    every: list[LiveTopic | LiveSubscription] = [*observed.topics.values(), *observed.subscriptions.values()]
    return sorted(
        (live for live in every if live.uid not in claimed and "kind" in live.meta),
        key=lambda live: live.uid,
    )


def _is_at_home(live: LiveTopic | LiveSubscription, observed: Observed, buckets: Mapping[str, int]) -> bool:
    if isinstance(live, LiveTopic):
        return buckets.get(live.meta.get("tenant", "")) == live.bucket
    return live.meta.get("topic", "") in observed.topics


def _buckets(observed: Observed) -> Mapping[str, int]:
    """By tenant: from its uid, or, when neither row nor history has it, from where its topics are found."""
    if "buckets" not in observed.worked_out:
        observed.worked_out["buckets"] = _find_buckets(observed)
    found: Mapping[str, int] = observed.worked_out["buckets"]
    return found


def _find_buckets(observed: Observed) -> dict[str, int]:
    owners = {row.uid: identity.tenant for identity, row in observed.applied.items() if identity.kind in STORED}
    buckets = {
        owners.get(live.uid, live.meta["tenant"]): live.bucket
        for live in sorted(observed.topics.values(), key=lambda live: live.uid, reverse=True)
        if "tenant" in live.meta
    }
    for identity, lost in observed.lost.items():
        if identity.kind == "Tenant":
            buckets[identity.name] = bucket_of(lost.uid)
    for identity, applied in observed.applied.items():
        if identity.kind == "Tenant":
            buckets[identity.name] = bucket_of(applied.uid)
    return buckets
