"""Health: what each part's verdict is, checked in the background and again when somebody asks.

``redis`` decides: without it nothing can be published or pulled (503). With PostgreSQL away everything goes on by the
catalog in memory, which only grows old: degraded, and still 200. So it is with a server that has lost its data, until
the reconciler has made anew what the catalog has.
"""

import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass
from typing import Any

from mqops.access import Access
from mqops.api.edge import Request, Response, caller_of, write_json
from mqops.api.timestamps import format_ms, now_ms
from mqops.api.unheard import Unheard
from mqops.catalog import CatalogFeed
from mqops.errors import BrokerNotAvailable, MqopsError
from mqops.streams import Streams

log = logging.getLogger(__name__)

UP, DEGRADED, DOWN = "up", "degraded", "down"

_FRESH_SECONDS = 1.0
"""A check this young is not made again for somebody who asks."""
_PROBE_SECONDS = 1.0
_STALE_CATALOG_SECONDS = 5.0
_FULL_SHARE = 0.85
"""Of maxmemory: from here on publishing is refused."""


@dataclass(frozen=True, slots=True)
class Check:
    """One part's verdict; ``details`` are for callers with a credential."""

    status: str
    details: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Health:
    """All verdicts as of one moment."""

    checked_at_ms: int
    checks: dict[str, Check]

    @property
    def status(self) -> str:
        if self.checks["redis"].status == DOWN:
            return DOWN
        return UP if all(check.status == UP for check in self.checks.values()) else DEGRADED


class HealthMonitor:
    """Checks every ``interval_seconds``, and logs when a verdict changes."""

    def __init__(self, streams: Streams, feed: CatalogFeed, interval_seconds: float) -> None:
        self._streams = streams
        self._feed = feed
        self._interval_seconds = interval_seconds
        self._health: Health | None = None
        self._checked_at = float("-inf")
        self._checking = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self.unheard = Unheard()
        """Counted by whoever publishes in this process."""

    def start(self) -> None:
        self._task = asyncio.create_task(self._keep_checking(), name="health")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def current(self) -> Health:
        """Verdicts that are a second old at most."""
        async with self._checking:
            if self._health is None or time.monotonic() - self._checked_at > _FRESH_SECONDS:
                self._note(Health(now_ms(), await self._check_all()))
                self._checked_at = time.monotonic()
            assert self._health is not None
            return self._health

    async def _keep_checking(self) -> None:
        while True:
            try:
                await self.current()
            except Exception:
                log.exception("health could not be checked")
            await asyncio.sleep(self._interval_seconds)

    def _note(self, health: Health) -> None:
        before = self._health.checks if self._health is not None else {}
        for name, check in health.checks.items():
            was = before[name].status if name in before else UP
            if check.status != was:
                log.warning("health: %s is %s (was %s): %s", name, check.status, was, check.details)
        self._health = health

    async def _check_all(self) -> dict[str, Check]:
        redis, queues = await asyncio.gather(self._redis(), self._queues())
        return {"redis": redis, "database": self._database(), "queues": queues}

    async def _redis(self) -> Check:
        try:
            async with asyncio.timeout(_PROBE_SECONDS):
                found = await self._streams.probe()
        except TimeoutError:
            return Check(DOWN, {"error": f"no answer within {_PROBE_SECONDS:g} s"})
        except BrokerNotAvailable as error:
            return Check(DOWN, {"error": error.message})
        is_full = found.maxmemory_bytes > 0 and found.used_memory_bytes >= _FULL_SHARE * found.maxmemory_bytes
        details = {
            "latencyMs": round(found.latency_ms, 3),
            "usedMemoryBytes": found.used_memory_bytes,
            "maxMemoryBytes": found.maxmemory_bytes,
        }
        return Check(DEGRADED if is_full else UP, details)

    def _database(self) -> Check:
        feed = self._feed.health()
        is_current = feed.error is None and feed.age_seconds < _STALE_CATALOG_SECONDS
        details: dict[str, Any] = {"catalogRevision": feed.revision}
        if feed.error is not None:
            details["error"] = feed.error
        return Check(UP if is_current else DOWN, details)

    async def _queues(self) -> Check:
        catalog = self._feed.current
        topics = catalog.topics_by_uid.values()
        waiting: set[int] = set()
        # With Redis away, the verdict on that says so.
        with contextlib.suppress(TimeoutError, BrokerNotAvailable):
            async with asyncio.timeout(_PROBE_SECONDS):
                waiting = await self._streams.unprepared({topic.bucket for topic in topics})
        details = {
            "topics": len(topics),
            "unusable": len(catalog.unusable),
            "unheard": {"notStored": self.unheard.not_stored, "unknown": self.unheard.unknown},
            "unprepared": sum(topic.bucket in waiting for topic in topics),
        }
        return Check(DEGRADED if catalog.unusable or waiting else UP, details)


def write_health(resp: Response, health: Health, *, is_detailed: bool) -> None:
    """Answer with ``health``: 503 when nothing can be published or pulled."""
    checks = {
        name: {"status": check.status, **(check.details if is_detailed else {})}
        for name, check in health.checks.items()
    }
    body = {
        "service": "mqops",
        "status": health.status,
        "timestamp": format_ms(health.checked_at_ms),
        "checks": checks,
    }
    write_json(resp, body, 503 if health.status == DOWN else 200)


class HealthReport:
    """``GET /health``: verdicts for everybody, what is behind them for principals of the tenant ``system``."""

    def __init__(self, monitor: HealthMonitor, access: Access) -> None:
        self._monitor = monitor
        self._access = access

    async def on_get(self, req: Request, resp: Response) -> None:
        write_health(resp, await self._monitor.current(), is_detailed=self._may_see_details(req))

    on_head = on_get

    def _may_see_details(self, req: Request) -> bool:
        try:
            return caller_of(self._access, req).is_of_system
        except MqopsError:
            return False


class Live:
    """``GET /livez``: this process answers."""

    async def on_get(self, req: Request, resp: Response) -> None:
        write_json(resp, {"status": UP})

    on_head = on_get


class Ready:
    """``GET /readyz``: this process can publish and pull."""

    def __init__(self, monitor: HealthMonitor) -> None:
        self._monitor = monitor

    async def on_get(self, req: Request, resp: Response) -> None:
        health = await self._monitor.current()
        write_json(resp, {"status": health.status}, 503 if health.status == DOWN else 200)

    on_head = on_get
