"""A closer look at what may have been changed in streams by others: groups that were moved or made, messages and
streams that are gone.

Positions and counters move with every message, so what was read at different moments contradicts itself under traffic.
Where it does, one script asks again, for all of a partition at one moment; only what it says counts.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from redis import Redis
from redis.exceptions import ResponseError

from mqops.keys import Keyspace
from reconciler.planning.live import partitions_of
from reconciler.state import Lane, Partition
from reconciler.stores.calls import call
from reconciler.stores.live import Group

_CALLS_AT_ONCE = 500
_SCANNED_AT_ONCE = 1_000

Metas = Mapping[str, Mapping[str, str]]
"""By uid: meta hashes."""


def is_odd(group: Group, uid: str, partition: int, metas: Metas) -> bool:
    """Whether a group is worth a closer look: it is nobody's, or does not stand where its subscription has read to, or
    there is not as much left to read, or something waits to be settled."""
    meta = metas.get(group.name)
    if meta is None:
        return True
    position, last = meta.get(f"pos:{partition}"), metas[uid].get(f"last:{partition}", "0-0")
    if position is None:
        return False
    if group.delivered != position or group.pending:
        return True
    if position == last:
        return group.lag != 0
    return group.lag != _offset(last) - _offset(position) - _offset(meta.get(f"gone:{partition}", "0"))


def _offset(entry_id: str) -> int:
    offset = entry_id.rpartition("-")[2]
    return int(offset) if offset.isdecimal() else -1


@dataclass(frozen=True, slots=True)
class Look:
    """What a closer look found: see ``Observed``."""

    missing: dict[Lane, int] = field(default_factory=dict)
    foreign: dict[Lane, int] = field(default_factory=dict)
    positions: dict[Lane, tuple[str, str]] = field(default_factory=dict)
    """Read at one moment: the last id that the group was given, and where its subscription has read to; empty when that
    is not known."""


def look_closer(
    redis: "Redis", keys: Keyspace, partitions: Sequence[tuple[int, str, int]], known: Collection[str]
) -> Look:
    """What is odd in ``partitions`` (bucket, topic's uid and number). ``known`` are uids whose groups are nobody
    else's, whatever Redis has of them."""
    found = Look()
    for start in range(0, len(partitions), _CALLS_AT_ONCE):
        chunk = partitions[start : start + _CALLS_AT_ONCE]
        answers = call(redis, keys, [("look", bucket, (uid, str(number))) for bucket, uid, number in chunk])
        for (_, uid, number), answer in zip(chunk, answers, strict=True):
            if isinstance(answer, Exception):
                if isinstance(answer, ResponseError) and "WRONGTYPE" in str(answer):
                    continue
                raise answer
            for group in answer:
                _note(found, (uid, number), group, known)
    return found


def _note(found: Look, place: Partition, group: Sequence[Any], known: Collection[str]) -> None:
    name, delivered, position = (part.decode("utf-8", "replace") for part in group[:3])
    pending, is_claimed, missing = group[3:]
    lane = (*place, name)
    if not is_claimed and name not in known:
        found.foreign[lane] = pending
        return
    found.positions[lane] = (delivered, position)
    if missing:
        found.missing[lane] = missing


def find_misplaced(
    redis: "Redis", keys: Keyspace, absent: Sequence[Partition], metas: Metas, buckets: Mapping[str, int]
) -> dict[Partition, str]:
    """Where the streams of ``absent`` partitions are: under keys of ours that are no partition's, with the very id that
    was given last. Looks through the whole database, so only when a stream is gone that ever had a message."""
    wanted = {
        last: (uid, number)
        for uid, number in absent
        if (last := metas[uid].get(f"last:{number}", "0-0")) != "0-0" and uid in buckets
    }
    if not wanted:
        return {}
    own = {
        keys.stream(bucket, uid, number)
        for uid, bucket in buckets.items()
        for number in range(partitions_of(metas[uid]))
    }
    found: dict[Partition, str] = {}
    for key in redis.scan_iter(match=f"{_literal(keys.prefix)}*", count=_SCANNED_AT_ONCE, _type="stream"):
        name = key.decode("utf-8", "replace")
        if name in own:
            continue
        last = redis.xinfo_stream(key)["last-generated-id"]
        place = wanted.get(last.decode() if isinstance(last, bytes) else str(last))
        if place is not None:
            found[place] = name
    return found


def _literal(prefix: str) -> str:
    """``prefix`` as a pattern that means but itself."""
    return "".join(f"\\{character}" if character in "*?[]\\^" else character for character in prefix)
