"""The push worker against real stores and real receivers: what arrives, how often, and what becomes of the rest."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from aiohttp import web
from installation import Installation
from redis import Redis
from sinks import Sink, always, sink

from mqops.bootstrap.work import partitions_of
from mqops.delivery.dispatch import Limits
from mqops.delivery.worker import Worker
from mqops.handlers.http import HttpSender
from mqops.handlers.secrets import SecretStore
from mqops.handlers.targets import TargetPolicy
from mqops.streams import Sweeper

QUICK = {"initialDelay": "20ms", "maxDelay": "1s", "jitter": 0}


@pytest.fixture
def platform(database_url: str, redis_url: str, redis_client: "Redis") -> Installation:
    return Installation(database_url, redis_url, redis_client)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path


class Running:
    """A worker at work in this process, and how to make it go."""

    def __init__(self, worker: Worker, drain_seconds: float) -> None:
        self.worker = worker
        self.stop = asyncio.Event()
        self.hurry = asyncio.Event()
        self.task = asyncio.create_task(worker.run(self.stop, self.hurry, drain_seconds))

    async def drained(self) -> None:
        self.stop.set()
        async with asyncio.timeout(20):
            await self.task


@contextlib.asynccontextmanager
async def working(
    platform: Installation,
    directory: Path,
    limits: Limits | None = None,
    drain_seconds: float = 5,
    hears_the_bell: bool = True,
) -> AsyncIterator[Running]:
    """A worker with all it needs. One that does not hear the bell listens to another installation's."""
    policy = TargetPolicy({"*": ("*",)})
    async with (
        platform.feed(directory) as feed,
        platform.streams(None if hears_the_bell else "elsewhere") as streams,
        contextlib.AsyncExitStack() as stack,
    ):
        sender = HttpSender(policy, SecretStore(directory, {}, lambda: feed.current.tenants))
        stack.push_async_callback(sender.close)
        sweeper = Sweeper(streams, lambda: partitions_of(feed.current), 30)
        sweeper.start()
        stack.push_async_callback(sweeper.stop)
        running = Running(Worker(streams, feed, sender, limits or Limits()), drain_seconds)
        try:
            yield running
        finally:
            await running.drained()


async def eventually(holds: Callable[[], bool], seconds: float = 10) -> None:
    """Until it does; a last look tells what is there instead."""
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:  # noqa: ASYNC110 (nothing here could set an event)
        await asyncio.sleep(0.01)
    assert holds()


def attempts(receiver: Sink) -> list[tuple[str, str]]:
    return [(headers["webhook-id"], headers["mqops-attempt"]) for headers, _ in receiver.requests]


def test_what_is_published_arrives_once_and_is_done(platform: Installation, directory: Path) -> None:
    async def main() -> None:
        async with sink() as receiver:
            platform.webhook("acme", receiver.url())
            before = await platform.publish("acme", "orders", b"1", b"2", b"3")
            async with working(platform, directory):
                await receiver.received(3)
                after = await platform.publish("acme", "orders", *(str(n).encode() for n in range(4, 101)))
                await receiver.received(100)
                await eventually(lambda: platform.counters()["done"] == 100)
            assert Counter(attempts(receiver)) == Counter((message, "1") for message in before + after)
            assert sorted(map(int, receiver.bodies)) == list(range(1, 101))
            assert platform.counters()["in_flight"] == 0

    asyncio.run(main())


def test_an_idle_worker_delivers_within_milliseconds(platform: Installation, directory: Path) -> None:
    async def main() -> None:
        async with sink() as receiver, platform.streams() as streams:
            platform.webhook("acme", receiver.url())
            async with working(platform, directory):
                await platform.publish("acme", "orders", b"{}")
                await receiver.received(1)
                taken = []
                for number in range(2, 22):
                    await asyncio.sleep(0.02)
                    started = time.perf_counter()
                    await platform.publish("acme", "orders", b"{}")
                    await receiver.received(number)
                    taken.append(time.perf_counter() - started)
            assert streams is not None
            assert sorted(taken)[10] < 0.25

    asyncio.run(main())


def test_without_the_bell_a_sweep_finds_the_work(platform: Installation, directory: Path) -> None:
    async def main() -> None:
        async with sink() as receiver:
            platform.webhook("acme", receiver.url())
            async with working(platform, directory, hears_the_bell=False):
                for number in range(1, 4):
                    await platform.publish("acme", "orders", b"{}")
                    await receiver.received(number, seconds=3)

    asyncio.run(main())


def test_the_filter_decides_what_is_delivered(platform: Installation, directory: Path) -> None:
    async def main() -> None:
        async with sink() as receiver:
            wanted = "payload == null || (payload.total > 100.0 && headers.region == 'eu')"
            platform.webhook("acme", receiver.url(), filter=wanted)
            eu = {"headers": {"region": "eu"}}
            await platform.publish("acme", "orders", b'{"total": 120.5}', b'{"total": 80.0}', b'{"other": 1}', **eu)
            await platform.publish("acme", "orders", b'{"total": 120.5}', headers={"region": "us"})
            await platform.publish("acme", "orders", b"\xff not JSON", **eu)
            broken = await platform.publish("acme", "orders", b'{"total": "much"}', **eu)
            async with working(platform, directory):
                await eventually(lambda: platform.counters()["done"] == 6)
            assert sorted(receiver.bodies) == [b"\xff not JSON", b'{"total": 120.5}'][::-1]
            (letter,) = platform.dead_letters()
            assert (letter["reason"], letter["attempts"]) == ("filter_error", 1)
            assert letter["id"] == broken[0].replace("-", "")
            assert letter["detail"]

    asyncio.run(main())


def test_a_failed_message_is_tried_again_under_its_id(platform: Installation, directory: Path) -> None:
    async def main() -> None:
        async with sink(always(500)) as receiver:
            platform.webhook("acme", receiver.url(), retry=QUICK)

            async def third_time(request: web.Request) -> web.Response:
                return web.Response(status=200 if request.headers["mqops-attempt"] == "3" else 500)

            receiver.answer = third_time
            async with working(platform, directory):
                (message,) = await platform.publish("acme", "orders", b"{}")
                started = time.monotonic()
                await receiver.received(3)
                # Both retries were timed here: two sweeps alone could take two seconds.
                assert time.monotonic() - started < 1
                await eventually(lambda: platform.counters()["done"] == 1)
            assert attempts(receiver) == [(message, "1"), (message, "2"), (message, "3")]

    asyncio.run(main())


def test_used_up_attempts_end_in_the_dead_letter_topic(platform: Installation, directory: Path) -> None:
    async def main() -> None:
        async with sink(always(500, "no stock")) as receiver:
            platform.webhook("acme", receiver.url(), retry={**QUICK, "maxAttempts": 3})
            async with working(platform, directory):
                (message,) = await platform.publish("acme", "orders", b"{}")
                await eventually(lambda: platform.counters()["dead_lettered"] == 1)
            assert attempts(receiver) == [(message, "1"), (message, "2"), (message, "3")]
            (letter,) = platform.dead_letters()
            assert letter["reason"] == "retries_exhausted"
            assert letter["detail"] == "answered 500 Internal Server Error: no stock"
            assert letter["attempts"] == 3
            assert letter["topic"] == "acme/orders"
            assert letter["subscription"] == "acme/billing"
            assert platform.counters() == {"done": 1, "dead_lettered": 1, "lost": 0, "in_flight": 0}

    asyncio.run(main())


def test_a_rejected_message_is_not_tried_again(platform: Installation, directory: Path) -> None:
    async def main() -> None:
        async with sink(always(410)) as receiver:
            platform.webhook("acme", receiver.url(), retry=QUICK)
            async with working(platform, directory):
                await platform.publish("acme", "orders", b"{}")
                await eventually(lambda: platform.counters()["dead_lettered"] == 1)
            assert len(receiver.requests) == 1
            assert platform.dead_letters()[0]["reason"] == "rejected"

    asyncio.run(main())


def test_a_reader_of_dead_letters_has_none_of_its_own(platform: Installation, directory: Path) -> None:
    async def main() -> None:
        async with sink(always(410)) as receiver:
            platform.webhook("acme", receiver.url())
            platform.subscription("acme", "alarm", topic="orders.deadletter", handler="hook")
            async with working(platform, directory):
                await platform.publish("acme", "orders", b"{}")
                await receiver.received(2)
                await eventually(lambda: platform.counters("acme", "alarm")["done"] == 1)
            assert len(platform.dead_letters()) == 1

    asyncio.run(main())


def test_a_receiver_is_left_alone_for_as_long_as_it_asks(platform: Installation, directory: Path) -> None:
    async def main() -> None:
        async with sink(always(429, Retry_After="1")) as receiver:
            platform.webhook("acme", receiver.url(), retry=QUICK)
            async with working(platform, directory):
                started = time.monotonic()
                await platform.publish("acme", "orders", b"{}")
                await receiver.received(2)
                assert time.monotonic() - started >= 1

    asyncio.run(main())


class Slow:
    """Answers after a while; knows how many it has at once."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.at_once = 0
        self.most = 0

    async def __call__(self, request: web.Request) -> web.Response:
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        await asyncio.sleep(self.seconds)
        self.at_once -= 1
        return web.Response()


def test_no_more_are_under_way_than_the_subscription_and_the_worker_allow(
    platform: Installation, directory: Path
) -> None:
    async def main() -> None:
        async with sink(slow := Slow(0.05)) as receiver, sink(rest := Slow(0.05)) as other:
            platform.webhook("acme", receiver.url(), concurrency=3)
            platform.webhook("globex", other.url(), concurrency=100)
            await platform.publish("acme", "orders", *[b"{}"] * 20)
            await platform.publish("globex", "orders", *[b"{}"] * 40)
            async with working(platform, directory, Limits(slots=8)):
                await receiver.received(20)
                await other.received(40)
            assert slow.most == 3
            assert 3 < rest.most <= 8

    asyncio.run(main())


def test_one_tenants_backlog_does_not_keep_another_waiting(platform: Installation, directory: Path) -> None:
    async def main() -> None:
        async with sink(Slow(0.05)) as receiver, sink() as other:
            platform.webhook("acme", receiver.url(), concurrency=100)
            platform.webhook("globex", other.url())
            await platform.publish("acme", "orders", *[b"{}"] * 400)
            async with working(platform, directory, Limits(slots=4, batch=2)):
                await receiver.received(8)
                await platform.publish("globex", "orders", b"{}")
                await other.received(1, seconds=1)
                assert len(receiver.requests) < 100

    asyncio.run(main())


def test_the_catalog_is_followed_while_at_work(platform: Installation, directory: Path) -> None:
    async def main() -> None:
        async with sink() as first, sink() as second:
            platform.webhook("acme", first.url())
            subscription = {"topic": "orders", "handler": "hook", "deadLetter": "orders.deadletter"}
            async with working(platform, directory) as running:
                await platform.publish("acme", "orders", b"1")
                await first.received(1)
                platform.handler("acme", "hook", second.url())
                platform.subscription("acme", "billing", **subscription, state="paused")
                await eventually(lambda: not running.worker.served)
                await platform.publish("acme", "orders", b"2")
                await asyncio.sleep(1.5)
                assert second.requests == []
                platform.subscription("acme", "billing", **subscription)
                await second.received(1)
            assert (first.bodies, second.bodies) == ([b"1"], [b"2"])

    asyncio.run(main())


def test_a_worker_that_is_told_to_go_finishes_what_it_has(platform: Installation, directory: Path) -> None:
    async def main() -> None:
        async with sink(Slow(0.5)) as receiver:
            platform.webhook("acme", receiver.url(), concurrency=2)
            await platform.publish("acme", "orders", *[b"{}"] * 10)
            async with working(platform, directory) as running:
                await receiver.received(2)
                await running.drained()
                assert platform.counters() == {"done": 2, "dead_lettered": 0, "lost": 0, "in_flight": 0}
            assert len(receiver.requests) == 2

    asyncio.run(main())


def test_what_cannot_be_finished_in_time_is_given_back(platform: Installation, directory: Path) -> None:
    async def main() -> None:
        async with sink(Slow(30)) as receiver:
            platform.webhook("acme", receiver.url())
            (message,) = await platform.publish("acme", "orders", b"{}")
            async with working(platform, directory, drain_seconds=0.2) as running:
                await receiver.received(1)
                await running.drained()
            receiver.answer = always(200)
            async with working(platform, directory, drain_seconds=30) as running:
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


def test_a_success_is_settled_although_redis_hung_up_meanwhile(platform: Installation, directory: Path) -> None:
    async def main() -> None:
        async with sink(Slow(0.3)) as receiver:
            platform.webhook("acme", receiver.url())
            await platform.publish("acme", "orders", b"{}")
            async with working(platform, directory):
                await receiver.received(1)
                for _ in range(4):
                    platform.client.client_kill_filter(_type="normal", skipme=True)
                    await asyncio.sleep(0.1)
                await eventually(lambda: platform.counters()["done"] == 1)
                await asyncio.sleep(1)
            assert len(receiver.requests) == 1

    asyncio.run(main())


@contextlib.contextmanager
def worker_process(platform: Installation, directory: Path) -> "Iterator[subprocess.Popen[str]]":
    environment = {
        **os.environ,
        "DATABASE_URL": platform.database_url,
        "REDIS_URL": platform.redis_url,
        "REDIS_KEY_PREFIX": platform.keys.prefix,
        "MQOPS_STATE_DIR": str(directory),
        "MQOPS_PRIVATE_TARGETS": "*=*",
        "MQOPS_ACCEPT_RISK": "1",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "mqops.cli", "work"], env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


class OneAtATime:
    """Holds the first request until it is let go; answers every other at once."""

    def __init__(self) -> None:
        self.let_go = asyncio.Event()
        self.is_first = True

    async def __call__(self, request: web.Request) -> web.Response:
        if self.is_first:
            self.is_first = False
            await self.let_go.wait()
        return web.Response()


def test_a_message_outlives_the_worker_that_had_it(platform: Installation, directory: Path) -> None:
    async def main() -> None:
        async with sink(OneAtATime()) as receiver:
            platform.webhook("acme", receiver.url())
            with worker_process(platform, directory) as process:
                (message,) = await platform.publish("acme", "orders", b"{}")
                await receiver.received(1)
                process.kill()
                killed = time.monotonic()
                async with working(platform, directory):
                    await receiver.received(2, seconds=20)
                    assert time.monotonic() - killed < 15
                    await eventually(lambda: platform.counters()["done"] == 1)
            # Losing its worker is not the message's fault: the attempt does not count.
            assert attempts(receiver) == [(message, "1"), (message, "1")]

    asyncio.run(main())


def test_a_worker_that_was_stopped_settles_nothing_that_others_took_over(
    platform: Installation, directory: Path
) -> None:
    async def main() -> None:
        answer = OneAtATime()
        async with sink(answer) as receiver:
            platform.webhook("acme", receiver.url())
            with worker_process(platform, directory) as process:
                await platform.publish("acme", "orders", b"{}")
                await receiver.received(1)
                process.send_signal(signal.SIGSTOP)
                for name in platform.client.zrange(platform.keys.workers, 0, -1):
                    platform.client.zadd(platform.keys.workers, {name: 0})  # instead of twelve seconds of silence
                async with working(platform, directory):
                    await receiver.received(2, seconds=15)
                    await eventually(lambda: platform.counters()["done"] == 1)
                    process.send_signal(signal.SIGCONT)
                    answer.let_go.set()
                    await platform.publish("acme", "orders", *[b"{}"] * 20)  # it is of use again, too
                    await eventually(lambda: platform.counters()["done"] == 21)
                process.send_signal(signal.SIGTERM)
                log = await asyncio.to_thread(lambda: process.communicate(timeout=15)[0])
            assert process.returncode == 0
            assert "is not this worker's any more" in log
            assert len(receiver.requests) == 22
            assert platform.counters() == {"done": 21, "dead_lettered": 0, "lost": 0, "in_flight": 0}

    asyncio.run(main())
