"""The push worker when it has to go, is killed or stopped, or loses its stores: nothing is lost, little is repeated."""

import asyncio
import signal
import time
from pathlib import Path

import pytest
from installation import following
from push_platform import PushPlatform
from redis import Redis
from sinks import always, sink
from waiting import eventually_async
from workers import Gate, OneAtATime, Slow, attempts, worker_process, working


@pytest.fixture
def platform(database_url: str, redis_url: str, redis_client: "Redis") -> PushPlatform:
    return PushPlatform(database_url, redis_url, redis_client)


def test_a_worker_that_is_told_to_go_finishes_what_it_has(platform: PushPlatform, tmp_path: Path) -> None:
    async def main() -> None:
        async with sink(Slow(0.5)) as receiver:
            platform.webhook("acme", receiver.url(), concurrency=2)
            await platform.publish("acme", "orders", *[b"{}"] * 10)
            async with working(platform, tmp_path) as running:
                await receiver.received(2)
                await running.drained()
                assert platform.counters() == {"done": 2, "dead_lettered": 0, "lost": 0, "in_flight": 0}
            assert len(receiver.requests) == 2

    asyncio.run(main())


def test_what_cannot_be_finished_in_time_is_given_back(platform: PushPlatform, tmp_path: Path) -> None:
    async def main() -> None:
        async with sink(Slow(30)) as receiver:
            platform.webhook("acme", receiver.url())
            (message,) = await platform.publish("acme", "orders", b"{}")
            async with working(platform, tmp_path, drain_seconds=0.2) as running:
                await receiver.received(1)
                await running.drained()
            receiver.answer = always(200)
            async with working(platform, tmp_path, drain_seconds=30) as running:
                await receiver.received(2)
                assert attempts(receiver) == [(message, "1"), (message, "2")]
                receiver.answer = Slow(30)
                await platform.publish("acme", "orders", b"{}")
                await receiver.received(3)
                running.hurry.set()  # the second signal
                started = time.monotonic()
                await running.drained()
                assert time.monotonic() - started < 5
            assert platform.counters()["done"] == 1

    asyncio.run(main())


def test_a_success_is_settled_although_redis_went_away_meanwhile(platform: PushPlatform, tmp_path: Path) -> None:
    async def main() -> None:
        async with sink(Slow(0.3)) as receiver:
            platform.webhook("acme", receiver.url())
            await platform.publish("acme", "orders", b"{}")
            gate = Gate(platform.redis_url)
            await gate.open()
            async with working(platform, tmp_path, redis_url=gate.url):
                await receiver.received(1)
                await gate.shut()
                await asyncio.sleep(0.6)
                assert platform.counters()["in_flight"] == 1
                await gate.open()
                await eventually_async(lambda: platform.counters()["done"] == 1)
            assert len(receiver.requests) == 1
            await gate.shut()

    asyncio.run(main())


def test_a_worker_starts_with_both_stores_away_and_delivers_once_redis_is_there(
    platform: PushPlatform, tmp_path: Path
) -> None:
    async def main() -> None:
        async with sink() as receiver:
            platform.webhook("acme", receiver.url())
            async with following(platform.database_url, tmp_path):
                pass  # leaves the snapshot that the worker starts from
            await platform.publish("acme", "orders", b"1")
            gate = Gate(platform.redis_url)
            away = {"REDIS_URL": gate.url, "DATABASE_URL": "postgresql://127.0.0.1:1/nowhere"}
            with worker_process(platform, tmp_path, **away) as process:
                assert process.stdout is not None
                while "waiting for Redis" not in (line := await asyncio.to_thread(process.stdout.readline)):
                    assert line
                await gate.open()
                await receiver.received(1)
                await gate.shut()
                await platform.publish("acme", "orders", b"2")
                await gate.open()
                await receiver.received(2)
                await eventually_async(lambda: platform.counters()["done"] == 2)
                process.send_signal(signal.SIGTERM)
                log = await asyncio.to_thread(lambda: process.communicate(timeout=15)[0])
                await gate.shut()
            assert process.returncode == 0
            assert "has left" in log

    asyncio.run(main())


def test_a_message_outlives_the_worker_that_had_it(platform: PushPlatform, tmp_path: Path) -> None:
    async def main() -> None:
        async with sink(OneAtATime()) as receiver:
            platform.webhook("acme", receiver.url())
            with worker_process(platform, tmp_path) as process:
                (message,) = await platform.publish("acme", "orders", b"{}")
                await receiver.received(1)
                process.kill()
                killed = time.monotonic()
                async with working(platform, tmp_path):
                    await receiver.received(2, seconds=20)
                    assert time.monotonic() - killed < 15
                    await eventually_async(lambda: platform.counters()["done"] == 1)
            # Losing its worker is not the message's fault: the attempt does not count.
            assert attempts(receiver) == [(message, "1"), (message, "1")]

    asyncio.run(main())


def test_a_worker_that_was_stopped_settles_nothing_that_others_took_over(
    platform: PushPlatform, tmp_path: Path
) -> None:
    async def main() -> None:
        answer = OneAtATime()
        async with sink(answer) as receiver:
            platform.webhook("acme", receiver.url())
            with worker_process(platform, tmp_path) as process:
                await platform.publish("acme", "orders", b"{}")
                await receiver.received(1)
                process.send_signal(signal.SIGSTOP)
                for name in platform.client.zrange(platform.keys.workers, 0, -1):
                    platform.client.zadd(platform.keys.workers, {name: 0})  # instead of twelve seconds of silence
                async with working(platform, tmp_path):
                    await receiver.received(2, seconds=15)
                    await eventually_async(lambda: platform.counters()["done"] == 1)
                    process.send_signal(signal.SIGCONT)
                    answer.let_go.set()
                    await platform.publish("acme", "orders", *[b"{}"] * 20)  # it is of use again, too
                    await eventually_async(lambda: platform.counters()["done"] == 21)
                process.send_signal(signal.SIGTERM)
                log = await asyncio.to_thread(lambda: process.communicate(timeout=15)[0])
            assert process.returncode == 0
            assert "is not this worker's any more" in log
            assert len(receiver.requests) == 22
            assert platform.counters() == {"done": 21, "dead_lettered": 0, "lost": 0, "in_flight": 0}

    asyncio.run(main())
