"""What a plan comes down to: which uid everything has, and which provisioning scripts run with what. Pure.

The arguments follow the headers of ``reconciler/scripts/*.lua``.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from mqops.keys import bucket_of
from mqops.model import Identity
from reconciler.planning.change import Action, Change
from reconciler.planning.live import subscription_meta, topic_meta
from reconciler.planning.placement import STORED, Leftover, Placement, closing_tenants, placement_of
from reconciler.planning.renames import renames_of
from reconciler.state import Applied, Observed, Resource


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
    """Complete: every resource that the plan creates has its uid, what is replaced that of the new one."""


def target_of(changes: Collection[Change], observed: Observed, new_uid: Callable[[], str]) -> Target:
    """Gives a uid to what has none, and another to what is replaced. A tenant whose topics were found without it gets
    one in their bucket."""
    observed = renames_of(changes).seen(observed)
    known = placement_of(observed, [change.identity for change in changes])
    uids, buckets = dict(known.uids), dict(known.buckets)
    for change in changes:
        if change.action is Action.REPLACE:
            uids.pop(change.identity, None)
            if change.gone is not None:
                uids.pop(change.gone.resource.identity, None)
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
    that it has. What takes the place of another stays closed: until the catalog has it, it is nobody's."""
    turned = target.placement.closing ^ closing_tenants(target.observed)
    changed: set[Identity] = set()
    for change in changes:
        if change.action is not Action.DELETE and change.identity.kind in STORED:
            changed.add(change.identity)
            yield from _streams_taken_back(change.identity, target)
            step = _topic_step(change.identity, change.resource, change.generation, target)
            yield _closed(step) if change.action is Action.REPLACE else step
            yield from _groups_removed(change.identity, target)
    changed.update(change.gone.resource.identity for change in changes if change.gone is not None)
    for identity, applied in target.observed.applied.items():
        if identity.kind in STORED and identity.tenant in turned and identity not in changed:
            owner = Identity("Tenant", "", identity.tenant)
            yield _topic_step(owner, applied.resource, applied.generation, target)


def _closed(step: Step) -> Step:
    return replace(step, arguments=(*step.arguments, "closed"))


def _streams_taken_back(topic: Identity, target: Target) -> Iterator[Step]:
    uid = target.placement.uids[topic]
    for (misplaced, partition), key in target.observed.misplaced.items():
        if misplaced == uid:
            bucket = target.placement.buckets[topic.tenant]
            yield Step(topic, "take_back_stream", bucket, (key, uid, str(partition)))


def _groups_removed(topic: Identity, target: Target) -> Iterator[Step]:
    """Those that hold nothing for anybody."""
    uid = target.placement.uids[topic]
    for (stream, partition, group), pending in target.observed.foreign.items():
        if stream == uid and not pending:
            yield Step(topic, "remove_group", target.placement.buckets[topic.tenant], (uid, str(partition), group))


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
    for subscriptions that do not change, whoever owns them. As of topics, what takes the place of another stays closed,
    and so does what is new and reads such a topic."""
    changed = {change.identity for change in changes}
    growing: set[Identity] = set()
    waiting = _waiting(changes, target)
    for change in changes:
        if change.action is not Action.DELETE and change.identity.kind == "Subscription":
            step = _subscription_step(change.identity, change.resource, target)
            yield _closed(step) if change.identity in waiting else step
        is_stored = change.identity.kind in STORED and change.action is not Action.REPLACE
        if is_stored and any(field.path == "spec.partitions" for field in change.fields):
            growing.add(change.identity)
    if not growing:
        return
    for identity, applied in target.observed.applied.items():
        if identity.kind != "Subscription" or identity in changed:
            continue
        topic = target.placement.topic(identity.tenant, applied.resource.spec["topic"])
        if topic in growing:
            yield _subscription_step(topic, applied.resource, target)


def _waiting(changes: Collection[Change], target: Target) -> set[Identity]:
    """What is nobody's until the catalog has it: what takes the place of another, and new readers of that."""
    replaces = {change.identity for change in changes if change.action is Action.REPLACE}
    return replaces.union(
        change.identity
        for change in changes
        if change.action is Action.CREATE and replaces.intersection(_reads(change, target))
    )


def _subscription_step(owner: Identity, resource: Resource, target: Target) -> Step:
    placement, identity = target.placement, resource.identity
    meta = subscription_meta(resource, placement)
    names = ("tenant", "name", "topic", "own", "max_attempts", "dead", "state")
    bucket = placement.buckets[placement.topic(identity.tenant, resource.spec["topic"]).tenant]
    arguments = (placement.uids[identity], *(meta[name] for name in names), resource.spec["startFrom"])
    return Step(owner, "prepare_subscription", bucket, arguments)


def reopening_steps(rows: Collection[Applied], target: Target) -> Iterator[Step]:
    """Puts back the settings of what was closed to go, and does not; and of nothing else."""
    for row in rows:
        if row.resource.identity.kind in STORED:
            yield _topic_step(row.resource.identity, row.resource, row.generation, target)
    for row in rows:
        if row.resource.identity.kind == "Subscription":
            yield _subscription_step(row.resource.identity, row.resource, target)


def opening_steps(changes: Collection[Change], target: Target) -> Iterator[Step]:
    """Opens what has taken the place of another, and lets those know it that send their dead letters there, whoever
    owns them. After the catalog has it: until then the other was there."""
    opened = _waiting(changes, target)
    waiting = [change for change in changes if change.identity in opened]
    for change in waiting:
        if change.identity.kind in STORED:
            yield _topic_step(change.identity, change.resource, change.generation, target)
    for change in waiting:
        if change.identity.kind == "Subscription":
            yield _subscription_step(change.identity, change.resource, target)
    if not opened:
        return
    resources = {identity: applied.resource for identity, applied in target.observed.applied.items()}
    for change in changes:
        if change.action is Action.DELETE:
            resources.pop(change.identity, None)
        else:
            resources[change.identity] = change.resource
    for identity, resource in resources.items():
        if identity.kind == "Subscription" and identity not in opened and resource.spec["deadLetter"] is not None:
            letters = target.placement.topic(identity.tenant, resource.spec["deadLetter"])
            if letters in opened:
                yield _subscription_step(letters, resource, target)


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
    """Refuses publishing to and fetching from what is about to go."""
    for change in changes:
        if change.gone is not None and (bucket := _bucket_of(change.gone.uid, target)) is not None:
            yield Step(change.identity, "close", bucket, (change.gone.uid,))


def remove_steps(changes: Collection[Change], leftovers: Collection[Leftover], target: Target) -> Iterator[Step]:
    """Destroys what is gone from the catalog, subscriptions before topics. Of what another apply left, only what is
    still closed: that apply may be under way, and have the catalog take it up by now."""
    for leftover in leftovers:
        yield Step(leftover.identity, _removal(leftover.identity), leftover.bucket, (leftover.uid, "closed"))
    gone = [(change.identity, change.gone) for change in changes if change.gone is not None]
    for owner, row in sorted(gone, key=lambda pair: pair[1].resource.identity.kind != "Subscription"):
        bucket = _bucket_of(row.uid, target)
        if bucket is not None:
            yield Step(owner, _removal(row.resource.identity), bucket, (row.uid,))


def abandoning_steps(left_out: Collection[Change], target: Target) -> Iterator[Step]:
    """Removes what was prepared on Redis to take the place of another that stays, and what was prepared anew upon
    that: the next apply gives other uids."""
    waiting = _waiting(left_out, target)
    abandoned = [change for change in left_out if change.identity in waiting]
    for change in sorted(abandoned, key=lambda change: change.identity.kind != "Subscription"):
        identity = change.identity
        bucket = target.placement.bucket(identity, change.resource.spec) if _has_keys(identity) else None
        if bucket is not None:
            yield Step(identity, _removal(identity), bucket, (target.placement.uids[identity],))


def _reads(change: Change, target: Target) -> Iterator[Identity]:
    if change.identity.kind == "Subscription":
        yield target.placement.topic(change.identity.tenant, change.resource.spec["topic"])


def _has_keys(identity: Identity) -> bool:
    """Whether it has keys of its own on Redis."""
    return identity.kind in STORED or identity.kind == "Subscription"


def _bucket_of(uid: str, target: Target) -> int | None:
    """Where it was found; ``None`` of what Redis has nothing of."""
    live = target.observed.topics.get(uid) or target.observed.subscriptions.get(uid)
    return None if live is None else live.bucket


def _removal(identity: Identity) -> str:
    return "remove_subscription" if identity.kind == "Subscription" else "remove_topic"
