"""Credentials that are limited to topics, and several keys of one principal."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from api_platform import Platform
from served import API, Answer, Client
from waiting import eventually


@pytest.fixture
def limited(platform: Platform) -> Client:
    """A client of acme whose key is good for ``in-…`` alone."""
    key = platform.name("limited")
    platform.installation.credential("acme", key, key, topics=["in-*", "globex/in-*"])
    client = platform.client.with_key(key)
    eventually(lambda: client.publish("in-none", {"payload": 1}).status == 404, "the credential", 5)
    return client


def topic_called(platform: Platform, name: str) -> str:
    """A topic, and its reader of the same name; the topic's uid."""
    uid = platform.installation.topic("acme", name)
    platform.installation.subscription("acme", name, topic=name)
    platform.wait_for_subscription(name)
    return uid


def about(answer: Answer, name: str) -> tuple[int, Any]:
    return answer.status, answer.raw.decode().replace(name, "NAME")


def test_a_limited_key_is_good_for_its_topics_and_who_reads_them(platform: Platform, limited: Client) -> None:
    name = platform.name("in")
    uid = topic_called(platform, name)
    for known_as in (name, uid):
        assert limited.publish(known_as, {"payload": known_as}).status == 200
    assert limited.post("/publish", {"topic": name, "payload": 3}).status == 200
    assert limited.get(f"{API}/topics/{name}/messages").status == 200
    pulled = limited.pull(name)
    assert [message["payload"] for message in pulled] == [name, uid, 3]
    assert limited.settle("ack", name, *(message["ackId"] for message in pulled)) == ["acked"] * 3


def test_everything_else_is_answered_as_if_it_were_not_there(platform: Platform, limited: Client) -> None:
    name, absent = platform.name("out"), platform.name("out")
    uid = topic_called(platform, name)
    queue = platform.queue()
    for there, nothing in ((name, absent), (uid, str(uuid4()))):
        for send in (
            lambda it: limited.publish(it, {"payload": 1}),
            lambda it: limited.post("/publish", {"topic": it, "payload": 1}),
            lambda it: limited.get(f"{API}/topics/{it}/messages"),
        ):
            assert about(send(there), there) == about(send(nothing), nothing)
            assert send(there).code == "TOPIC_NOT_FOUND"
    for verb, body in (("pull", None), ("ack", {"ackIds": ["x"]}), ("nack", {"ackIds": ["x"]})):
        there, nothing = (limited.post(f"/subscriptions/{it}/{verb}", body) for it in (name, absent))
        assert about(there, name) == about(nothing, absent)
        assert there.code == "SUBSCRIPTION_NOT_FOUND"
    assert limited.post(f"/queues/{queue}/pull").code == "MQ_QUEUE_NOT_FOUND"
    assert platform.acme.pull(name) == []


def test_a_limit_can_be_changed_while_it_is_in_use(platform: Platform) -> None:
    name, key = platform.name("live"), platform.name("key")
    topic_called(platform, name)
    client = platform.client.with_key(key)
    platform.installation.credential("acme", key, key, topics=["nothing"])
    eventually(lambda: client.publish(name, {"payload": 1}).status == 404, "the credential", 5)
    platform.installation.credential("acme", key, key, topics=["live-*"])
    eventually(lambda: client.publish(name, {"payload": 1}).status == 200, "the change", 5)


def test_a_system_principal_is_limited_by_full_names(platform: Platform) -> None:
    key, name = platform.name("gateway"), platform.name("in")
    topic_called(platform, name)
    platform.installation.credential("system", key, key, topics=["*/in-*", "out-*"])
    client = platform.client.with_key(key, tenant="acme")
    eventually(lambda: client.publish(name, {"payload": 1}).status == 200, "the credential", 5)
    other = platform.name("out")
    topic_called(platform, other)
    assert client.publish(other, {"payload": 1}).status == 404


def test_a_key_is_replaced_without_an_interruption(platform: Platform) -> None:
    """Two keys of one principal work at the same time, and the old one ends by itself."""
    name = platform.name("rotated")
    topic_called(platform, name)
    ends = (datetime.now(UTC) + timedelta(seconds=3)).isoformat()
    old, new = f"old-{name}", f"new-{name}"
    platform.installation.credential("acme", old, old, principal="rotating", expiresAt=ends)
    platform.installation.credential("acme", new, new, principal="rotating")
    eventually(lambda: platform.client.with_key(new).publish(name, {"payload": 1}).status == 200, "the new key", 5)
    assert platform.client.with_key(old).publish(name, {"payload": 1}).status == 200
    eventually(lambda: platform.client.with_key(old).publish(name, {"payload": 1}).status == 401, "its end", 6)
    assert platform.client.with_key(new).publish(name, {"payload": 1}).status == 200
