"""Reads everything that exists, in bulk: the catalog in one transaction, Redis in pipelines. Decides nothing.

A pipeline carries a thousand commands, so forty thousand resources are some dozens of round trips.
"""

import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from redis import Redis
from redis.client import Pipeline

from mqops.keys import Keyspace, bucket_of
from reconciler.planning.placement import STORED, resolve
from reconciler.state import Applied, LiveSubscription, LiveTopic, Observed, Partition
from reconciler.stores import Stores, translated
from reconciler.stores.lanes import Look, find_misplaced, is_odd, look_closer
from reconciler.stores.live import Lists, Live, LiveReader, Place, Thing
from reconciler.stores.rows import Rows
from reconciler.stores.store import read_rows, read_tenant_rows

_COMMANDS_AT_ONCE = 1_000

Key = TypeVar("Key")


def observe(stores: Stores) -> Observed:
    """What is there; of what lost its row also what the history knows.

    Raises ``BrokerNotAvailable`` when a store goes away, ``ConfigurationError`` when the database is not migrated.
    """
    return Observer().observe(stores)


def observe_rows(stores: Stores) -> Rows:
    """The catalog alone; raises like ``observe``."""
    with translated():
        return read_rows(stores.database)


def observe_tenant(stores: Stores, tenant: str) -> Observed:
    """Like ``observe``, of one tenant: what it has, what others have that it may refer to or that refers to it, and
    what no row claims."""
    with translated():
        rows, elsewhere = read_tenant_rows(stores.database, tenant)
    return observe_live(stores, rows, None, elsewhere)


def observe_live(stores: Stores, rows: Rows, uids: Collection[str] | None, elsewhere: Collection[str] = ()) -> Observed:
    """What Redis has of the topics and subscriptions with these ``uids``; of everything, and of what no row claims
    too, when they are ``None``, but for those ``elsewhere``. Raises like ``observe``."""
    return Observer().look(stores, rows, uids, elsewhere)


@dataclass(frozen=True, slots=True)
class _Parts:
    """What an observation is made of, by the things that tell whether it is another."""

    rows: Rows
    lists: Lists
    live: Live
    look: Look
    misplaced: Mapping[Partition, str]

    def is_as(self, other: "_Parts | None") -> bool:
        return (
            other is not None
            and (self.rows is other.rows and self.lists is other.lists and self.live is other.live)
            and (self.look == other.look and self.misplaced == other.misplaced)
        )


@dataclass(slots=True)
class Observer:
    """Observes one installation again and again, and works out only what has changed since: where nothing has, what it
    returns is the very same."""

    _rows: Rows | None = None
    _reader: LiveReader = field(default_factory=LiveReader)
    _things: tuple[Rows, Lists, Sequence[Thing]] | None = None
    _groups: tuple[Live, Sequence[Partition]] | None = None
    _parts: _Parts | None = None
    _observed: Observed | None = None
    _looked_at: float = float("-inf")
    """By the monotonic clock."""

    def observe(self, stores: Stores, fresh_seconds: float = 0.0) -> Observed:
        """What is there now; see ``observe``. Of Redis, what was there within the last ``fresh_seconds``, where nothing
        was written into the catalog since."""
        with translated():
            rows = read_rows(stores.database, self._rows)
        if self._observed is not None and rows is self._rows and time.monotonic() - self._looked_at < fresh_seconds:
            return self._observed
        self._rows = rows
        found = self.look(stores, rows, None, ())
        self._looked_at = time.monotonic()
        return found

    def look(self, stores: Stores, rows: Rows, uids: Collection[str] | None, elsewhere: Collection[str]) -> Observed:
        """See ``observe_live``."""
        redis, keys = stores.redis, stores.keys
        with translated():
            lists = self._reader.read_lists(redis, keys)
            things = self._things_in(rows, lists, uids, elsewhere)
            live = self._reader.read(redis, keys, things)
            buckets = {thing.uid: thing.bucket for thing in things if thing.kind in STORED}
            closer = [(buckets[uid], uid, number) for uid, number in self._odd(live)]
            look = look_closer(redis, keys, closer, {*live.metas, *elsewhere} if closer else ())
            absent = [
                (uid, number)
                for uid, _, _, partitions in things
                if len(live.groups.get(uid, ())) < partitions
                for number in range(partitions)
                if number not in live.groups.get(uid, ())
            ]
            misplaced = find_misplaced(redis, keys, absent, live.metas, buckets)
        parts = _Parts(rows, lists, live, look, misplaced)
        if self._observed is None or not parts.is_as(self._parts):
            self._parts, self._observed = parts, _observed(parts, things, keys)
        return self._observed

    def _things_in(
        self, rows: Rows, lists: Lists, uids: Collection[str] | None, elsewhere: Collection[str]
    ) -> Sequence[Thing]:
        known = self._things
        if uids is None and not elsewhere and known is not None and known[0] is rows and known[1] is lists:
            return known[2]
        declared = {
            applied.uid: int(applied.resource.spec["partitions"])
            for identity, applied in rows.applied.items()
            if identity.kind in STORED
        }
        things = [
            Thing(uid, kind, bucket, declared.get(uid, 0))
            for uid, (kind, bucket) in _places(rows, lists[1], uids).items()
            if uid not in elsewhere
        ]
        self._things = (rows, lists, things)
        return things

    def _odd(self, live: Live) -> Sequence[Partition]:
        """Partitions that are worth a closer look."""
        if self._groups is None or self._groups[0] is not live:
            odd = [
                (uid, number)
                for uid, partitions in live.groups.items()
                for number, groups in partitions.items()
                if any(is_odd(group, uid, number, live.metas) for group in groups)
            ]
            self._groups = (live, odd)
        return self._groups[1]


def _observed(parts: _Parts, things: Sequence[Thing], keys: Keyspace) -> Observed:
    rows, (epochs, index), live, look = parts.rows, parts.lists, parts.live, parts.look
    metas = dict(live.metas)
    groups = {
        uid: {number: {group.name: group.delivered for group in found} for number, found in partitions.items()}
        for uid, partitions in live.groups.items()
    }
    for (uid, number, name), (delivered, position) in look.positions.items():
        if name in metas and number in groups[uid]:
            groups[uid][number][name] = delivered
            if position:
                metas[name] = {**metas[name], f"pos:{number}": position}
    return Observed(
        applied=rows.applied,
        topics={
            uid: LiveTopic(uid, bucket, metas[uid], groups[uid], live.readers[uid])
            for uid, kind, bucket, _ in things
            if kind in STORED
        },
        subscriptions={
            uid: LiveSubscription(uid, bucket, metas[uid]) for uid, kind, bucket, _ in things if kind == "Subscription"
        },
        epochs=epochs,
        index={uid: bucket for uid, (_, bucket) in index.items()},
        lost=rows.lost,
        revision=rows.revision,
        keys=keys,
        overrides=rows.overrides,
        suspended=rows.suspended,
        edits=rows.edits,
        editors=rows.editors,
        missing=look.missing,
        foreign=look.foreign,
        misplaced=parts.misplaced,
    )


def _places(rows: Rows, index: Mapping[str, Place], uids: Collection[str] | None) -> dict[str, Place]:
    """Where to look: what Redis lists; and what has a row but is not listed, where it ought to be."""
    buckets = {identity.name: bucket_of(lost.uid) for identity, lost in rows.lost.items() if identity.kind == "Tenant"}
    buckets.update(
        (identity.name, bucket_of(applied.uid))
        for identity, applied in rows.applied.items()
        if identity.kind == "Tenant"
    )
    places = dict(index)
    for identity, applied in rows.applied.items():
        if applied.uid in places or (identity.kind not in STORED and identity.kind != "Subscription"):
            continue
        bucket = buckets.get(_home(applied))
        if bucket is not None:
            places[applied.uid] = (identity.kind, bucket)
    return places if uids is None else {uid: place for uid, place in places.items() if uid in uids}


def _home(applied: Applied) -> str:
    """The tenant in whose bucket it lives."""
    identity = applied.resource.identity
    if identity.kind != "Subscription":
        return identity.tenant
    return resolve(identity.tenant, applied.resource.spec["topic"], ()).tenant


def read_each(redis: "Redis", things: Sequence[Key], enqueue: Callable[["Pipeline", Key], object]) -> dict[Key, Any]:
    """One command for each thing, and its answer. A key that is missing, or holds something else than ours, comes
    back as the ``ResponseError`` it is; any other error is raised."""
    answers: dict[Key, Any] = {}
    for start in range(0, len(things), _COMMANDS_AT_ONCE):
        chunk = things[start : start + _COMMANDS_AT_ONCE]
        with redis.pipeline(transaction=False) as pipe:
            for thing in chunk:
                enqueue(pipe, thing)
            for thing, answer in zip(chunk, pipe.execute(raise_on_error=False), strict=True):
                if isinstance(answer, Exception) and not re.search("no such key|WRONGTYPE", str(answer)):
                    raise answer
                answers[thing] = answer
    return answers
