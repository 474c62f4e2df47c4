"""What of an applied resource is broken on Redis, found by comparing what should be there with what is. Pure.

Positions and counters are the engine's own and are not looked at; a group that is gone comes back where it stood.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mqops.keys import bucket_of
from reconciler.planning.change import FieldChange, Reason
from reconciler.planning.live import subscription_meta, topic_meta
from reconciler.planning.placement import STORED, Placement
from reconciler.state import Applied, LiveSubscription, LiveTopic, Observed, Resource


@dataclass(frozen=True, slots=True)
class Drift:
    """What is wrong with one resource: ``reason`` is the worst of it."""

    reason: Reason
    fields: tuple[FieldChange, ...]


_SEVERITY = (
    Reason.SERVER_FLUSHED,
    Reason.META_MISSING,
    Reason.STREAM_MISSING,
    Reason.GROUP_MISSING,
    Reason.META_DIFFERS,
)

Fault = tuple[Reason, FieldChange]


def drift_of(applied: Applied, observed: Observed, placement: Placement) -> Drift | None:
    """What has to be put back on Redis for ``applied``; ``None`` when it is whole."""
    kind = applied.resource.identity.kind
    if kind in STORED:
        faults = list(_of_topic(applied, observed, placement))
    elif kind == "Subscription":
        faults = list(_of_subscription(applied, observed, placement))
    elif kind == "Tenant" and bucket_of(applied.uid) not in observed.epochs:
        faults = [(Reason.SERVER_FLUSHED, FieldChange("live.bucket", None, "prepared"))]
    else:
        return None
    if not faults:
        return None
    worst = min((reason for reason, _ in faults), key=_SEVERITY.index)
    return Drift(worst, tuple(field for _, field in faults))


def live_differences(resource: Resource, uid: str, observed: Observed, placement: Placement) -> tuple[FieldChange, ...]:
    """Settings on Redis that are not as ``resource``, whose streams or groups are those of ``uid``, wants them."""
    live: LiveTopic | LiveSubscription | None = None
    if resource.identity.kind == "Subscription":
        expected, live = subscription_meta(resource, placement), observed.subscriptions.get(uid)
    elif resource.identity.kind in STORED:
        expected, live = topic_meta(resource, placement.closing), observed.topics.get(uid)
    return () if live is None else tuple(fault for _, fault in _meta_faults(expected, live.meta))


def _of_topic(applied: Applied, observed: Observed, placement: Placement) -> Iterator[Fault]:
    identity = applied.resource.identity
    live = observed.topics.get(applied.uid)
    if live is None or not live.meta:
        yield _meta_missing(placement.buckets.get(identity.tenant), observed)
    else:
        yield from _meta_faults(topic_meta(applied.resource, placement.closing), live.meta)
        yield from _generation_fault(live, applied.generation)
        yield from _index_fault(applied.uid, live.bucket, observed)
    groups: Mapping[int, Mapping[str, str]] = {} if live is None else live.groups
    for partition in range(applied.resource.spec["partitions"]):
        if partition not in groups:
            yield Reason.STREAM_MISSING, FieldChange(f"live.partitions[{partition}].stream", None, "empty")


def _of_subscription(applied: Applied, observed: Observed, placement: Placement) -> Iterator[Fault]:
    resource = applied.resource
    topic = placement.topic(resource.identity.tenant, resource.spec["topic"])
    live = observed.subscriptions.get(applied.uid)
    source = observed.topics.get(placement.uids.get(topic, ""))
    if live is None or not live.meta:
        yield _meta_missing(placement.buckets.get(topic.tenant), observed)
    else:
        expected = subscription_meta(resource, placement)
        yield from _meta_faults(expected, live.meta)
        yield from _index_fault(applied.uid, live.bucket, observed)
        reader = "own" if expected["own"] == "1" else "foreign"
        if source is not None and source.readers.get(applied.uid) != reader:
            yield Reason.META_DIFFERS, FieldChange("live.reader", source.readers.get(applied.uid), reader)
    row = observed.applied.get(topic)
    groups: Mapping[int, Mapping[str, str]] = {} if source is None else source.groups
    meta = {} if source is None else source.meta
    partitions = meta.get("partitions", 0) if row is None else row.resource.spec["partitions"]
    for partition in range(int(partitions)):
        if applied.uid in groups.get(partition, {}):
            continue
        known = None if live is None else live.meta.get(f"pos:{partition}")
        position = known or resource.spec["startFrom"]
        yield Reason.GROUP_MISSING, FieldChange(f"live.partitions[{partition}].group", None, position)


def _meta_missing(bucket: int | None, observed: Observed) -> Fault:
    reason = Reason.META_MISSING if bucket in observed.epochs else Reason.SERVER_FLUSHED
    return reason, FieldChange("live.meta", None, "as declared")


def _meta_faults(expected: Mapping[str, str], meta: Mapping[str, str]) -> Iterator[Fault]:
    for name, value in expected.items():
        if meta.get(name) != value:
            yield Reason.META_DIFFERS, FieldChange(f"live.meta.{name}", meta.get(name), value)
    if "closing" in meta:
        yield Reason.META_DIFFERS, FieldChange("live.meta.closing", meta["closing"], None)


def _generation_fault(live: LiveTopic, generation: int) -> Iterator[Fault]:
    """A minimum above the generation that the catalog tells publishers would refuse all of them for ever."""
    minimum = live.meta.get("min_generation", "")
    if not minimum.isdecimal() or int(minimum) > generation:
        yield Reason.META_DIFFERS, FieldChange("live.meta.min_generation", minimum or None, str(generation))


def _index_fault(uid: str, bucket: int, observed: Observed) -> Iterator[Fault]:
    if observed.index.get(uid) != bucket:
        yield Reason.META_DIFFERS, FieldChange("live.index", None, uid)
