"""Subscriptions that have failed, and what is done about their dead letters, as tests do it."""

from typing import Any

from api_platform import Platform
from redis import Redis
from served import API, Answer, Client

ONCE = {"retry": {"maxAttempts": 1}}


def failed(platform: Platform, *payloads: Any, **spec: Any) -> tuple[str, str]:
    """A topic and its subscription, which has failed with each of ``payloads``."""
    topic, reader = platform.topic_with_reader(reader=ONCE, **spec)
    fail(platform, topic, reader, *({"payload": payload} for payload in payloads))
    return topic, reader


def fail(platform: Platform, topic: str, reader: str, *messages: dict[str, Any]) -> None:
    for first in range(0, len(messages), 100):
        some = messages[first : first + 100]
        assert platform.acme.publish(topic, {"messages": some}).status == 200
        ids = [message["ackId"] for message in platform.acme.pull(reader, 100)]
        assert len(ids) == len(some)
        assert set(platform.acme.settle("nack", reader, *ids)) == {"dead_lettered"}


def letters(client: Client, reader: str, query: str = "") -> list[dict[str, Any]]:
    answer = client.get(f"{API}/subscriptions/{reader}/deadletters{query}")
    assert answer.status == 200, answer
    items: list[dict[str, Any]] = answer.body["items"]
    return items


def act(client: Client, reader: str, verb: str, **body: Any) -> Answer:
    return client.post(f"/subscriptions/{reader}/deadletters/{verb}", body)


def counts(answer: Answer) -> tuple[int, int]:
    """How many it was done to, and how many were skipped."""
    assert answer.status == 200, answer
    body = answer.body
    return body.get("redriven", body.get("discarded")), len(body["skipped"])


def payloads(messages: list[dict[str, Any]]) -> list[Any]:
    return [message["payload"] for message in messages]


def backlog(platform: Platform, reader: str) -> int:
    """Unfinished messages, as the counters in Redis have it."""
    installation = platform.installation
    keys, bucket = installation.keys, installation.bucket("acme")
    with Redis.from_url(installation.redis_url, decode_responses=True) as redis:
        own = redis.hgetall(keys.meta(bucket, installation.uid("Subscription", "acme", reader)))
        total = int(redis.hget(keys.meta(bucket, own["topic"]), "total") or 0)
        return total - int(own["base"]) - int(own["done"])
