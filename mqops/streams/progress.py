"""How far a topic's subscriptions are, by their counters: what is stored and not finished, and where it is."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mqops.keys import Keyspace
from mqops.streams.lane import Lane

Ask = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Progress:
    """Of one subscription; numbers of messages."""

    unfinished: int
    """Stored, and neither done nor dead-lettered; what is in flight or waits to be tried again is among it."""
    in_flight: int
    retrying: int
    dead_lettered: int
    """Since the subscription was made."""


class ProgressReader:
    """Reads over a connection that ``ask`` sends a command on. Reads of one answer are moments apart."""

    def __init__(self, ask: Ask, keys: Keyspace) -> None:
        self._ask = ask
        self._keys = keys

    async def stored(self, bucket: int, topic: str) -> int:
        """How many messages were ever stored in the topic. Raises ``BrokerNotAvailable``."""
        return int(await self._ask("HGET", self._keys.meta(bucket, topic), "total") or 0)

    async def of(self, lanes: Sequence[Lane], stored: int) -> Progress:
        """The progress of the subscription that has ``lanes``, when ``stored`` messages were. Raises
        ``BrokerNotAvailable``."""
        first, keys = lanes[0], self._keys
        names = ("base", "done", "dead_lettered")
        counters, *sizes = await asyncio.gather(
            self._ask("HMGET", keys.meta(first.bucket, first.subscription), *names),
            *(self._ask("ZCARD", keys.lease(lane.bucket, lane.subscription, lane.partition)) for lane in lanes),
            *(self._ask("ZCARD", keys.retry(lane.bucket, lane.subscription, lane.partition)) for lane in lanes),
        )
        base, done, dead_lettered = (int(counter or 0) for counter in counters)
        return Progress(
            unfinished=max(0, stored - base - done),  # what was done since ``stored`` was read is not less than none
            in_flight=sum(sizes[: len(lanes)]),
            retrying=sum(sizes[len(lanes) :]),
            dead_lettered=dead_lettered,
        )
