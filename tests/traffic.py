"""Messages in and out through the engine, for tests of what the reconciler does to them."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from mqops.codec.envelope import encode_envelope
from mqops.keys import Keyspace
from mqops.message import Envelope, NewMessage, new_message_id
from mqops.streams import Claim, Lane, Outcome, Streams, When

Result = TypeVar("Result")

INSTALLATION = "11111111-1111-4111-8111-111111111111"


def publish(redis_url: str, topic: Lane, generation: int, payloads: Sequence[bytes]) -> list[Outcome]:
    """What became of each, published to the topic and partition of ``topic``."""
    messages = _messages(topic, generation, payloads)

    async def send(streams: Streams) -> list[Outcome]:
        return await streams.publish(messages)

    return _with_streams(redis_url, send)


def schedule(redis_url: str, topic: Lane, generation: int, payloads: Sequence[bytes], delay_ms: int) -> list[Outcome]:
    """What became of each, to be published after a delay."""
    messages = _messages(topic, generation, payloads)

    async def send(streams: Streams) -> list[Outcome]:
        return await streams.scheduler.schedule(messages, When(is_delay=True, ms=delay_ms))

    return _with_streams(redis_url, send)


def _messages(topic: Lane, generation: int, payloads: Sequence[bytes]) -> list[NewMessage]:
    return [
        NewMessage(
            topic.bucket,
            topic.topic,
            generation,
            topic.partition,
            new_message_id(topic.partition),
            "",
            encode_envelope(Envelope()),
            payload,
        )
        for payload in payloads
    ]


def take(redis_url: str, lane: Lane, count: int) -> list[bytes]:
    """Fetches up to ``count`` messages, acknowledges them, and returns their payloads."""

    async def receive(streams: Streams) -> list[bytes]:
        fetched = await streams.fetch(lane, consumer="pull", count=count, lease_ms=60_000)
        claims = [Claim(delivery.position, delivery.token) for delivery in fetched.deliveries]
        assert all(await streams.ack(lane, claims))
        return [delivery.payload for delivery in fetched.deliveries]

    return _with_streams(redis_url, receive)


def lease(redis_url: str, lane: Lane, count: int) -> list[Claim]:
    """Fetches up to ``count`` messages and keeps them."""

    async def receive(streams: Streams) -> list[Claim]:
        fetched = await streams.fetch(lane, consumer="pull", count=count, lease_ms=60_000)
        return [Claim(delivery.position, delivery.token) for delivery in fetched.deliveries]

    return _with_streams(redis_url, receive)


def settle(redis_url: str, lane: Lane, claims: Sequence[Claim], reason: str | None = None) -> list[bool]:
    """Whether each was still held: acknowledged, or with a ``reason`` dead-lettered."""

    async def send(streams: Streams) -> list[bool]:
        if reason is not None:
            return await streams.dead_letter(lane, claims, reason, "")
        return await streams.ack(lane, claims)

    return _with_streams(redis_url, send)


def retry(redis_url: str, lane: Lane, claims: Sequence[Claim], delay_ms: int) -> list[bool]:
    """Gives these back, to be tried again after a while; whether each was still held."""

    async def send(streams: Streams) -> list[bool]:
        return await streams.retry(lane, claims, [delay_ms] * len(claims))

    return _with_streams(redis_url, send)


def _with_streams(redis_url: str, do: Callable[[Streams], Awaitable[Result]]) -> Result:
    async def run() -> Result:
        streams = Streams.open(redis_url, Keyspace(), INSTALLATION, name="test")
        await streams.start()
        try:
            return await do(streams)
        finally:
            await streams.stop()

    return asyncio.run(run())
