"""A push worker's life: it beats, follows the catalog, fetches, delivers, and on the way out gives back what it holds.

Nothing here depends on hearing the bell: a sweep each second finds what was missed.
"""

import asyncio
import contextlib
import logging
import os
import secrets
import socket
import time
from collections.abc import Sequence

from mqops.catalog import Catalog, CatalogFeed
from mqops.delivery.dispatch import Dispatcher, Limits, Work
from mqops.delivery.heartbeat import Heartbeat
from mqops.delivery.pipeline import Pipeline
from mqops.delivery.report import Report
from mqops.delivery.settlement import Again
from mqops.errors import BrokerNotAvailable
from mqops.handlers.http import HttpSender
from mqops.streams import Streams

log = logging.getLogger(__name__)

SWEEP_SECONDS = 1.0
OWN_TIMER_SECONDS = 5.0
"""Retries up to here are timed by this worker: a sweep may see them a second late, which matters for short delays."""
_TIMER_SLACK_SECONDS = 0.003  # a timer of the loop may be early by its resolution, and early finds nothing
LONGEST_TIMER_SECONDS = 10.0
SETTLE_SECONDS = 5.0
"""How long a worker that goes waits for Redis to take its last settlements; leases cover what it does not."""


def new_incarnation() -> str:
    """The name of this run of this process: no other run, here or elsewhere, ever has it."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"


class Worker:
    """One process's push worker. ``run`` it once, in the loop that ``streams`` and ``feed`` run in."""

    def __init__(self, streams: Streams, feed: CatalogFeed, sender: HttpSender, limits: Limits) -> None:
        self._streams = streams
        self._feed = feed
        self._report = Report()
        self._sweep_now = asyncio.Event()
        self._heartbeat = Heartbeat(new_incarnation(), streams.beat, self._sweep_now.set)
        self._pipeline = Pipeline(streams, sender, self._heartbeat, self._report)
        self._dispatcher = Dispatcher(streams, limits, self._heartbeat, self._report, self._deliver)
        self._is_running = False
        self._follow_again: asyncio.TimerHandle | None = None

    @property
    def served(self) -> frozenset[str]:
        """Uids of the subscriptions it serves."""
        return self._dispatcher.served

    async def run(self, stop: asyncio.Event, hurry: asyncio.Event, drain_seconds: float) -> None:
        """Work until ``stop`` is set; then finish what is in hand, for ``drain_seconds`` or until ``hurry`` is set."""
        self._is_running = True
        self._streams.on_ring(self._heard)
        self._streams.on_resync(self._sweep_now.set)
        self._feed.on_change(self._follow)
        self._follow(self._feed.current)
        beating = asyncio.create_task(self._heartbeat.run(), name="heartbeat")
        sweeping = asyncio.create_task(self._keep_sweeping(), name="worker sweep")
        log.info("worker %s is at work", self._heartbeat.incarnation)
        try:
            await stop.wait()
            await self._drain(hurry, drain_seconds)
        finally:
            self._is_running = False
            self._expect_expiry([])
            for task in (sweeping, beating):
                task.cancel()
            await asyncio.gather(sweeping, beating, return_exceptions=True)
            self._report.finish()
        with contextlib.suppress(BrokerNotAvailable):
            await self._streams.leave(self._heartbeat.incarnation)
        log.info("worker %s has left", self._heartbeat.incarnation)

    def _follow(self, catalog: Catalog) -> None:
        if not self._is_running:
            return
        now_ms = time.time_ns() // 1_000_000
        pushed = catalog.push_subscriptions()
        self._dispatcher.follow(
            entry for entry in pushed if not entry.is_paused(now_ms) and entry.topic.spec.state != "archived"
        )
        self._sweep_now.set()
        overrides = [entry.override for entry in pushed if entry.override is not None and entry.override.holds(now_ms)]
        self._expect_expiry([it.until_ms - now_ms for it in overrides if it.until_ms is not None])

    def _expect_expiry(self, delays_ms: Sequence[int]) -> None:
        """Look again when the first of the overrides ends: PostgreSQL, which would say so, may be away."""
        if self._follow_again is not None:
            self._follow_again.cancel()
            self._follow_again = None
        if delays_ms:
            # In steps, since the clock may be set meanwhile.
            delay_seconds = min(min(delays_ms) / 1000, LONGEST_TIMER_SECONDS)
            loop = asyncio.get_running_loop()
            self._follow_again = loop.call_later(delay_seconds, lambda: self._follow(self._feed.current))

    def _heard(self, rings: list[tuple[int, str, int]]) -> None:
        for _bucket, subscription, partition in rings:
            self._dispatcher.wake(subscription, partition)

    async def _deliver(self, work: Work) -> None:
        settlement = await self._pipeline.deliver(work)
        match settlement:
            case Again(delay_ms) if delay_ms <= OWN_TIMER_SECONDS * 1000:
                lane = work.lane
                after = delay_ms / 1000 + _TIMER_SLACK_SECONDS
                asyncio.get_running_loop().call_later(after, self._dispatcher.wake, lane.subscription, lane.partition)

    async def _keep_sweeping(self) -> None:
        while True:
            if self._heartbeat.is_believed():
                try:
                    await self._dispatcher.sweep()
                except BrokerNotAvailable as error:
                    log.debug("the sweep waits: %s", error)
                except Exception:
                    log.exception("a sweep failed")
            self._report.flush()
            # Not `wait_for`: until Python 3.12 it loses a cancellation that comes with what it waits for.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SWEEP_SECONDS):
                    await self._sweep_now.wait()
            self._sweep_now.clear()

    async def _drain(self, hurry: asyncio.Event, drain_seconds: float) -> None:
        self._dispatcher.close()
        self._pipeline.drain()
        log.info("draining: %d under way", len(self._dispatcher.tasks))
        await self._finish(hurry, drain_seconds)
        cut_off = self._pipeline.cut_off()
        if cut_off:
            log.warning("%d deliveries were cut off and are given back", cut_off)
        await self._finish(asyncio.Event(), SETTLE_SECONDS)
        left = list(self._dispatcher.tasks)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        if left:
            log.warning("%d messages could not be settled: others take them over", len(left))

    async def _finish(self, hurry: asyncio.Event, seconds: float) -> None:
        """Until nothing is under way, ``hurry`` is set, or the time is up."""
        hurried = asyncio.create_task(hurry.wait())
        try:
            async with asyncio.timeout(seconds):
                while self._dispatcher.tasks and not hurry.is_set():
                    await asyncio.wait({*self._dispatcher.tasks, hurried}, return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            pass
        finally:
            hurried.cancel()
