"""When subscriptions last had a message done: noted in memory as it happens, and in PostgreSQL every few seconds.

A process that is killed loses its last few seconds of this. While PostgreSQL is away notes wait, one a subscription.
"""

import asyncio
import contextlib
import logging
import time

from mqops.errors import BrokerNotAvailable
from mqops.runtime.store import RuntimeStore

log = logging.getLogger(__name__)

FLUSH_SECONDS = 5.0


class Consumed:
    """Gathers notes and writes them; lives in the loop."""

    def __init__(self, store: RuntimeStore) -> None:
        self._store = store
        self._latest_ms: dict[str, int] = {}
        self._task: asyncio.Task[None] | None = None

    def note(self, subscription: str) -> None:
        """Messages of the subscription with this uid are done just now."""
        self._latest_ms[subscription] = time.time_ns() // 1_000_000

    def start(self) -> None:
        self._task = asyncio.create_task(self._keep_writing(), name="consumed")

    async def stop(self) -> None:
        """What is noted and not written yet is written, if PostgreSQL takes it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        await self._write()

    async def _keep_writing(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            await self._write()

    async def _write(self) -> None:
        latest_ms, self._latest_ms = self._latest_ms, {}
        if not latest_ms:
            return
        try:
            with contextlib.suppress(BrokerNotAvailable):
                await self._store.note_consumed(latest_ms)
                latest_ms = {}
        except Exception:
            log.exception("when subscriptions last had something done could not be noted")
        finally:  # a later note stays
            self._latest_ms = {**latest_ms, **self._latest_ms}
