"""The difference between what is desired and what is there, as changes in the order they are to be made. Pure.

Resources are matched by identity, those that are renamed by their former one; topics and queues share their names. Only
what the loaded sources own is compared or removed: the rest of the catalog is not theirs to judge. Nothing is decided
here: whether a change may happen is ``refusals``' to say.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace

from mqops.model import KINDS, Identity, SourceSpec
from reconciler.planning.change import Action, Change, FieldChange, Reason
from reconciler.planning.drift import Drift, live_differences
from reconciler.planning.fields import field_changes, is_same
from reconciler.planning.placement import Placement, placement_of
from reconciler.planning.renames import Renames, moved_references, relative, renames
from reconciler.planning.replaces import forcing, replaced, under_its_name, with_those_it_concerns
from reconciler.state import API, REBUILT, Applied, Observed, Resource


def diff(
    desired: Iterable[Resource],
    observed: Observed,
    sources: Mapping[str, SourceSpec],
    drift: Mapping[Identity, Drift],
) -> tuple[Change, ...]:
    """Everything to do so that ``observed`` becomes ``desired``: first all but deletes in the order that kinds build on
    each other, then deletes in reverse. ``sources`` are the loaded ones, by name; ``drift`` is what was changed outside
    of what is applied."""
    wanted = {resource.identity: resource for resource in desired}
    found = renames(wanted, observed.applied)
    seen = found.seen(observed)
    placement = placement_of(seen, (*wanted, *seen.lost))
    changes: list[Change] = []
    for identity, resource in wanted.items():
        row = seen.applied.get(identity)
        if row is None:
            other = under_its_name(identity, seen.applied, wanted)
            changes.append(_appears(resource, seen, placement) if other is None else _other_kind(other, resource))
            continue
        before = observed.applied[found.former.get(identity, identity)]
        if _is_anothers(row.resource, resource, sources):
            changes.extend(_repair(before, before.resource, drift))
            continue
        moved = _moved(before.resource, resource, observed, found)
        if identity in found.former:
            fields = (*field_changes(row.resource, resource), *moved)
            forced_by = forcing(before.resource, resource, fields, observed.applied, found)
            renamed = _changed(Action.RENAME, Reason.RENAMED, before, resource, fields)
            changes.append(replace(renamed, forced_by=forced_by))
        elif moved or not is_same(row.resource, resource):
            fields = (*field_changes(row.resource, resource), *moved)
            action, reason = _kind_of_change(row.resource, resource, drift.get(identity))
            forced_by = forcing(before.resource, resource, fields, observed.applied, found)
            if forced_by and reason is not Reason.ROW_ADDED:
                changes.append(replace(replaced(before, resource, reason, fields), forced_by=forced_by))
            else:
                changes.append(_changed(action, reason, before, resource, fields))
        else:
            changes.extend(_repair(before, resource, drift))
    gone = {change.gone.resource.identity for change in changes if change.gone is not None}
    declared = {identity for identity in observed.applied if found.now(identity) in wanted}
    changes.extend(_undeclared(declared | gone, observed, sources, drift))
    for identity, lost in observed.lost.items():
        source = None if lost.applied is None else sources.get(lost.applied.resource.managed_by)
        if identity in wanted or lost.applied is None or source is None:
            continue
        if source.prune:
            changes.append(Change(Action.DELETE, Reason.REMOVED, lost.applied.resource, lost.applied, lost.uid, 0))
        else:
            changes.append(_appears(lost.applied.resource, seen, placement))
    changes = with_those_it_concerns(changes, wanted, observed.applied, sources, found)
    return tuple(sorted(changes, key=_order))


def _undeclared(
    spoken_for: Collection[Identity],
    observed: Observed,
    sources: Mapping[str, SourceSpec],
    drift: Mapping[Identity, Drift],
) -> Iterator[Change]:
    """What is applied and not ``spoken_for``: it goes, or stays as it was applied."""
    for identity, applied in observed.applied.items():
        source = sources.get(applied.resource.managed_by)
        if identity in spoken_for or source is None:
            continue
        is_added = identity in drift and drift[identity].reason is Reason.ROW_ADDED
        if source.prune:
            reason = Reason.ROW_ADDED if is_added else Reason.REMOVED
            yield Change(Action.DELETE, reason, applied.resource, applied, applied.uid, 0)
        elif not is_added:  # what nobody declared, and nothing is known of, cannot be put right
            yield from _repair(applied, applied.resource, drift)


def _is_anothers(there: Resource, wanted: Resource, sources: Mapping[str, SourceSpec]) -> bool:
    """Whether it is only brought along here, and somebody else's already for another reason: it stays theirs."""
    owner = sources.get(there.managed_by)
    is_kept = owner is None or (there.managed_by == API and not owner.prune)
    return is_kept and wanted.implied_by is not None and there.implied_by != wanted.implied_by


def _order(change: Change) -> tuple[bool, int, str, str]:
    is_delete = change.action is Action.DELETE
    order = KINDS[change.identity.kind].order
    return is_delete, -order if is_delete else order, change.identity.tenant, change.identity.name


def _appears(resource: Resource, observed: Observed, placement: Placement) -> Change:
    uid = placement.uids.get(resource.identity)
    lost = observed.lost.get(resource.identity)
    edit = observed.edits.get(uid or "")
    known = max(
        0 if lost is None else lost.generation,
        0 if edit is None else edit.generation,
        _live_generation(uid, observed),
    )
    if lost is not None:
        return Change(Action.REPAIR, Reason.ROW_MISSING, resource, None, uid, known + 1)
    if edit is not None:
        return Change(Action.REPAIR, Reason.ROW_MALFORMED, resource, None, uid, known + 1)
    if uid is None:
        return Change(Action.CREATE, Reason.DECLARED, resource, None, None, known + 1)
    owned = FieldChange("managedBy", None, resource.managed_by)
    fields = (owned, *live_differences(resource, uid, observed, placement))
    return Change(Action.ADOPT, Reason.STRAY_FOUND, resource, None, uid, known + 1, fields)


def _kind_of_change(before: Resource, after: Resource, drift: Drift | None) -> tuple[Action, Reason]:
    """Of a difference under one name, by whose it is before and after."""
    if drift is not None and drift.reason is Reason.ROW_ADDED:
        return Action.REPAIR, Reason.ROW_ADDED
    if before.managed_by == after.managed_by:
        return Action.UPDATE, Reason.CHANGED
    if before.managed_by == API:
        return Action.ADOPT, Reason.MADE_OVER_API
    if before.managed_by == REBUILT:
        return Action.ADOPT, Reason.REBUILT_FOUND
    return Action.HANDOVER, Reason.HANDED_OVER


def _other_kind(before: Applied, resource: Resource) -> Change:
    kinds = FieldChange("kind", before.resource.identity.kind, resource.identity.kind)
    fields = (kinds, *field_changes(before.resource, resource))
    _, reason = _kind_of_change(before.resource, resource, None)
    return replace(replaced(before, resource, reason, fields), forced_by=(kinds.path,))


def _live_generation(uid: str | None, observed: Observed) -> int:
    """The least generation that Redis accepts of a topic's publishers; a new row must not stay below it."""
    live = observed.topics.get(uid or "")
    minimum = "" if live is None else live.meta.get("min_generation", "")
    return int(minimum) if minimum.isdecimal() else 0


def _moved(before: Resource, after: Resource, observed: Observed, found: Renames) -> tuple[FieldChange, ...]:
    """References that read as they did, and name another resource now: one that has taken the name over."""
    if not found.former:
        return ()
    moved = moved_references(before, after, observed.applied, found)
    return tuple(
        FieldChange(f"spec.{field}", relative(named, after.identity.tenant), after.spec[field])
        for field, named in moved.items()
        if before.spec[field] == after.spec[field]
    )


def _changed(
    action: Action, reason: Reason, before: Applied, resource: Resource, fields: tuple[FieldChange, ...]
) -> Change:
    is_other_spec = before.resource.spec != resource.spec or any(field.path.startswith("spec.") for field in fields)
    generation = before.generation + is_other_spec
    return Change(action, reason, resource, before, before.uid, generation, fields)


def _repair(applied: Applied, resource: Resource, drift: Mapping[Identity, Drift]) -> Iterator[Change]:
    found = drift.get(applied.resource.identity)
    if found is not None and found.is_repairable:
        yield Change(Action.REPAIR, found.reason, resource, applied, applied.uid, applied.generation, found.fields)
