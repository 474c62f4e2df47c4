"""The push worker against real stores and real receivers: what arrives, how often, and what becomes of the rest."""

import asyncio
import time
from collections import Counter
from pathlib import Path
from uuid import UUID

import pytest
from aiohttp import web
from push_platform import PushPlatform
from redis import Redis
from sinks import always, sink
from waiting import eventually_async
from workers import QUICK, Slow, attempts, working

from mqops.codec.envelope import encode_envelope
from mqops.delivery.dispatch import Limits
from mqops.streams import Lane, LetterBox, Returning, Sought


@pytest.fixture
def platform(database_url: str, redis_url: str, redis_client: "Redis") -> PushPlatform:
    return PushPlatform(database_url, redis_url, redis_client)


def test_what_is_published_arrives_once_and_is_done(platform: PushPlatform, tmp_path: Path) -> None:
    async def main() -> None:
        async with sink() as receiver:
            platform.webhook("acme", receiver.url())
            before = await platform.publish("acme", "orders", b"1", b"2", b"3")
            async with working(platform, tmp_path):
                await receiver.received(3)
                after = await platform.publish("acme", "orders", *(str(n).encode() for n in range(4, 101)))
                await receiver.received(100)
                await eventually_async(lambda: platform.counters()["done"] == 100)
            assert Counter(attempts(receiver)) == Counter((message, "1") for message in before + after)
            assert sorted(map(int, receiver.bodies)) == list(range(1, 101))
            assert platform.counters()["in_flight"] == 0

    asyncio.run(main())


def test_an_idle_worker_delivers_within_milliseconds(platform: PushPlatform, tmp_path: Path) -> None:
    async def main() -> None:
        async with sink() as receiver, platform.streams() as streams:
            platform.webhook("acme", receiver.url())
            async with working(platform, tmp_path):
                await platform.publish("acme", "orders", b"{}")
                await receiver.received(1)
                taken_ms = []
                for number in range(2, 32):
                    await asyncio.sleep(0.02)
                    started = time.perf_counter()
                    await platform.publish_by(streams, "acme", "orders", b"{}")
                    await receiver.received(number)
                    taken_ms.append((time.perf_counter() - started) * 1000)
            assert sorted(taken_ms)[15] < 50  # a sweep alone would take 500

    asyncio.run(main())


def test_without_the_bell_a_sweep_finds_the_work(platform: PushPlatform, tmp_path: Path) -> None:
    async def main() -> None:
        async with sink() as receiver:
            platform.webhook("acme", receiver.url())
            async with working(platform, tmp_path, hears_the_bell=False):
                for number in range(1, 4):
                    await platform.publish("acme", "orders", b"{}")
                    await receiver.received(number, seconds=3)

    asyncio.run(main())


def test_what_has_expired_is_dead_lettered_and_never_delivered(platform: PushPlatform, tmp_path: Path) -> None:
    """More of them than are looked at in one go; what comes after them does not wait for another ring."""

    async def main() -> None:
        async with sink() as receiver:
            platform.webhook("acme", receiver.url())
            await platform.publish("acme", "orders", *[b"0"] * 450, expires="1")
            await platform.publish("acme", "orders", b"1", expires="+3600000")
            async with working(platform, tmp_path):
                await receiver.received(1, seconds=5)
                await eventually_async(lambda: platform.counters()["done"] == 451)
            assert receiver.bodies == [b"1"]
            assert platform.counters() == {"done": 451, "dead_lettered": 450, "lost": 0, "in_flight": 0}
            assert {letter["reason"] for letter in platform.dead_letters()} == {"expired"}

    asyncio.run(main())


def test_the_filter_decides_what_is_delivered(platform: PushPlatform, tmp_path: Path) -> None:
    async def main() -> None:
        async with sink() as receiver:
            wanted = "payload == null || (payload.total > 100.0 && headers.region == 'eu')"
            platform.webhook("acme", receiver.url(), filter=wanted)
            eu = {"headers": {"region": "eu"}}
            await platform.publish("acme", "orders", b'{"total": 120.5}', b'{"total": 80.0}', b'{"other": 1}', **eu)
            await platform.publish("acme", "orders", b'{"total": 120.5}', headers={"region": "us"})
            await platform.publish("acme", "orders", b"\xff not JSON", **eu)
            broken = await platform.publish("acme", "orders", b'{"total": "much"}', **eu)
            async with working(platform, tmp_path):
                await eventually_async(lambda: platform.counters()["done"] == 6)
            assert sorted(receiver.bodies) == [b"\xff not JSON", b'{"total": 120.5}'][::-1]
            (letter,) = platform.dead_letters()
            assert (letter["reason"], letter["attempts"]) == ("filter_error", 1)
            assert letter["id"] == broken[0].replace("-", "")
            assert letter["detail"]

    asyncio.run(main())


def test_a_failed_message_is_tried_again_under_its_id(platform: PushPlatform, tmp_path: Path) -> None:
    async def main() -> None:
        async with sink(always(500)) as receiver:
            platform.webhook("acme", receiver.url(), retry=QUICK)

            async def third_time(request: web.Request) -> web.Response:
                return web.Response(status=200 if request.headers["mqops-attempt"] == "3" else 500)

            receiver.answer = third_time
            async with working(platform, tmp_path):
                (message,) = await platform.publish("acme", "orders", b"{}")
                started = time.monotonic()
                await receiver.received(3)
                # Both retries were timed here: two sweeps alone could take two seconds.
                assert time.monotonic() - started < 1
                await eventually_async(lambda: platform.counters()["done"] == 1)
            assert attempts(receiver) == [(message, "1"), (message, "2"), (message, "3")]

    asyncio.run(main())


def test_used_up_attempts_end_in_the_dead_letter_topic(platform: PushPlatform, tmp_path: Path) -> None:
    async def main() -> None:
        async with sink(always(500, "no stock")) as receiver:
            platform.webhook("acme", receiver.url(), retry={**QUICK, "maxAttempts": 3})
            async with working(platform, tmp_path):
                (message,) = await platform.publish("acme", "orders", b"{}")
                await eventually_async(lambda: platform.counters()["dead_lettered"] == 1)
            assert attempts(receiver) == [(message, "1"), (message, "2"), (message, "3")]
            (letter,) = platform.dead_letters()
            assert letter["reason"] == "retries_exhausted"
            assert letter["detail"] == "answered 500 Internal Server Error: no stock"
            assert letter["attempts"] == 3
            assert letter["topic"] == "acme/orders"
            assert letter["subscription"] == "acme/billing"
            assert platform.counters() == {"done": 1, "dead_lettered": 1, "lost": 0, "in_flight": 0}

    asyncio.run(main())


def test_a_rejected_message_is_not_tried_again(platform: PushPlatform, tmp_path: Path) -> None:
    async def main() -> None:
        async with sink(always(410)) as receiver:
            platform.webhook("acme", receiver.url(), retry=QUICK)
            async with working(platform, tmp_path):
                await platform.publish("acme", "orders", b"{}")
                await eventually_async(lambda: platform.counters()["dead_lettered"] == 1)
            assert len(receiver.requests) == 1
            assert platform.dead_letters()[0]["reason"] == "rejected"

    asyncio.run(main())


def test_a_reader_of_dead_letters_has_none_of_its_own(platform: PushPlatform, tmp_path: Path) -> None:
    async def main() -> None:
        async with sink(always(410)) as receiver:
            platform.webhook("acme", receiver.url())
            platform.subscription("acme", "alarm", topic="orders.deadletter", handler="hook")
            async with working(platform, tmp_path):
                await platform.publish("acme", "orders", b"{}")
                await receiver.received(2)
                await eventually_async(lambda: platform.counters("acme", "alarm")["done"] == 1)
            assert len(platform.dead_letters()) == 1

    asyncio.run(main())


def test_a_receiver_is_left_alone_for_as_long_as_it_asks(platform: PushPlatform, tmp_path: Path) -> None:
    async def main() -> None:
        async with sink(always(429, Retry_After="1")) as receiver:
            platform.webhook("acme", receiver.url(), retry=QUICK)
            async with working(platform, tmp_path):
                started = time.monotonic()
                await platform.publish("acme", "orders", b"{}")
                await receiver.received(2)
                assert time.monotonic() - started >= 1

    asyncio.run(main())


def test_no_more_are_under_way_than_the_subscription_and_the_worker_allow(
    platform: PushPlatform, tmp_path: Path
) -> None:
    async def main() -> None:
        async with sink(slow := Slow(0.05)) as receiver, sink(rest := Slow(0.05)) as other:
            platform.webhook("acme", receiver.url(), concurrency=3)
            platform.webhook("globex", other.url(), concurrency=100)
            await platform.publish("acme", "orders", *[b"{}"] * 20)
            await platform.publish("globex", "orders", *[b"{}"] * 40)
            async with working(platform, tmp_path, Limits(slots=8)):
                await receiver.received(20)
                await other.received(40)
            assert slow.most == 3
            assert 3 < rest.most <= 8

    asyncio.run(main())


def test_large_messages_are_under_way_only_as_far_as_memory_allows(platform: PushPlatform, tmp_path: Path) -> None:
    async def main() -> None:
        async with sink(slow := Slow(0.02)) as receiver:
            platform.webhook("acme", receiver.url(), concurrency=20)
            await platform.publish("acme", "orders", *[b"x" * 1024] * 20)
            async with working(platform, tmp_path, Limits(held_bytes=3 * 1024, batch=1)):
                await receiver.received(20)
            assert slow.most == 3

    asyncio.run(main())


def test_one_tenants_backlog_does_not_keep_another_waiting(platform: PushPlatform, tmp_path: Path) -> None:
    async def main() -> None:
        async with sink(Slow(0.05)) as receiver, sink() as other:
            platform.webhook("acme", receiver.url())
            for number in range(30):
                platform.subscription("acme", f"reader-{number}", topic="orders", handler="hook")
            platform.webhook("globex", other.url())
            await platform.publish("acme", "orders", *[b"{}"] * 20)
            async with working(platform, tmp_path, Limits(slots=2, batch=1)):
                await receiver.received(8)
                async with platform.streams() as streams:
                    await platform.publish_by(streams, "globex", "orders", b"{}")
                    before = len(receiver.requests)
                    await other.received(1)
                # Taking turns by subscription instead of by tenant, thirty would come before it.
                assert len(receiver.requests) - before <= 8

    asyncio.run(main())


@pytest.mark.parametrize("turns", range(6))
def test_a_worker_that_is_told_of_work_as_it_goes_goes(platform: PushPlatform, tmp_path: Path, turns: int) -> None:
    """`asyncio.wait_for` of Python 3.11 took the cancellation of the sweep for news: `mqops work` never ended."""

    async def main() -> None:
        platform.tenant("acme")
        async with working(platform, tmp_path) as running:
            sweep = asyncio.create_task(running.worker._keep_sweeping())
            await asyncio.sleep(0.1)
            running.worker._sweep_now.set()
            for _ in range(turns):
                await asyncio.sleep(0)
            sweep.cancel()
            await asyncio.wait([sweep], timeout=5)
            assert sweep.done()

    asyncio.run(main())


def test_the_catalog_is_followed_while_at_work(platform: PushPlatform, tmp_path: Path) -> None:
    async def main() -> None:
        async with sink() as first, sink() as second:
            platform.webhook("acme", first.url())
            subscription = {"topic": "orders", "handler": "hook", "deadLetter": "orders.deadletter"}
            async with working(platform, tmp_path) as running:
                await platform.publish("acme", "orders", b"1")
                await first.received(1)
                platform.handler("acme", "hook", second.url())
                platform.subscription("acme", "billing", **subscription, state="paused")
                await eventually_async(lambda: not running.worker.served)
                await platform.publish("acme", "orders", b"2")
                await asyncio.sleep(1.5)
                assert second.requests == []
                platform.subscription("acme", "billing", **subscription)
                await second.received(1)
            assert (first.bodies, second.bodies) == ([b"1"], [b"2"])

    asyncio.run(main())


def test_a_dead_letter_that_is_redriven_is_delivered_under_its_id(platform: PushPlatform, tmp_path: Path) -> None:
    async def main() -> None:
        async with sink(always(410)) as receiver, platform.streams() as streams:
            platform.webhook("acme", receiver.url())
            async with working(platform, tmp_path):
                (message,) = await platform.publish("acme", "orders", b"{}")
                await eventually_async(lambda: platform.counters()["dead_lettered"] == 1)
                receiver.answer = always(204)
                bucket, topic = platform.bucket("acme"), platform.uid("Topic", "acme", "orders")
                dead = LetterBox(bucket, platform.uid("Topic", "acme", "orders.deadletter"), 0)
                (letter,) = (await streams.letters.look(dead, Sought(), None, 10)).letters
                envelope = encode_envelope(letter.envelope)
                message_id = UUID(message).bytes
                returning = Returning(letter, 1, message_id, letter.key, envelope, letter.payload)
                lane = Lane(bucket, platform.uid("Subscription", "acme", "billing"), topic, 0)
                assert await streams.letters.put_back(lane, [returning])
                await receiver.received(2)
                await eventually_async(lambda: platform.counters()["done"] == 1)
            assert attempts(receiver) == [(message, "1"), (message, "1")]
            assert platform.counters()["in_flight"] == 0

    asyncio.run(main())
