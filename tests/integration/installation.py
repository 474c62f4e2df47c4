"""A small installation for tests: rows in PostgreSQL and streams in Redis, as the reconciler would leave them."""

import contextlib
import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from redis import Redis

from mqops.catalog import CatalogFeed
from mqops.codec.envelope import encode_envelope
from mqops.keys import BUCKETS, Keyspace, bucket_of
from mqops.lua import load_script
from mqops.message import Envelope, NewMessage, format_id, new_message_id
from mqops.model import KINDS
from mqops.streams import Stored, Streams

Reference = tuple[str, str, str]


@dataclass
class Installation:
    """Declares things one at a time; declaring one again changes it."""

    database_url: str
    redis_url: str
    client: "Redis"
    keys: Keyspace = field(default_factory=lambda: Keyspace("w:"))
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    uids: dict[Reference, str] = field(default_factory=dict)
    generations: dict[str, int] = field(default_factory=dict)
    revision: int = 0

    def __post_init__(self) -> None:
        self._execute("INSERT INTO mq_instance (installation, environment) VALUES (%s, 'default')", self.id)
        for bucket in range(BUCKETS):
            self._script("prepare_bucket", bucket)

    def tenant(self, name: str) -> None:
        self._declare("Tenant", "", name, {})

    def topic(self, tenant: str, name: str, **spec: Any) -> None:
        complete = {"retention": "7d", "maxBacklog": 100_000, "maxMessageSize": "1MiB", **spec}
        uid = self._declare("Topic", tenant, name, complete)
        partitions, state = complete.get("partitions", 1), complete.get("state", "active")
        self._script(
            "prepare_topic", self.bucket(tenant), uid, "Topic", tenant, name, partitions, 1, state, "", 7 * 86_400_000
        )

    def handler(self, tenant: str, name: str, url: str, **http: Any) -> None:
        self._declare("Handler", tenant, name, {"type": "http", "http": {"url": url, "timeout": "10s", **http}})

    def subscription(self, tenant: str, name: str, **spec: Any) -> None:
        """Reads from the earliest; ``deadLetter`` names a declared topic."""
        complete = {"concurrency": 5, "ackDeadline": "30s", "startFrom": "earliest", **spec}
        uid = self._declare("Subscription", tenant, name, complete)
        home, _, topic = complete["topic"].rpartition("/")
        home = home or tenant
        dead = complete.get("deadLetter")
        self._script(
            "prepare_subscription",
            self.bucket(home),
            *(uid, tenant, name, self.uids["Topic", home, topic], 1 if home == tenant else 0),
            complete.get("retry", {}).get("maxAttempts", 4),
            self.keys.bucket(self.bucket(home)) + self.uids["Topic", tenant, dead] if dead else "",
            *("active", "earliest"),
        )

    def webhook(self, tenant: str, url: str, **spec: Any) -> None:
        """A tenant with a topic ``orders``, its dead letters, and a subscription ``billing`` that posts to ``url``."""
        self.tenant(tenant)
        self.topic(tenant, "orders")
        self.topic(tenant, "orders.deadletter")
        self.handler(tenant, "hook", url)
        self.subscription(tenant, "billing", topic="orders", handler="hook", deadLetter="orders.deadletter", **spec)

    def bucket(self, tenant: str) -> int:
        return bucket_of(self.uids["Tenant", "", tenant])

    def counters(self, tenant: str = "acme", name: str = "billing") -> dict[str, int]:
        """What is done, dead-lettered and in flight of a subscription."""
        bucket, uid = self.bucket(tenant), self.uids["Subscription", tenant, name]
        meta = self.client.hgetall(self.keys.meta(bucket, uid))
        counts = {key: int(meta.get(key.encode(), 0)) for key in ("done", "dead_lettered", "lost")}
        return {**counts, "in_flight": self.client.hlen(self.keys.flight(bucket, uid, 0))}

    def dead_letters(self, tenant: str = "acme", name: str = "orders.deadletter") -> list[dict[str, Any]]:
        """What the dead letters of a topic say of themselves."""
        stream = self.keys.stream(self.bucket(tenant), self.uids["Topic", tenant, name], 0)
        return [json.loads(fields[b"x"]) for _, fields in self.client.xrange(stream)]

    async def publish(self, tenant: str, topic: str, *payloads: bytes, **envelope: Any) -> list[str]:
        """Ids of the messages, all stored."""
        async with self.streams() as streams:
            return await self.publish_by(streams, tenant, topic, *payloads, **envelope)

    async def publish_by(
        self, streams: Streams, tenant: str, topic: str, *payloads: bytes, **envelope: Any
    ) -> list[str]:
        """The same over connections that are there already."""
        uid = self.uids["Topic", tenant, topic]
        messages = [
            NewMessage(
                bucket=self.bucket(tenant),
                topic=uid,
                generation=self.generations[uid],
                partition=0,
                id=new_message_id(0),
                key="",
                envelope=encode_envelope(Envelope(**envelope)),
                payload=payload,
            )
            for payload in payloads
        ]
        outcomes = await streams.publish(messages)
        assert all(isinstance(outcome, Stored) for outcome in outcomes), outcomes
        return [format_id(message.id) for message in messages]

    @contextlib.asynccontextmanager
    async def streams(self, redis_url: str | None = None, installation: str | None = None) -> AsyncIterator[Streams]:
        streams = Streams.open(redis_url or self.redis_url, self.keys, installation or self.id, name="test")
        await streams.start()
        try:
            yield streams
        finally:
            await streams.stop()

    @contextlib.asynccontextmanager
    async def feed(self, directory: Path) -> AsyncIterator[CatalogFeed]:
        feed = CatalogFeed(self.database_url, "default", directory / "catalog.snapshot")
        await feed.start()
        try:
            yield feed
        finally:
            await feed.stop()

    def _declare(self, kind: str, tenant: str, name: str, spec: dict[str, Any]) -> str:
        uid = self.uids.setdefault((kind, tenant, name), str(uuid.uuid4()))
        self.generations[uid] = self.generations.get(uid, 0) + 1
        self.revision += 1
        complete = KINDS[kind].spec.model_validate(spec).model_dump_json()
        self._execute(
            """WITH moved AS (UPDATE mq_instance SET revision = %(revision)s)
            INSERT INTO mq_resources (uid, kind, tenant, name, spec, generation, managed_by, revision)
            VALUES (%(uid)s, %(kind)s, %(tenant)s, %(name)s, %(spec)s, %(generation)s, 'test', %(revision)s)
            ON CONFLICT (uid) DO UPDATE SET spec = EXCLUDED.spec, generation = EXCLUDED.generation,
                revision = EXCLUDED.revision""",
            uid=uid,
            kind=kind,
            tenant=tenant,
            name=name,
            spec=complete,
            generation=self.generations[uid],
            revision=self.revision,
        )
        return uid

    def _execute(self, query: str, *values: Any, **named: Any) -> None:
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            connection.execute(query.encode(), named or values)

    def _script(self, name: str, bucket: int, *arguments: Any) -> None:
        source = load_script("reconciler.scripts", name).source
        assert self.client.eval(source, 1, self.keys.epoch(bucket), *arguments) != -1
