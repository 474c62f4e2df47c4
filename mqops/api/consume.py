"""Taking messages as one consumer does, whichever way they reach it: now, or when they come.

What it may take is looked up again before every fetch: a subscription can be paused, a key revoked while one waits.
"""

import asyncio
from collections.abc import Callable, Collection, Coroutine
from dataclasses import replace
from types import TracebackType
from typing import Any

from mqops.api.puller import Pulled, Puller
from mqops.api.waiting import Place, WaitingRoom
from mqops.catalog import SubscriptionEntry
from mqops.errors import MqopsError

Find = Callable[[], SubscriptionEntry]
"""The subscription as it is now; raises what refuses the consumer."""


class Consumer:
    """Takes messages for one client, whose leaving ``gone`` waits for; used by ``with``."""

    def __init__(
        self, find: Find, puller: Puller, room: WaitingRoom, gone: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        self._find = find
        self._puller = puller
        self._subscription = find()
        self._is_first = True
        self._place: Place = room.enter(self._subscription)
        self._gone = gone
        self._watch: asyncio.Task[None]
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> "Consumer":
        self._place.__enter__()
        self._watch = asyncio.create_task(self._gone())
        self._watch.add_done_callback(self._place.end)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._watch.cancel()
        self._place.__exit__(kind, error, trace)

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be taken."""
        return self._place.is_over

    @property
    def is_gone(self) -> bool:
        """Whether the client is not there any more."""
        return self._watch.done()

    def end_after(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._place.end)

    async def take(self, wanted: int) -> Pulled:
        """Up to ``wanted`` messages, as soon as there are any; none of them when it is over. Raises what refuses the
        consumer, and ``BrokerNotAvailable``."""
        partitions: Collection[int] | None = None
        while True:
            # What was left behind, and what came since, was rung for: there is no need to look before.
            if not self._is_first:
                partitions = await self._place.woken()
                self._look_again(partitions or ())
            self._is_first = False
            pulled = await self._puller.pull(self._subscription, wanted, partitions)
            self._place.pass_on(pulled.rest)
            if self.is_gone:
                await self._puller.give_back(self._subscription, pulled.deliveries)
                return replace(pulled, deliveries=[])
            if pulled.deliveries or self.is_over:
                return pulled

    def _look_again(self, partitions: Collection[int]) -> None:
        """Whether it may still take messages, and of what; if not, others get those of ``partitions``."""
        try:
            self._subscription = self._find()
        except MqopsError:
            self._place.pass_on(partitions)
            raise
