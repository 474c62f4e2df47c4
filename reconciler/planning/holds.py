"""Sources that are held: suspended, or pinned by a rollback. What their manifests say is not applied meanwhile. Pure.

For what a held source owns or declares, what is applied stands in the place of what is declared. So nothing of it is
changed, nothing is deleted from under it, and drift of a pinned source is found against the state it is pinned to.
A suspended source is not repaired either.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from mqops.model import Identity
from reconciler.planning.beside import moment
from reconciler.planning.change import Action, Reason
from reconciler.planning.dependents import LeftOut, dependents
from reconciler.planning.fields import is_same
from reconciler.planning.links import links
from reconciler.planning.plan import Plan
from reconciler.planning.refusals import Refusal, refusal_of
from reconciler.planning.scope import EVERYTHING, Scope
from reconciler.state import Content, Observed, Resource


@dataclass(frozen=True, slots=True)
class Suspension:
    """Somebody wants nothing of a source to be reconciled."""

    source: str
    by: str
    since: datetime
    reason: str

    @property
    def kept(self) -> str:
        """How it is held, by whom, since when and why."""
        reason = f": {self.reason}" if self.reason else ""
        return f"suspended by {self.by} since {moment(self.since)}{reason}"

    def __str__(self) -> str:
        return f"source {self.source!r} is {self.kept}; `mqops resume {self.source}` lets it go on"


@dataclass(frozen=True, slots=True)
class Pin:
    """A rollback: the source stays at a revision for as long as its manifests stay what they were then."""

    source: str
    by: str
    since: datetime
    revision: int
    content: Content
    """Of the manifests that were last reconciled before: the pin ends when they are others."""

    @property
    def kept(self) -> str:
        """How it is held, by whom and since when."""
        return f"pinned to revision {self.revision} by {self.by} since {moment(self.since)}"

    def __str__(self) -> str:
        if not self.content.digest:
            ending = ""
        elif self.content.tree:
            ending = "a commit that changes its manifests or "
        else:
            ending = "a change of its manifests or "
        return f"source {self.source!r} is {self.kept}; {ending}`mqops resume {self.source}` ends that"


Hold = Suspension | Pin


@dataclass(frozen=True, slots=True)
class Kept:
    """What is desired while some sources are held."""

    desired: tuple[Resource, ...]
    held_back: int
    """How many resources would differ if nothing were held, of those that the plan is about."""


def keep(desired: Iterable[Resource], observed: Observed, held: Collection[str], scope: Scope = EVERYTHING) -> Kept:
    """``desired``, with what the ``held`` sources own or declare as it is applied. Counted is what ``scope`` is
    about."""
    desired = tuple(desired)
    if not held:
        return Kept(desired, 0)
    declared = {resource.identity: resource for resource in desired if resource.managed_by in held}
    applied = {
        identity: row.resource
        for identity, row in observed.applied.items()
        if row.resource.managed_by in held or identity in declared
    }
    applied.update(
        (identity, lost.applied.resource)
        for identity, lost in observed.lost.items()
        if lost.applied is not None and lost.applied.resource.managed_by in held
    )
    others = tuple(
        resource for resource in desired if resource.identity not in applied and resource.identity not in declared
    )
    wanted = {resource.identity: resource for resource in desired}
    different = sum(
        scope.lets_manifests_change(identity, states)
        for identity in {**declared, **applied}
        if len(states := [state[identity] for state in (applied, wanted) if identity in state]) == 1
        or not is_same(*states)
    )
    return Kept((*applied.values(), *others), different)


def grounded(found: Plan, desired: Iterable[Resource], observed: Observed) -> Plan:
    """``found`` without what would build on something that neither is there nor will be: that is refused."""
    desired = tuple(desired)
    there = {*observed.applied, *(resource.identity for resource in desired)}
    missing = {need for resource in desired for need in links(resource, there) if need not in there}
    left = dependents(found.changes, missing, observed) if missing else {}
    return _without(found, left, _refusals(left))


def unrepaired(found: Plan, suspended: Collection[str]) -> Plan:
    """``found`` without the repairs of ``suspended`` sources: with ``keep``, those are all there is of them."""
    out = [
        change.identity
        for change in found.changes
        if change.action is Action.REPAIR and change.resource.managed_by in suspended
    ]
    return _without(found, out, ())


def unreplaced(found: Plan, observed: Observed, held: Collection[str]) -> Plan:
    """``found`` without what would be done to what ``held`` sources have because something else is replaced, and
    without that replace."""
    along = (Reason.TOPIC_REPLACED, Reason.PARENT_REPLACED)
    out = [
        change.identity
        for change in found.changes
        if change.reason in along and change.before is not None and change.before.resource.managed_by in held
    ]
    left = dependents(found.changes, out, observed) if out else {}
    return _without(found, {*out, *left}, _refusals(left))


def _refusals(left: Mapping[Identity, LeftOut]) -> tuple[Refusal, ...]:
    return tuple(refusal_of(entry) for entry in left.values())


def _without(found: Plan, out: Collection[Identity], refused: tuple[Refusal, ...]) -> Plan:
    if not out:
        return found
    staying = tuple(change for change in found.changes if change.identity not in out)
    return replace(found, changes=staying, refused=(*found.refused, *refused))
