"""What is applied, for people who look: rows of the catalog with the live numbers that belong to them.

Reads in bulk like the reconciler itself; changes nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from mqops.model import API_VERSION, Identity
from mqops.override import Override
from mqops.status import Reason, Status, conditions, unnoted
from reconciler.planning.beside import LeftAlone, moment, of_ms, suspension_of
from reconciler.planning.drift import drift_of
from reconciler.planning.drifted import Drifted, as_told
from reconciler.planning.fields import in_model_order
from reconciler.planning.links import links
from reconciler.planning.placement import STORED, Placement, placement_of, resolve
from reconciler.state import Applied, LiveTopic, Observed
from reconciler.stores import Stores, translated
from reconciler.stores.conditions import read_noted
from reconciler.stores.drift import since
from reconciler.stores.history import Entry, changes_of
from reconciler.stores.observe import observe_live, observe_rows
from reconciler.stores.store import read_ages

_HISTORY_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Item:
    """One resource as it is applied."""

    applied: Applied
    created_at: datetime
    updated_at: datetime
    numbers: Mapping[str, int]
    """Of topics and queues ``messages`` (ever stored); of subscriptions ``backlog`` (unfinished), ``deadLettered``
    and ``lost`` (destroyed by someone before they were read). Empty for other kinds."""
    status: Status
    """As it was noted; or that it has drifted, where that is found just now."""
    override: Override | None = None
    """Of a subscription: an operator's word that is in force."""
    suspended: LeftAlone | None = None
    """It, or what brings it along."""

    @property
    def identity(self) -> Identity:
        return self.applied.resource.identity

    @property
    def spec(self) -> dict[str, Any]:
        """In the order of its kind's documentation, which PostgreSQL does not keep."""
        return in_model_order(self.applied.resource)

    def as_json(self) -> dict[str, Any]:
        """A manifest that would declare it, with its status."""
        resource = self.applied.resource
        tenant = {"tenant": self.identity.tenant} if self.identity.tenant else {}
        return {
            "apiVersion": API_VERSION,
            "kind": self.identity.kind,
            "metadata": {
                **tenant,
                "name": self.identity.name,
                "labels": dict(resource.labels),
                "annotations": dict(resource.annotations),
            },
            "spec": self.spec,
            "status": {
                "uid": self.applied.uid,
                "generation": self.applied.generation,
                "revision": self.applied.revision,
                "managedBy": resource.managed_by,
                "impliedBy": None if resource.implied_by is None else str(resource.implied_by),
                "file": resource.origin.file,
                "line": resource.origin.line,
                "createdAt": self.created_at.isoformat(),
                "updatedAt": self.updated_at.isoformat(),
                **self.numbers,
                **self._beside(),
                "conditions": conditions(self.status),
            },
        }

    def _beside(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if self.override is not None:
            until_ms = self.override.until_ms
            found["override"] = {
                "state": self.override.state,
                "by": self.override.by,
                "reason": self.override.reason,
                "since": moment(of_ms(self.override.since_ms)),
                "until": None if until_ms is None else moment(of_ms(until_ms)),
            }
        if self.suspended is not None:
            held = self.suspended.suspended
            named = str(self.suspended.identity)
            found["suspended"] = {"resource": named, "by": held.by, "reason": held.reason, "since": moment(held.since)}
        return found


@dataclass(frozen=True, slots=True)
class Partition:
    """One partition of a topic."""

    number: int
    last: str
    """Id of the last entry stored; empty when there never was one."""
    positions: Mapping[str, str]
    """Subscription (``tenant/name``) → id of the last entry it read."""
    is_missing: bool
    """Whether its stream is gone."""


@dataclass(frozen=True, slots=True)
class Details:
    """Everything about one resource."""

    item: Item
    implied: tuple[Identity, ...]
    """What it brought along."""
    needed_by: tuple[Identity, ...]
    partitions: tuple[Partition, ...]
    """Of a topic or queue all of them with all readers; of a subscription its topic's, with its own position."""
    drift: Drifted | None
    """What was changed of it outside."""
    history: tuple[Entry, ...]
    """The latest first."""


def read_items(stores: Stores, is_chosen: Callable[[Applied], bool]) -> list[Item]:
    """The chosen resources by tenant and name. Raises ``BrokerNotAvailable`` when a store is away."""
    rows = observe_rows(stores)
    chosen = [applied for applied in rows.applied.values() if is_chosen(applied)]
    topics = {_topic_uid(applied, rows.applied) for applied in chosen}
    observed = observe_live(stores, rows, {applied.uid for applied in chosen} | topics)
    known = _read_known(stores, observed)
    items = [_item(applied, known, observed) for applied in chosen if applied.uid in known.ages]
    return sorted(items, key=lambda item: (item.identity.tenant, item.identity.name))


def read_details(stores: Stores, identity: Identity) -> Details | None:
    """All about one resource; ``None`` when there is none. Raises like ``read_items``."""
    rows = observe_rows(stores)
    applied = rows.applied.get(identity)
    if applied is None:
        return None
    topic_uid = _topic_uid(applied, rows.applied)
    needs = {other: links(row.resource, rows.applied) for other, row in rows.applied.items()}
    readers = {rows.applied[other].uid for other in rows.applied if other.kind == "Subscription"}
    observed = observe_live(stores, rows, {applied.uid, topic_uid, *readers})
    return Details(
        item=_item(applied, _read_known(stores, observed), observed),
        implied=tuple(sorted(other for other, row in rows.applied.items() if row.resource.implied_by == identity)),
        needed_by=tuple(sorted(other for other, needed in needs.items() if identity in needed)),
        partitions=_partitions(applied, topic_uid, observed),
        drift=_drift(applied, observed, stores),
        history=tuple(changes_of(stores.database, identity, _HISTORY_SHOWN)),
    )


def _drift(applied: Applied, observed: Observed, stores: Stores) -> Drifted | None:
    found = drift_of(applied, observed, placement_of(observed, ()))
    return None if found is None else since([as_told(applied, found, observed)], stores.database)[0]


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of resources beside what Redis has of them."""

    ages: Mapping[str, tuple[datetime, datetime]]
    noted: Mapping[str, Status]
    placement: Placement
    now_ms: int

    def status(self, applied: Applied, observed: Observed) -> Status:
        status = self.noted.get(applied.uid) or unnoted(applied.generation, _milliseconds(self.ages[applied.uid][0]))
        drift = drift_of(applied, observed, self.placement) if status.is_ready else None
        if drift is None:
            return status
        message = f"{drift.reason.value.replace('_', ' ')}, found just now"
        drifted = {"reason": Reason.DRIFTED.value, "message": message, "is_ready": False}
        return msgspec.structs.replace(status, **drifted, ready_since_ms=self.now_ms)


def _read_known(stores: Stores, observed: Observed) -> _Known:
    with translated():
        ages = read_ages(stores.database)
    now_ms = _milliseconds(datetime.now(UTC))
    return _Known(ages, read_noted(stores.database), placement_of(observed, ()), now_ms)


def _milliseconds(when: datetime) -> int:
    return int(when.timestamp() * 1000)


def _item(applied: Applied, known: _Known, observed: Observed) -> Item:
    uid = applied.uid
    status, numbers = known.status(applied, observed), _numbers_of(applied, observed)
    beside = (observed.overrides.get(uid), suspension_of(applied, observed))
    return Item(applied, *known.ages[uid], numbers, status, *beside)


def _topic_uid(applied: Applied, rows: Mapping[Identity, Applied]) -> str:
    """A topic's own uid, a subscription's topic's; empty for other kinds."""
    identity = applied.resource.identity
    if identity.kind == "Subscription":
        topic = rows.get(resolve(identity.tenant, applied.resource.spec["topic"], rows))
        return "" if topic is None else topic.uid
    return applied.uid if identity.kind in STORED else ""


def _numbers_of(applied: Applied, observed: Observed) -> dict[str, int]:
    """See ``Item.numbers``."""
    identity = applied.resource.identity
    topic = observed.topics.get(_topic_uid(applied, observed.applied))
    total = _integer(topic.meta if topic is not None else {}, "total")
    if identity.kind in STORED:
        return {"messages": total}
    if identity.kind != "Subscription":
        return {}
    live = observed.subscriptions.get(applied.uid)
    meta = {} if live is None else live.meta
    backlog = total - _integer(meta, "base") - _integer(meta, "done") if meta else 0
    return {"backlog": backlog, "deadLettered": _integer(meta, "dead_lettered"), "lost": _integer(meta, "lost")}


def _partitions(applied: Applied, topic_uid: str, observed: Observed) -> tuple[Partition, ...]:
    topic = observed.topics.get(topic_uid)
    if topic is None:
        return ()
    is_subscription = applied.resource.identity.kind == "Subscription"
    shown = {
        row.uid: f"{identity.tenant}/{identity.name}"
        for identity, row in sorted(observed.applied.items())
        if identity.kind == "Subscription" and (not is_subscription or row.uid == applied.uid)
    }
    count = _integer(topic.meta, "partitions")
    return tuple(_partition(number, topic, shown, observed) for number in range(count))


def _partition(number: int, topic: LiveTopic, shown: Mapping[str, str], observed: Observed) -> Partition:
    positions = {
        name: live.meta.get(f"pos:{number}", "")
        for uid, name in shown.items()
        if (live := observed.subscriptions.get(uid)) is not None and live.meta.get("topic") == topic.uid
    }
    return Partition(number, topic.meta.get(f"last:{number}", ""), positions, number not in topic.groups)


def _integer(meta: Mapping[str, str], name: str) -> int:
    try:
        return int(meta.get(name, 0))
    except ValueError:  # someone wrote it by hand; the drift says what is wrong
        return 0
