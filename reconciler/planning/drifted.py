"""Everything that was changed outside, as a plan tells it: resource by resource, whoever is to repair it. Pure."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from mqops.model import Identity, SourceSpec
from reconciler.planning.change import FieldChange, Reason
from reconciler.planning.drift import Drift
from reconciler.planning.placement import astray, unplaced
from reconciler.planning.scope import Scope
from reconciler.state import Applied, Observed

NOBODY = ""
"""Who owns what nobody claims."""

_UNRECORDED = "nothing else is known of it: declare it in the manifests, or delete its row from mq_resources"
_UNCLAIMED = "declare it, and what it holds is taken up; or delete its keys"


@dataclass(frozen=True, slots=True)
class Drifted:
    """One resource that is not as it was last applied."""

    identity: Identity
    uid: str
    managed_by: str
    """Who owns it; empty for what nobody claims."""
    reason: Reason
    """The worst of it."""
    fields: tuple[FieldChange, ...]
    """``before`` is what was applied, ``after`` what was found."""
    message: str = ""
    """What somebody has to do, where something of it is not repaired by itself."""
    changed_by: str | None = None
    """Who did it; ``None`` when that is not known."""
    changed_at: datetime | None = None
    first_seen_at: datetime | None = None
    """Since when a reconciler knows; ``None`` when none has noted it yet."""


def drifted(
    drift: Mapping[Identity, Drift],
    observed: Observed,
    sources: Mapping[str, SourceSpec],
    wanted: Collection[Identity],
) -> tuple[Drifted, ...]:
    """What was changed outside of what ``sources`` own, by kind, tenant and name. ``drift`` is that of the rows; what
    is ``wanted`` can be made good."""
    found = [*_rows(drift, observed, sources, wanted), *_lost(observed, sources)]
    found.extend(_unplaced(observed, wanted))
    return tuple(sorted(found, key=lambda one: (one.identity, one.uid)))


def within(drift: Iterable[Drifted], observed: Observed, scope: Scope) -> tuple[Drifted, ...]:
    """What of ``drift`` is of resources that ``scope`` chooses."""
    if not scope.targets and not scope.labels:
        return tuple(drift)
    labels = _labels(observed)
    return tuple(
        one
        for one in drift
        if one.identity in scope.targets
        or (scope.labels and scope.labels.items() <= labels.get(one.identity, {}).items())
    )


def chooses_any(observed: Observed, scope: Scope) -> bool:
    """Whether ``scope`` chooses anything that is applied, or was; a target does."""
    if scope.targets or not scope.labels:
        return True
    return any(scope.labels.items() <= labels.items() for labels in _labels(observed).values())


def _labels(observed: Observed) -> dict[Identity, Mapping[str, str]]:
    labels = {identity: row.resource.labels for identity, row in observed.applied.items()}
    labels.update((name, lost.applied.resource.labels) for name, lost in observed.lost.items() if lost.applied)
    return labels


def _rows(
    drift: Mapping[Identity, Drift],
    observed: Observed,
    sources: Mapping[str, SourceSpec],
    wanted: Collection[Identity],
) -> Iterator[Drifted]:
    for identity, one in drift.items():
        applied = observed.applied[identity]
        owner = sources.get(applied.resource.managed_by)
        if owner is None:
            continue  # of a source that is not here, and whose own reconciler sees to it
        is_unknown = one.reason is Reason.ROW_ADDED and identity not in wanted and not owner.prune
        told = replace(one, message=_UNRECORDED) if is_unknown else one
        yield as_told(applied, told, observed)


def _lost(observed: Observed, sources: Collection[str]) -> Iterator[Drifted]:
    one = Drift(Reason.ROW_MISSING, (FieldChange("row", None, "as recorded"),))
    for identity, lost in observed.lost.items():
        owner = NOBODY if lost.applied is None else lost.applied.resource.managed_by
        if owner in sources or owner == NOBODY:
            yield _drifted(identity, lost.uid, owner, one, observed)


def _unplaced(observed: Observed, wanted: Collection[Identity]) -> Iterator[Drifted]:
    for edit in unplaced(observed):
        reason, problem = Reason.ROW_ADDED, "added by hand"
        if edit.resource is None:
            reason, problem = Reason.ROW_MALFORMED, edit.problem
        is_replaced = edit.identity in wanted or edit.identity in observed.lost or edit.identity in observed.applied
        one = Drift(reason, (FieldChange("row", problem, None),), "" if is_replaced else _UNRECORDED)
        yield _drifted(edit.identity, edit.uid, NOBODY, one, observed)


def strays_of(observed: Observed, wanted: Collection[Identity]) -> Iterator[Drifted]:
    """What Redis holds of resources that neither a row nor the history knows: what plans tell as unclaimed."""
    known = {lost.uid for lost in observed.lost.values()}
    for uid, identity in astray(observed).items():
        if uid not in known and identity not in wanted:
            yield Drifted(identity, uid, NOBODY, Reason.STRAY_FOUND, (), _UNCLAIMED)


def as_told(applied: Applied, one: Drift, observed: Observed) -> Drifted:
    """What was changed of ``applied``, as plans tell it."""
    return _drifted(applied.resource.identity, applied.uid, applied.resource.managed_by, one, observed)


def _drifted(identity: Identity, uid: str, owner: str, one: Drift, observed: Observed) -> Drifted:
    editor = observed.editors.get(uid)
    fields = tuple(FieldChange(field.path, field.after, field.before) for field in one.fields)
    told = (None, None) if editor is None else (editor.name, editor.at)
    return Drifted(identity, uid, owner, one.reason, fields, one.message, *told)
