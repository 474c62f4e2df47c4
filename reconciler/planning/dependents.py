"""What cannot be done when something else is not done, so that the rest of a plan still holds together. Pure.

Used before an apply for what is refused, and during one for what failed.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from mqops.model import Identity
from reconciler.planning.change import Action, Change
from reconciler.planning.links import links
from reconciler.planning.renames import place
from reconciler.state import Observed, Resource


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A change that is not made because of another."""

    change: Change
    message: str
    is_needed: bool
    """Of a delete or rename: something that stays needs it. Otherwise what the change itself needs is not there."""


_TAKES_AWAY = (Action.DELETE, Action.RENAME)
"""What leaves a name behind that others may know."""


def dependents(changes: Collection[Change], out: Collection[Identity], observed: Observed) -> dict[Identity, LeftOut]:
    """What has to stay out with ``out``, followed to its end. A delete stays out when anything that stays needs it,
    be that of a source that is not loaded; a rename when anything that does not change names it."""
    left: dict[Identity, LeftOut] = {}
    if not out and all(change.action not in _TAKES_AWAY for change in changes):
        return left
    while True:
        excluded = {*out, *left}
        staying = _staying(changes, excluded, observed)
        needs = {identity: links(resource, staying) for identity, resource in staying.items()}
        candidates = [change for change in changes if change.identity not in excluded]
        found = [
            *_without_ground(candidates, staying, needs, _withheld(changes, excluded)),
            *_from_under_others(candidates, needs),
            *_away_from_others(candidates, needs, staying),
            *_without_name(candidates, changes, excluded),
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
    made = [change for change in changes if change.identity not in excluded]
    for change in made:
        if change.action in _TAKES_AWAY:
            staying.pop(change.renamed_from or change.identity, None)
    staying.update((change.identity, change.resource) for change in made if change.action is not Action.DELETE)
    return staying


Needs = Mapping[Identity, tuple[Identity, ...]]


def _withheld(changes: Collection[Change], excluded: Collection[Identity]) -> set[Identity]:
    """Names that nobody gets: what has one of them stays, and is not what others mean by it."""
    gives = (Action.CREATE, Action.RENAME)
    return {change.identity for change in changes if change.action in gives and change.identity in excluded}


def _without_ground(
    candidates: Collection[Change], staying: Mapping[Identity, Resource], needs: Needs, withheld: Collection[Identity]
) -> Iterator[LeftOut]:
    """What needs, or is brought along by, something that will not be there."""
    for change in candidates:
        if change.action is Action.DELETE:
            continue
        parent = change.resource.implied_by
        needed = needs[change.identity] if parent is None else (parent, *needs[change.identity])
        missing = next((need for need in needed if need not in staying or need in withheld), None)
        if missing is not None:
            yield LeftOut(change, f"{change.identity} needs {missing}, which is not there", is_needed=False)


def _from_under_others(candidates: Collection[Change], needs: Needs) -> Iterator[LeftOut]:
    deletes = {change.identity: change for change in candidates if change.action is Action.DELETE}
    for identity, needed in needs.items():
        for need in needed:
            if need in deletes:
                yield LeftOut(deletes[need], f"{need} cannot be deleted: {identity} needs it", is_needed=True)


def _away_from_others(
    candidates: Collection[Change], needs: Needs, staying: Mapping[Identity, Resource]
) -> Iterator[LeftOut]:
    """Renames of what something names that itself stays as it is. That the old name is used anew makes it no better:
    a subscription would read another topic without noticing."""
    renames = {place(change.renamed_from): change for change in candidates if change.renamed_from is not None}
    if not renames:
        return
    changing = {change.identity for change in candidates}
    for identity, needed in needs.items():
        for need in needed:
            change = renames.get(place(need))
            if change is not None and identity not in changing:
                owner = staying[identity].managed_by
                message = (
                    f"{change.renamed_from} cannot become {change.identity}: {identity} of source {owner!r} still "
                    "names it. Change that in the same apply, or delete it first"
                )
                yield LeftOut(change, message, is_needed=True)


def _without_name(
    candidates: Collection[Change], changes: Collection[Change], excluded: Collection[Identity]
) -> Iterator[LeftOut]:
    """What is to have a name that is not given away after all."""
    kept = {
        place(change.renamed_from): change.renamed_from
        for change in changes
        if change.renamed_from is not None and change.identity in excluded
    }
    for change in candidates:
        holder = kept.get(place(change.identity))
        if holder is not None and change.action is not Action.DELETE:
            yield LeftOut(change, f"its name is not free: {holder} is not renamed", is_needed=False)


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
    """What only an update that stays out brings along, and has no row yet."""
    needed = {need for found in needs.values() for need in found}
    for change in candidates:
        parent = change.resource.implied_by
        is_new = change.before is None and change.action in (Action.CREATE, Action.ADOPT)
        if is_new and parent in excluded and change.identity not in needed:
            message = f"{change.identity} would be brought along by {parent}, which stays as it is"
            yield LeftOut(change, message, is_needed=False)
