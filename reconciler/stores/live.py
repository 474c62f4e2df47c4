"""What Redis has of topics and subscriptions: their settings, who reads them, their streams and groups. Reads only.

Everything is asked in slices, by the beginning of the uids, so that what is made or removed moves nothing from one
slice to another: see ``bulk`` for what that is good for. How many slices there are, and so how many round trips,
depends on the order of magnitude alone.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from redis import Redis

from mqops.keys import BUCKETS, Keyspace
from reconciler.planning.live import partitions_of
from reconciler.planning.placement import STORED
from reconciler.stores.bulk import Answers, Bulk, Command, Questions

_MANY = 4_000
"""From so many on there are 256 slices in place of 16: some hundred commands each."""

Place = tuple[str, int]
"""Kind and bucket of something on Redis."""

Texts = Mapping[str, str]


class Group(NamedTuple):
    """A consumer group, as XINFO GROUPS tells it."""

    name: str
    delivered: str
    """The last id that it was given."""
    pending: int
    lag: int | None


class Thing(NamedTuple):
    """Something to be looked at."""

    uid: str
    kind: str
    bucket: int
    partitions: int
    """Of a topic."""


@dataclass(frozen=True, slots=True)
class Live:
    """What was found, by uid."""

    metas: Mapping[str, Texts]
    """Empty where there is none."""
    readers: Mapping[str, Texts]
    groups: Mapping[str, Mapping[int, Sequence[Group]]]
    """Of topics, by partition; partitions without a stream are missing."""


Lists = tuple[frozenset[int], Mapping[str, Place]]
"""Which buckets are prepared, and what they list."""


class LiveReader:
    """Reads again and again. What has not changed since the last time is the very same."""

    def __init__(self) -> None:
        self._lists = Bulk(lambda _, answers: (bool(answers[0]), _texts(answers[1])))
        self._things = Bulk(lambda key, answers: _read(self._slices[key], answers))
        self._strays = Bulk(lambda _, answers: _groups(answers))
        self._asked: Sequence[Thing] = ()
        self._slices: Mapping[str, Sequence[Thing]] = {}
        self._questions: Mapping[str, Questions] = {}
        self._listed: tuple[Sequence[object], Lists] | None = None
        self._found: tuple[Sequence[object], Live] | None = None

    def read_lists(self, redis: "Redis", keys: Keyspace) -> Lists:
        """Raises what redis-py raises."""
        questions = {
            str(bucket): Questions([("EXISTS", keys.epoch(bucket)), ("HGETALL", keys.index(bucket))])
            for bucket in range(BUCKETS)
        }
        found = list(self._lists.ask(redis, questions).values())
        if self._listed is None or not _are_same(self._listed[0], found):
            epochs = frozenset(bucket for bucket, (is_prepared, _) in enumerate(found) if is_prepared)
            index = {uid: (kind, bucket) for bucket, (_, listed) in enumerate(found) for uid, kind in listed.items()}
            self._listed = (found, (epochs, index))
        return self._listed[1]

    def read(self, redis: "Redis", keys: Keyspace, things: Sequence[Thing]) -> Live:
        """What there is of ``things``. Raises what redis-py raises."""
        if self._asked != things:
            self._asked, self._slices = things, _slices(things)
            self._questions = {key: Questions([*_commands(keys, part)]) for key, part in self._slices.items()}
        parts = list(self._things.ask(redis, self._questions).values())
        if self._found is None or not _are_same(self._found[0], parts):
            self._found = (parts, _joined(parts))
        return self._with_strays(redis, keys, things, self._found[1])

    def _with_strays(self, redis: "Redis", keys: Keyspace, things: Sequence[Thing], found: Live) -> Live:
        """How many partitions a topic has that no row claims, only its meta says."""
        strays = [
            Thing(uid, kind, bucket, count)
            for uid, kind, bucket, partitions in things
            if kind in STORED and not partitions and (count := partitions_of(found.metas[uid]))
        ]
        if not strays:
            return found
        groups = self._strays.ask(redis, {stray.uid: Questions(_streams(keys, stray)) for stray in strays})
        return Live(found.metas, found.readers, {**found.groups, **groups})


def _are_same(before: Sequence[object], after: Sequence[object]) -> bool:
    return len(before) == len(after) and all(one is other for one, other in zip(before, after, strict=True))


def _slices(things: Sequence[Thing]) -> Mapping[str, Sequence[Thing]]:
    digits = 2 if len(things) >= _MANY else 1
    slices: dict[str, list[Thing]] = {}
    for thing in sorted(things):
        slices.setdefault(thing.uid[:digits], []).append(thing)
    return slices


def _commands(keys: Keyspace, things: Sequence[Thing]) -> Iterator[Command]:
    for thing in things:
        yield "HGETALL", keys.meta(thing.bucket, thing.uid)
        if thing.kind in STORED:
            yield "HGETALL", keys.groups(thing.bucket, thing.uid)
            yield from _streams(keys, thing)


def _streams(keys: Keyspace, thing: Thing) -> list[Command]:
    streams = (keys.stream(thing.bucket, thing.uid, number) for number in range(thing.partitions))
    return [("XINFO", "GROUPS", stream) for stream in streams]


def _read(things: Sequence[Thing], answers: Answers) -> Live:
    metas: dict[str, Texts] = {}
    readers: dict[str, Texts] = {}
    groups: dict[str, Mapping[int, Sequence[Group]]] = {}
    at = 0
    for uid, kind, _, partitions in things:
        metas[uid] = _texts(answers[at])
        at += 1
        if kind in STORED:
            readers[uid] = _texts(answers[at])
            groups[uid] = _groups(answers[at + 1 : at + 1 + partitions])
            at += 1 + partitions
    return Live(metas, readers, groups)


def _joined(parts: Sequence[Live]) -> Live:
    metas: dict[str, Texts] = {}
    readers: dict[str, Texts] = {}
    groups: dict[str, Mapping[int, Sequence[Group]]] = {}
    for part in parts:
        metas.update(part.metas)
        readers.update(part.readers)
        groups.update(part.groups)
    return Live(metas, readers, groups)


def _texts(answer: Any) -> dict[str, str]:
    """A hash. Names are interned: tens of thousands of hashes have the same few."""
    if answer is None:
        return {}
    return dict(zip(map(sys.intern, answer[::2]), answer[1::2], strict=True))


def _groups(answers: Sequence[Any]) -> dict[int, Sequence[Group]]:
    return {number: [_group(group) for group in answer] for number, answer in enumerate(answers) if answer is not None}


def _group(answer: Any) -> Group:
    pairs = answer if isinstance(answer, dict) else dict(zip(answer[::2], answer[1::2], strict=True))
    return Group(sys.intern(pairs["name"]), sys.intern(pairs["last-delivered-id"]), pairs["pending"], pairs.get("lag"))
