"""Decides what is fetched next, and hands it to ``deliver``: fair among tenants, never more than there are free slots.

A *reader* is a push subscription as this worker serves it; its lanes (a partition each) are *ready* when they may have
work. What says so: the bell, a look at the buckets' ``ready``, a fetch that left something behind. A reader with a
ready lane and a free slot waits in the ring for its turn. Slots are taken before a fetch and kept until a message is
settled, so no lease ever runs while its message waits in this process.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field

from mqops.catalog import SubscriptionEntry
from mqops.delivery.heartbeat import Heartbeat
from mqops.delivery.report import Report
from mqops.delivery.ring import Ring
from mqops.errors import BrokerNotAvailable
from mqops.message import Delivery
from mqops.streams import Fetched, Lane, Streams

log = logging.getLogger(__name__)

FETCH_BYTES = 1_048_576
"""What a fetch brings at most, but for a last message that goes beyond it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a worker takes on."""

    slots: int = 200
    """Messages in its hands at most, of all subscriptions together."""
    held_bytes: int = 64 * 1_048_576
    """Of their payloads, about: a fetch that is under way counts as the most it may bring."""
    batch: int = 50
    """Messages a fetch asks for at most."""
    lease_beyond_timeout_ms: int = 30_000
    """How much longer than its handler's time-out a message is leased."""
    default_timeout_ms: int = 15_000
    """Of a handler that sets none."""


@dataclass(frozen=True, slots=True)
class Work:
    """A message in this worker's hands, and what was known when it was fetched."""

    subscription: SubscriptionEntry
    lane: Lane
    delivery: Delivery
    timeout_ms: int
    term: int
    """See ``heartbeat``."""

    @property
    def name(self) -> str:
        """Of the subscription, with its tenant."""
        return f"{self.subscription.tenant}/{self.subscription.name}"


@dataclass(eq=False, slots=True)
class _Reader:
    subscription: SubscriptionEntry
    lanes: list[Lane] = field(default_factory=list)
    timeout_ms: int = 0
    is_served: bool = True
    """Whether the catalog still wants it served; what it holds is finished in any case."""
    taken: int = 0
    """Slots held by messages, or by fetches that have not answered yet."""
    ready: dict[int, None] = field(default_factory=dict)
    """Partitions that may have work, longest waiting first."""
    fetching: set[int] = field(default_factory=set)

    @property
    def free(self) -> int:
        return (self.subscription.spec.concurrency or 1) - self.taken

    def next_ready(self) -> int | None:
        """A partition to fetch from next; None without one, or without a free slot."""
        if not self.is_served or self.free <= 0:
            return None
        return next((partition for partition in self.ready if partition not in self.fetching), None)


class Dispatcher:
    """Fetches and starts ``deliver``, which settles the message and never raises. Lives in the loop."""

    def __init__(
        self,
        streams: Streams,
        limits: Limits,
        heartbeat: Heartbeat,
        report: Report,
        deliver: Callable[[Work], Coroutine[None, None, None]],
    ) -> None:
        self._streams = streams
        self._limits = limits
        self._heartbeat = heartbeat
        self._report = report
        self._deliver = deliver
        self._readers: dict[str, _Reader] = {}
        self._ring: Ring[_Reader] = Ring()
        self._free = limits.slots
        self._free_bytes = limits.held_bytes
        self._is_open = True
        self._is_scheduled = False
        self.tasks: set[asyncio.Task[None]] = set()
        """Fetches and deliveries under way."""

    @property
    def served(self) -> frozenset[str]:
        """Uids of the subscriptions that are fetched for."""
        return frozenset(uid for uid, reader in self._readers.items() if reader.is_served)

    def follow(self, subscriptions: Iterable[SubscriptionEntry]) -> None:
        """Serve these from now on and no others; what is in hand of others is finished. Lanes with work are found
        by the next sweep."""
        wanted = {entry.uid: entry for entry in subscriptions}
        for uid, reader in list(self._readers.items()):
            if uid not in wanted:
                reader.is_served = False
                self._ring.remove(reader.subscription.tenant, reader)
                if not reader.taken:
                    del self._readers[uid]
        for uid, entry in wanted.items():
            reader = self._readers.setdefault(uid, _Reader(entry))
            if not reader.is_served or not reader.lanes or reader.subscription is not entry:
                self._serve(reader, entry)

    def wake(self, subscription: str, partition: int) -> None:
        """The lane may have work."""
        reader = self._readers.get(subscription)
        if reader is not None and partition < len(reader.lanes):
            reader.ready.setdefault(partition)
            self._offer(reader)

    async def sweep(self) -> None:
        """Look everywhere for lanes that have work. Raises ``BrokerNotAvailable``."""
        buckets = {reader.subscription.topic.bucket for reader in self._readers.values()}
        for lanes in await asyncio.gather(*(self._streams.ready(bucket) for bucket in buckets)):
            for subscription, partition in lanes:
                self.wake(subscription, partition)

    def close(self) -> None:
        """Fetch nothing more. A fetch that is under way still delivers."""
        self._is_open = False

    def _serve(self, reader: _Reader, entry: SubscriptionEntry) -> None:
        assert entry.handler is not None
        topic = entry.topic
        self._ring.remove(reader.subscription.tenant, reader)
        reader.subscription, reader.is_served = entry, True
        reader.lanes = [Lane(topic.bucket, entry.uid, topic.uid, number) for number in range(topic.spec.partitions)]
        reader.timeout_ms = entry.handler.spec.http.timeout or self._limits.default_timeout_ms
        reader.ready = {number: None for number in reader.ready if number < len(reader.lanes)}
        self._offer(reader)

    def _offer(self, reader: _Reader) -> None:
        """Let the reader wait for its turn, if it has something to do with it."""
        if reader.next_ready() is not None:
            self._ring.add(reader.subscription.tenant, reader)
            self._schedule()

    def _schedule(self) -> None:
        """Give turns at the end of this turn of the loop: what becomes free or ready together is fetched together."""
        if not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._fetch_all)

    def _fetch_all(self) -> None:
        """Give turns while there are slots."""
        self._is_scheduled = False
        while self._is_open and self._free > 0 and self._free_bytes > 0 and self._heartbeat.is_believed():
            reader = self._ring.next()
            if reader is None:
                return
            partition = reader.next_ready()
            if partition is None:
                continue
            count = min(reader.free, self._free, self._limits.batch)
            reader.taken += count
            self._free -= count
            self._free_bytes -= FETCH_BYTES
            del reader.ready[partition]
            reader.fetching.add(partition)
            self._start(self._fetch(reader, reader.lanes[partition], count))
            self._offer(reader)

    async def _fetch(self, reader: _Reader, lane: Lane, count: int) -> None:
        term = self._heartbeat.term
        fetched = await self._ask(lane, count, reader.timeout_ms + self._limits.lease_beyond_timeout_ms)
        reader.fetching.discard(lane.partition)
        if fetched.gone:
            entry = reader.subscription
            self._report.note(f"{entry.tenant}/{entry.name}", "its stream or group is gone: the reconciler was told")
        for delivery in fetched.deliveries:
            work = Work(reader.subscription, lane, delivery, reader.timeout_ms, term)
            self._start(self._hold(reader, work))
        if fetched.more and lane.partition < len(reader.lanes):
            reader.ready.setdefault(lane.partition)
        held_bytes = sum(len(delivery.payload) for delivery in fetched.deliveries)
        self._release(reader, count - len(fetched.deliveries), FETCH_BYTES - held_bytes)

    async def _ask(self, lane: Lane, count: int, lease_ms: int) -> Fetched:
        """A fetch that fails gives nothing: the next sweep finds the lane again."""
        consumer = self._heartbeat.incarnation
        try:
            return await self._streams.fetch(lane, consumer=consumer, count=count, lease_ms=lease_ms)
        except BrokerNotAvailable as error:
            log.debug("fetching waits: %s", error)
        except Exception:
            log.exception("fetching partition %d of subscription %s failed", lane.partition, lane.subscription)
        return Fetched([])

    async def _hold(self, reader: _Reader, work: Work) -> None:
        try:
            await self._deliver(work)
        finally:
            self._release(reader, 1, len(work.delivery.payload))

    def _release(self, reader: _Reader, slots: int, held_bytes: int) -> None:
        reader.taken -= slots
        self._free += slots
        self._free_bytes += held_bytes
        self._offer(reader)
        self._schedule()  # for the others too, when this worker had no slot left

    def _start(self, task: Coroutine[None, None, None]) -> None:
        running = asyncio.create_task(task)
        self.tasks.add(running)
        running.add_done_callback(self.tasks.discard)
