"""``acks=all``: what is stored is on disk, or it is not said to be stored."""

import asyncio
import contextlib
import time
from collections.abc import Iterator

import pytest
import redis
from test_streams import Topic, engine

from mqops.errors import PublishFailed
from mqops.streams import Doubt, Stored, Unknown, fence


@pytest.fixture
def topic(redis_client: "redis.Redis") -> Topic:
    return Topic.prepare(redis_client)


@pytest.fixture
def has_waitaof(redis_client: "redis.Redis") -> bool:
    try:
        redis_client.execute_command("WAITAOF", 0, 0, 1)
    except redis.exceptions.ResponseError:
        return False
    return True


@pytest.fixture
def synced(redis_client: "redis.Redis", has_waitaof: bool) -> Iterator[None]:
    """A server that can promise it; without WAITAOF it has to sync always."""
    with configured(redis_client, appendonly="yes", appendfsync="everysec" if has_waitaof else "always"):
        yield


@contextlib.contextmanager
def configured(client: "redis.Redis", **settings: str) -> Iterator[None]:
    before = {name: client.config_get(name)[name] for name in settings}
    for name, value in settings.items():
        client.config_set(name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            client.config_set(name, value)


@pytest.mark.usefixtures("synced")
def test_what_is_stored_is_on_disk(topic: Topic, redis_url: str) -> None:
    async def scenario() -> None:
        async with engine(redis_url) as streams:
            outcomes = await streams.publish_synced([topic.message(), topic.message()])
            assert [type(outcome) for outcome in outcomes] == [Stored, Stored]

    asyncio.run(scenario())
    assert len(topic.stored_ids()) == 2


def test_a_server_that_cannot_promise_it_refuses_and_stores_nothing(
    topic: Topic,
    redis_url: str,
    redis_client: "redis.Redis",
    has_waitaof: bool,
) -> None:
    settings = {"appendonly": "no"} if has_waitaof else {"appendonly": "yes", "appendfsync": "everysec"}

    async def scenario() -> None:
        async with engine(redis_url) as streams:
            with pytest.raises(PublishFailed, match="acks=all is more than the Redis server can promise"):
                await streams.publish_synced([topic.message()])

    with configured(redis_client, **settings):
        asyncio.run(scenario())
    assert topic.stored_ids() == []


def test_a_server_that_syncs_always_promises_it(
    topic: Topic,
    redis_url: str,
    redis_client: "redis.Redis",
) -> None:
    async def scenario() -> None:
        async with engine(redis_url) as streams:
            started = time.monotonic()
            [outcome] = await streams.publish_synced([topic.message()])
            assert isinstance(outcome, Stored)
            assert time.monotonic() - started < 0.5

    with configured(redis_client, appendonly="yes", appendfsync="always"):
        asyncio.run(scenario())


def test_a_server_that_stops_to_promise_it_leaves_it_unknown_and_then_refuses(
    topic: Topic,
    redis_url: str,
    redis_client: "redis.Redis",
    has_waitaof: bool,
) -> None:
    before = {"appendonly": "yes", "appendfsync": "everysec" if has_waitaof else "always"}
    after = {"appendonly": "no"} if has_waitaof else {"appendfsync": "everysec"}

    async def scenario() -> None:
        async with engine(redis_url) as streams:
            assert isinstance((await streams.publish_synced([topic.message()]))[0], Stored)
            with configured(redis_client, **after):
                [outcome] = await streams.publish_synced([topic.message()])
                assert isinstance(outcome, Unknown)
                assert outcome.doubt is Doubt.UNSYNCED
                if has_waitaof:
                    with pytest.raises(PublishFailed):
                        await streams.publish_synced([topic.message()])

    with configured(redis_client, **before):
        asyncio.run(scenario())
    assert len(topic.stored_ids()) == 2


@pytest.mark.usefixtures("synced")
def test_all_who_wait_share_a_fence_and_nobody_else_waits(
    topic: Topic,
    redis_url: str,
    redis_client: "redis.Redis",
    has_waitaof: bool,
) -> None:
    async def scenario() -> None:
        async with engine(redis_url) as streams:
            await streams.publish_synced([topic.message()])
            redis_client.config_resetstat()
            waiting = [asyncio.create_task(streams.publish_synced([topic.message()])) for _ in range(50)]
            await asyncio.sleep(0)
            for _ in range(20):
                started = time.monotonic()
                [outcome] = await streams.publish([topic.message()])
                assert isinstance(outcome, Stored)
                assert time.monotonic() - started < 0.25
            for [outcome] in await asyncio.gather(*waiting):
                assert isinstance(outcome, Stored)

    asyncio.run(scenario())
    if has_waitaof:
        assert redis_client.info("commandstats")["cmdstat_waitaof"]["calls"] <= 3


def test_a_fence_that_takes_too_long_leaves_it_unknown(
    topic: Topic,
    redis_url: str,
    redis_client: "redis.Redis",
    has_waitaof: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not has_waitaof:
        pytest.skip("this server has no WAITAOF: it answers when it is on disk")

    async def scenario() -> None:
        async with engine(redis_url) as streams:
            monkeypatch.setattr(fence, "TIMEOUT_MS", 200)
            [outcome] = await streams.publish_synced([topic.message()])
            assert isinstance(outcome, Unknown)
            assert outcome.doubt is Doubt.UNSYNCED

    with configured(redis_client, appendonly="yes", appendfsync="no"):  # when the system finds the time for it
        asyncio.run(scenario())
    assert len(topic.stored_ids()) == 1


def test_a_connection_that_is_lost_before_the_fence_leaves_it_unknown(
    topic: Topic,
    redis_url: str,
    redis_client: "redis.Redis",
    has_waitaof: bool,
) -> None:
    """The server may have been started anew without what it had taken; that later writes are on disk says nothing."""
    if not has_waitaof:
        pytest.skip("this server has no WAITAOF: it answers when it is on disk")

    async def scenario() -> None:
        async with engine(redis_url) as streams:
            await streams.publish_synced([topic.message()])
            waiting = asyncio.create_task(streams.publish_synced([topic.message()]))
            for _ in range(10_000):
                if len(topic.stored_ids()) == 2:
                    break
                await asyncio.sleep(0)
            for client in redis_client.client_list():
                if client["name"] == "mqops:test:fence":
                    redis_client.client_kill_filter(_id=client["id"])
            [outcome] = await waiting
            assert isinstance(outcome, Unknown)
            await asyncio.sleep(0.2)
            assert isinstance((await streams.publish_synced([topic.message()]))[0], Stored)

    with configured(redis_client, appendonly="yes", appendfsync="everysec"):
        asyncio.run(scenario())
