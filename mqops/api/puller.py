"""Pulling: messages of a subscription from all of its partitions, in fair shares, through its filter.

What the filter turns down is settled here and never seen by the consumer. Once something is leased the consumer gets
it, even when a later step fails: what is leased and not handed over would only come back when its lease ends.
"""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from mqops.api.timestamps import now_ms
from mqops.catalog import SubscriptionEntry
from mqops.errors import BrokerNotAvailable
from mqops.expressions import ExpressionFailed
from mqops.message import Delivery
from mqops.streams import PULL_CONSUMER, Claim, Fetched, Lane, Streams

log = logging.getLogger(__name__)

MAX_MESSAGES = 100
MAX_BYTES = 8 * 1024 * 1024
"""Where a pull stops asking for more; what one round of fetches brings may lie above it."""
MAX_SECONDS = 1.0
"""How long a pull looks for messages that pass the filter."""
_FETCHES_AT_ONCE = 8
_TURNS_KEPT = 100_000
_LEASE_MS = 30_000
"""Only where a subscription was applied without its defaults."""


def lease_ms_of(subscription: SubscriptionEntry) -> int:
    """How long its messages are leased."""
    return subscription.spec.ack_deadline or _LEASE_MS


@dataclass(frozen=True, slots=True)
class Pulled:
    """What a pull gave."""

    subscription: SubscriptionEntry
    deliveries: list[Delivery]
    lease_until_ms: int
    rest: list[int]
    """Partitions that may have more."""


class Puller:
    """Pulls; its state is which partition of a subscription comes first next time."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self._turns: dict[str, int] = {}

    async def pull(
        self, subscription: SubscriptionEntry, wanted: int, partitions: Collection[int] | None = None
    ) -> Pulled:
        """Up to ``wanted`` messages of these ``partitions`` (of all without them). Raises ``BrokerNotAvailable`` when
        there is nothing to hand over and a partition could not be read."""
        lease_ms = lease_ms_of(subscription)
        lease_until_ms = now_ms() + lease_ms
        lanes = self._lanes_in_turn(subscription, partitions)
        taken: list[Delivery] = []
        failure: BrokerNotAvailable | None = None
        deadline = time.monotonic() + MAX_SECONDS
        while lanes and len(taken) < wanted and _size_bytes(taken) < MAX_BYTES and time.monotonic() < deadline:
            shares = _shares(wanted - len(taken), min(len(lanes), _FETCHES_AT_ONCE))
            round_ = [(lanes.popleft(), share) for share in shares]
            results = await self._fetch_each(round_, lease_ms)
            for (lane, _), result in zip(round_, results, strict=True):
                if isinstance(result, BrokerNotAvailable):
                    failure = result
                    continue
                if isinstance(result, BaseException):
                    raise result
                taken += await self._passing(subscription, lane, result.deliveries)
                if result.more and (result.deliveries or result.expired):
                    lanes.append(lane)
        if failure is not None and not taken:
            raise failure
        return Pulled(subscription, taken, lease_until_ms, [lane.partition for lane in lanes])

    async def give_back(self, subscription: SubscriptionEntry, deliveries: Collection[Delivery]) -> None:
        """These were handed to nobody: others get them at once, and no attempt is used up."""
        topic = subscription.topic
        by_partition: dict[int, list[Claim]] = {}
        for delivery in deliveries:
            by_partition.setdefault(delivery.partition, []).append(Claim(delivery.position, delivery.token))
        for partition, claims in by_partition.items():
            lane = Lane(topic.bucket, subscription.uid, topic.uid, partition)
            # What cannot be given back comes again when its lease ends.
            with contextlib.suppress(BrokerNotAvailable):
                await self._streams.retry(lane, claims, [0] * len(claims), counts=False)

    async def _fetch_each(self, round_: list[tuple[Lane, int]], lease_ms: int) -> Sequence[Fetched | BaseException]:
        if len(round_) > 1:
            fetches = (self._fetch(lane, share, lease_ms) for lane, share in round_)
            return await asyncio.gather(*fetches, return_exceptions=True)
        try:  # no task for what is the most frequent: one partition
            return [await self._fetch(*round_[0], lease_ms)]
        except BrokerNotAvailable as error:
            return [error]

    async def _fetch(self, lane: Lane, count: int, lease_ms: int) -> Fetched:
        fetched = await self._streams.fetch(lane, consumer=PULL_CONSUMER, count=count, lease_ms=lease_ms)
        if fetched.gone:
            raise BrokerNotAvailable("the subscription's group is being restored", retry_after_seconds=1)
        return fetched

    def _lanes_in_turn(self, subscription: SubscriptionEntry, only: Collection[int] | None) -> deque[Lane]:
        topic = subscription.topic
        partitions = topic.spec.partitions
        chosen = range(partitions) if only is None else [number for number in only if number < partitions]
        lanes = deque(Lane(topic.bucket, subscription.uid, topic.uid, number) for number in chosen)
        if only is None and partitions > 1:
            if len(self._turns) >= _TURNS_KEPT:
                self._turns.clear()
            turn = self._turns[subscription.uid] = (self._turns.get(subscription.uid, -1) + 1) % partitions
            lanes.rotate(-turn)
        return lanes

    async def _passing(self, subscription: SubscriptionEntry, lane: Lane, deliveries: list[Delivery]) -> list[Delivery]:
        """Those that the filter lets through; the others are settled."""
        if subscription.filter is None:
            return deliveries
        passing: list[Delivery] = []
        unwanted: list[Claim] = []
        for delivery in deliveries:
            claim = Claim(delivery.position, delivery.token)
            try:
                if subscription.wants(delivery):
                    passing.append(delivery)
                else:
                    unwanted.append(claim)
            except ExpressionFailed as error:
                # Not settled in time, it comes back when its lease ends: so a server that is away is no error here.
                with contextlib.suppress(BrokerNotAvailable):
                    await self._streams.dead_letter(lane, [claim], "filter_error", str(error))
        if unwanted:
            with contextlib.suppress(BrokerNotAvailable):
                await self._streams.ack(lane, unwanted)
        return passing


def _shares(wanted: int, lanes: int) -> list[int]:
    """How many to ask each lane for: as even as can be, and at least one."""
    lanes = min(lanes, wanted)
    share, rest = divmod(wanted, lanes)
    return [share + (index < rest) for index in range(lanes)]


def _size_bytes(deliveries: list[Delivery]) -> int:
    return sum(len(delivery.payload) for delivery in deliveries)
