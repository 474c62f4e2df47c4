"""How many messages a stream has handed over that are not settled yet, so that it hands over no more than agreed.

Acks go to any process, over any connection, so the truth is in Redis: whether a hand-out's token is still the current
one and somebody holds it. It is asked for only by a stream that has half of its window out, at once when something was
settled in this process, and else ten times a second.
"""

import asyncio

from mqops.api.consume import Consumer
from mqops.api.puller import MAX_MESSAGES, Pulled
from mqops.catalog import SubscriptionEntry
from mqops.message import Position
from mqops.streams import Claim, Lane, Streams

LOOK_SECONDS = 0.1


class Windows:
    """Of all streams of this process."""

    def __init__(self, streams: Streams) -> None:
        self.streams = streams
        self._open: dict[str, set[Window]] = {}
        streams.on_done(self._done)

    def _done(self, subscription: str) -> None:
        for window in self._open.get(subscription, ()):
            window.something_settled.set()

    def add(self, window: "Window") -> None:
        self._open.setdefault(window.subscription.uid, set()).add(window)

    def remove(self, window: "Window") -> None:
        windows = self._open[window.subscription.uid]
        windows.discard(window)
        if not windows:
            del self._open[window.subscription.uid]


class Window:
    """Of one stream, used by ``with``: at most ``most`` messages are out."""

    def __init__(self, windows: Windows, subscription: SubscriptionEntry, most: int) -> None:
        self.subscription = subscription
        self.something_settled = asyncio.Event()
        self._windows = windows
        self._most = most
        self._out: dict[int, dict[Position, int]] = {}
        """By partition: what is out, with its token."""
        self._count = 0

    def __enter__(self) -> "Window":
        self._windows.add(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._windows.remove(self)

    async def take(self, consumer: Consumer) -> Pulled:
        """The next messages that there is room for; none of them when it is over. Raises as ``Consumer.take``."""
        while 2 * self._count >= self._most and not consumer.is_over:
            self.something_settled.clear()
            await self._look()
            if self._count < self._most:
                break
            # Not `wait_for`: until Python 3.12 it loses a cancellation that comes with what it waits for.
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self.something_settled.wait()
            except TimeoutError:
                continue
        pulled = await consumer.take(min(MAX_MESSAGES, max(1, self._most - self._count)))
        for delivery in pulled.deliveries:
            self._out.setdefault(delivery.partition, {})[delivery.position] = delivery.token
        self._count += len(pulled.deliveries)
        return pulled

    async def _look(self) -> None:
        """Forget what is settled, was given back, or was not settled in time. Raises ``BrokerNotAvailable``."""
        topic = self.subscription.topic
        for partition, out in self._out.items():
            if not out:
                continue
            lane = Lane(topic.bucket, self.subscription.uid, topic.uid, partition)
            claims = [Claim(position, token) for position, token in out.items()]
            held = await self._windows.streams.are_held(lane, claims)
            self._out[partition] = {
                claim.position: claim.token for claim, is_held in zip(claims, held, strict=True) if is_held
            }
        self._count = sum(len(out) for out in self._out.values())
