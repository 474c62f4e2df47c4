"""What Redis tells of streams and groups that no row of the catalog claims, as resources. Pure.

Their settings on Redis say kind, tenant, name and what the engine needs. The rest is not kept there: labels, filters,
handlers, who may publish. It stands at its default here, until a manifest says it.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from mqops.durations import format_duration
from mqops.model import DEADLETTER_RETENTION_MS, Identity
from mqops.settings import Settings
from reconciler.manifests.desired import desired
from reconciler.manifests.single import declared_again
from reconciler.planning.placement import STORED, unclaimed
from reconciler.planning.renames import relative
from reconciler.state import REBUILT, Observed, Origin, Resource

Specs = Mapping[Identity, Mapping[str, Any]]

_OF_DEAD_LETTERS = {
    "partitions": 1,
    "state": "active",
    "maxBacklog": None,
    "retention": format_duration(DEADLETTER_RETENTION_MS),
}
"""A topic that was brought along for dead letters, and that nobody declared."""


def recovered(observed: Observed, settings: Settings) -> tuple[Resource, ...]:
    """What no row claims, complete and owned by ``REBUILT``, with the tenants that it needs and have no row; in the
    order of applying. What looks as if another of them had brought it along is taken for that."""
    known = dict(_known(observed))
    if not known:
        return ()
    rows = {identity: row.resource for identity, row in observed.applied.items()}
    implied = _implied(known)
    found = _complete(known, implied, rows, settings)
    left = known.keys() - {one.identity for one in found}
    if left:  # what nothing brings along after all
        found = _complete(known, implied - left, rows, settings)
    return found


def _complete(
    known: Specs, implied: Collection[Identity], rows: Mapping[Identity, Resource], settings: Settings
) -> tuple[Resource, ...]:
    bare = [_resource(identity, spec) for identity, spec in known.items() if identity not in implied]
    every = desired(
        declared_again([*rows.values(), *bare]),
        lambda one: rows[one.identity].managed_by if one.identity in rows else REBUILT,
        settings,
    )
    return tuple(_as_found(one, known[one.identity]) for one in every if one.identity in known)


def _resource(identity: Identity, spec: Mapping[str, Any]) -> Resource:
    return Resource(identity, spec, {}, {}, REBUILT, Origin("", 0))


def _as_found(one: Resource, spec: Mapping[str, Any]) -> Resource:
    """With what Redis says in any case, be it what nobody could declare: dead letters are without a limit."""
    told = {
        field: {**one.spec[field], **value} if isinstance(value, Mapping) else value for field, value in spec.items()
    }
    return replace(one, spec={**one.spec, **told})


def _known(observed: Observed) -> Iterator[tuple[Identity, Mapping[str, Any]]]:
    """What Redis says of each; not of what was altered there so that it makes no sense."""
    found = unclaimed(observed)
    names = {row.uid: identity for identity, row in observed.applied.items()}
    names |= {uid: identity for identity, uid in found.items()}
    shared = {live.meta.get("topic") for live in observed.subscriptions.values() if live.meta.get("own") == "0"}
    tenants: dict[str, bool] = {}
    for identity, uid in found.items():
        live = observed.subscriptions[uid] if identity.kind == "Subscription" else observed.topics[uid]
        try:
            told = _stored(live.meta) if identity.kind in STORED else _subscription(identity, live.meta, names)
        except (KeyError, ValueError):
            continue
        if identity.kind == "Queue":
            told |= _of_queue(identity, observed, names)
        elif uid in shared:
            told["public"] = True  # or the other tenant could not read it
        tenants[identity.tenant] = tenants.get(identity.tenant, False) or live.meta.get("state") == "closing"
        yield identity, told
    for tenant, is_closing in tenants.items():
        if Identity("Tenant", "", tenant) not in observed.applied:
            yield Identity("Tenant", "", tenant), {"state": "closing" if is_closing else "active"}


def _stored(meta: Mapping[str, str]) -> dict[str, Any]:
    return {
        "partitions": int(meta["partitions"]),
        "state": "active" if meta["state"] == "closing" else meta["state"],  # it is the tenant's
        "maxBacklog": int(meta["max_backlog"]) if meta["max_backlog"] else None,
        "retention": format_duration(int(meta["retention_ms"])),
    }


def _subscription(identity: Identity, meta: Mapping[str, str], names: Mapping[str, Identity]) -> dict[str, Any]:
    return {
        "topic": relative(names[meta["topic"]], identity.tenant),
        "retry": {"maxAttempts": int(meta["max_attempts"])},
        "deadLetter": _dead_letters(meta, names),
        "state": meta["state"],
    }


def _of_queue(queue: Identity, observed: Observed, names: Mapping[str, Identity]) -> dict[str, Any]:
    """What a queue says of its subscription."""
    for live in observed.subscriptions.values():
        if names.get(live.uid) == queue._replace(kind="Subscription") and "max_attempts" in live.meta:
            return {"maxAttempts": int(live.meta["max_attempts"]), "deadLetter": _dead_letters(live.meta, names)}
    return {}


def _dead_letters(meta: Mapping[str, str], names: Mapping[str, Identity]) -> str | None:
    """The name of the topic whose keys begin with what the meta says."""
    topic = names.get(meta["dead"].rpartition(":")[2])
    return None if topic is None else topic.name


def _implied(known: Specs) -> set[Identity]:
    """Subscriptions of queues, and topics for dead letters that are set up as if nobody had declared them."""
    implied: set[Identity] = set()
    for identity, spec in known.items():
        if identity.kind != "Subscription":
            continue
        if identity._replace(kind="Queue") in known and spec["topic"] == identity.name:
            implied.add(identity)
        letters = Identity("Topic", identity.tenant, str(spec["deadLetter"]))
        if known.get(letters) == _OF_DEAD_LETTERS:
            implied.add(letters)
    return implied
