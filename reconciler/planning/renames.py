"""What is applied under another name than it is declared with, so that it is renamed and not made anew. Pure.

A manifest says so (``renamedFrom``), and some say it for others: a tenant for all it has, a queue for the subscription
that it implies, a topic for the dead-letter topic that is named after it. Every uid is kept, whatever trades places.

Saying it counts until the new name is applied; each row remembers what its manifest last said, so that two resources
which trade names do not trade them back with the next apply.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from mqops.model import Identity
from reconciler.manifests.deadletters import SUFFIX
from reconciler.planning.change import Change
from reconciler.planning.links import references
from reconciler.planning.placement import resolve
from reconciler.state import Applied, Observed, Resource

Rows = Mapping[Identity, Applied]
Wanted = Mapping[Identity, Resource]


@dataclass(frozen=True)
class Renames:
    """New names and old ones."""

    former: Mapping[Identity, Identity]
    """New name → the name it is applied under."""

    @cached_property
    def current(self) -> Mapping[Identity, Identity]:
        """The other way round."""
        return {old: new for new, old in self.former.items()}

    def now(self, identity: Identity) -> Identity:
        """What the resource will be called that is applied as ``identity``."""
        return self.current.get(identity, identity)

    def seen(self, observed: Observed) -> Observed:
        """``observed`` with every row under its new name, and said to be implied by the new name of its parent. What
        specs refer to is left as it is."""
        if not self.former:
            return observed
        rows = (self._renamed(row) for row in observed.applied.values())
        return replace(observed, applied={row.resource.identity: row for row in rows})

    def _renamed(self, row: Applied) -> Applied:
        identity, parent = row.resource.identity, row.resource.implied_by
        if identity not in self.current and parent not in self.current:
            return row
        parent = None if parent is None else self.now(parent)
        return replace(row, resource=replace(row.resource, identity=self.now(identity), implied_by=parent))


def renames_of(changes: Iterable[Change]) -> Renames:
    """The renames that are among ``changes``."""
    return Renames({change.identity: change.renamed_from for change in changes if change.renamed_from is not None})


def place(identity: Identity) -> Identity:
    """What must be free for ``identity`` to be used: topics and queues share their names."""
    return identity._replace(kind="Topic") if identity.kind == "Queue" else identity


def relative(identity: Identity, tenant: str) -> str:
    """How resources of ``tenant`` refer to it."""
    return identity.name if identity.tenant == tenant else f"{identity.tenant}/{identity.name}"


def renames(wanted: Wanted, applied: Rows) -> Renames:
    """Everything to rename so that ``applied`` becomes ``wanted``; whoever owns it."""
    if all(resource.renamed_from is None for resource in wanted.values()):
        return Renames({})
    search = _Search(wanted, applied)
    search.take(search.declared(is_tenant=True))
    search.tenants = {new.name: old.name for new, old in search.former.items()}
    search.take(search.declared(is_tenant=False))
    search.take(search.subscriptions_of_queues())
    search.take(search.dead_letter_topics())
    search.take(search.of_renamed_tenants())
    return Renames(search.former)


class _Search:
    """One search, from those who say it to those for whom it is said."""

    def __init__(self, wanted: Wanted, applied: Rows) -> None:
        self._wanted = wanted
        self._applied = applied
        self._taken: set[Identity] = set()
        self.former: dict[Identity, Identity] = {}
        self.tenants: dict[str, str] = {}
        """New name of a renamed tenant → its old one."""

    def take(self, said: Iterable[tuple[Identity, Identity]]) -> None:
        """Takes in what is said (new name, old name) where the old name is somebody's and nobody else took it, and the
        new one is free, or becomes free with what is taken in along with it."""
        found: dict[Identity, Identity] = {}
        for new, old in said:
            if new not in self.former and old in self._applied and old not in self._taken:
                found[new] = old
                self._taken.add(old)
        while stuck := [new for new in found if self._is_in_the_way(new)]:
            self._taken.difference_update(found.pop(new) for new in stuck)
        self.former.update(found)

    def _is_in_the_way(self, new: Identity) -> bool:
        before = self._before(new)
        return before in self._applied and before not in self._taken

    def _before(self, identity: Identity) -> Identity:
        """What it was called if nothing but its tenant was renamed."""
        tenant = self.tenants.get(identity.tenant)
        return identity if tenant is None else identity._replace(tenant=tenant)

    def _is_of_new_tenant(self, identity: Identity) -> bool:
        """Whether its tenant only has the name of one that is renamed."""
        return identity.tenant in self.tenants.values() and identity.tenant not in self.tenants

    def declared(self, *, is_tenant: bool) -> Iterator[tuple[Identity, Identity]]:
        for identity, resource in self._wanted.items():
            said = resource.renamed_from
            is_meant = (identity.kind == "Tenant") == is_tenant and not self._is_of_new_tenant(identity)
            if said is None or not is_meant:
                continue
            before = self._before(identity)
            row = self._applied.get(before)
            if row is None or row.resource.renamed_from != said:
                yield identity, before._replace(name=said)

    def subscriptions_of_queues(self) -> Iterator[tuple[Identity, Identity]]:
        for identity, resource in self._wanted.items():
            queue = self.former.get(resource.implied_by) if resource.implied_by is not None else None
            if identity.kind == "Subscription" and queue is not None:
                yield identity, queue._replace(kind="Subscription")

    def dead_letter_topics(self) -> Iterator[tuple[Identity, Identity]]:
        for identity, resource in self._wanted.items():
            reader = self._wanted.get(resource.implied_by) if resource.implied_by is not None else None
            if identity.kind != "Topic" or reader is None:
                continue
            topic = resolve(reader.identity.tenant, reader.spec["topic"], self._wanted)
            if topic not in self.former or identity.name != topic.name + SUFFIX:
                continue
            old = self._before(identity)._replace(name=self.former[topic].name + SUFFIX)
            row = self._applied.get(old)
            # One that is declared stays; one that is not goes along, also when what implied it is gone by now.
            if old not in self._wanted or (row is not None and row.resource.implied_by is not None):
                yield identity, old

    def of_renamed_tenants(self) -> Iterator[tuple[Identity, Identity]]:
        for identity in self._wanted:
            if identity.tenant in self.tenants:
                yield identity, self._before(identity)


def moved_references(before: Resource, after: Resource, rows: Rows, found: Renames) -> dict[str, Identity]:
    """Fields of a subscription that name another resource than they did, each with the one they named, by its new
    name. Both may read the same: a name that was given away and is used anew."""
    then, now = references(before, rows), references(after, rows)
    return {
        field: named
        for field, identity in then.items()
        if field in now and place(named := found.now(identity)) != place(now[field])
    }
