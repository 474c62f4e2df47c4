"""Dead letters over HTTP: listed, shown, redriven, discarded; by whom, and what others see of it."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from api_platform import ADMIN, GLOBEX, PUBLISHER, SYSTEM, Platform
from failing import ONCE, fail, failed
from managing import made
from redis import Redis
from served import API, Answer, Client
from waiting import eventually


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


def test_redriving_hands_it_to_the_subscription_that_failed_and_to_nobody_else(platform: Platform) -> None:
    topic, reader = failed(platform, "a", "b")
    other = platform.name("reader")
    platform.installation.subscription("acme", other, topic=topic, deadLetter=f"{topic}.deadletter")
    platform.wait_for_subscription(other)
    seen = platform.acme.pull(other)
    assert platform.acme.settle("ack", other, *(message["ackId"] for message in seen)) == ["acked"] * 2
    before = letters(platform.acme, reader)
    assert counts(act(platform.acme, reader, "redrive", all=True, dryRun=True)) == (2, 0)
    assert (letters(platform.acme, reader), backlog(platform, reader)) == (before, 0)
    assert counts(act(platform.acme, reader, "redrive", all=True)) == (2, 0)
    assert (letters(platform.acme, reader), backlog(platform, reader)) == ([], 2)
    again = platform.acme.pull(reader)
    assert sorted(payloads(again)) == ["a", "b"]
    assert {message["id"] for message in again} == {letter["deadLetter"]["messageId"] for letter in before}
    assert {message["offset"] for message in again} == {1, 2}
    assert {message["attempt"] for message in again} == {1}
    assert platform.acme.pull(other) == []
    assert backlog(platform, other) == 0
    assert platform.acme.settle("ack", reader, *(message["ackId"] for message in again)) == ["acked"] * 2
    assert backlog(platform, reader) == 0


def test_what_fails_again_keeps_saying_where_it_came_from(platform: Platform) -> None:
    _, reader = failed(platform, 1)
    [first] = letters(platform.acme, reader)
    assert counts(act(platform.acme, reader, "redrive", ids=[first["id"]])) == (1, 0)
    [pulled] = platform.acme.pull(reader)
    assert platform.acme.settle("nack", reader, pulled["ackId"]) == ["dead_lettered"]
    [second] = letters(platform.acme, reader)
    assert second["id"] != first["id"]
    for letter in (first, second):
        del letter["deadLetter"]["failedAt"]
    assert second["deadLetter"] == {**first["deadLetter"], "redrives": 1}


def test_redriving_goes_by_ids_by_filter_and_up_to_a_number(platform: Platform) -> None:
    topic, reader = platform.topic_with_reader(reader=ONCE)
    fail(platform, topic, reader, *({"payload": n, "key": f"k{n}"} for n in range(5)))
    chosen = letters(platform.acme, reader)[1]["id"]
    nobodys = str(uuid4())
    answer = act(platform.acme, reader, "redrive", ids=[chosen, nobodys, "x"])
    assert counts(answer) == (1, 2)
    assert [(one["id"], one["code"]) for one in answer.body["skipped"]] == [(nobodys, "NOT_FOUND"), ("x", "NOT_FOUND")]
    assert counts(act(platform.acme, reader, "redrive", filter={"key": "k3"})) == (1, 0)
    answer = act(platform.acme, reader, "redrive", all=True, max=2)
    assert counts(answer) == (2, 0)
    assert payloads(letters(platform.acme, reader)) == [4]
    assert counts(act(platform.acme, reader, "redrive", all=True, cursor=answer.body["cursor"])) == (1, 0)
    assert sorted(payloads(platform.acme.pull(reader))) == [0, 1, 2, 3, 4]


def test_what_fails_meanwhile_is_not_redriven_by_the_same_look(platform: Platform) -> None:
    """Or redriving what always fails would never end."""
    _, reader = failed(platform, 1, 2)
    answer = act(platform.acme, reader, "redrive", all=True, max=1)
    [pulled] = platform.acme.pull(reader)
    time.sleep(0.005)
    platform.acme.settle("nack", reader, pulled["ackId"])
    answer = act(platform.acme, reader, "redrive", all=True, cursor=answer.body["cursor"])
    assert (counts(answer), answer.body["cursor"]) == ((1, 0), None)
    assert len(letters(platform.acme, reader)) == 1


def test_a_rate_is_kept(platform: Platform) -> None:
    _, reader = failed(platform, *range(6))
    started = time.monotonic()
    assert counts(act(platform.acme, reader, "redrive", all=True, ratePerSecond=10)) == (6, 0)
    assert 0.5 <= time.monotonic() - started < 3


def test_a_single_one_is_edited(platform: Platform) -> None:
    _, reader = failed(platform, {"total": "ten"})
    [letter] = letters(platform.acme, reader)
    edit = {"payload": {"total": 10}, "headers": {"fixed": "yes"}}
    assert counts(act(platform.acme, reader, "redrive", ids=[letter["id"]], **edit)) == (1, 0)
    [message] = platform.acme.pull(reader)
    assert (message["payload"], message["headers"]) == (edit["payload"], edit["headers"])
    assert message["id"] != letter["deadLetter"]["messageId"]
    assert message["producer"] == "checkout"


def test_republishing_is_for_all_subscriptions_of_the_topic(platform: Platform) -> None:
    topic, reader = failed(platform, 1)
    other = platform.name("reader")
    platform.installation.subscription("acme", other, topic=topic, deadLetter=f"{topic}.deadletter", startFrom="latest")
    platform.wait_for_subscription(other)
    assert counts(act(platform.acme, reader, "redrive", all=True, republish=True)) == (1, 0)
    assert payloads(platform.acme.pull(reader)) == payloads(platform.acme.pull(other)) == [1]
    assert letters(platform.acme, reader) == []


def test_it_goes_to_another_topic(platform: Platform) -> None:
    _, reader = failed(platform, 1)
    elsewhere, at_it = platform.topic_with_reader()
    assert counts(act(platform.acme, reader, "redrive", all=True, toTopic=elsewhere)) == (1, 0)
    assert payloads(platform.acme.pull(at_it)) == [1]
    assert platform.acme.pull(reader) == letters(platform.acme, reader) == []


def test_a_full_topic_takes_no_more_and_what_is_left_stays(platform: Platform) -> None:
    _, reader = failed(platform, 1, 2)
    elsewhere, _ = platform.topic_with_reader(maxBacklog=1)
    answer = act(platform.acme, reader, "redrive", all=True, toTopic=elsewhere)
    assert counts(answer) == (1, 1)
    assert answer.body["skipped"][0]["code"] == "QUOTA_EXCEEDED"
    assert len(letters(platform.acme, reader)) == 1


def test_discarding_is_for_good(platform: Platform) -> None:
    topic, reader = platform.topic_with_reader(reader=ONCE)
    fail(platform, topic, reader, *({"payload": n, "key": f"k{n}"} for n in range(4)))
    assert counts(act(platform.acme, reader, "discard", all=True, dryRun=True)) == (4, 0)
    assert counts(act(platform.acme, reader, "discard", filter={"key": "k0"})) == (1, 0)
    [first, *_] = letters(platform.acme, reader)
    assert counts(act(platform.acme, reader, "discard", ids=[first["id"]])) == (1, 0)
    assert counts(act(platform.acme, reader, "discard", ids=[first["id"]])) == (0, 1)
    assert counts(act(platform.acme, reader, "discard", all=True, max=1)) == (1, 0)
    assert counts(act(platform.acme, reader, "discard", all=True)) == (1, 0)
    assert letters(platform.acme, reader) == platform.acme.pull(reader) == []


def test_whoever_reads_the_dead_letter_topic_is_done_with_what_goes(platform: Platform) -> None:
    """Neither as lost nor as backlog; and what somebody holds is nobody's any more."""
    topic, reader = failed(platform, 1, 2, 3)
    notified = f"{topic}.deadletter"
    [held] = platform.acme.pull(notified, 1)
    assert backlog(platform, notified) == 3
    assert counts(act(platform.acme, reader, "redrive", all=True, max=2)) == (2, 0)
    assert backlog(platform, notified) == 1
    assert platform.acme.settle("ack", notified, held["ackId"]) == ["lost"]
    [last] = platform.acme.pull(notified)
    assert last["payload"] == 3
    assert platform.acme.settle("ack", notified, last["ackId"]) == ["acked"]
    assert backlog(platform, notified) == 0
    assert len(letters(platform.acme, reader)) == 1, "reading it does not finish it"
    installation = platform.installation
    with Redis.from_url(installation.redis_url) as redis:
        uid = installation.uid("Subscription", "acme", notified)
        assert redis.hget(installation.keys.meta(installation.bucket("acme"), uid), "lost") is None


def test_what_is_redriven_holds_publishers_back_like_all_that_is_unfinished(platform: Platform) -> None:
    topic, reader = failed(platform, 1, 2, maxBacklog=2)
    assert platform.acme.publish(topic, {"payload": 3}).status == 200
    [pulled] = platform.acme.pull(reader)
    assert platform.acme.settle("ack", reader, pulled["ackId"]) == ["acked"]
    assert counts(act(platform.acme, reader, "redrive", all=True)) == (2, 0)
    answer = platform.acme.publish(topic, {"payload": 4})
    assert (answer.status, answer.code) == (429, "QUOTA_EXCEEDED")


def test_whoever_waits_for_messages_gets_what_is_redriven_at_once(platform: Platform) -> None:
    _, reader = failed(platform, 1)
    waiting = ThreadPoolExecutor(1)
    with waiting:
        path = f"/subscriptions/{reader}/pull"
        pulled = waiting.submit(lambda: platform.acme.post(path, {"maxMessages": 1, "waitMs": 10_000}))
        time.sleep(0.2)
        started = time.monotonic()
        assert counts(act(platform.acme, reader, "redrive", all=True)) == (1, 0)
        assert payloads(pulled.result(10).body["messages"]) == [1]
    assert time.monotonic() - started < 5


def test_what_is_redriven_is_purged_with_the_rest(platform: Platform) -> None:
    queue = platform.queue(maxAttempts=1)
    assert platform.acme.post(f"/queues/{queue}/publish", {"payload": 1}).status == 200
    [pulled] = platform.acme.pull(queue)
    assert platform.acme.settle("nack", queue, pulled["ackId"]) == ["dead_lettered"]
    assert counts(act(platform.acme, queue, "redrive", all=True)) == (1, 0)
    admin = platform.client.with_key(ADMIN)
    assert admin.post(f"/queues/{queue}/purge").body["purged"] == 1
    assert platform.acme.pull(queue) == letters(platform.acme, queue) == []
    assert backlog(platform, queue) == 0


def test_deleting_is_told_how_many_are_unfinished(platform: Platform) -> None:
    """Until they are redriven or discarded, whoever has read them."""
    admin = platform.client.with_key(ADMIN)
    queue = made(platform, admin, "queues", maxAttempts=1)
    assert (
        platform.acme.post(f"/queues/{queue}/publish", {"messages": [{"payload": n} for n in range(3)]}).status == 200
    )
    ids = [message["ackId"] for message in platform.acme.pull(queue)]
    assert platform.acme.settle("nack", queue, *ids) == ["dead_lettered"] * 3

    def unfinished() -> dict[str, int]:
        plan = admin.send("DELETE", f"{API}/queues/{queue}?dryRun=true").body
        return {
            change["name"]: change["cost"]["unfinished"]
            for change in plan["resource_changes"] + plan["refused"]
            if change["kind"] in ("Topic", "Queue")
        }

    assert unfinished() == {queue: 0, f"{queue}.deadletter": 3}
    assert counts(act(platform.acme, queue, "discard", all=True, max=1)) == (1, 0)
    assert unfinished() == {queue: 0, f"{queue}.deadletter": 2}
    assert counts(act(platform.acme, queue, "redrive", all=True, max=1)) == (1, 0)
    assert unfinished() == {queue: 1, f"{queue}.deadletter": 1}


def test_of_a_foreign_topic_they_are_the_subscribers(platform: Platform) -> None:
    """The letter is in the subscriber's bucket, what is redriven in the topic's: the owner notices nothing."""
    installation = platform.installation
    topic, own = platform.topic_with_reader(public=True, maxBacklog=1)
    reader = platform.name("foreign")
    installation.topic("globex", f"{reader}.letters", maxBacklog=None)
    spec = {"topic": f"acme/{topic}", "deadLetter": f"{reader}.letters", **ONCE}
    installation.subscription("globex", reader, **spec)
    platform.wait_for_subscription(reader, "globex")
    assert platform.acme.publish(topic, {"payload": 1}).status == 200
    [held] = platform.acme.pull(own)
    assert platform.acme.settle("ack", own, held["ackId"]) == ["acked"]
    [pulled] = platform.globex.pull(reader)
    assert platform.globex.settle("nack", reader, pulled["ackId"]) == ["dead_lettered"]
    assert platform.acme.get(f"{API}/subscriptions/{reader}/deadletters").status == 404
    refused = act(platform.globex, reader, "redrive", all=True, republish=True)
    assert [one["code"] for one in refused.body["skipped"]] == ["TOPIC_NOT_FOUND"]
    assert counts(act(platform.globex, reader, "redrive", all=True)) == (1, 0)
    assert platform.acme.publish(topic, {"payload": 2}).status == 200, "it holds no publisher back"
    assert sorted(payloads(platform.globex.pull(reader))) == [1, 2]
    assert payloads(platform.acme.pull(own)) == [2]
    looked = platform.acme.get(f"{API}/topics/{topic}/messages").body["messages"]
    assert payloads(looked) == [1, 2]


def test_one_whose_subscription_is_gone_stays_until_it_is_sent_elsewhere(platform: Platform) -> None:
    topic, reader = failed(platform, 1)
    platform.installation.delete("Subscription", "acme", reader)
    path = f"/topics/{topic}.deadletter/deadletters/redrive"
    gone = f"{API}/subscriptions/{reader}/deadletters"
    eventually(lambda: platform.acme.get(gone).status == 404, "the subscription to be gone", 5)
    answer = platform.acme.post(path, {"all": True})
    assert [one["code"] for one in answer.body["skipped"]] == ["SUBSCRIPTION_NOT_FOUND"]
    elsewhere, at_it = platform.topic_with_reader()
    assert counts(platform.acme.post(path, {"all": True, "toTopic": elsewhere})) == (1, 0)
    assert payloads(platform.acme.pull(at_it)) == [1]


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
