"""What cannot change in place, so that another takes its place under a new uid. Pure.

Which fields those are, the model says (``mqops.model.mutability``). Whoever reads a topic that is replaced is replaced
with it: a position means nothing in another stream. What a replaced resource brought along, and reads nothing of it,
such as a dead-letter topic, stays as it is with all it holds.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache

from mqops.model import KINDS, Identity, Mutability, SourceSpec, Way, mutability_of
from reconciler.planning.change import Action, Change, FieldChange, Reason
from reconciler.planning.placement import STORED, resolve
from reconciler.planning.renames import Renames, Rows, Wanted, moved_references, place
from reconciler.state import REBUILT, Applied, Resource

READS, BEGINS = "spec.topic", "spec.startFrom"


def forcing(
    before: Resource, after: Resource, fields: Iterable[FieldChange], rows: Rows, found: Renames
) -> tuple[str, ...]:
    """The paths of ``fields`` that cannot change in place. A subscription whose topic is only renamed keeps it."""
    entries = _not_live(after.identity.kind)
    return tuple(
        field.path
        for field in fields
        if (entry := entries.get(field.path)) is not None
        and entry.of(field.before, field.after) is Way.REPLACE
        and (field.path != READS or _reads_another(before, after, rows, found))
        and not (field.path == BEGINS and before.managed_by == REBUILT)  # Redis does not tell where one began
    )


@cache
def _not_live(kind: str) -> Mapping[str, Mutability]:
    """The fields of specs some changes of which take another resource, by their paths."""
    entries = {f"spec.{field.alias}": mutability_of(field) for field in KINDS[kind].spec.model_fields.values()}
    return {path: entry for path, entry in entries.items() if Way.REPLACE in (entry.way, entry.fewer)}


def _reads_another(before: Resource, after: Resource, rows: Rows, found: Renames) -> bool:
    """One that goes on calling its topic by a name that another has taken over is no such case: it would read the
    other without anyone having said so, and is refused."""
    return before.spec["topic"] != after.spec["topic"] and "topic" in moved_references(before, after, rows, found)


def other_kind(identity: Identity) -> Identity:
    """The topic of a queue's name, and the other way round."""
    return identity._replace(kind="Queue" if identity.kind == "Topic" else "Topic")


def under_its_name(identity: Identity, rows: Rows, wanted: Wanted) -> Applied | None:
    """The queue that a topic which is new takes the place of, or the topic of a queue."""
    if identity.kind not in STORED:
        return None
    other = other_kind(identity)
    return None if other in wanted else rows.get(other)


def replaced(before: Applied, resource: Resource, reason: Reason, fields: tuple[FieldChange, ...]) -> Change:
    """The change that puts ``resource`` in the place of ``before``. Its generations begin anew."""
    return Change(Action.REPLACE, reason, resource, before, None, 1, fields)


def with_those_it_concerns(
    changes: Iterable[Change], wanted: Wanted, rows: Rows, sources: Mapping[str, SourceSpec], found: Renames
) -> list[Change]:
    """``changes``, and what follows from their replaces for readers and for what was brought along."""
    every = {change.identity: change for change in changes}
    if all(change.action is not Action.REPLACE for change in every.values()):
        return list(every.values())
    staying = _Staying(wanted, rows, sources)
    for change in tuple(_of_readers(every, staying, found)):
        every[change.identity] = change
    for change in tuple(_of_children(every, staying, found)):
        every[change.identity] = change
    return list(every.values())


class _Staying:
    """What is applied and stays, as it is to be."""

    def __init__(self, wanted: Wanted, rows: Rows, sources: Mapping[str, SourceSpec]) -> None:
        self.rows = rows
        self._wanted = wanted
        self._sources = sources

    def state(self, identity: Identity, row: Applied) -> Resource | None:
        """``None`` of what is deleted, and of what belongs to a source that is not loaded."""
        if identity in self._wanted:
            return self._wanted[identity]
        source = self._sources.get(row.resource.managed_by)
        return None if source is None or source.prune else self._orphaned(row.resource)

    def _orphaned(self, resource: Resource) -> Resource:
        parent = resource.implied_by
        is_gone = parent is not None and parent not in self._wanted and self._takes_over(parent)
        return replace(resource, implied_by=None) if is_gone else resource

    def _takes_over(self, parent: Identity) -> bool:
        return parent.kind in STORED and other_kind(parent) in self._wanted


def _of_readers(every: Mapping[Identity, Change], staying: _Staying, found: Renames) -> Iterator[Change]:
    names = {place(change.identity) for change in every.values() if change.action is Action.REPLACE}
    for applied_as, row in staying.rows.items():
        if applied_as.kind != "Subscription":
            continue
        topic = resolve(applied_as.tenant, row.resource.spec["topic"], staying.rows)
        if place(topic) not in names:
            continue
        identity = found.now(applied_as)
        change, resource = every.get(identity), staying.state(identity, row)
        if change is not None and change.action is Action.RENAME:
            yield replace(change, forced_by=(READS,))
        elif resource is not None and (change is None or change.gone is None):
            fields = change.fields if change is not None and change.action is not Action.REPAIR else ()
            yield replace(replaced(row, resource, Reason.TOPIC_REPLACED, fields), forced_by=(READS,))


def _of_children(every: Mapping[Identity, Change], staying: _Staying, found: Renames) -> Iterator[Change]:
    parents = {identity for identity, change in every.items() if change.action is Action.REPLACE}
    for applied_as, row in staying.rows.items():
        if row.resource.implied_by is None:
            continue
        identity = found.now(applied_as)
        change, resource = every.get(identity), staying.state(identity, row)
        if resource is None or resource.implied_by not in parents:
            continue
        if change is None or change.action is Action.REPAIR:
            yield Change(Action.UPDATE, Reason.PARENT_REPLACED, resource, row, row.uid, row.generation)
