"""Says that this worker is alive, and knows whether anyone can still believe so.

What a silent worker holds is taken over by others once its last beat is 12 seconds old (``streams.sweep``). So a worker
starts nothing when its own last confirmed beat is 10 seconds old; counted from when that beat was sent, which is before
the server noted it. And since a process can be stopped and go on at any point, a beat that works again does not help
what was fetched before the silence: each unbroken stretch of beats is a *term*, and only what was fetched in the
current term is started.

Beats come from a task in the loop, not from a thread: a beat must stop when the loop is stuck, since then deliveries
are stuck too. A thread would have to be told of the loop's progress to know that; the task cannot run without it.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from mqops.errors import BrokerNotAvailable

log = logging.getLogger(__name__)

BEAT_SECONDS = 2.0
BELIEVED_SECONDS = 10.0
_REPLY_SECONDS = 5.0


def clock() -> float:
    """Seconds that also pass while the machine sleeps, where the system can tell (Linux)."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


class Heartbeat:
    """Of the worker called ``incarnation``, for as long as ``run`` runs. ``beat`` says that the worker of that name is
    alive and raises ``BrokerNotAvailable``; ``on_term`` is told of a new term."""

    def __init__(self, incarnation: str, beat: Callable[[str], Awaitable[None]], on_term: Callable[[], None]) -> None:
        self.incarnation = incarnation
        self._beat = beat
        self._on_term = on_term
        self._confirmed = float("-inf")
        self.term = 0
        """Which unbroken stretch of beats this is; 0 before the first."""

    def is_believed(self) -> bool:
        """Whether everyone must still take this worker for alive."""
        return clock() - self._confirmed < BELIEVED_SECONDS

    def covers(self, term: int) -> bool:
        """Whether what was fetched in ``term`` is still this worker's for sure."""
        return term == self.term and self.is_believed()

    async def run(self) -> None:
        """Until cancelled."""
        is_away = False
        while True:
            sent = clock()
            try:
                async with asyncio.timeout(_REPLY_SECONDS):
                    await self._beat(self.incarnation)
            except (BrokerNotAvailable, TimeoutError) as error:
                if not is_away:
                    log.warning("waiting for Redis: %s", error or "no answer")
                is_away = True
            except Exception:
                log.exception("a heartbeat failed")
            else:
                if is_away:
                    log.info("Redis is back")
                is_away = False
                self._confirm(sent)
            await asyncio.sleep(max(0.0, BEAT_SECONDS - (clock() - sent)))

    def _confirm(self, sent: float) -> None:
        is_unbroken = sent - self._confirmed < BELIEVED_SECONDS
        self._confirmed = sent
        if not is_unbroken:
            self.term += 1
            self._on_term()
