"""An installation with webhooks for tests of push workers: what workers need of it, and what became of the messages."""

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

from installation import Installation
from redis import Redis

from mqops.codec.envelope import encode_envelope
from mqops.keys import Keyspace
from mqops.message import Envelope, NewMessage, format_id, new_message_id
from mqops.streams import Stored, Streams


class PushPlatform(Installation):
    """Under a prefix of its own, so that a worker that keeps to the usual one finds nothing."""

    def __init__(self, database_url: str, redis_url: str, client: "Redis") -> None:
        super().__init__(database_url, redis_url, Keyspace("w:"))
        self.client = client

    def webhook(self, tenant: str, url: str, **spec: Any) -> None:
        """A tenant with a topic ``orders``, its dead letters, and a subscription ``billing`` that posts to ``url``."""
        self.tenant(tenant)
        self.topic(tenant, "orders")
        self.topic(tenant, "orders.deadletter")
        self.handler(tenant, "hook", url)
        self.subscription(tenant, "billing", topic="orders", handler="hook", deadLetter="orders.deadletter", **spec)

    def counters(self, tenant: str = "acme", name: str = "billing") -> dict[str, int]:
        """What is done, dead-lettered and in flight of a subscription."""
        bucket, uid = self.bucket(tenant), self.uid("Subscription", tenant, name)
        meta = self.client.hgetall(self.keys.meta(bucket, uid))
        counts = {key: int(meta.get(key.encode(), 0)) for key in ("done", "dead_lettered", "lost")}
        return {**counts, "in_flight": self.client.hlen(self.keys.flight(bucket, uid, 0))}

    def dead_letters(self, tenant: str = "acme", name: str = "orders.deadletter") -> list[dict[str, Any]]:
        """What the dead letters of a topic say of themselves."""
        stream = self.keys.stream(self.bucket(tenant), self.uid("Topic", tenant, name), 0)
        return [json.loads(fields[b"x"]) for _, fields in self.client.xrange(stream)]

    async def publish(self, tenant: str, topic: str, *payloads: bytes, **envelope: Any) -> list[str]:
        """Ids of the messages, all stored."""
        async with self.streams() as streams:
            return await self.publish_by(streams, tenant, topic, *payloads, **envelope)

    async def publish_by(
        self, streams: Streams, tenant: str, topic: str, *payloads: bytes, expires: str = "", **envelope: Any
    ) -> list[str]:
        """The same over connections that are there already."""
        messages = [
            NewMessage(
                bucket=self.bucket(tenant),
                topic=self.uid("Topic", tenant, topic),
                generation=1,  # of a topic that is never declared again
                partition=0,
                id=new_message_id(0),
                key="",
                envelope=encode_envelope(Envelope(**envelope)),
                payload=payload,
                expires=expires,
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
