"""What cannot be done when something else is not done, so that the rest of a plan still holds together. Pure.

Used before an apply for what is refused, and during one for what failed.
"""

from collections.abc import Collection, Container, Iterator, Mapping
from dataclasses import dataclass

from mqops.model import Identity
from reconciler.planning.change import Action, Change, Reason
from reconciler.planning.links import links, references
from reconciler.planning.renames import place
from reconciler.state import Observed, Resource


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A change that is not made because of another."""

    change: Change
    message: str
    is_needed: bool
    """Of a delete, rename or replace: something that stays needs what is there. Otherwise what the change itself needs
    is not there."""


_TAKES_AWAY = (Action.DELETE, Action.RENAME, Action.REPLACE)
"""What takes something away that others may know."""


def dependents(
    changes: Collection[Change], out: Collection[Identity], observed: Observed, *, is_under_way: bool = False
) -> dict[Identity, LeftOut]:
    """What has to stay out with ``out``, followed to its end. A delete stays out when anything that stays needs it,
    be that of a source that is not loaded; a rename when anything that does not change names it; a replace when
    anything reads it that is not replaced with it.

    ``is_under_way`` says that uids are given already: then what refers to a resource whose replace is out, out of
    what is made anew, stays out with it."""
    left: dict[Identity, LeftOut] = {}
    if not out and all(change.action not in _TAKES_AWAY for change in changes):
        return left
    while True:
        excluded = {*out, *left}
        staying = _staying(changes, excluded, observed)
        candidates = [change for change in changes if change.identity not in excluded]
        known = _known(candidates, staying)
        needs = {identity: links(resource, known) for identity, resource in staying.items()}
        found = [
            *_without_ground(candidates, staying, needs, _withheld(changes, excluded)),
            *_from_under_others(candidates, needs),
            *_away_from_others(candidates, needs, staying),
            *_without_name(candidates, changes, excluded),
            *_children_of_kept(changes, excluded),
            *_children_of_unchanged(candidates, excluded, needs),
            *_from_under_readers(candidates, staying, known),
            *_from_under_children(candidates, staying),
            *_without_reason(changes, excluded, staying, known),
            *_deletes_in_tenants_not_renamed(changes, excluded),
            *(_of_failed_replaces(candidates, changes, excluded, needs) if is_under_way else ()),
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
        if change.action in _TAKES_AWAY and change.before is not None:
            staying.pop(change.before.resource.identity, None)
    staying.update((change.identity, change.resource) for change in made if change.action is not Action.DELETE)
    return staying


Needs = Mapping[Identity, tuple[Identity, ...]]


def _known(candidates: Collection[Change], staying: Mapping[Identity, Resource]) -> Container[Identity]:
    """What names are looked up among: what stays, and what is to be deleted, unless something else has its name."""
    leaving = [change.identity for change in candidates if change.action is Action.DELETE]
    names = {place(identity) for identity in staying} if leaving else ()
    return {*staying, *(identity for identity in leaving if place(identity) not in names)}


def _withheld(changes: Collection[Change], excluded: Collection[Identity]) -> set[Identity]:
    """Names that nobody gets: what has one of them stays, and is not what others mean by it."""
    out = [change for change in changes if change.identity in excluded]
    withheld = {change.identity for change in out if change.action in (Action.CREATE, Action.RENAME)}
    gone = {change.identity: change.gone.resource.identity for change in out if change.gone is not None}
    return withheld.union(old for new, old in gone.items() if old != new)


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
            what = "which stays as it is" if missing in staying else "which is not there"
            yield LeftOut(change, f"{change.identity} needs {missing}, {what}", is_needed=False)


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


def _from_under_readers(
    candidates: Collection[Change], staying: Mapping[Identity, Resource], known: Container[Identity]
) -> Iterator[LeftOut]:
    """Replaces of topics that somebody reads who is not replaced along: a position means nothing in another stream."""
    replaces = {change.identity: change for change in candidates if change.action is Action.REPLACE}
    anew = {*replaces, *(change.identity for change in candidates if change.action is Action.CREATE)}
    for identity, topic in _reading(staying, known) if replaces else ():
        if topic in replaces and identity not in anew:
            owner = staying[identity].managed_by
            message = (
                f"{topic} cannot be replaced: {identity} of source {owner!r} reads it, and is not replaced with it"
            )
            yield LeftOut(replaces[topic], message, is_needed=True)


def _from_under_children(candidates: Collection[Change], staying: Mapping[Identity, Resource]) -> Iterator[LeftOut]:
    """Replaces of what brought something along that stays, and is not given to the new one."""
    replaces = {change.identity: change for change in candidates if change.action is Action.REPLACE}
    written = {change.identity for change in candidates if change.action is not Action.REPAIR}
    for identity, resource in staying.items() if replaces else ():
        if resource.implied_by in replaces and identity not in written:
            message = f"{resource.implied_by} cannot be replaced: {identity} belongs to it, and has to stay as it is"
            yield LeftOut(replaces[resource.implied_by], message, is_needed=True)


def _reading(staying: Mapping[Identity, Resource], known: Container[Identity]) -> Iterator[tuple[Identity, Identity]]:
    """Every subscription, with what it reads."""
    for identity, resource in staying.items():
        if identity.kind == "Subscription":
            yield identity, references(resource, known)["topic"]


def _without_reason(
    changes: Collection[Change],
    excluded: Collection[Identity],
    staying: Mapping[Identity, Resource],
    known: Container[Identity],
) -> Iterator[LeftOut]:
    """What is only done because something else is replaced, which is not."""
    kept = {change.identity for change in changes if change.action is Action.REPLACE and change.identity in excluded}
    if not kept:
        return
    kept_names = {place(identity) for identity in kept}
    for change in changes:
        if change.identity in excluded:
            continue
        if change.reason is Reason.TOPIC_REPLACED:
            topic = references(change.resource, known)["topic"]
            if place(topic) in kept_names:
                yield LeftOut(change, f"{topic} is not replaced, so {change.identity} is not", is_needed=False)
        elif change.reason is Reason.PARENT_REPLACED and change.resource.implied_by in kept:
            message = f"{change.resource.implied_by} is not replaced, so {change.identity} stays with it"
            yield LeftOut(change, message, is_needed=False)


def _deletes_in_tenants_not_renamed(changes: Collection[Change], excluded: Collection[Identity]) -> Iterator[LeftOut]:
    """What was not declared under a tenant's new name: it goes with the rename or not at all."""
    kept = {
        change.renamed_from.name: change.renamed_from
        for change in changes
        if change.renamed_from is not None and change.identity.kind == "Tenant" and change.identity in excluded
    }
    for change in changes:
        if change.action is Action.DELETE and change.identity not in excluded and change.identity.tenant in kept:
            message = f"{change.identity} stays: {kept[change.identity.tenant]} is not renamed"
            yield LeftOut(change, message, is_needed=False)


def _of_failed_replaces(
    candidates: Collection[Change], changes: Collection[Change], excluded: Collection[Identity], needs: Needs
) -> Iterator[LeftOut]:
    """What refers to the uid that was given to what is not made."""
    failed = {change.identity for change in changes if change.action is Action.REPLACE and change.identity in excluded}
    places = {place(identity) for identity in failed}
    for change in candidates if failed else ():
        if change.action is Action.DELETE:
            continue
        named = next((need for need in needs[change.identity] if place(need) in places), None)
        named = change.resource.implied_by if change.resource.implied_by in failed else named
        if named is not None:
            yield LeftOut(change, f"{change.identity} needs {named}, which is not replaced", is_needed=False)


def _children_of_kept(changes: Collection[Change], excluded: Collection[Identity]) -> Iterator[LeftOut]:
    """Deletes of what a resource brought along that does not go itself."""
    kept = {change.gone.resource.identity for change in changes if change.gone and change.identity in excluded}
    for change in changes:
        parent = change.resource.implied_by
        if change.action is Action.DELETE and change.identity not in excluded and parent in kept:
            yield LeftOut(change, f"{change.identity} belongs to {parent}, which stays", is_needed=False)


def _children_of_unchanged(
    candidates: Collection[Change], excluded: Collection[Identity], needs: Needs
) -> Iterator[LeftOut]:
    """What only an edit that stays out brings along: what has no row yet, unless something else needs it, and changes
    of what came along before."""
    needed = {need for found in needs.values() for need in found}
    goes_along = (Action.UPDATE, Action.ADOPT, Action.HANDOVER)
    for change in candidates:
        parent = change.resource.implied_by
        if parent not in excluded:
            continue
        is_new = change.before is None and change.action in (Action.CREATE, Action.ADOPT)
        if change.before is not None and change.action in goes_along:
            yield LeftOut(change, f"{change.identity} belongs to {parent}, which stays as it is", is_needed=False)
        elif is_new and change.identity not in needed:
            message = f"{change.identity} would be brought along by {parent}, which stays as it is"
            yield LeftOut(change, message, is_needed=False)
