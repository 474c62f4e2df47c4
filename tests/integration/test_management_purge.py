"""Emptying queues over HTTP."""

import pytest
from api_platform import ADMIN, Platform
from managing import made
from redis import Redis
from served import API, Client
from waiting import eventually


@pytest.fixture(scope="module")
def admin(platform: Platform) -> Client:
    return platform.client.with_key(ADMIN)


def live_numbers(platform: Platform, queue: str) -> tuple[int, int, int]:
    """Of a queue's subscription: backlog by the counters, pending entries, and what its groups have not read."""
    uid = {name: platform.client.with_key(ADMIN).get(f"{API}/{name}/{queue}").body["id"] for name in PAIR}
    keys, bucket = platform.installation.keys, platform.installation.bucket("acme")
    prefix = keys.bucket(bucket)
    with Redis.from_url(platform.installation.redis_url) as redis:
        topic, meta = (redis.hgetall(f"{prefix}{uid[name]}:meta") for name in PAIR)
        pending = unread = 0
        for partition in range(int(topic[b"partitions"])):
            stream = f"{prefix}{uid['queues']}:{partition}:s"
            [group] = redis.xinfo_groups(stream)
            pending += group["pending"]
            unread += len(redis.xrange(stream, b"(" + group["last-delivered-id"]))
    return int(topic[b"total"]) - int(meta[b"base"]) - int(meta[b"done"]), pending, unread


PAIR = ("queues", "subscriptions")


def test_a_purged_queue_is_empty_whoever_held_what(platform: Platform, admin: Client) -> None:
    queue = made(platform, admin, "queues", partitions=3, maxBacklog=12)
    messages = [{"payload": number} for number in range(12)]
    assert platform.acme.post(f"/queues/{queue}/publish", {"messages": messages}).status == 200
    held = platform.acme.post(f"/queues/{queue}/pull", {"maxMessages": 6}).body["messages"]
    assert len(held) == 6
    ack_ids = [message["ackId"] for message in held]
    assert platform.acme.settle("ack", queue, ack_ids[0]) == ["acked"]
    assert platform.acme.settle("nack", queue, ack_ids[1]) == ["nacked"]
    assert platform.acme.post(f"/queues/{queue}/publish", {"messages": messages}).status == 207
    before = live_numbers(platform, queue)[0]
    purged = admin.post(f"/queues/{queue}/purge")
    assert (purged.status, purged.body) == (200, {"purged": before, "scheduled": 0})
    assert live_numbers(platform, queue) == (0, 0, 0)
    assert admin.post(f"/queues/{queue}/purge").body == {"purged": 0, "scheduled": 0}
    assert platform.acme.settle("ack", queue, *ack_ids[2:4]) == ["lost", "lost"]
    assert live_numbers(platform, queue) == (0, 0, 0)
    assert platform.acme.post(f"/queues/{queue}/publish", {"payload": "new"}).status == 200
    assert [message["payload"] for message in platform.acme.pull(queue)] == ["new"]


def test_a_purged_queue_can_be_one_that_a_source_owns(platform: Platform, admin: Client) -> None:
    queue = platform.queue()
    assert platform.acme.post(f"/queues/{queue}/publish", {"payload": 1}).status == 200
    assert admin.post(f"/queues/{queue}/purge").body == {"purged": 1, "scheduled": 0}
    assert platform.acme.pull(queue) == []


def test_what_waits_for_its_time_is_purged_too(platform: Platform, admin: Client) -> None:
    queue = made(platform, admin, "queues")
    later = {"queue": queue, "messages": [{"payload": 1}, {"payload": 2}], "delayMs": 300}
    assert platform.acme.post("/publish/delayed", later).status == 200
    assert admin.post(f"/queues/{queue}/purge").body == {"purged": 0, "scheduled": 2}
    assert platform.acme.get(f"{API}/queues/{queue}/scheduled").body["total"] == 0
    assert platform.acme.post("/publish/delayed", {"queue": queue, "payload": 3, "delayMs": 300}).status == 200
    message = eventually(lambda: platform.acme.post(f"/queues/{queue}/pull").body["messages"], "the third", 5)
    assert [found["payload"] for found in message] == [3]


def test_acting_on_things_takes_nothing_that_means_nothing(platform: Platform, admin: Client) -> None:
    queue = made(platform, admin, "queues")
    topic = made(platform, admin, "topics")
    reader = made(platform, admin, "subscriptions", topic=topic)
    for path in (f"/queues/{queue}/purge", f"/subscriptions/{reader}/pause", f"/subscriptions/{reader}/resume"):
        assert admin.post(path, {"why": "x"}).status == 400
        assert admin.post(f"{path}?dryRun=true").status == 400
