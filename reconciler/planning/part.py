"""What is desired of one Source, where only its manifests are at hand, or those of one tenant of it. Pure."""

from collections.abc import Iterable, Mapping

from mqops.model import Identity
from reconciler.state import Applied, Resource


def is_part_of(source: str, row: Applied) -> bool:
    """Whether ``source`` owns it, and its manifests declare it: what declares a Source is not among them."""
    return row.resource.managed_by == source and row.resource.identity.kind != "Source"


def part_of(desired: Iterable[Resource], source: str, applied: Mapping[Identity, Applied]) -> tuple[Resource, ...]:
    """What of ``desired``, which is all that the manifests amount to beside what is applied, concerns ``source``; and
    the Source itself as it is applied."""
    wanted: dict[Identity, Resource] = {}
    for resource in desired:
        before = applied.get(resource.identity)
        if before is not None and resource.implied_by is not None:
            # Several may bring along the same: it changes hands only when whoever does is gone.
            is_its_own = is_part_of(source, before)
        else:
            is_its_own = resource.managed_by == source
        if is_its_own:
            wanted[resource.identity] = resource
    return tuple(wanted.values())
