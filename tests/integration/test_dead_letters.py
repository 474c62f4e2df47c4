"""Dead letters over HTTP: listed and shown, to whom, and what cannot be asked for."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from api_platform import ADMIN, GLOBEX, PUBLISHER, SYSTEM, Platform
from failing import ONCE, act, counts, fail, failed, letters, payloads
from served import API


def test_one_says_everything_that_is_known_of_it(platform: Platform) -> None:
    topic, reader = platform.topic_with_reader(reader=ONCE, partitions=3)
    message = {"payload": {"n": 1}, "key": "k", "headers": {"region": "eu"}, "partition": 2}
    published = platform.acme.publish(topic, message).body
    [pulled] = platform.acme.pull(reader)
    platform.acme.settle("nack", reader, pulled["ackId"])
    [listed] = letters(platform.acme, reader)
    shown = platform.acme.get(f"{API}/subscriptions/{reader}/deadletters/{listed['id']}")
    by_topic = platform.acme.get(f"{API}/topics/{topic}.deadletter/deadletters/{listed['id']}")
    assert shown.body == by_topic.body == listed
    failed_at = listed["deadLetter"].pop("failedAt")
    assert abs(datetime.fromisoformat(failed_at) - datetime.now(UTC)) < timedelta(minutes=1)
    assert (listed["payload"], listed["headers"], listed["key"]) == ({"n": 1}, {"region": "eu"}, "k")
    assert listed["deadLetter"] == {
        "messageId": published["messageIds"][0],
        "topic": f"acme/{topic}",
        "partition": 2,
        "offset": 1,
        "timestamp": published["timestamp"],
        "subscription": f"acme/{reader}",
        "reason": "retries_exhausted",
        "detail": "its consumer gave it back (nack) on the last attempt",
        "attempts": 1,
        "redrives": 0,
    }


def test_a_list_comes_in_pages_and_through_filters(platform: Platform) -> None:
    topic, reader = platform.topic_with_reader(reader=ONCE)
    fail(platform, topic, reader, *({"payload": n, "key": f"k{n % 2}"} for n in range(5)))
    first = platform.acme.get(f"{API}/subscriptions/{reader}/deadletters?limit=3").body
    second = platform.acme.get(f"{API}/subscriptions/{reader}/deadletters?limit=3&cursor={first['cursor']}").body
    assert (len(first["items"]), second["cursor"]) == (3, None)
    assert sorted(payloads(first["items"] + second["items"])) == [0, 1, 2, 3, 4]
    now = datetime.now(UTC)
    past, future = ((now + timedelta(minutes=m)).strftime("%Y-%m-%dT%H:%M:%SZ") for m in (-5, 5))
    for query, found in {
        "key=k1": [1, 3],
        "key=nobodys": [],
        "reason=retries_exhausted&key=k0": [0, 2, 4],
        "reason=expired": [],
        f"originalTopic={topic}&key=k1": [1, 3],
        f"originalTopic=acme/{topic}&key=k1": [1, 3],
        "originalTopic=other": [],
        f"since={past}&until={future}&key=k1": [1, 3],
        f"since={future}": [],
        f"until={past}": [],
    }.items():
        assert payloads(letters(platform.acme, reader, f"?{query}")) == found, query


def test_a_topic_has_those_of_several_subscriptions(platform: Platform) -> None:
    topic, reader = failed(platform, 1)
    other = platform.name("reader")
    spec = {"topic": topic, "deadLetter": f"{topic}.deadletter", **ONCE}
    platform.installation.subscription("acme", other, **spec)
    platform.wait_for_subscription(other)
    [pulled] = platform.acme.pull(other)
    platform.acme.settle("nack", other, pulled["ackId"])
    path = f"{API}/topics/{topic}.deadletter/deadletters"
    assert len(platform.acme.get(path).body["items"]) == 2
    for name in (other, platform.installation.uid("Subscription", "acme", other)):
        [item] = platform.acme.get(f"{path}?subscription={name}").body["items"]
        assert item["deadLetter"]["subscription"] == f"acme/{other}"
    [own] = letters(platform.acme, reader)
    assert own["deadLetter"]["subscription"] == f"acme/{reader}"
    assert platform.acme.get(f"{API}/subscriptions/{reader}/deadletters/{item['id']}").status == 404
    assert counts(act(platform.acme, reader, "discard", ids=[item["id"]])) == (0, 1)


@pytest.mark.parametrize(
    ("verb", "body", "field"),
    [
        ("redrive", {}, "exactly one of ids, filter and all"),
        ("redrive", {"all": True, "ids": ["x"]}, "exactly one of ids, filter and all"),
        ("redrive", {"ids": []}, "ids"),
        ("redrive", {"all": True, "max": 0}, "max"),
        ("redrive", {"all": True, "max": 1001}, "max"),
        ("redrive", {"all": True, "ratePerSecond": 0}, "ratePerSecond"),
        ("redrive", {"ids": ["x"], "ratePerSecond": 1}, "ratePerSecond"),
        ("redrive", {"all": True, "payload": 1}, "payload and headers"),
        ("redrive", {"ids": ["x", "y"], "headers": {}}, "payload and headers"),
        ("redrive", {"ids": ["x"], "headers": {"a b": "c"}}, "headers: 'a b'"),
        ("redrive", {"all": True, "republish": True, "toTopic": "x"}, "republish and toTopic"),
        ("redrive", {"all": True, "cursor": "x"}, "cursor"),
        ("redrive", {"filter": {"since": "yesterday"}}, "since"),
        ("redrive", {"filter": {"since": "2026-01-01T00:00:00"}}, "since"),
        ("redrive", {"filter": {"subscription": "x"}}, "subscription"),
        ("redrive", {"filter": {"topic": "x"}}, "topic"),
        ("discard", {"all": True, "toTopic": "x"}, "toTopic"),
        ("discard", {"ids": ["x"], "cursor": "1.0.0-0"}, "cursor"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(platform: Platform, verb: str, body: Any, field: str) -> None:
    _, reader = failed(platform, 1)
    answer = act(platform.acme, reader, verb, **body)
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
    assert field in answer.body["message"]
    assert len(letters(platform.acme, reader)) == 1


@pytest.mark.parametrize("query", ["limit=0", "limit=501", "cursor=x", "since=x", "reason=", "more=1", "key=a&key=b"])
def test_a_query_that_says_nothing_is_refused(platform: Platform, query: str) -> None:
    _, reader = platform.topic_with_reader()
    answer = platform.acme.get(f"{API}/subscriptions/{reader}/deadletters?{query}")
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")


def test_a_reader_of_dead_letters_has_none_of_its_own(platform: Platform) -> None:
    topic, _ = platform.topic_with_reader()
    answer = platform.acme.get(f"{API}/subscriptions/{topic}.deadletter/deadletters")
    assert (answer.status, answer.code) == (409, "CONFLICT")


def test_consumers_and_admins_may_and_publishing_elsewhere_takes_a_publisher(platform: Platform) -> None:
    _, reader = failed(platform, 1)
    elsewhere, _ = platform.topic_with_reader()
    for client, status in (
        (platform.client.with_key(PUBLISHER), 403),
        (platform.client.with_key(ADMIN), 200),
        (platform.client.with_key(GLOBEX), 404),
        (platform.client.with_key(SYSTEM, "acme"), 200),
    ):
        assert client.get(f"{API}/subscriptions/{reader}/deadletters").status == status
        assert act(client, reader, "discard", all=True, dryRun=True).status == status
        assert act(client, reader, "redrive", all=True, dryRun=True).status == status
    admin = platform.client.with_key(ADMIN)
    for wish in ({"republish": True}, {"toTopic": elsewhere}):
        assert act(admin, reader, "redrive", all=True, **wish).status == 403
    assert act(platform.acme, reader, "redrive", all=True, toTopic="nowhere").code == "TOPIC_NOT_FOUND"
    assert counts(act(admin, reader, "redrive", all=True)) == (1, 0)


def test_those_whom_a_topic_excludes_see_no_dead_letters_of_it(platform: Platform) -> None:
    _, reader = platform.topic_with_reader(consumers=["somebody"])
    assert platform.acme.get(f"{API}/subscriptions/{reader}/deadletters").status == 403
    assert act(platform.acme, reader, "discard", all=True).status == 403
