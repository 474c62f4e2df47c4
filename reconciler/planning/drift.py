"""What was changed outside: of each resource, what differs from what was last applied to it. Pure.

Whatever the manifests say does not matter here. Positions and counters are the engine's own and move with every
message; they count only where they contradict each other, which traffic never makes them do.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from mqops.keys import bucket_of
from mqops.model import Identity
from reconciler.planning.change import FieldChange, Reason
from reconciler.planning.fields import field_changes
from reconciler.planning.live import partitions_of, subscription_meta, topic_meta
from reconciler.planning.placement import STORED, Placement, placement_of
from reconciler.state import Applied, LiveSubscription, LiveTopic, Observed, Resource, RowEdit


@dataclass(frozen=True, slots=True)
class Drift:
    """What is wrong with one resource: ``reason`` is the worst of it."""

    reason: Reason
    fields: tuple[FieldChange, ...]
    """``before`` is what was found, ``after`` what it should be, as of a change that repairs it."""
    message: str = ""
    """What somebody has to do, where something of it is not to be repaired."""
    is_repairable: bool = True
    """Whether anything of it is."""


SEVERITY = (
    Reason.ROW_MISSING,
    Reason.ROW_MALFORMED,
    Reason.ROW_EDITED,
    Reason.ROW_ADDED,
    Reason.SERVER_FLUSHED,
    Reason.META_MISSING,
    Reason.STREAM_MISSING,
    Reason.STREAM_RENAMED,
    Reason.GROUP_MISSING,
    Reason.STREAM_TRUNCATED,
    Reason.GROUP_MOVED,
    Reason.META_DIFFERS,
    Reason.GROUP_FOREIGN,
)

OF_ROWS = frozenset({Reason.ROW_MISSING, Reason.ROW_MALFORMED, Reason.ROW_EDITED, Reason.ROW_ADDED})
"""What is repaired by writing the row."""


class Fault(NamedTuple):
    """One thing that is wrong."""

    reason: Reason
    field: FieldChange
    message: str = ""
    """What somebody has to do, where it is not to be repaired."""


def find_drift(observed: Observed, owners: Collection[str], wanted: Iterable[Identity]) -> dict[Identity, Drift]:
    """What was changed outside of all that ``owners`` have. What of ``wanted`` can be found without a row is what
    others may refer to."""
    asked = (frozenset(owners), frozenset(wanted))
    known = observed.worked_out.get("drift")
    if known is None or known[0] != asked:
        known = observed.worked_out["drift"] = (asked, _find_drift(observed, *asked))
    found: dict[Identity, Drift] = known[1]
    return found


def _find_drift(observed: Observed, owners: Collection[str], wanted: Iterable[Identity]) -> dict[Identity, Drift]:
    placement = placement_of(observed, (*wanted, *observed.lost))
    return {
        identity: found
        for identity, applied in observed.applied.items()
        if applied.resource.managed_by in owners and (found := drift_of(applied, observed, placement)) is not None
    }


def drift_of(applied: Applied, observed: Observed, placement: Placement) -> Drift | None:
    """What has to be put back for ``applied``; ``None`` when it is whole."""
    kind = applied.resource.identity.kind
    faults = list(_of_row(applied, observed))
    if kind in STORED:
        faults.extend(_of_topic(applied, observed, placement))
    elif kind == "Subscription":
        faults.extend(_of_subscription(applied, observed, placement))
    elif kind == "Tenant" and bucket_of(applied.uid) not in observed.epochs:
        faults.append(Fault(Reason.SERVER_FLUSHED, FieldChange("live.bucket", None, "prepared")))
    if not faults:
        return None
    worst = min((fault.reason for fault in faults), key=SEVERITY.index)
    messages = dict.fromkeys(fault.message for fault in faults if fault.message)
    return Drift(
        worst,
        tuple(fault.field for fault in faults),
        "; ".join(messages),
        is_repairable=any(not fault.message for fault in faults),
    )


def _of_row(applied: Applied, observed: Observed) -> Iterator[Fault]:
    edit = observed.edits.get(applied.uid)
    if edit is None:
        return
    if not edit.is_recorded:
        yield Fault(Reason.ROW_ADDED, FieldChange("row", "added by hand", "recorded"))
    elif edit.resource is None:
        yield Fault(Reason.ROW_MALFORMED, FieldChange("row", edit.problem, "as recorded"))
    else:
        for field in _edited_fields(edit, applied):
            yield Fault(Reason.ROW_EDITED, field)


def _edited_fields(edit: RowEdit, applied: Applied) -> Iterator[FieldChange]:
    found, recorded = edit.identity, applied.resource.identity
    for name, before, after in zip(("kind", "metadata.tenant", "metadata.name"), found, recorded, strict=True):
        if before != after:
            yield FieldChange(name, before, after)
    if edit.resource is not None:
        yield from field_changes(edit.resource, applied.resource)
    if edit.generation != applied.generation:
        yield FieldChange("generation", edit.generation, applied.generation)


def live_differences(resource: Resource, uid: str, observed: Observed, placement: Placement) -> tuple[FieldChange, ...]:
    """Settings on Redis that are not as ``resource``, whose streams or groups are those of ``uid``, wants them."""
    live: LiveTopic | LiveSubscription | None = None
    if resource.identity.kind == "Subscription":
        expected, live = subscription_meta(resource, placement), observed.subscriptions.get(uid)
    elif resource.identity.kind in STORED:
        expected, live = topic_meta(resource, placement.closing), observed.topics.get(uid)
    return () if live is None else tuple(fault.field for fault in _meta_faults(expected, live.meta))


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
            yield _stream_fault(applied.uid, partition, observed)
        elif observed.foreign:
            yield from _foreign_faults(applied.uid, partition, observed)


def _stream_fault(uid: str, partition: int, observed: Observed) -> Fault:
    path, elsewhere = f"live.partitions[{partition}].stream", observed.misplaced.get((uid, partition))
    if elsewhere is None:
        return Fault(Reason.STREAM_MISSING, FieldChange(path, None, "empty"))
    return Fault(Reason.STREAM_RENAMED, FieldChange(path, elsewhere, "in its place"))


def _foreign_faults(uid: str, partition: int, observed: Observed) -> Iterator[Fault]:
    for (topic, number, group), pending in observed.foreign.items():
        if (topic, number) != (uid, partition):
            continue
        message = (
            f"someone reads with the group {group!r}, which no subscription claims and which has {pending} pending: "
            f"declare a Subscription for them, and destroy the group (XGROUP DESTROY)"
        )
        field = FieldChange(f"live.partitions[{partition}].groups[{group}]", f"{pending} pending", None)
        yield Fault(Reason.GROUP_FOREIGN, field, message if pending else "")


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
            field = FieldChange("live.reader", source.readers.get(applied.uid), reader)
            yield Fault(Reason.META_DIFFERS, field)
    row = observed.applied.get(topic)
    groups: Mapping[int, Mapping[str, str]] = {} if source is None else source.groups
    meta = {} if source is None else source.meta
    partitions = partitions_of(meta) if row is None else row.resource.spec["partitions"]
    for partition in range(partitions):
        known = None if live is None else live.meta.get(f"pos:{partition}")
        delivered = groups[partition].get(applied.uid) if partition in groups else None
        if delivered is None:
            # With a stream that is only misplaced its groups come back, too.
            if source is None or (source.uid, partition) not in observed.misplaced:
                field = FieldChange(f"live.partitions[{partition}].group", None, known or resource.spec["startFrom"])
                yield Fault(Reason.GROUP_MISSING, field)
        elif known is not None and delivered != known:
            yield Fault(Reason.GROUP_MOVED, FieldChange(f"live.partitions[{partition}].position", delivered, known))
        if source is None or not observed.missing:
            continue
        missing = observed.missing.get((source.uid, partition, applied.uid), 0)
        if missing:
            yield Fault(Reason.STREAM_TRUNCATED, FieldChange(f"live.partitions[{partition}].missing", missing, 0))


def _meta_missing(bucket: int | None, observed: Observed) -> Fault:
    reason = Reason.META_MISSING if bucket in observed.epochs else Reason.SERVER_FLUSHED
    return Fault(reason, FieldChange("live.meta", None, "as declared"))


def _meta_faults(expected: Mapping[str, str], meta: Mapping[str, str]) -> Iterator[Fault]:
    for name, value in expected.items():
        if meta.get(name) != value:
            yield Fault(Reason.META_DIFFERS, FieldChange(f"live.meta.{name}", meta.get(name), value))
    if "closing" in meta:
        yield Fault(Reason.META_DIFFERS, FieldChange("live.meta.closing", meta["closing"], None))


def _generation_fault(live: LiveTopic, generation: int) -> Iterator[Fault]:
    """A minimum above the generation that the catalog tells publishers would refuse all of them for ever."""
    minimum = live.meta.get("min_generation", "")
    if not minimum.isdecimal() or int(minimum) > generation:
        field = FieldChange("live.meta.min_generation", minimum or None, str(generation))
        yield Fault(Reason.META_DIFFERS, field)


def _index_fault(uid: str, bucket: int, observed: Observed) -> Iterator[Fault]:
    if observed.index.get(uid) != bucket:
        yield Fault(Reason.META_DIFFERS, FieldChange("live.index", None, uid))
