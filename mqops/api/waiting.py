"""Consumers that found nothing, waiting in line for the bell: no request of theirs is on its way to Redis meanwhile.

A fetch that leaves a partition with nothing to read arms it, so whoever publishes next rings, in every process. A ring
wakes one consumer of each process that has any in line for that subscription; whoever finds more than it may take
passes the rest on to the next. So a message wakes one consumer and not a thousand, and no process has to know of the
consumers of others. Rings may be lost: while anybody waits, the buckets' ``ready`` are looked at once a second.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Collection, Iterable
from types import TracebackType

from mqops.catalog import Catalog, SubscriptionEntry
from mqops.errors import BrokerNotAvailable
from mqops.streams import Streams

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0

Ring = tuple[int, str, int]
"""Bucket, subscription uid, partition."""
Partitions = Collection[int] | None
"""Which may have something; None for any of them."""


class WaitingRoom:
    """All consumers of this process that wait. It lives in the loop that ``streams`` runs in."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self._lines: dict[str, _Line] = {}
        self._looking: asyncio.Task[None] | None = None
        self._is_closed = False
        streams.on_ring(self._heard)
        streams.on_resync(self._ring_for_all)

    def enter(self, subscription: SubscriptionEntry) -> "Place":
        """A place for one consumer, held by ``with``. Enter before looking for messages, so that no ring is missed
        between having found nothing and waiting."""
        return Place(self, subscription)

    def follow(self, catalog: Catalog) -> None:
        """Whoever waits for a subscription that has changed, or is gone, has to look at it anew."""
        for uid, line in self._lines.items():
            current = catalog.subscriptions_by_uid.get(uid)
            if current is not line.subscription:
                line.subscription = current or line.subscription
                line.wake_all(None)

    def close(self) -> None:
        """The process drains: nobody waits any longer. Each connection says so: from the second on it is no news."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._looking is not None:
            self._looking.cancel()
        for line in self._lines.values():
            line.end_all()

    def _add(self, place: "Place", subscription: SubscriptionEntry) -> "_Line":
        line = self._lines.setdefault(subscription.uid, _Line(subscription))
        line.places.add(place)
        if self._is_closed:
            place.end()
        elif self._looking is None:
            self._looking = asyncio.create_task(self._keep_looking(), name="waiting room")
        return line

    def _remove(self, place: "Place", line: "_Line") -> None:
        line.places.discard(place)
        if not line.places:
            del self._lines[line.uid]

    def _heard(self, rings: Iterable[Ring]) -> None:
        for _bucket, subscription, partition in rings:
            line = self._lines.get(subscription)
            if line is not None:
                line.ring([partition])

    def _ring_for_all(self) -> None:
        for line in self._lines.values():
            line.ring(range(line.subscription.topic.spec.partitions))

    async def _keep_looking(self) -> None:
        """Until nobody waits."""
        await asyncio.sleep(LOOK_SECONDS)
        while self._lines and not self._is_closed:
            try:
                await self._look()
            except BrokerNotAvailable as error:
                log.debug("the waiting room does not see what is ready: %s", error)
            except Exception:
                log.exception("the waiting room could not look; it tries again")
            await asyncio.sleep(LOOK_SECONDS)
        self._looking = None

    async def _look(self) -> None:
        buckets = {line.subscription.topic.bucket for line in self._lines.values()}
        for lanes in await asyncio.gather(*(self._streams.ready(bucket) for bucket in buckets)):
            self._heard((0, subscription, partition) for subscription, partition in lanes)


class _Line:
    """Those who consume one subscription, longest waiting first."""

    def __init__(self, subscription: SubscriptionEntry) -> None:
        self.uid = subscription.uid
        self.subscription = subscription
        self.places: set[Place] = set()
        """Everybody, also those who are just looking and do not wait."""
        self.waiting: OrderedDict[Place, None] = OrderedDict()
        self.rung: dict[int, None] = {}
        """Partitions that nobody has been woken for yet."""

    def ring(self, partitions: Iterable[int]) -> None:
        self.rung.update(dict.fromkeys(partitions))
        while self.rung and self.waiting:
            place, _ = self.waiting.popitem(last=False)
            if place.is_waiting:
                place.wake(self._share(is_last=not self.waiting))

    def take(self) -> list[int]:
        """All that was rung for and is nobody's."""
        return self._share(is_last=True)

    def wake_all(self, partitions: Partitions) -> None:
        for place in self.places:
            place.wake(partitions)

    def end_all(self) -> None:
        for place in self.places:
            place.end()

    def _share(self, *, is_last: bool) -> list[int]:
        share = list(self.rung) if is_last else [next(iter(self.rung))]
        for partition in share:
            del self.rung[partition]
        return share


class Place:
    """One consumer's. It is over when ``end`` was called: time is up, the client is gone, or the process drains."""

    def __init__(self, room: WaitingRoom, subscription: SubscriptionEntry) -> None:
        self._room = room
        self._subscription = subscription
        self._woken: asyncio.Future[Partitions] | None = None
        self._line: _Line
        self._is_stale = False
        """Whether it has to look everywhere, because something changed while it did not wait."""
        self.is_over = False

    def __enter__(self) -> "Place":
        self._line = self._room._add(self, self._subscription)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._room._remove(self, self._line)

    @property
    def is_waiting(self) -> bool:
        return self._woken is not None and not self._woken.done()

    async def woken(self) -> Partitions:
        """Wait. Answers which partitions to look at; none of them when the wait is over."""
        if self.is_over:
            return ()
        if self._is_stale:
            self._is_stale = False
            return None
        if self._line.rung:
            return self._line.take()
        self._woken = asyncio.get_running_loop().create_future()
        self._line.waiting[self] = None
        try:
            return await self._woken
        finally:
            self._line.waiting.pop(self, None)
            self._woken = None

    def wake(self, partitions: Partitions) -> None:
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(partitions)
        elif partitions is None:
            self._is_stale = True
        else:
            self.pass_on(partitions)

    def pass_on(self, partitions: Collection[int]) -> None:
        """Others are to look at these, or itself when it waits next."""
        self._line.ring(partitions)

    def end(self, *_: object) -> None:
        """Wait no longer, now or ever."""
        self.is_over = True
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(())
