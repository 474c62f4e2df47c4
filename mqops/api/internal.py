"""``/internal/mq``: what the platform's other services publish, and ask, without knowing topics.

Which topic or queue of the tenant ``system`` a path publishes to, that one's manifest says (the annotation
``mqops/internal-api``); nothing is known here of what there is. All of it is for principals of ``system`` that act in
it, as services with the service token are.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from mqops.access import Access, Caller
from mqops.api.edge import Request, Response, caller_of, read_body, write_json
from mqops.api.health import HealthMonitor, write_health
from mqops.api.management.inventory import READERS
from mqops.api.management.page import refuse_unknown
from mqops.api.publish import Publish, Target
from mqops.api.timestamps import now_ms
from mqops.catalog import Catalog, SubscriptionEntry, TopicEntry
from mqops.errors import Conflict, Forbidden, TopicNotFound
from mqops.model import INTERNAL_API, SYSTEM_TENANT, internal_paths
from mqops.streams import Lane, Streams


class InternalTopics:
    """Where the paths lead to, by the current catalog; sorted out once for each."""

    def __init__(self, catalog: Callable[[], Catalog]) -> None:
        self._catalog = catalog
        self._sorted_out: Catalog | None = None
        self._found: Mapping[str, list[TopicEntry]] = {}

    def find(self, path: str) -> TopicEntry:
        """The topic or queue that ``/internal/mq/<path>`` publishes to. Raises ``TopicNotFound`` when none is declared
        for it, and ``Conflict`` when several are."""
        catalog = self._catalog()
        if self._sorted_out is not catalog:
            self._found, self._sorted_out = _by_path(catalog), catalog
        found = self._found.get(path, [])
        if not found:
            raise TopicNotFound(f'no topic of the tenant {SYSTEM_TENANT} has the annotation {INTERNAL_API}: "{path}"')
        if len(found) > 1:  # rules keep manifests from it, and two sources may still come to it
            names = sorted(topic.name for topic in found)
            raise Conflict(f"several topics have the annotation {INTERNAL_API} for {path}", topics=names)
        return found[0]

    def readers(self, topic: TopicEntry) -> tuple[SubscriptionEntry, ...]:
        """The subscriptions that read ``topic``."""
        return self._catalog().subscriptions_of(topic.uid)


def _by_path(catalog: Catalog) -> Mapping[str, list[TopicEntry]]:
    found: dict[str, list[TopicEntry]] = {}
    for topic in catalog.topics_by_uid.values():
        if topic.tenant == SYSTEM_TENANT and INTERNAL_API in catalog.rows[topic.uid].annotations:
            for path in internal_paths(msgspec.json.decode(catalog.rows[topic.uid].annotations)):
                found.setdefault(path, []).append(topic)
    return found


def _internal_caller(access: Access, req: Request) -> Caller:
    caller = caller_of(access, req)
    if not caller.is_of_system or caller.tenant != SYSTEM_TENANT:
        raise Forbidden(f"/internal/mq is for services and principals of the tenant {SYSTEM_TENANT} that act in it")
    return caller


class InternalPublish:
    """Publishing to where ``path`` leads to; a request and its answer are those of any topic."""

    def __init__(self, path: str, access: Access, topics: InternalTopics, publish: Publish) -> None:
        self._path = path
        self._access = access
        self._topics = topics
        self._publish = publish

    async def on_post(self, req: Request, resp: Response) -> None:
        _internal_caller(self._access, req).require_role("publisher")
        refuse_unknown(req.params, ())
        topic = self._topics.find(self._path)
        publishing = self._publish.begin(req.raw_headers, Target(topic.kind, topic.uid), await read_body(req), req.host)
        answer = self._publish.answer(await self._publish.finish(publishing))
        resp.status, resp.data = answer.status, answer.body


class QueueStatus:
    """How far what was published to ``path`` is on its way."""

    def __init__(self, path: str, access: Access, topics: InternalTopics, streams: Streams) -> None:
        self._path = path
        self._access = access
        self._topics = topics
        self._streams = streams

    async def on_get(self, req: Request, resp: Response) -> None:
        _internal_caller(self._access, req).require_one_of(READERS)
        refuse_unknown(req.params, ())
        topic = self._topics.find(self._path)
        readers = self._topics.readers(topic)
        stored = await self._streams.progress.stored(topic.bucket, topic.uid)
        subscriptions = await asyncio.gather(*(self._subscription(reader, stored) for reader in readers))
        body = {
            "topic": topic.name,
            "state": topic.spec.state,
            "partitions": topic.spec.partitions,
            "stored": stored,
            "unfinished": max((it["unfinished"] for it in subscriptions), default=0),
            "subscriptions": sorted(subscriptions, key=lambda it: (it["tenant"], it["name"])),
        }
        write_json(resp, body)

    async def _subscription(self, reader: SubscriptionEntry, stored: int) -> dict[str, Any]:
        topic = reader.topic
        lanes = [Lane(topic.bucket, reader.uid, topic.uid, number) for number in range(topic.spec.partitions)]
        progress = await self._streams.progress.of(lanes, stored)
        return {
            "tenant": reader.tenant,
            "name": reader.name,
            "handler": reader.handler.name if reader.handler is not None else None,
            "paused": reader.is_paused(now_ms()),
            "unfinished": progress.unfinished,
            "inFlight": progress.in_flight,
            "retrying": progress.retrying,
            "deadLettered": progress.dead_lettered,
        }


class DetailedHealth:
    """``GET /internal/mq/health-detailed``: the verdicts of ``/health``, and what is behind them."""

    def __init__(self, access: Access, monitor: HealthMonitor) -> None:
        self._access = access
        self._monitor = monitor

    async def on_get(self, req: Request, resp: Response) -> None:
        _internal_caller(self._access, req).require_one_of(READERS)
        refuse_unknown(req.params, ())
        write_health(resp, await self._monitor.current(), is_detailed=True)
