"""What cannot be done when something else is not done, so that the rest of a plan still holds together. Pure.

Used before an apply for what is refused, and during one for what failed.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from mqops.model import Identity
from reconciler.planning.change import Action, Change
from reconciler.planning.links import links
from reconciler.state import Observed, Resource


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A change that is not made because of another."""

    change: Change
    message: str
    is_needed: bool
    """Of a delete: something that stays needs it. Otherwise what the change itself needs is not there."""


def dependents(changes: Collection[Change], out: Collection[Identity], observed: Observed) -> dict[Identity, LeftOut]:
    """What has to stay out with ``out``, followed to its end. A delete stays out when anything that stays needs it,
    be that of a source that is not loaded."""
    left: dict[Identity, LeftOut] = {}
    if not out and all(change.action is not Action.DELETE for change in changes):
        return left
    while True:
        excluded = {*out, *left}
        staying = _staying(changes, excluded, observed)
        needs = {identity: links(resource, staying) for identity, resource in staying.items()}
        candidates = [change for change in changes if change.identity not in excluded]
        found = [
            *_without_ground(candidates, staying, needs),
            *_from_under_others(candidates, needs),
            *_children_of_kept(changes, excluded),
            *_children_of_unchanged(candidates, excluded, needs),
        ]
        if not found:
            return left
        for entry in found:
            left.setdefault(entry.change.identity, entry)


def _staying(
    changes: Collection[Change], excluded: Collection[Identity], observed: Observed
) -> dict[Identity, Resource]:
    """What would exist after the changes that are not excluded."""
    staying = {identity: applied.resource for identity, applied in observed.applied.items()}
    for change in changes:
        if change.identity in excluded:
            continue
        if change.action is Action.DELETE:
            staying.pop(change.identity, None)
        else:
            staying[change.identity] = change.resource
    return staying


Needs = Mapping[Identity, tuple[Identity, ...]]


def _without_ground(
    candidates: Collection[Change], staying: Mapping[Identity, Resource], needs: Needs
) -> Iterator[LeftOut]:
    """What needs, or is brought along by, something that will not be there."""
    for change in candidates:
        if change.action is Action.DELETE:
            continue
        parent = change.resource.implied_by
        needed = needs[change.identity] if parent is None else (parent, *needs[change.identity])
        missing = next((need for need in needed if need not in staying), None)
        if missing is not None:
            yield LeftOut(change, f"{change.identity} needs {missing}, which is not there", is_needed=False)


def _from_under_others(candidates: Collection[Change], needs: Needs) -> Iterator[LeftOut]:
    deletes = {change.identity: change for change in candidates if change.action is Action.DELETE}
    for identity, needed in needs.items():
        for need in needed:
            if need in deletes:
                yield LeftOut(deletes[need], f"{need} cannot be deleted: {identity} needs it", is_needed=True)


def _children_of_kept(changes: Collection[Change], excluded: Collection[Identity]) -> Iterator[LeftOut]:
    """Deletes of what a resource brought along whose own delete stays out."""
    kept = {change.identity for change in changes if change.action is Action.DELETE and change.identity in excluded}
    for change in changes:
        parent = change.resource.implied_by
        if change.action is Action.DELETE and change.identity not in excluded and parent in kept:
            yield LeftOut(change, f"{change.identity} belongs to {parent}, which is not deleted", is_needed=False)


def _children_of_unchanged(
    candidates: Collection[Change], excluded: Collection[Identity], needs: Needs
) -> Iterator[LeftOut]:
    """Creates that only an update that stays out brings along."""
    needed = {need for found in needs.values() for need in found}
    for change in candidates:
        parent = change.resource.implied_by
        if change.action is Action.CREATE and parent in excluded and change.identity not in needed:
            message = f"{change.identity} would be brought along by {parent}, which stays as it is"
            yield LeftOut(change, message, is_needed=False)
