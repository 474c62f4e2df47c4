"""When a publish is answered: at once, when Redis has it, when it is on disk."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from api_platform import ACME, SYSTEM, Platform
from redis import Redis
from redis.exceptions import ResponseError
from served import served
from waiting import eventually


@pytest.fixture
def syncing(redis_server_url: str) -> Iterator[Redis]:
    """The server, syncing so that every version of it can promise ``acks=all``."""
    with Redis.from_url(redis_server_url, decode_responses=True) as client:
        before = client.config_get("append*")
        client.config_set("appendonly", "yes")
        client.config_set("appendfsync", "always")
        yield client
        client.config_set("appendfsync", before["appendfsync"])
        client.config_set("appendonly", before["appendonly"])


def _has_waitaof(client: Redis) -> bool:
    try:
        client.execute_command("WAITAOF", 0, 0, 1)
    except ResponseError:
        return False
    return True


def unheard(platform: Platform) -> dict[str, int]:
    found: dict[str, int] = platform.client.with_key(SYSTEM).get("/health").body["checks"]["queues"]["unheard"]
    return found


@pytest.mark.parametrize("way", ["", "?"])
def test_who_does_not_wait_is_told_at_once_where_it_goes(platform: Platform, way: str) -> None:
    topic, reader = platform.topic_with_reader()
    body = {"messages": [{"payload": 1}, {"payload": 2}], "options": {"acks": 0}}
    answer = platform.acme.post(f"/topics/{topic}/publish{way}", body)
    assert answer.status == 202
    assert answer.body["partitions"] == [{"partition": 0, "offset": None}] * 2
    ids = answer.body["messageIds"]
    eventually(lambda: [m["id"] for m in platform.acme.pull(reader)] == ids, "the messages", 5)


@pytest.mark.parametrize("way", ["", "?"])
def test_what_is_refused_unheard_is_counted(platform: Platform, way: str) -> None:
    full, _ = platform.topic_with_reader(maxBacklog=1)
    before = unheard(platform)["notStored"]
    body = {"messages": [{"payload": 1}, {"payload": 2}, {"payload": 3}], "options": {"acks": 0}}
    assert platform.acme.post(f"/topics/{full}/publish{way}", body).status == 202
    eventually(lambda: unheard(platform)["notStored"] == before + 2, "the count", 5)


def test_who_does_not_wait_still_hears_what_is_wrong_with_the_request(platform: Platform) -> None:
    topic, _ = platform.topic_with_reader(maxMessageSize="1KiB")
    options = {"acks": 0}
    assert platform.acme.publish("nowhere", {"payload": 1, "options": options}).status == 404
    assert platform.acme.publish(topic, {"payload": "x" * 2000, "options": options}).status == 413
    body = {"requests": [{"topic": name, "messages": [{"payload": 1}]} for name in (topic, "nowhere")]}
    answer = platform.acme.post("/publish/batch", {**body, "options": options})
    assert answer.status == 207
    assert [result["status"] for result in answer.body["results"]] == ["sent", "not_stored"]
    answer = platform.acme.post("/publish/batch", {"requests": body["requests"][:1], "options": options})
    assert (answer.status, answer.body["results"]) == (202, [{"status": "sent"}])


@pytest.mark.parametrize("way", ["", "?"])
@pytest.mark.usefixtures("syncing")
def test_acks_of_all_is_answered_like_any_other(platform: Platform, way: str) -> None:
    topic, reader = platform.topic_with_reader()
    body = {"messages": [{"payload": 1}, {"payload": 2}], "options": {"acks": "all", "timeout": 5000}}
    answer = platform.acme.post(f"/topics/{topic}/publish{way}", body)
    assert answer.status == 200
    assert [place["offset"] for place in answer.body["partitions"]] == [1, 2]
    assert [message["payload"] for message in platform.acme.pull(reader)] == [1, 2]


@pytest.mark.parametrize("way", ["", "?"])
def test_a_disk_that_is_not_heard_of_in_time_is_told_as_unknown(platform: Platform, syncing: Redis, way: str) -> None:
    topic, reader = platform.topic_with_reader()
    warm = {"payload": 0, "options": {"acks": "all"}}
    assert platform.acme.publish(topic, warm).status == 200
    has_waitaof = _has_waitaof(syncing)
    syncing.config_set("appendfsync", "no")
    body = {"messages": [{"payload": 1}, {"payload": 2}], "options": {"acks": "all", "timeout": 300}}
    answer = platform.acme.post(f"/topics/{topic}/publish{way}", body)
    assert (answer.status, answer.code) == (503, "OUTCOME_UNKNOWN")
    assert len(answer.body["details"]["messageIds"]) == 2
    assert [result["status"] for result in answer.body["details"]["results"]] == ["unknown"] * 2
    assert ("within 300 ms" in answer.body["message"]) == has_waitaof
    assert [message["payload"] for message in platform.acme.pull(reader)] == [0, 1, 2]


@pytest.mark.parametrize("way", ["", "?"])
def test_a_topic_that_changed_a_moment_ago_is_found_by_all_of_them(
    platform: Platform, syncing: Redis, way: str
) -> None:
    for acks, status in ((0, 202), ("all", 200)):
        topic, reader = platform.topic_with_reader()
        platform.acme.post(f"/topics/{topic}/publish{way}", {"payload": 1})
        platform.installation.put("Topic", "acme", topic, {"displayName": "Changed"})
        platform.installation.prepare_again("acme", topic, generation=2)
        answer = platform.acme.post(f"/topics/{topic}/publish{way}", {"payload": 2, "options": {"acks": acks}})
        assert answer.status == status
        found: list[int] = []

        def come(reader: str = reader, found: list[int] = found) -> bool:
            found += [message["payload"] for message in platform.acme.pull(reader)]
            return found == [1, 2]

        eventually(come, "both messages", 5)


@pytest.mark.usefixtures("syncing")
def test_messages_for_later_are_answered_like_others(platform: Platform) -> None:
    topic, subscription = platform.topic_with_reader()
    for acks, status in ((0, 202), (1, 200), ("all", 200)):
        body = {"topic": topic, "payload": acks, "delayMs": 100, "options": {"acks": acks, "timeout": 5_000}}
        answer = platform.acme.post("/publish/delayed", body)
        assert answer.status == status, answer.raw
        assert ("scheduledAt" in answer.body) == (acks != 0)
        [message] = eventually(lambda: platform.acme.pull(subscription), "the message", 5)
        assert (message["id"], message["payload"]) == (answer.body["messageIds"][0], acks)
        platform.acme.settle("ack", subscription, message["ackId"])


def test_a_server_that_stops_lets_what_was_sent_arrive(
    platform: Platform, redis_server_url: str, tmp_path: Path
) -> None:
    topic, reader = platform.topic_with_reader()
    installation = platform.installation
    with Redis.from_url(redis_server_url) as client:
        with served(installation.database_url, redis_server_url, tmp_path, installation.id) as stopping:
            acme = stopping.with_key(ACME)
            body = {"payload": 1, "options": {"acks": 0}}
            eventually(lambda: acme.publish(topic, body).status == 202, "the topic", 5)
            platform.acme.pull(reader, 100)
            client.execute_command("CLIENT", "PAUSE", 700, "WRITE")
            assert acme.publish(topic, {"payload": 2, "options": {"acks": 0}}).status == 202
        eventually(lambda: 2 in [message["payload"] for message in platform.acme.pull(reader)], "the message", 3)
