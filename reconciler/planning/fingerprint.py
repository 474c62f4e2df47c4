"""What a plan was made upon: the state of the resources that it touches, and of what they refer to. Pure.

Settings only, in the catalog and on Redis: counters and positions move with every message, and a plan shall not go
stale because of traffic.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mqops.keys import bucket_of
from mqops.model import Identity
from reconciler.planning.change import Change
from reconciler.planning.fields import leaves
from reconciler.planning.links import links
from reconciler.planning.live import SETTINGS
from reconciler.planning.placement import STORED, Placement, placement_of
from reconciler.state import Applied, Observed

Fingerprint = Mapping[str, Any]
"""By path: those of ``FieldChange``, and ``uid`` and ``generation``. Empty for what is not there at all."""


def touched(changes: Iterable[Change], observed: Observed) -> list[Identity]:
    """What the changes are about, and what that refers to before and after them; each once, in order."""
    changes = tuple(changes)
    existing = {*observed.applied, *(change.identity for change in changes)}
    found: dict[Identity, None] = {}
    for change in changes:
        found[change.identity] = None
        if change.gone is not None:
            found[change.gone.resource.identity] = None
        states = [change.resource] if change.before is None else [change.resource, change.before.resource]
        for state in states:
            found.update(dict.fromkeys(links(state, existing)))
            if state.implied_by is not None:
                found[state.implied_by] = None
    return list(found)


def fingerprints(identities: Iterable[Identity], observed: Observed) -> dict[Identity, Fingerprint]:
    """What there is of each."""
    identities = tuple(identities)
    placement = placement_of(observed, identities)
    return {identity: dict(_facts(identity, observed, placement)) for identity in identities}


def _facts(identity: Identity, observed: Observed, placement: Placement) -> Iterator[tuple[str, Any]]:
    uid, applied = placement.uids.get(identity), observed.applied.get(identity)
    if uid is None:
        return
    yield "uid", uid
    edit = observed.edits.get(uid)
    if edit is not None and edit.resource is None:
        yield "row", edit.problem
    elif edit is not None and edit.resource is not None:
        yield from _row(Applied(uid, edit.resource, edit.generation, 0))
    elif applied is not None:
        yield from _row(applied)
    if identity.kind == "Tenant":
        yield "live.bucket", "prepared" if bucket_of(uid) in observed.epochs else None
    elif identity.kind in STORED:
        yield from _topic(uid, observed)
    elif identity.kind == "Subscription":
        yield from _subscription(uid, observed)


def _row(applied: Applied) -> Iterator[tuple[str, Any]]:
    resource = applied.resource
    yield "generation", applied.generation
    yield from leaves("spec", resource.spec)
    yield from leaves("metadata.labels", resource.labels)
    yield from leaves("metadata.annotations", resource.annotations)
    yield "managedBy", resource.managed_by
    yield "impliedBy", None if resource.implied_by is None else str(resource.implied_by)


def _settings(meta: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    for name in sorted(SETTINGS & meta.keys()):
        yield f"live.meta.{name}", meta[name]


def _topic(uid: str, observed: Observed) -> Iterator[tuple[str, Any]]:
    """Without its groups: who else reads it is not the topic's own state."""
    live = observed.topics.get(uid)
    if live is not None:
        yield from _settings(live.meta)
        for partition in sorted(live.groups):
            yield f"live.partitions[{partition}].stream", "there"
    yield "live.index", observed.index.get(uid)


def _subscription(uid: str, observed: Observed) -> Iterator[tuple[str, Any]]:
    live = observed.subscriptions.get(uid)
    if live is not None:
        yield from _settings(live.meta)
        source = observed.topics.get(live.meta.get("topic", ""))
        if source is not None:
            yield "live.reader", source.readers.get(uid)
            for partition in sorted(number for number, groups in source.groups.items() if uid in groups):
                yield f"live.partitions[{partition}].group", "there"
    yield "live.index", observed.index.get(uid)
