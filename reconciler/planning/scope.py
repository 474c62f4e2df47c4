"""A plan limited to some resources, or to what was changed outside. Pure.

A limited plan holds together like a whole one: with what is chosen goes whatever it needs, and whatever has to go
before it can. Renames go together.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from mqops.model import Identity
from reconciler.planning.change import Action, Change
from reconciler.planning.links import links
from reconciler.planning.renames import renames_of
from reconciler.state import Observed, Resource


@dataclass(frozen=True, slots=True)
class Scope:
    """What a plan is limited to."""

    targets: frozenset[Identity] = frozenset()
    labels: Mapping[str, str] = field(default_factory=dict)
    """Chosen is what has all of these, declared or applied. With ``targets`` too, what either of them chooses."""
    is_refresh_only: bool = False
    """Only what was changed outside is put back; nothing new of the manifests is applied."""

    @property
    def is_whole(self) -> bool:
        """Whether nothing is left out."""
        return not self.targets and not self.labels and not self.is_refresh_only

    def chooses(self, change: Change) -> bool:
        """Whether the change is asked for itself, not for another's sake."""
        if change.gone is not None and change.gone.resource.identity in self.targets:
            return True
        states = [change.resource] if change.before is None else [change.resource, change.before.resource]
        return self.names(change.identity, states)

    def names(self, identity: Identity, states: Iterable[Resource]) -> bool:
        """Whether a target or the labels are those of ``identity``, in one of its ``states``."""
        if identity in self.targets:
            return True
        return bool(self.labels) and any(self.labels.items() <= state.labels.items() for state in states)

    def lets_manifests_change(self, identity: Identity, states: Iterable[Resource]) -> bool:
        """Whether what the manifests declare of ``identity`` counts at all, by itself."""
        if self.is_refresh_only:
            return False
        return self.is_whole or self.names(identity, states)


EVERYTHING = Scope()


def refreshed(desired: Iterable[Resource], observed: Observed, sources: Collection[str]) -> tuple[Resource, ...]:
    """What is desired when the manifests change nothing: everything of ``sources`` as it was last applied. Only what
    lost its row, and was not recorded in a form that can be read, has to be taken from ``desired``."""
    applied = (row.resource for row in observed.applied.values() if row.resource.managed_by in sources)
    lost = {
        identity: found.applied.resource
        for identity, found in observed.lost.items()
        if found.applied is not None and found.applied.resource.managed_by in sources
    }
    for resource in desired:
        if resource.identity in observed.lost and resource.identity not in observed.applied:
            lost.setdefault(resource.identity, resource)
    return *applied, *_grounded(lost, observed)


def _grounded(lost: Mapping[Identity, Resource], observed: Observed) -> Iterable[Resource]:
    """Without what needs something that only the manifests have."""
    while True:
        there = {*lost, *observed.applied}
        kept = {identity: one for identity, one in lost.items() if there.issuperset(_needs(one, there))}
        if len(kept) == len(lost):
            return kept.values()
        lost = kept


def _needs(resource: Resource, there: Collection[Identity]) -> Iterator[Identity]:
    yield from links(resource, there)
    if resource.implied_by is not None:
        yield resource.implied_by


def narrowed(changes: Collection[Change], observed: Observed, scope: Scope) -> tuple[Change, ...]:
    """What of ``changes`` is within ``scope``, in their order: what it chooses, and what that needs."""
    if not scope.targets and not scope.labels:
        return tuple(changes)
    by_identity = {change.identity: change for change in changes}
    everything = {*by_identity, *observed.applied}
    releasing = _releasing(changes, everything)
    children = _children(changes)
    renames = renames_of(changes)
    waiting = [change.identity for change in changes if scope.chooses(change)]
    found: set[Identity] = set()
    while waiting:
        identity = waiting.pop()
        if identity in found or identity not in by_identity:
            continue
        found.add(identity)
        waiting.extend(children.get(identity, ()))
        change = by_identity[identity]
        waiting.extend(_parents(change))
        if identity in renames.former or identity in renames.current:
            # Names are given and taken among all of them, and whoever says an old name has to say the new one.
            waiting.extend(renames.former)
            waiting.extend(one for old in renames.current for one in releasing.get(old, ()))
        if change.gone is not None:
            names = {identity, change.gone.resource.identity}
            waiting.extend(one for name in names for one in releasing.get(name, ()))
        if change.action is not Action.DELETE:
            waiting.extend(links(change.resource, everything))
    return tuple(change for change in changes if change.identity in found)


def _parents(change: Change) -> Iterator[Identity]:
    before = None if change.before is None else change.before.resource.implied_by
    yield from {parent for parent in (change.resource.implied_by, before) if parent is not None}


def _children(changes: Iterable[Change]) -> dict[Identity, list[Identity]]:
    """By parent: what it brings along, or brought along until now."""
    children: dict[Identity, list[Identity]] = {}
    for change in changes:
        for parent in _parents(change):
            children.setdefault(parent, []).append(change.identity)
    return children


def _releasing(changes: Iterable[Change], existing: Collection[Identity]) -> dict[Identity, list[Identity]]:
    """By resource: the changes after which it is needed no more by what needs it now."""
    releasing: dict[Identity, list[Identity]] = {}
    for change in changes:
        if change.before is not None:
            for need in links(change.before.resource, existing):
                releasing.setdefault(need, []).append(change.identity)
    return releasing
