"""What a plan comes down to: which uid everything has, and which provisioning scripts run with what. Pure.

The arguments follow the headers of ``reconciler/scripts/*.lua``.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

from mqops.keys import bucket_of
from mqops.model import Identity
from reconciler.planning.change import Action, Change
from reconciler.planning.live import subscription_meta, topic_meta
from reconciler.planning.placement import STORED, Leftover, Placement, closing_tenants, placement_of
from reconciler.planning.renames import renames_of
from reconciler.state import Observed, Resource


@dataclass(frozen=True, slots=True)
class Step:
    """One call of a provisioning script, on behalf of the change of ``owner``."""

    owner: Identity
    script: str
    bucket: int
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Target:
    """Where everything will be."""

    observed: Observed
    """What was found, under the names that it will have."""
    placement: Placement
    """Complete: every resource that the plan creates has its uid."""


def target_of(changes: Collection[Change], observed: Observed, new_uid: Callable[[], str]) -> Target:
    """Gives a uid to what has none. A tenant whose topics were found without it gets one in their bucket."""
    observed = renames_of(changes).seen(observed)
    known = placement_of(observed, [change.identity for change in changes])
    uids, buckets = dict(known.uids), dict(known.buckets)
    for change in changes:
        identity = change.identity
        if identity in uids:
            continue
        uid = new_uid()
        if identity.kind == "Tenant":
            home = buckets.get(identity.name)
            while home is not None and bucket_of(uid) != home:
                uid = new_uid()
            buckets[identity.name] = bucket_of(uid)
        uids[identity] = uid
    closing = set(known.closing)
    for change in changes:
        if change.identity.kind == "Tenant":
            is_closing = change.action is not Action.DELETE and change.resource.spec["state"] == "closing"
            (closing.add if is_closing else closing.discard)(change.identity.name)
    return Target(observed, Placement(observed.keys, uids, buckets, frozenset(closing)))


def topic_steps(changes: Collection[Change], target: Target) -> Iterator[Step]:
    """Makes streams and settings of topics and queues; and, where a tenant closes or opens again, the settings of all
    that it has."""
    turned = target.placement.closing ^ closing_tenants(target.observed)
    changed: set[Identity] = set()
    for change in changes:
        if change.action is not Action.DELETE and change.identity.kind in STORED:
            changed.add(change.identity)
            yield _topic_step(change.identity, change.resource, change.generation, target)
    for identity, applied in target.observed.applied.items():
        if identity.kind in STORED and identity.tenant in turned and identity not in changed:
            owner = Identity("Tenant", "", identity.tenant)
            yield _topic_step(owner, applied.resource, applied.generation, target)


def _topic_step(owner: Identity, resource: Resource, generation: int, target: Target) -> Step:
    uid = target.placement.uids[resource.identity]
    meta = topic_meta(resource, target.placement.closing)
    names = ("kind", "tenant", "name", "partitions", "min_generation", "state", "max_backlog", "retention_ms")
    meta["min_generation"] = str(_min_generation(meta, generation, uid, target.observed))
    bucket = target.placement.buckets[resource.identity.tenant]
    return Step(owner, "prepare_topic", bucket, (uid, *(meta[name] for name in names)))


def _min_generation(wanted: Mapping[str, str], generation: int, uid: str, observed: Observed) -> int:
    """The generation that publishers must know at least: that in which partitions or state last changed."""
    live = observed.topics.get(uid)
    known = "" if live is None else live.meta.get("min_generation", "")
    if live is None or not known.isdecimal() or int(known) > generation:
        return generation
    is_same = all(live.meta.get(name) == wanted[name] for name in ("partitions", "state"))
    return int(known) if is_same else generation


def subscription_steps(changes: Collection[Change], target: Target) -> Iterator[Step]:
    """Makes groups and settings of subscriptions; and, where a topic grows, the groups in its new partitions, also
    for subscriptions that do not change, whoever owns them."""
    changed = {change.identity for change in changes}
    growing: set[Identity] = set()
    for change in changes:
        if change.action is not Action.DELETE and change.identity.kind == "Subscription":
            yield _subscription_step(change.identity, change.resource, target)
        if change.identity.kind in STORED and any(field.path == "spec.partitions" for field in change.fields):
            growing.add(change.identity)
    if not growing:
        return
    for identity, applied in target.observed.applied.items():
        if identity.kind != "Subscription" or identity in changed:
            continue
        topic = target.placement.topic(identity.tenant, applied.resource.spec["topic"])
        if topic in growing:
            yield _subscription_step(topic, applied.resource, target)


def _subscription_step(owner: Identity, resource: Resource, target: Target) -> Step:
    placement, identity = target.placement, resource.identity
    meta = subscription_meta(resource, placement)
    names = ("tenant", "name", "topic", "own", "max_attempts", "dead", "state")
    bucket = placement.buckets[placement.topic(identity.tenant, resource.spec["topic"]).tenant]
    arguments = (placement.uids[identity], *(meta[name] for name in names), resource.spec["startFrom"])
    return Step(owner, "prepare_subscription", bucket, arguments)


def bucket_steps(changes: Collection[Change], target: Target) -> Iterator[Step]:
    """Opens buckets for publishing. After everything in them is prepared: a message that comes in before a
    subscription's groups are back would be lost to it."""
    opened: set[int] = set()
    for change in changes:
        if change.action is Action.DELETE:
            continue
        tenant = change.identity.name if change.identity.kind == "Tenant" else change.identity.tenant
        bucket = target.placement.buckets.get(tenant)
        if bucket is not None and bucket not in target.observed.epochs and bucket not in opened:
            opened.add(bucket)
            yield Step(change.identity, "prepare_bucket", bucket)


def close_steps(changes: Collection[Change], target: Target) -> Iterator[Step]:
    """Refuses publishing to and fetching from what is about to be deleted."""
    for change in changes:
        if change.action is Action.DELETE and (bucket := _bucket_of_deleted(change, target)) is not None:
            yield Step(change.identity, "close", bucket, (target.placement.uids[change.identity],))


def remove_steps(changes: Collection[Change], leftovers: Collection[Leftover], target: Target) -> Iterator[Step]:
    """Destroys what was deleted from the catalog, subscriptions before topics."""
    for leftover in leftovers:
        yield Step(leftover.identity, _removal(leftover.identity), leftover.bucket, (leftover.uid,))
    for change in changes:
        if change.action is Action.DELETE and (bucket := _bucket_of_deleted(change, target)) is not None:
            uid = target.placement.uids[change.identity]
            yield Step(change.identity, _removal(change.identity), bucket, (uid,))


def _bucket_of_deleted(change: Change, target: Target) -> int | None:
    """Where it was found; ``None`` of what Redis has nothing of."""
    uid, observed = target.placement.uids[change.identity], target.observed
    live = observed.topics.get(uid) or observed.subscriptions.get(uid)
    return None if live is None else live.bucket


def _removal(identity: Identity) -> str:
    return "remove_subscription" if identity.kind == "Subscription" else "remove_topic"
