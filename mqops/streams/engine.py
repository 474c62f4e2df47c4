"""The engine as the rest of the program holds it: its connections, and what can be asked of them.

Each kind of traffic has a connection of its own, so that none waits behind another: publishing behind a large pull
would wait for its bodies.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from mqops.errors import BrokerNotAvailable
from mqops.keys import Keyspace
from mqops.lua import Script
from mqops.message import NewMessage, Position
from mqops.streams.bell import Bell, Ring
from mqops.streams.connection import Address, Argument, Connection, ConnectionLost, NotSent, ReplyError
from mqops.streams.fence import Fence
from mqops.streams.fetch import Fetched, Fetcher, StoredMessage
from mqops.streams.lane import Claim, Lane
from mqops.streams.letters import Letters
from mqops.streams.outcome import Outcome
from mqops.streams.progress import ProgressReader
from mqops.streams.publish import Publisher
from mqops.streams.schedule import Scheduler, When
from mqops.streams.scripts import (
    ACK,
    BEAT,
    DEAD_LETTER,
    ELECT,
    EXTEND,
    FETCH,
    FIND,
    LETTERS,
    PUBLISH,
    REAP,
    REDRIVE,
    REMOVE_LETTERS,
    RETRY,
    SCHEDULE,
    SWEEP,
    TRIM,
)
from mqops.streams.settle import Settler


@dataclass(frozen=True, slots=True)
class RedisHealth:
    """What a probe of the server found."""

    latency_ms: float
    used_memory_bytes: int
    maxmemory_bytes: int
    """0 when the server has no limit."""


class Streams:
    """The streams engine of one process."""

    def __init__(self, address: Address, keys: Keyspace, installation: str, name: str) -> None:
        self.keys = keys
        self.bell_channel = keys.bell(installation)
        self._publishing = Connection(address, f"{name}:publish", (PUBLISH, SCHEDULE))
        self._fetching = Connection(address, f"{name}:fetch", (FETCH, FIND))
        self._settling = Connection(address, f"{name}:settle", (ACK, RETRY, EXTEND, DEAD_LETTER))
        self._janitor = Connection(address, f"{name}:janitor", (SWEEP, REAP, TRIM, BEAT, ELECT))
        self._redriving = Connection(address, f"{name}:letters", (LETTERS, FIND, REDRIVE, REMOVE_LETTERS, PUBLISH))
        self._listening = Connection(address, f"{name}:bell")
        self._fencing = Connection(address, f"{name}:fence")
        self._publisher = Publisher(self._publishing, keys, installation)
        self._fence = Fence(self._fencing, keys)
        self.scheduler = Scheduler(self._publishing, self._fetching, keys, installation)
        self._fetcher = Fetcher(self._fetching, keys, installation)
        self._settler = Settler(self._settling, keys, self.bell_channel)
        self.progress = ProgressReader(self.ask, keys)
        self.letters = Letters(self._redriving, keys, installation)
        self._bell = Bell(self._listening, self.bell_channel)

    @classmethod
    def open(cls, redis_url: str, keys: Keyspace, installation: str, *, name: str) -> "Streams":
        """An engine that is not connected yet. Raises ``ConfigurationError`` for a URL it cannot read."""
        return cls(Address.parse(redis_url), keys, installation, name)

    async def start(self) -> None:
        """Connect; a server that is away does not fail this, the connections come up when it does."""
        connections = (self._publishing, self._fetching, self._settling, self._redriving, self._janitor, self._fencing)
        await asyncio.gather(self._bell.start(), *(connection.start() for connection in connections))

    async def stop(self) -> None:
        """Close the connections; what was under way counts as lost."""
        speaking = (self._publishing, self._fetching, self._settling, self._redriving, self._janitor, self._fencing)
        for connection in (self._listening, *speaking):
            await connection.stop()

    def publish(self, messages: Sequence[NewMessage]) -> asyncio.Future[list[Outcome]]:
        """See ``Publisher.publish``."""
        return self._publisher.publish(messages)

    async def publish_synced(self, messages: Sequence[NewMessage]) -> list[Outcome]:
        """See ``Fence.publish``."""
        return await self._fence.publish(messages, self._publisher.publish)

    async def schedule(self, messages: Sequence[NewMessage], when: When, *, synced: bool = False) -> list[Outcome]:
        """See ``Scheduler.schedule``; ``synced``: and ``Fence.publish``."""
        if not synced:
            return await self.scheduler.schedule(messages, when)
        return await self._fence.publish(messages, lambda several: self.scheduler.schedule(several, when))

    async def fetch(self, lane: Lane, *, consumer: str, count: int, lease_ms: int) -> Fetched:
        """See ``Fetcher.fetch``."""
        return await self._fetcher.fetch(lane, consumer=consumer, count=count, lease_ms=lease_ms)

    async def peek(
        self, bucket: int, topic: str, partition: int, after: Position | None, count: int
    ) -> list[StoredMessage]:
        """See ``Fetcher.peek``."""
        return await self._fetcher.peek(bucket, topic, partition, after, count)

    async def are_held(self, lane: Lane, claims: Sequence[Claim]) -> list[bool]:
        """See ``Fetcher.are_held``."""
        return await self._fetcher.are_held(lane, claims)

    async def find(self, bucket: int, topic: str, partition: int, message_id: bytes) -> StoredMessage | None:
        """See ``Fetcher.find``."""
        return await self._fetcher.find(bucket, topic, partition, message_id)

    async def last_position(self, bucket: int, topic: str, partition: int) -> Position:
        """See ``Fetcher.last_position``."""
        return await self._fetcher.last_position(bucket, topic, partition)

    async def ready(self, bucket: int) -> list[tuple[str, int]]:
        """See ``Fetcher.ready``."""
        return await self._fetcher.ready(bucket)

    async def ack(self, lane: Lane, claims: Sequence[Claim]) -> list[bool]:
        """See ``Settler.ack``."""
        return await self._settler.ack(lane, claims)

    async def retry(
        self, lane: Lane, claims: Sequence[Claim], delays_ms: Sequence[int], *, counts: bool = True
    ) -> list[bool]:
        """See ``Settler.retry``."""
        return await self._settler.retry(lane, claims, delays_ms, counts=counts)

    async def extend(self, lane: Lane, claims: Sequence[Claim], lease_ms: int) -> list[bool]:
        """See ``Settler.extend``."""
        return await self._settler.extend(lane, claims, lease_ms)

    async def dead_letter(self, lane: Lane, claims: Sequence[Claim], reason: str, detail: str) -> list[bool]:
        """See ``Settler.dead_letter``."""
        return await self._settler.dead_letter(lane, claims, reason, detail)

    async def purge(self, lane: Lane) -> int:
        """See ``Settler.purge``."""
        return await self._settler.purge(lane)

    def on_timer(self, callback: Callable[[int], None]) -> None:
        """See ``Bell.on_timer``."""
        self._bell.on_timer(callback)

    def on_ring(self, callback: Callable[[list[Ring]], None]) -> None:
        """See ``Bell.on_ring``."""
        self._bell.on_ring(callback)

    def on_done(self, callback: Callable[[str], None]) -> None:
        """See ``Settler.on_done``."""
        self._settler.on_done(callback)

    def on_resync(self, callback: Callable[[], None]) -> None:
        """See ``Bell.on_resync``."""
        self._bell.on_resync(callback)

    async def beat(self, incarnation: str) -> None:
        """Say that the worker ``incarnation`` is alive, by the server's clock. Raises ``BrokerNotAvailable``."""
        await self.run(BEAT, self.keys.workers, incarnation)

    async def leave(self, incarnation: str) -> None:
        """A worker that has given everything back says goodbye. Raises ``BrokerNotAvailable``."""
        await self.ask("ZADD", self.keys.workers, 0, incarnation)

    async def probe(self) -> RedisHealth:
        """How the server is. Raises ``BrokerNotAvailable``."""
        started = time.perf_counter()
        await self.ask("PING")
        latency_ms = (time.perf_counter() - started) * 1000
        info = dict(
            line.split(":", 1) for line in (await self.ask("INFO", "memory")).decode().splitlines() if ":" in line
        )
        return RedisHealth(latency_ms, int(info.get("used_memory", 0)), int(info.get("maxmemory", 0)))

    async def unprepared(self, buckets: Collection[int]) -> set[int]:
        """Those of ``buckets`` that the reconciler has not prepared since the server lost its data: nothing can be
        published to them. Raises ``BrokerNotAvailable``."""
        asked = sorted(buckets)
        replies = await asyncio.gather(*(self.ask("EXISTS", self.keys.epoch(bucket)) for bucket in asked))
        return {bucket for bucket, is_there in zip(asked, replies, strict=True) if not is_there}

    async def ask(self, *arguments: str | int) -> Any:
        """One command on the janitor's connection. Raises ``BrokerNotAvailable``."""
        return await _available(self._janitor.call(*arguments))

    async def run(self, script: Script, key: str, *arguments: Argument) -> Any:
        """One script on the janitor's connection. Raises ``BrokerNotAvailable``."""
        return await _available(self._janitor.run(script, key, *arguments))


async def _available(reply: Awaitable[Any]) -> Any:
    try:
        return await reply
    except (NotSent, ConnectionLost, ReplyError) as error:
        raise BrokerNotAvailable(str(error), retry_after_seconds=1) from error
