"""The plan: what an apply will do, what it will not and why. Pure data, made from values alone.

A plan made right after an apply that went through is empty, whatever moved about within the manifests.
"""

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from mqops.model import Identity, SourceSpec
from reconciler.planning.beside import NOTHING_BESIDE, Beside, beside
from reconciler.planning.change import Action, Change
from reconciler.planning.dependents import dependents
from reconciler.planning.diff import diff
from reconciler.planning.drift import find_drift
from reconciler.planning.drifted import Drifted, drifted, within
from reconciler.planning.placement import Leftover, leftovers, unclaimed
from reconciler.planning.refusals import Refusal, refuse
from reconciler.planning.renames import renames_of
from reconciler.planning.scope import EVERYTHING, Scope, narrowed, refreshed
from reconciler.state import NO_SOURCES, REBUILT, Observed, Origin, Resource, Waiting

NOTHING_TAKEN: Mapping[str, SourceSpec] = MappingProxyType({})

KEPT = SourceSpec.model_construct(path=".", tenants=None, prune=False, self_heal=True)
"""Of an owner whose resources stay as they are applied, whatever is declared here."""


@dataclass(frozen=True, slots=True)
class Outside:
    """A change that a whole plan would have, and a limited one leaves out."""

    action: Action
    identity: Identity


@dataclass(frozen=True, slots=True)
class Moved:
    """Where the resource with this uid now stands in the manifests, and what it says there that it was called."""

    uid: str
    origin: Origin
    renamed_from: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """Changes in the order they are made."""

    changes: tuple[Change, ...]
    refused: tuple[Refusal, ...] = ()
    leftovers: tuple[Leftover, ...] = ()
    """What interrupted deletes left on Redis, removed with the next apply."""
    moved: tuple[Moved, ...] = ()
    """What stands elsewhere in the manifests than before: noted by an apply, but no change."""
    waiting: tuple[Waiting, ...] = ()
    """Subscriptions that are declared, and left as they are until what they read is there."""
    unclaimed: tuple[Identity, ...] = ()
    """What nothing declares, and only Redis holds or a rebuild found: left alone, and reported."""
    others: int = 0
    """How many resources of the catalog belong to owners that are not loaded, and are left alone."""
    outside: tuple[Outside, ...] = ()
    """What there would be to do beyond what the plan was limited to."""
    beside: Beside = NOTHING_BESIDE
    """What no apply touches, of the resources of the owners that are loaded."""
    drift: tuple[Drifted, ...] = ()
    """What was changed outside, whether it is repaired by the changes, overwritten, or has to be seen to."""
    revision: int = 0
    """The catalog's, when the plan was made: an apply refuses to work on another."""

    @property
    def is_empty(self) -> bool:
        """Whether an apply would change nothing that anyone could notice."""
        return not self.changes and not self.leftovers

    def count(self, action: Action) -> int:
        return sum(change.action is action for change in self.changes)

    @property
    def summary(self) -> dict[str, int]:
        """Number of changes by action."""
        return {action.value: self.count(action) for action in Action}


def plan(
    desired: Iterable[Resource],
    observed: Observed,
    sources: Mapping[str, SourceSpec],
    taken: Mapping[str, SourceSpec] = NOTHING_TAKEN,
    scope: Scope = EVERYTHING,
) -> Plan:
    """What turns ``observed`` into ``desired``, within what ``sources`` (the loaded ones, by name) own. What ``taken``
    sources own, which are not loaded, is handed over where it is desired, and deleted where it is not. What lies
    outside of ``scope`` is neither done nor refused. What no manifests can have stays as it was applied, and is
    repaired like the rest: nobody else watches over it."""
    sources = {**sources, **taken}
    desired = tuple(desired)
    watched = {**dict.fromkeys(NO_SOURCES, KEPT), **sources}
    wanted = {resource.identity for resource in desired}
    drift = find_drift(observed, watched, wanted)
    every = changes = diff(desired, observed, watched, drift)
    if scope.is_refresh_only:
        desired = refreshed(desired, observed, sources)
        changes = diff(desired, observed, watched, drift)
    changes = narrowed(changes, observed, scope)
    refused = refuse(changes, desired, observed, sources, taken)
    out = {refusal.change.identity for refusal in refused}
    every_leftover = leftovers(observed)
    removed = tuple(leftover for leftover in every_leftover if scope.is_whole or leftover.identity in scope.targets)
    return Plan(
        changes=tuple(change for change in changes if change.identity not in out),
        refused=refused,
        leftovers=removed,
        moved=_moved(desired, observed, changes) if scope.is_whole else (),
        unclaimed=_unclaimed(desired, changes, observed, sources) if scope.is_whole else (),
        others=_others(changes, observed, sources),
        outside=() if scope.is_whole else _outside((every, every_leftover), (changes, removed)),
        beside=beside(observed, frozenset(sources)),
        drift=within(drifted(drift, observed, watched, wanted), observed, scope),
        revision=observed.revision,
    )


def _unclaimed(
    desired: Iterable[Resource], changes: Iterable[Change], observed: Observed, sources: Container[str]
) -> tuple[Identity, ...]:
    if REBUILT in sources:
        return ()
    wanted = {resource.identity for resource in desired}
    wanted.update(change.renamed_from for change in changes if change.renamed_from is not None)
    rows = (
        identity
        for identity, row in observed.applied.items()
        if row.resource.managed_by == REBUILT and row.resource.implied_by is None
    )
    return tuple(sorted({*rows, *unclaimed(observed)} - wanted - observed.lost.keys()))


def _others(changes: Iterable[Change], observed: Observed, sources: Mapping[str, SourceSpec]) -> int:
    """What is adopted is no longer another owner's."""
    adopted = {
        change.renamed_from or change.identity
        for change in changes
        if change.before is not None and change.before.resource.managed_by in NO_SOURCES
    }
    return sum(
        row.resource.managed_by not in sources and identity not in adopted for identity, row in observed.applied.items()
    )


def hold_back(
    found: Plan, observed: Observed, sources: Mapping[str, SourceSpec], *, is_declared_anew: bool
) -> tuple[Plan, tuple[Change, ...]]:
    """Parts a plan into what a watching reconciler does by itself and what it only reports: repairs of sources that
    do not heal themselves, and what depends on them. While nothing new was declared since everything was settled
    (``is_declared_anew`` is false), any difference of such a source is someone's doing outside, and is held too. What
    an interrupted apply has left closed is nobody's doing outside, and is opened in any case."""
    held = {
        change.identity
        for change in found.changes
        if (source := sources.get(change.resource.managed_by)) is not None
        and not source.self_heal
        and (change.action is Action.REPAIR or not is_declared_anew)
        and not _is_left_closed(change)
    }
    if not held:
        return found, ()
    held.update(dependents(found.changes, held, observed))
    done = tuple(change for change in found.changes if change.identity not in held)
    return replace(found, changes=done), tuple(change for change in found.changes if change.identity in held)


def _is_left_closed(change: Change) -> bool:
    paths = {field.path for field in change.fields}
    return change.action is Action.REPAIR and paths == {"live.meta.closing"}


Doings = tuple[Iterable[Change], Iterable[Leftover]]


def _outside(every: Doings, inside: Doings) -> tuple[Outside, ...]:
    kept = set(_listed(inside))
    return tuple(one for one in _listed(every) if one not in kept)


def _listed(doings: Doings) -> Iterator[Outside]:
    changes, remains = doings
    for change in changes:
        yield Outside(change.action, change.identity)
    for leftover in remains:
        yield Outside(Action.DELETE, leftover.identity)


def _moved(desired: Iterable[Resource], observed: Observed, changes: Iterable[Change]) -> tuple[Moved, ...]:
    """Not of renames, which say so themselves, nor of what goes."""
    out = renames_of(changes)
    gone = {change.gone.uid for change in changes if change.gone is not None}
    return tuple(
        Moved(applied.uid, resource.origin, resource.renamed_from)
        for resource in desired
        if (applied := observed.applied.get(resource.identity)) is not None
        and applied.uid not in gone
        and resource.identity not in out.former
        and resource.identity not in out.current
        and (applied.resource.origin, applied.resource.renamed_from) != (resource.origin, resource.renamed_from)
        and applied.resource.managed_by == resource.managed_by
    )
