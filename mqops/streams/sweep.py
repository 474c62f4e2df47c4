"""What somebody has to look after: timers that run out, workers that died, messages that outlived their retention.

Every data-plane process runs a ``Sweeper``; one at a time is elected, by a key with a lifetime in the Redis server, and
does the work. It goes through everything each second, and in between through the buckets whose next timer has come, so
an idle installation costs next to nothing.
"""

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from mqops.errors import BrokerNotAvailable
from mqops.keys import BUCKETS
from mqops.lua import Script
from mqops.message import new_message_id
from mqops.streams.engine import Streams
from mqops.streams.scripts import ELECT, REAP, STALE, SWEEP, TRIM

log = logging.getLogger(__name__)

TERM_MS = 5_000
ROUND_SECONDS = 1.0
AT_LEAST_SECONDS = 0.002
"""Between two looks at a bucket: what becomes due meanwhile goes together."""
SILENT_WORKER_MS = 12_000
"""A worker without a heartbeat for this long is dead; it starts nothing itself once its last beat is 10 s old."""
LOSSES_BEFORE_DEAD_LETTER = 5
SWEEP_ENTRIES = 100
LOOK_AT_ONCE = 500
TRIM_AT_ONCE = 50

Partition = tuple[int, str, int]
"""Bucket, topic uid, partition number."""


_NEVER = float("inf")


class Sweeper:
    """Sweeps while it is elected. ``partitions`` names what retention applies to, as the catalog has it now."""

    def __init__(self, streams: Streams, partitions: Callable[[], Iterable[Partition]], trim_seconds: float) -> None:
        self._streams = streams
        self._partitions = partitions
        self._trim_seconds = trim_seconds
        self._name = f"{os.getpid()}-{os.urandom(4).hex()}"
        self._task: asyncio.Task[None] | None = None
        self._trimmed_at = float("-inf")
        self._trimming: asyncio.Task[None] | None = None
        self._due_at = [_NEVER] * BUCKETS
        self._is_in_office = False
        self._is_told = asyncio.Event()
        streams.on_timer(self._told)

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="sweeper")

    async def stop(self) -> None:
        """Stop; another process takes over at once."""
        if self._task is None:
            return
        for task in (self._task, self._trimming):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        with contextlib.suppress(BrokerNotAvailable):
            if await self._streams.ask("GET", self._streams.keys.sweeper) == self._name.encode():
                await self._streams.ask("DEL", self._streams.keys.sweeper)

    async def _run(self) -> None:
        timers = asyncio.create_task(self._look_after_timers(), name="timers")
        try:
            while True:
                try:
                    self._is_in_office = await self._is_elected()
                    if self._is_in_office:
                        await self.sweep()
                except BrokerNotAvailable as error:
                    log.debug("sweeping waits: %s", error)
                except Exception:
                    log.exception("sweeping failed; trying again")
                await asyncio.sleep(ROUND_SECONDS)
        finally:
            timers.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await timers

    async def _look_after_timers(self) -> None:
        """Sweeps buckets as their timers come, beside the rounds: what else is done there would keep them waiting."""
        while True:
            now = time.monotonic()
            due = [bucket for bucket, due_at in enumerate(self._due_at) if due_at <= now] if self._is_in_office else []
            if due:
                try:
                    await self._sweep(due)
                except BrokerNotAvailable as error:
                    log.debug("timers wait: %s", error)
                except Exception:
                    log.exception("looking after timers failed; trying again")
                await asyncio.sleep(AT_LEAST_SECONDS)
                continue
            self._is_told.clear()
            following = min(self._due_at) - now if self._is_in_office else ROUND_SECONDS
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(following, ROUND_SECONDS)):
                    await self._is_told.wait()

    def _told(self, bucket: int) -> None:
        """Something is due earlier there than was known."""
        self._due_at[bucket] = float("-inf")
        self._is_told.set()

    async def _is_elected(self) -> bool:
        held: int = await self._streams.run(ELECT, self._streams.keys.sweeper, self._name, TERM_MS)
        return held == 1

    async def sweep(self) -> None:
        """One round over everything. Raises ``BrokerNotAvailable``."""
        await self._sweep(range(BUCKETS))
        await self._take_over_from_dead_workers()
        is_trimming = self._trimming is not None and not self._trimming.done()
        if not is_trimming and time.monotonic() - self._trimmed_at >= self._trim_seconds:
            # Beside it: going through tens of thousands of partitions, it would keep timers waiting.
            self._trimming = asyncio.create_task(self._trim_once(), name="trimming")

    async def _trim_once(self) -> None:
        try:
            await self.trim()
        except BrokerNotAvailable as error:
            log.debug("trimming waits: %s", error)
        except Exception:
            log.exception("trimming failed; trying again")
        else:
            self._trimmed_at = time.monotonic()

    async def _sweep(self, buckets: Iterable[int]) -> None:
        asked = list(buckets)
        for bucket in asked:
            self._due_at[bucket] = _NEVER
        replies = await asyncio.gather(*(self._run_script(SWEEP, bucket) for bucket in asked))
        now = time.monotonic()
        for bucket, (due_ms, now_ms, _moved) in zip(asked, replies, strict=True):
            if due_ms >= 0:  # or what was told meanwhile, if that is earlier
                self._due_at[bucket] = min(self._due_at[bucket], now + (due_ms - now_ms) / 1000)
        self._is_told.set()

    async def trim(self) -> None:
        """End what outlived its retention, everywhere. Raises ``BrokerNotAvailable``."""
        by_bucket: dict[int, list[tuple[str, int]]] = {}
        for bucket, topic, number in self._partitions():
            by_bucket.setdefault(bucket, []).append((topic, number))
        for bucket, partitions in by_bucket.items():
            for start in range(0, len(partitions), LOOK_AT_ONCE):
                stale = await self._stale(bucket, partitions[start : start + LOOK_AT_ONCE])
                for first in range(0, len(stale), TRIM_AT_ONCE):
                    several = stale[first : first + TRIM_AT_ONCE]
                    await asyncio.gather(*(self._run_script(TRIM, bucket, *partition) for partition in several))

    async def _stale(self, bucket: int, partitions: Sequence[tuple[str, int]]) -> Sequence[tuple[str, int]]:
        """Those in which there is something to end: tens of thousands are asked for at a time, and few have any."""
        streams = self._streams
        asked = [part for partition in partitions for part in partition]
        places = await streams.run(STALE, streams.keys.epoch(bucket), *asked)
        return [partitions[place - 1] for place in places]

    async def _take_over_from_dead_workers(self) -> None:
        keys = self._streams.keys
        seconds, microseconds = await self._streams.ask("TIME")
        limit = int(seconds) * 1000 + int(microseconds) // 1000 - SILENT_WORKER_MS
        for worker in await self._streams.ask("ZRANGEBYSCORE", keys.workers, "-inf", limit):
            consumer = worker.decode()
            taken = 0
            for bucket in range(BUCKETS):
                is_left = 1
                while is_left:
                    moved, is_left = await self._run_script(REAP, bucket, consumer, LOSSES_BEFORE_DEAD_LETTER)
                    taken += moved
            await self._streams.ask("ZREM", keys.workers, consumer)
            if taken:
                log.warning("worker %s is gone: %d messages it held are offered again", consumer, taken)

    async def _run_script(self, script: Script, bucket: int, *arguments: str | int) -> Any:
        dead_ids = (new_message_id(0) for _ in range(SWEEP_ENTRIES))
        epoch = self._streams.keys.epoch(bucket)
        return await self._streams.run(script, epoch, self._streams.bell_channel, *arguments, *dead_ids)
