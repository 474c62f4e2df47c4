"""The streams engine over real connections: what happens when the server is away, hangs, forgets or is flushed."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import redis
from waiting import eventually_async

from mqops.codec.envelope import content_digest, encode_envelope
from mqops.errors import BrokerNotAvailable
from mqops.keys import Keyspace
from mqops.lua import load_script
from mqops.message import Envelope, NewMessage, Position, new_message_id, partition_of_id
from mqops.streams import Claim, Lane, NotStored, Reason, Stored, Streams, Sweeper, Unknown
from mqops.streams import connection as connection_module

BUCKET = 5


@dataclass
class Topic:
    """A topic with one subscription and a dead-letter topic, prepared as the reconciler does it."""

    client: "redis.Redis"
    keys: Keyspace
    uid: str
    subscription: str
    dead: str

    @classmethod
    def prepare(cls, client: "redis.Redis") -> "Topic":
        topic = cls(client, Keyspace("t:"), *(str(uuid.uuid4()) for _ in range(3)))
        topic.repair()
        return topic

    def run(self, name: str, *arguments: Any) -> Any:
        return self.client.eval(load_script("reconciler.scripts", name).source, 1, self.keys.epoch(BUCKET), *arguments)

    def repair(self) -> None:
        self.run("prepare_bucket")
        for uid, name in ((self.uid, "orders"), (self.dead, "orders.deadletter")):
            self.run("prepare_topic", uid, "Topic", "acme", name, 1, 1, "active", "", 3_600_000)
        base = self.keys.bucket(BUCKET) + self.dead
        self.run(
            "prepare_subscription", self.subscription, "acme", "billing", self.uid, 1, 4, base, "active", "earliest"
        )

    @property
    def lane(self) -> Lane:
        return Lane(BUCKET, self.subscription, self.uid, 0)

    def message(self, payload: bytes = b"{}", dedup: str = "") -> NewMessage:
        envelope = encode_envelope(Envelope())
        digest = content_digest("", Envelope(), payload) if dedup else b""
        return NewMessage(BUCKET, self.uid, 1, 0, new_message_id(0), "", envelope, payload, dedup, digest)

    def stored_ids(self) -> list[bytes]:
        return [fields[b"i"] for _, fields in self.client.xrange(self.keys.stream(BUCKET, self.uid, 0))]


@pytest.fixture
def topic(redis_client: "redis.Redis") -> Topic:
    return Topic.prepare(redis_client)


@contextlib.asynccontextmanager
async def engine(redis_url: str) -> AsyncIterator[Streams]:
    streams = Streams.open(redis_url, Keyspace("t:"), "installation", name="test")
    await streams.start()
    try:
        yield streams
    finally:
        await streams.stop()


@dataclass
class Proxy:
    """Between the engine and the server: can cut connections when the server has answered, or refuse new ones."""

    url: str
    cut_replies: bool = False
    is_open: bool = True


@contextlib.asynccontextmanager
async def proxy(redis_url: str) -> AsyncIterator[Proxy]:
    connecting = connection_module.Address.parse(redis_url)
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not state.is_open:
            writer.close()
            return
        if connecting.path:
            upstream_reader, upstream_writer = await asyncio.open_unix_connection(connecting.path)
        else:
            upstream_reader, upstream_writer = await asyncio.open_connection(connecting.host, connecting.port)
        writers.extend((writer, upstream_writer))

        async def replies() -> None:
            while data := await upstream_reader.read(65536):
                if state.cut_replies:
                    break
                writer.write(data)
            writer.close()

        task = asyncio.create_task(replies())
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                upstream_writer.write(data)
        upstream_writer.close()
        await task

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    state = Proxy(f"redis://127.0.0.1:{port}/{connecting.database}")
    try:
        yield state
    finally:
        server.close()
        for writer in writers:
            writer.close()
        await asyncio.sleep(0.05)


def test_requests_of_a_moment_keep_their_order_and_their_outcomes(topic: Topic, redis_url: str) -> None:
    async def scenario() -> None:
        async with engine(redis_url) as streams:
            batches = [[topic.message(b"x" * 3000) for _ in range(7)] for _ in range(150)]
            outcomes = await asyncio.gather(*(streams.publish(batch) for batch in batches))
            for batch, results in zip(batches, outcomes, strict=True):
                assert [result.id for result in results if isinstance(result, Stored)] == [m.id for m in batch]
            offsets = [r.position.offset for results in outcomes for r in results if isinstance(r, Stored)]
            assert offsets == list(range(1, 1051))
            assert await streams.publish([]) == []

    asyncio.run(scenario())
    assert len(topic.stored_ids()) == 1050


def test_a_connection_lost_after_the_write_is_unknown_and_stored_at_most_once(topic: Topic, redis_url: str) -> None:
    async def scenario() -> None:
        async with proxy(redis_url) as between, engine(between.url) as streams:
            between.cut_replies = True
            message = topic.message()
            [outcome] = await streams.publish([message])
            assert isinstance(outcome, Unknown)
            assert outcome.id == message.id
            await asyncio.sleep(0.2)
            assert topic.stored_ids() == [message.id]
            between.cut_replies = False

            async def works() -> bool:
                return isinstance((await streams.publish([topic.message()]))[0], Stored)

            await eventually_async(works)

    asyncio.run(scenario())


def test_a_server_that_is_away_stores_nothing_and_is_found_again(topic: Topic, redis_url: str) -> None:
    async def scenario() -> None:
        async with proxy(redis_url) as between:
            between.is_open = False
            async with engine(between.url) as streams:
                [outcome] = await streams.publish([topic.message()])
                assert isinstance(outcome, NotStored)
                assert outcome.reason is Reason.UNAVAILABLE
                with pytest.raises(BrokerNotAvailable):
                    await streams.fetch(topic.lane, consumer="pull", count=1, lease_ms=1000)
                with pytest.raises(BrokerNotAvailable):
                    await streams.ack(topic.lane, [Claim(Position(1, 1), 1), Claim(Position(1, 2), 1)])
                assert topic.stored_ids() == []
                between.is_open = True

                async def works() -> bool:
                    return isinstance((await streams.publish([topic.message()]))[0], Stored)

                await eventually_async(works)

    asyncio.run(scenario())
    assert len(topic.stored_ids()) == 1


def test_a_server_that_hangs_is_given_up_on(topic: Topic, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "REPLY_TIMEOUT_SECONDS", 0.3)

    async def scenario() -> None:
        async with engine(redis_url) as streams:
            topic.client.client_pause(1500)
            async with asyncio.timeout(1.4):
                [outcome] = await streams.publish([topic.message()])
            assert isinstance(outcome, Unknown)

    asyncio.run(scenario())


def test_a_server_that_forgot_its_scripts_gets_them_again(topic: Topic, redis_url: str) -> None:
    async def scenario() -> None:
        async with engine(redis_url) as streams:
            topic.client.script_flush()
            outcomes = await asyncio.gather(*(streams.publish([topic.message()]) for _ in range(20)))
            assert all(isinstance(result, Stored) for [result] in outcomes)
            topic.client.script_flush()
            fetched = await streams.fetch(topic.lane, consumer="pull", count=100, lease_ms=1000)
            assert len(fetched.deliveries) == 20
            topic.client.script_flush()
            claims = [Claim(delivery.position, delivery.token) for delivery in fetched.deliveries]
            assert await streams.ack(topic.lane, claims) == [True] * 20

    asyncio.run(scenario())


def test_a_flushed_server_takes_nothing_until_it_is_repaired(topic: Topic, redis_url: str) -> None:
    async def scenario() -> None:
        async with engine(redis_url) as streams:
            assert isinstance((await streams.publish([topic.message()]))[0], Stored)
            for key in topic.client.scan_iter("t:*"):
                topic.client.delete(key)
            [outcome] = await streams.publish([topic.message()])
            assert isinstance(outcome, NotStored)
            assert outcome.reason is Reason.FLUSHED
            assert (await streams.fetch(topic.lane, consumer="pull", count=1, lease_ms=1000)).gone
            topic.repair()
            [outcome] = await streams.publish([topic.message()])
            assert isinstance(outcome, Stored)

    asyncio.run(scenario())


def test_the_bell_rings_once_for_readers_that_ran_dry(topic: Topic, redis_url: str) -> None:
    async def scenario() -> None:
        async with engine(redis_url) as streams:
            rings: list[tuple[int, str, int]] = []
            streams.on_ring(rings.extend)
            await streams.publish([topic.message()])
            await streams.publish([topic.message()])
            await asyncio.sleep(0.1)
            assert rings == [(BUCKET, topic.subscription, 0)]
            fetched = await streams.fetch(topic.lane, consumer="pull", count=100, lease_ms=60_000)
            assert len(fetched.deliveries) == 2
            assert not fetched.more
            await streams.publish([topic.message()])
            await asyncio.sleep(0.1)
            assert rings == [(BUCKET, topic.subscription, 0)] * 2
            assert await streams.ready(BUCKET) == [(topic.subscription, 0)]

    asyncio.run(scenario())


def test_a_large_body_does_not_make_a_fetch_larger_than_it_may_be(topic: Topic, redis_url: str) -> None:
    async def scenario() -> None:
        async with engine(redis_url) as streams:
            for _ in range(40):
                await streams.publish([topic.message(b"x" * 200_000)])
            fetched = await streams.fetch(topic.lane, consumer="pull", count=100, lease_ms=60_000)
            assert 5 <= len(fetched.deliveries) <= 6
            assert fetched.more

    asyncio.run(scenario())


def test_one_sweeper_is_elected_and_another_takes_over(topic: Topic, redis_url: str) -> None:
    async def scenario() -> None:
        async with engine(redis_url) as streams, engine(redis_url) as others:
            first = Sweeper(streams, lambda: [(BUCKET, topic.uid, 0)], trim_seconds=0.1)
            second = Sweeper(others, lambda: [(BUCKET, topic.uid, 0)], trim_seconds=0.1)
            first.start()
            await asyncio.sleep(0.2)
            elected = topic.client.get(streams.keys.sweeper)
            second.start()
            await asyncio.sleep(0.2)
            assert topic.client.get(streams.keys.sweeper) == elected
            await first.stop()
            await streams.publish([topic.message()])
            fetched = await streams.fetch(topic.lane, consumer="pull", count=1, lease_ms=50)
            await asyncio.sleep(1.5)
            assert topic.client.get(streams.keys.sweeper) != elected
            again = await streams.fetch(topic.lane, consumer="pull", count=1, lease_ms=50)
            assert [d.id for d in again.deliveries] == [d.id for d in fetched.deliveries]
            assert again.deliveries[0].attempt == 2
            await second.stop()

    asyncio.run(scenario())


def test_a_sweeper_ends_what_is_too_old_and_asks_nothing_of_what_is_not(topic: Topic, redis_url: str) -> None:
    """Of many partitions few have anything to end: what it takes to find them shall not grow with what is idle."""
    idle = [(BUCKET, str(uuid.uuid4()), number) for number in range(1_200)]
    fresh = Topic.prepare(topic.client)

    async def scenario() -> None:
        async with engine(redis_url) as streams:
            await streams.publish([topic.message(b"old"), fresh.message(b"young")])
            await asyncio.sleep(0.01)
            topic.run("prepare_topic", topic.uid, "Topic", "acme", "orders", 1, 1, "active", "", 1)
            places = [(BUCKET, topic.uid, 0), *idle, (BUCKET, fresh.uid, 0), (BUCKET + 1, topic.uid, 0)]
            topic.client.config_resetstat()
            await Sweeper(streams, lambda: places, trim_seconds=30).trim()
            calls = topic.client.info("commandstats")["cmdstat_evalsha"]["calls"]
            assert calls <= 6, "four looks at up to 500, a partition trimmed, a script to be loaded"

    asyncio.run(scenario())
    assert topic.stored_ids() == []
    assert len(fresh.stored_ids()) == 1
    [(_, dead)] = topic.client.xrange(topic.keys.stream(BUCKET, topic.dead, 0))
    assert dead[b"d"] == b"old"


def test_a_dead_letter_says_where_it_came_from_and_why(topic: Topic, redis_url: str) -> None:
    async def scenario() -> None:
        async with engine(redis_url) as streams:
            [stored] = await streams.publish([topic.message(b'{"n": 1}')])
            assert isinstance(stored, Stored)
            fetched = await streams.fetch(topic.lane, consumer="pull", count=1, lease_ms=60_000)
            [delivery] = fetched.deliveries
            claims = [Claim(delivery.position, delivery.token)]
            assert await streams.dead_letter(topic.lane, claims, "rejected", 'HTTP 410: "gone" \ud800') == [True]
            assert await streams.dead_letter(topic.lane, claims, "rejected", "again") == [False]
            [letter] = await streams.peek(BUCKET, topic.dead, 0, None, 10)
            assert letter.payload == b'{"n": 1}'
            assert letter.id != stored.id
            info = letter.dead_letter
            assert info is not None
            assert uuid.UUID(info.message_id).bytes == stored.id
            assert (info.topic, info.partition, info.offset) == ("acme/orders", 0, 1)
            assert (info.subscription, info.reason, info.attempts) == ("acme/billing", "rejected", 1)
            assert info.timestamp_ms == stored.position.milliseconds
            assert info.failed_at_ms >= info.timestamp_ms
            assert info.detail == 'HTTP 410: "gone" ?'

    asyncio.run(scenario())


def test_a_dead_letter_waits_while_its_topic_is_away(topic: Topic, redis_url: str) -> None:
    async def scenario() -> None:
        async with engine(redis_url) as streams:
            await streams.publish([topic.message()])
            fetched = await streams.fetch(topic.lane, consumer="pull", count=1, lease_ms=60_000)
            claims = [Claim(d.position, d.token) for d in fetched.deliveries]
            topic.client.delete(topic.keys.stream(BUCKET, topic.dead, 0))
            with pytest.raises(BrokerNotAvailable):
                await streams.dead_letter(topic.lane, claims, "rejected", "no")
            topic.repair()
            assert await streams.dead_letter(topic.lane, claims, "rejected", "no") == [True]

    asyncio.run(scenario())


def test_ids_carry_their_time_and_partition() -> None:
    for partition in (0, 1, 255, 1023):
        message_id = new_message_id(partition)
        assert partition_of_id(message_id) == partition
        assert uuid.UUID(bytes=message_id).version == 7
    assert len({new_message_id(0) for _ in range(10_000)}) == 10_000


def test_a_server_out_of_memory_refuses_publishing_and_still_drains(topic: Topic, redis_url: str) -> None:
    async def scenario() -> None:
        async with engine(redis_url) as streams:
            await streams.publish([topic.message(), topic.message()])
            topic.client.config_set("maxmemory", 1)
            try:
                [outcome] = await streams.publish([topic.message()])
                assert isinstance(outcome, NotStored)
                assert outcome.reason is Reason.UNAVAILABLE
                await streams.beat("worker")
                sweeper = Sweeper(streams, lambda: [(BUCKET, topic.uid, 0)], trim_seconds=0)
                sweeper.start()
                fetched = await streams.fetch(topic.lane, consumer="worker", count=2, lease_ms=60_000)
                first, second = [Claim(d.position, d.token) for d in fetched.deliveries]
                assert await streams.ack(topic.lane, [first]) == [True]
                assert await streams.dead_letter(topic.lane, [second], "rejected", "no") == [True]
                await asyncio.sleep(0.1)
                assert topic.client.get(streams.keys.sweeper) is not None
                await sweeper.stop()
            finally:
                topic.client.config_set("maxmemory", 0)

    asyncio.run(scenario())
