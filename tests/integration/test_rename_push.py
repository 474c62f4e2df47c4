"""Renaming what a push worker delivers, while it does."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest
from declared import dead_letters, handler, implied, renamed, subscription, tenant, topic
from push_platform import PushPlatform
from redis import Redis
from sinks import sink
from stores import Opened, applied, opened, uid
from workers import attempts, working

from mqops.codec.envelope import encode_envelope
from mqops.keys import bucket_of
from mqops.message import Envelope, NewMessage, format_id, new_message_id
from mqops.streams import Streams
from reconciler.state import Resource


def platform_at(url: str, name: str, former: str | None = None) -> tuple[Resource, ...]:
    """Tenant, topic, handler and subscription called ``name``; and renamed, all of them, from ``former``."""
    reader = subscription(name, name, name, handler=name)
    letters = implied(dead_letters(f"{name}.deadletter", name), reader)
    own = tenant(name), topic(name, name), handler(name, name, url), reader
    return letters, *(one if former is None else renamed(one, former) for one in own)


async def publish(streams: Streams, stores: Opened, name: str, count: int) -> list[str]:
    place = bucket_of(uid(stores, tenant(name))), uid(stores, topic(name, name))
    envelope = encode_envelope(Envelope())
    messages = [NewMessage(*place, 1, 0, new_message_id(0), "", envelope, b"1") for _ in range(count)]
    await streams.publish(messages)
    return [format_id(message.id) for message in messages]


def test_a_tenant_and_all_it_has_are_renamed_under_a_worker(
    database_url: str, redis_url: str, redis_client: "Redis", tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Twice; each message is delivered once, at the first attempt, and none is set aside meanwhile."""
    platform = PushPlatform(database_url, redis_url, redis_client)

    async def main() -> None:
        async with sink() as receiver, platform.streams() as streams:
            with opened(database_url, redis_url, platform.keys, stamp=False) as stores:
                applied(stores, platform_at(receiver.url(), "one"))
                async with working(platform, tmp_path):
                    sent, before = await publish(streams, stores, "one", 50), "one"
                    for name in ("two", "three"):
                        report = await asyncio.to_thread(applied, stores, platform_at(receiver.url(), name, before))
                        assert report.summary.endswith(": 5 renamed.")
                        sent += await publish(streams, stores, name, 50)
                        await receiver.received(len(sent))
                        before = name
            assert Counter(attempts(receiver)) == Counter((message, "1") for message in sent)

    asyncio.run(main())
    assert "cannot be used" not in caplog.text
