"""Handing messages out under leases, and looking at them without taking them."""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from mqops.codec.envelope import decode_dead_letter_info, decode_envelope
from mqops.errors import BrokerNotAvailable
from mqops.keys import Keyspace
from mqops.message import DeadLetterInfo, Delivery, Envelope, Position, time_of_id
from mqops.streams.connection import Argument, Connection, ConnectionLost, NotSent, ReplyError
from mqops.streams.lane import Claim, Lane
from mqops.streams.scripts import FETCH, FIND

PULL_CONSUMER = "pull"
"""The consumer name of all that is pulled over HTTP; a push worker's is its incarnation."""

FETCH_MESSAGES = 100
FETCH_BYTES = 1_048_576

EXPIRED = 2
"""What ``fetch.lua`` answers in place of 1, when it has work left and went past what had expired."""

FIND_ENTRIES = 500
"""What a look for a message goes through at a time: about a millisecond of the server's."""
CLOCKS_APART_MS = 60_000
"""How far the clock of a publishing process may be from the server's for its messages to be found."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a fetch gave. ``more``: the lane has work left. ``expired``: it may be that only because what was found had
    expired. ``gone``: its stream or group is not there."""

    deliveries: list[Delivery]
    more: bool = False
    gone: bool = False
    expired: bool = False


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message as it lies in its stream."""

    position: Position
    partition: int
    id: bytes
    key: str
    envelope: Envelope
    payload: bytes
    dead_letter: DeadLetterInfo | None = None
    record: bytes = b""
    """Of a dead letter, what it says of its message, as it is stored."""
    expires_at_ms: int | None = None


class Fetcher:
    """Fetches over one connection, apart from publishing: bodies coming back must not delay those going in."""

    def __init__(self, connection: Connection, keys: Keyspace, installation: str) -> None:
        self._connection = connection
        self._keys = keys
        self._bell = keys.bell(installation)
        self._repairs = keys.repairs(installation)

    async def fetch(self, lane: Lane, *, consumer: str, count: int, lease_ms: int) -> Fetched:
        """Up to ``count`` messages (at most 100, and about 1 MiB), each leased to ``consumer`` for ``lease_ms``.
        Raises ``BrokerNotAvailable``; what a lost reply had handed out comes back when its lease ends."""
        reply = await self._ask(lane, consumer, min(count, FETCH_MESSAGES), lease_ms)
        status, more, *entries = reply
        if status == b"GONE":
            # Whoever runs the reconciler hears it; nothing is lost when nobody does: it looks regularly.
            await self._connection.call("PUBLISH", self._repairs, lane.subscription)
            return Fetched([], gone=True)
        return Fetched([_delivery(lane.partition, entry) for entry in entries], more=more > 0, expired=more == EXPIRED)

    async def ready(self, bucket: int) -> list[tuple[str, int]]:
        """(subscription uid, partition) of every lane of the bucket that has work, longest waiting first."""
        members = await self._call("ZRANGE", self._keys.ready(bucket), 0, -1)
        lanes = (member.decode().rpartition(":") for member in members)
        return [(subscription, int(partition)) for subscription, _, partition in lanes]

    async def peek(
        self, bucket: int, topic: str, partition: int, after: Position | None, count: int
    ) -> list[StoredMessage]:
        """Messages of a partition after ``after`` (from the first one without it), taking none of them."""
        start = f"({after}" if after is not None else "-"
        stream = self._keys.stream(bucket, topic, partition)
        entries = await self._call("XRANGE", stream, start, "+", "COUNT", count)
        return [stored_message(partition, entry_id, fields) for entry_id, fields in entries]

    async def are_held(self, lane: Lane, claims: Sequence[Claim]) -> list[bool]:
        """Whether each of these is still out: not settled, given back, or past its lease."""
        flight = self._keys.flight(lane.bucket, lane.subscription, lane.partition)
        records = await self._call("HMGET", flight, *(str(claim.position) for claim in claims))
        return [_is_held(record, claim) for record, claim in zip(records, claims, strict=True)]

    async def find(self, bucket: int, topic: str, partition: int, message_id: bytes) -> StoredMessage | None:
        """The message with this id, if the partition keeps it. It was stored at about the time that its id tells, or
        later, so that is where to look first."""
        near = max(1, time_of_id(message_id) - 1_000)
        for first, last in ((near, "+"), (max(0, near - CLOCKS_APART_MS), str(near - 1))):
            start = str(first)
            while True:
                reply = await self._find(bucket, topic, partition, message_id, start, last)
                if len(reply) == 2:
                    return stored_message(partition, *reply)
                if not reply:
                    break
                start = f"({reply[0].decode()}"
        return None

    async def last_position(self, bucket: int, topic: str, partition: int) -> Position:
        """Where the newest message of a partition stands; offset 0 when there was none yet."""
        last = await self._call("HGET", self._keys.meta(bucket, topic), f"last:{partition}")
        return Position.parse(last.decode()) if last else Position(0, 0)

    async def _find(self, bucket: int, topic: str, partition: int, message_id: bytes, *within: str) -> list[Any]:
        arguments: list[Argument] = [topic, partition, message_id, *within, FIND_ENTRIES, FETCH_BYTES]
        reply: list[Any] = await _available(self._connection.run(FIND, self._keys.epoch(bucket), *arguments))
        return reply

    async def _ask(self, lane: Lane, consumer: str, count: int, lease_ms: int) -> Any:
        arguments = (lane.subscription, lane.partition, consumer, count, lease_ms, FETCH_BYTES, self._bell)
        return await _available(self._connection.run(FETCH, self._keys.epoch(lane.bucket), *arguments))

    async def _call(self, *arguments: str | int) -> Any:
        return await _available(self._connection.call(*arguments))


async def _available(reply: Awaitable[Any]) -> Any:
    try:
        return await reply
    except (NotSent, ConnectionLost, ReplyError) as error:
        raise BrokerNotAvailable(str(error), retry_after_seconds=1) from error


def stored_message(partition: int, entry_id: bytes, fields: list[bytes]) -> StoredMessage:
    """The message of an entry, as it comes from a stream."""
    values = dict(zip(fields[::2], fields[1::2], strict=True))
    record, expires = values.get(b"x"), values.get(b"t")
    return StoredMessage(
        position=Position.parse(entry_id.decode()),
        partition=partition,
        id=values[b"i"],
        key=values[b"k"].decode(),
        envelope=_envelope(values[b"e"]),
        payload=values[b"d"],
        dead_letter=decode_dead_letter_info(record) if record else None,
        record=record or b"",
        expires_at_ms=int(expires) if expires else None,
    )


def _delivery(partition: int, entry: list[Any]) -> Delivery:
    entry_id, token, attempt, fields = entry
    stored = stored_message(partition, entry_id, fields)
    return Delivery(
        position=stored.position,
        partition=partition,
        token=int(token),
        attempt=int(attempt),
        id=stored.id,
        key=stored.key,
        envelope=stored.envelope,
        payload=stored.payload,
        dead_letter=stored.dead_letter,
        expires_at_ms=stored.expires_at_ms,
    )


def _is_held(record: bytes | None, claim: Claim) -> bool:
    if record is None:
        return False
    token, _attempt, _losses, owner = record.split(b":", 3)
    return int(token) == claim.token and owner != b"-"


def _envelope(data: bytes) -> Envelope:
    try:
        return decode_envelope(data)
    except msgspec.DecodeError:
        return Envelope(content_type="application/octet-stream")
