"""What was asked for and comes to nothing: told beside the plan, since nobody should have to find out why. Pure."""

from collections.abc import Collection, Iterable, Iterator, Mapping

from mqops.model import Identity
from reconciler.state import Applied, Resource

Rows = Mapping[Identity, Applied]


def notices(desired: Iterable[Resource], applied: Rows, unprotected: Collection[Identity]) -> tuple[str, ...]:
    """All of it, in a sentence each; ``unprotected`` is what may go although it is protected."""
    return (*_idle_trades(desired, applied), *_idle_unprotections(unprotected, applied))


def _idle_trades(desired: Iterable[Resource], applied: Rows) -> Iterator[str]:
    """Names that were traded, and whose manifests still say so: they would say the very same to trade them back."""
    wanted = {resource.identity: resource for resource in desired if resource.renamed_from is not None}
    seen: set[Identity] = set()
    for identity in wanted:
        if identity in seen:
            continue
        ring = _ring(identity, wanted, applied)
        seen.update(ring)
        if ring:
            named = " and ".join(map(str, sorted(ring)))
            yield (
                f"{named} have traded their names, and their renamedFrom says nothing any more: leave it out. To trade "
                "them once more, apply without it first"
            )


def _ring(start: Identity, wanted: Mapping[Identity, Resource], applied: Rows) -> tuple[Identity, ...]:
    """``start`` and those that it has traded names with, each said to have been the next; empty if they have not."""
    ring: list[Identity] = []
    identity = start
    while identity not in ring:
        resource, row = wanted.get(identity), applied.get(identity)
        if resource is None or row is None or resource.renamed_from is None:
            return ()
        if row.resource.renamed_from != resource.renamed_from:  # it is yet to be applied
            return ()
        ring.append(identity)
        identity = identity._replace(name=resource.renamed_from)
    return tuple(ring) if identity == start and len(ring) > 1 else ()


def _idle_unprotections(unprotected: Collection[Identity], applied: Rows) -> Iterator[str]:
    """What is no longer to be protected, and is not there."""
    for identity in sorted(unprotected):
        if identity not in applied:
            yield f"--unprotect: there is no {identity}, or not any more"
