"""A message by its id."""

import time
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from api_platform import PUBLISHER, Platform
from served import API, Answer
from waiting import eventually

from mqops import message as messages
from mqops.streams import fetch


def look(platform: Platform, topic: str, message_id: str, plural: str = "topics") -> Answer:
    return platform.acme.get(f"{API}/{plural}/{topic}/messages/{message_id}")


def published(platform: Platform, topic: str, count: int = 1, **more: Any) -> list[str]:
    body = {"messages": [{"payload": number, **more} for number in range(count)]}
    ids: list[str] = platform.acme.publish(topic, body).body["messageIds"]
    return ids


def test_a_message_is_found_wherever_it_is_and_taken_from_nobody(platform: Platform) -> None:
    topic, subscription = platform.topic_with_reader(partitions=3)
    ids = published(platform, topic, 9, headers={"a": "b"})
    for number, message_id in enumerate(ids):
        found = look(platform, topic, message_id)
        assert found.status == 200
        assert (found.body["id"], found.body["payload"], found.body["headers"]) == (message_id, number, {"a": "b"})
        assert {"ackId", "attempt", "leaseUntil"}.isdisjoint(found.body)
    pulled = platform.acme.pull(subscription, 100)
    assert len(pulled) == 9
    assert look(platform, topic, ids[0].upper()).status == 200
    platform.acme.settle("ack", subscription, *(message["ackId"] for message in pulled))
    assert look(platform, topic, ids[4]).body["payload"] == 4


def test_one_is_found_among_many(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "FIND_ENTRIES", 7)
    topic, _ = platform.topic_with_reader(maxBacklog=None)
    ids = [message_id for _ in range(3) for message_id in published(platform, topic, 100)]
    assert [look(platform, topic, ids[place]).status for place in (0, 1, 6, 7, 8, 150, 298, 299)] == [200] * 8
    unknown = str(UUID(int=UUID(ids[0]).int ^ 1))
    assert look(platform, topic, unknown).code == "MESSAGE_NOT_FOUND"


@pytest.mark.parametrize("ahead_seconds", [-3600, -50, 50])
def test_publishers_clocks_may_differ_from_the_servers(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, ahead_seconds: int
) -> None:
    topic, _ = platform.topic_with_reader()
    clock = SimpleNamespace(time_ns=lambda: time.time_ns() + ahead_seconds * 1_000_000_000)
    monkeypatch.setattr(messages, "time", clock)
    [message_id] = published(platform, topic)
    monkeypatch.undo()
    assert look(platform, topic, message_id).status == 200


def test_a_queue_has_its_own_and_no_topics(platform: Platform) -> None:
    queue = platform.queue()
    [message_id] = platform.acme.post(f"/queues/{queue}/publish", {"payload": "job"}).body["messageIds"]
    assert look(platform, queue, message_id, "queues").body["payload"] == "job"
    assert look(platform, queue, message_id).code == "TOPIC_NOT_FOUND"
    assert look(platform, f"{queue}-not", message_id, "queues").code == "MQ_QUEUE_NOT_FOUND"


def test_a_dead_letter_is_found_in_whichever_partition_it_lies(platform: Platform) -> None:
    platform.installation.topic("acme", "letters-of-three", partitions=3, maxBacklog=None)
    platform.installation.subscription("acme", "letters-of-three", topic="letters-of-three")
    topic, subscription = platform.topic_with_reader(
        partitions=3, reader={"retry": {"maxAttempts": 1}, "deadLetter": "letters-of-three"}
    )
    platform.wait_for_subscription("letters-of-three")
    platform.acme.publish(topic, {"messages": [{"payload": number, "partition": number} for number in range(3)]})
    held = platform.acme.pull(subscription, 100)
    assert platform.acme.settle("nack", subscription, *(each["ackId"] for each in held)) == ["dead_lettered"] * 3
    letters = eventually(lambda: platform.acme.pull("letters-of-three", 100), "dead letters", 5)
    for letter in letters:
        found = look(platform, "letters-of-three", letter["id"]).body
        assert (found["payload"], found["deadLetter"]) == (letter["payload"], letter["deadLetter"])


@pytest.mark.parametrize("message_id", ["x", "0", "01a2077e", "00000000-0000-7000-8000-000000000000", "f" * 32, "%00"])
def test_what_is_no_id_of_a_message_there_is_not_found(platform: Platform, message_id: str) -> None:
    assert look(platform, platform.untouched, message_id).code == "MESSAGE_NOT_FOUND"


def test_only_consumers_of_the_tenant_may_look(platform: Platform) -> None:
    topic, _ = platform.topic_with_reader(public=True)
    [message_id] = published(platform, topic)
    path = f"{API}/topics/{topic}/messages/{message_id}"
    assert platform.client.with_key(PUBLISHER).get(path).code == "FORBIDDEN"
    assert platform.globex.get(path).code == "TOPIC_NOT_FOUND"
    assert platform.acme.get(f"{path}?x=1").code == "INVALID_REQUEST"
