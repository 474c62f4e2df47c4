"""Reads everything that exists, in bulk: the catalog in one transaction, Redis in pipelines. Decides nothing.

A pipeline carries a thousand commands, so forty thousand resources are some dozens of round trips.
"""

import re
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

from redis import Redis
from redis.client import Pipeline
from redis.exceptions import ResponseError

from mqops.keys import BUCKETS, Keyspace, bucket_of
from reconciler.planning.live import partitions_of
from reconciler.planning.placement import STORED, resolve
from reconciler.state import Applied, LiveSubscription, LiveTopic, Observed, Partition
from reconciler.stores import Stores, translated
from reconciler.stores.lanes import Metas, find_misplaced, is_odd, look_closer
from reconciler.stores.rows import Rows
from reconciler.stores.store import read_rows, read_tenant_rows

_COMMANDS_AT_ONCE = 1_000

Place = tuple[str, int]
"""Kind and bucket of something on Redis."""

Key = TypeVar("Key")


def observe(stores: Stores) -> Observed:
    """What is there; of what lost its row also what the history knows.

    Raises ``BrokerNotAvailable`` when a store goes away, ``ConfigurationError`` when the database is not migrated.
    """
    return observe_live(stores, observe_rows(stores), None)


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
    redis, keys = stores.redis, stores.keys
    with translated():
        epochs, index = _read_buckets(redis, keys)
        places = {uid: place for uid, place in _places(rows, index, uids).items() if uid not in elsewhere}
        metas = _read_metas(redis, keys, places)
        topics = {uid: place for uid, place in places.items() if place[0] in STORED}
        readers = read_each(redis, list(topics), lambda pipe, uid: pipe.hgetall(keys.groups(topics[uid][1], uid)))
        partitions = _partitions(topics, rows, metas)
        groups, odd = _read_groups(redis, keys, topics, partitions, metas)
        buckets = {uid: bucket for uid, (_, bucket) in topics.items()}
        closer = [(buckets[uid], uid, number) for uid, number in odd]
        found = look_closer(redis, keys, closer, (metas, groups), {*metas, *elsewhere})
        absent = [(uid, number) for uid, number in partitions if number not in groups[uid]]
        misplaced = find_misplaced(redis, keys, absent, metas, buckets)
    return Observed(
        applied=rows.applied,
        topics={
            uid: LiveTopic(uid, bucket, metas[uid], groups[uid], _texts(readers[uid]))
            for uid, (_, bucket) in topics.items()
        },
        subscriptions={
            uid: LiveSubscription(uid, bucket, metas[uid])
            for uid, (kind, bucket) in places.items()
            if kind == "Subscription"
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
        missing=found.missing,
        foreign=found.foreign,
        misplaced=misplaced,
    )


def _read_buckets(redis: "Redis", keys: Keyspace) -> tuple[frozenset[int], dict[str, Place]]:
    """Which buckets are prepared, and what they list."""
    with redis.pipeline(transaction=False) as pipe:
        for bucket in range(BUCKETS):
            pipe.exists(keys.epoch(bucket))
            pipe.hgetall(keys.index(bucket))
        answers = pipe.execute()
    epochs = frozenset(bucket for bucket in range(BUCKETS) if answers[2 * bucket])
    index = {uid: (kind, bucket) for bucket in range(BUCKETS) for uid, kind in _texts(answers[2 * bucket + 1]).items()}
    return epochs, index


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


def _read_metas(redis: "Redis", keys: Keyspace, places: Mapping[str, Place]) -> dict[str, dict[str, str]]:
    answers = read_each(redis, list(places), lambda pipe, uid: pipe.hgetall(keys.meta(places[uid][1], uid)))
    return {uid: _texts(answer) for uid, answer in answers.items()}


def _partitions(
    topics: Mapping[str, Place], rows: Rows, metas: Mapping[str, Mapping[str, str]]
) -> list[tuple[str, int]]:
    """The partitions of each topic: as its row has it, or as Redis has it where no row claims it."""
    declared = {
        applied.uid: int(applied.resource.spec["partitions"])
        for identity, applied in rows.applied.items()
        if identity.kind in STORED
    }
    return [
        (uid, partition) for uid in topics for partition in range(declared.get(uid, 0) or partitions_of(metas[uid]))
    ]


def _read_groups(
    redis: "Redis",
    keys: Keyspace,
    topics: Mapping[str, Place],
    partitions: Sequence[Partition],
    metas: Metas,
) -> tuple[dict[str, dict[int, dict[str, str]]], list[Partition]]:
    """By topic and partition, leaving out partitions without a stream: group → last delivered id. And the partitions
    that are worth a closer look."""
    answers = read_each(
        redis, partitions, lambda pipe, place: pipe.xinfo_groups(keys.stream(topics[place[0]][1], *place))
    )
    groups: dict[str, dict[int, dict[str, str]]] = {uid: {} for uid in topics}
    odd: list[Partition] = []
    for (uid, partition), answer in answers.items():
        if not isinstance(answer, ResponseError):
            found = [_texts(group) for group in answer]
            groups[uid][partition] = {sys.intern(group["name"]): group["last-delivered-id"] for group in found}
            if any(is_odd(group, uid, partition, metas) for group in found):
                odd.append((uid, partition))
    return groups, odd


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


def _texts(answer: Mapping[Any, Any] | ResponseError) -> dict[str, str]:
    if isinstance(answer, ResponseError):
        return {}
    # Interned: tens of thousands of hashes have the same few names, and streams the same groups.
    return {sys.intern(_text(name)): _text(value) for name, value in answer.items()}


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
