"""Messages for later over HTTP: they come when they are due and not before, whatever is killed meanwhile; until then
they can be seen, cancelled and given another time."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from api_platform import GLOBEX, PUBLISHER, Platform
from redis import Redis
from served import Answer, Client
from waiting import eventually

DAY_MS = 86_400_000


def later(client: Client, topic: str, delay_ms: int, *payloads: Any, **headers: str) -> Answer:
    messages = [{"payload": payload} for payload in payloads]
    body = {"topic": topic, "messages": messages, "delayMs": delay_ms}
    return client.post("/publish/delayed", body, **headers)


def at(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def waiting(platform: Platform, topic: str, query: str = "") -> Any:
    answer = platform.acme.get(f"/api/v1/mq/topics/{topic}/scheduled{query}")
    assert answer.status == 200, answer.raw
    return answer.body


def pulled(platform: Platform, subscription: str, count: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []

    def have_all() -> bool:
        found.extend(platform.acme.pull(subscription))
        return len(found) >= count

    eventually(have_all, f"{count} messages", 10)
    return found


def test_a_delayed_message_comes_when_it_is_due_and_not_before(platform: Platform) -> None:
    topic, subscription = platform.topic_with_reader()
    message = {"key": "k", "payload": {"b": [1.0]}, "headers": {"region": "eu"}, "timestamp": 5}
    sent_at = time.time()
    answer = platform.acme.post("/publish/delayed", {"topic": topic, "messages": [message], "delayMs": 600})
    assert answer.status == 200
    assert answer.body["partitions"] == [{"partition": 0, "offset": None}]
    assert platform.acme.pull(subscription) == []
    [found] = pulled(platform, subscription, 1)
    assert 0.6 <= time.time() - sent_at < 3
    assert (found["id"], found["key"], found["headers"]) == (answer.body["messageIds"][0], "k", {"region": "eu"})
    assert (found["payload"], found["producer"], found["offset"]) == ({"b": [1.0]}, "checkout", 1)
    assert found["timestamp"] == "1970-01-01T00:00:00.005Z"
    assert found["publishedAt"] >= answer.body["scheduledAt"][0]
    assert waiting(platform, topic)["total"] == 0


def test_scheduled_messages_come_in_the_order_of_their_times(platform: Platform) -> None:
    topic, subscription = platform.topic_with_reader()
    now = datetime.now(UTC)
    for seconds in (0.9, 0.3, 0.6, -3600):
        moment = at(now + timedelta(seconds=seconds))
        body = {"topic": topic, "payload": seconds, "scheduledAt": moment}
        answer = platform.acme.post("/publish/scheduled", body)
        assert answer.body["scheduledAt"] == [moment[:23] + "Z"]
    assert [message["payload"] for message in pulled(platform, subscription, 4)] == [-3600, 0.3, 0.6, 0.9]


def test_a_queue_takes_them_and_keeps_the_partition_of_the_key(platform: Platform) -> None:
    queue = platform.queue(partitions=4)
    one = platform.acme.post("/publish/delayed", {"queue": queue, "key": "k", "payload": 1, "delayMs": 50})
    two = platform.acme.post(f"/queues/{queue}/publish", {"key": "k", "payload": 2})
    assert one.body["partitions"][0]["partition"] == two.body["partitions"][0]["partition"]
    found: list[Any] = []

    def have_both() -> bool:
        found.extend(platform.acme.post(f"/queues/{queue}/pull").body["messages"])
        return len(found) == 2

    eventually(have_both, "both", 5)
    assert {message["partition"] for message in found} == {two.body["partitions"][0]["partition"]}


@pytest.mark.parametrize(
    ("path", "when", "word"),
    [
        ("delayed", {}, "delayMs"),
        ("delayed", {"delayMs": -1}, "delayMs"),
        ("delayed", {"delayMs": 1.5}, "delayMs"),
        ("delayed", {"delayMs": "1"}, "delayMs"),
        ("delayed", {"delayMs": 367 * DAY_MS}, "delayMs"),
        ("delayed", {"delayMs": 1, "scheduledAt": "2030-01-01T00:00:00Z"}, "scheduledAt"),
        ("scheduled", {}, "scheduledAt"),
        ("scheduled", {"scheduledAt": 5}, "scheduledAt"),
        ("scheduled", {"scheduledAt": "tomorrow"}, "scheduledAt"),
        ("scheduled", {"scheduledAt": "2026-01-01T00:00:00"}, "scheduledAt"),
        ("scheduled", {"scheduledAt": "9999-12-31T23:59:59Z"}, "scheduledAt"),
        ("scheduled", {"scheduledAt": "2026-01-01T00:00:00Z", "delayMs": 1}, "delayMs"),
    ],
)
def test_what_is_no_time_is_refused_by_name(platform: Platform, path: str, when: dict[str, Any], word: str) -> None:
    answer = platform.acme.post(f"/publish/{path}", {"topic": platform.untouched, "payload": 1, **when})
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
    assert word in answer.body["message"]
    assert waiting(platform, platform.untouched)["total"] == 0


def test_an_idempotency_key_keeps_one_message_for_one_time(platform: Platform) -> None:
    topic, subscription = platform.topic_with_reader()
    key = {"Idempotency_Key": "once"}
    first = later(platform.acme, topic, 400, 1, 2, **key)
    again = later(platform.acme, topic, 400, 1, 2, **key)
    assert (again.body["messageIds"], again.body["scheduledAt"]) == (
        first.body["messageIds"],
        first.body["scheduledAt"],
    )
    for other in (
        later(platform.acme, topic, 401, 1, 2, **key),
        platform.acme.publish(topic, {"messages": [{"payload": 1}, {"payload": 2}]}, **key),
    ):
        assert (other.status, other.code) == (422, "IDEMPOTENCY_CONFLICT")
    assert [message["payload"] for message in pulled(platform, subscription, 2)] == [1, 2]
    late = later(platform.acme, topic, 400, 1, 2, **key)
    assert late.body["messageIds"] == first.body["messageIds"]
    assert waiting(platform, topic)["total"] == 0


def test_what_waits_is_listed_page_by_page_next_ones_first(platform: Platform) -> None:
    topic, _ = platform.topic_with_reader()
    ids = later(platform.acme, topic, DAY_MS, *range(5)).body["messageIds"]
    ids = later(platform.acme, topic, DAY_MS // 2, *range(2)).body["messageIds"] + ids
    seen, cursor = [], ""
    while cursor is not None:
        page = waiting(platform, topic, f"?limit=3&cursor={cursor}")
        assert page["total"] == 7
        assert len(page["messages"]) <= 3
        seen += [message["id"] for message in page["messages"]]
        cursor = page["cursor"]
    assert seen == ids
    assert waiting(platform, topic, "?limit=7")["cursor"] is None
    page = waiting(platform, topic, "?limit=3")
    last = page["messages"][-1]["id"]
    assert platform.acme.send("DELETE", f"/api/v1/mq/topics/{topic}/scheduled/{last}").status == 200
    going_on = waiting(platform, topic, f"?cursor={page['cursor']}")["messages"]
    assert [message["id"] for message in going_on] == ids[3:]
    for bad in ("limit=0", "limit=501", "limit=x", "cursor=x", "cursor=1.zz", "cursor=1.00", "what=1"):
        assert platform.acme.get(f"/api/v1/mq/topics/{topic}/scheduled?{bad}").status == 400


def test_one_that_waits_is_shown_given_another_time_and_cancelled(platform: Platform) -> None:
    topic, subscription = platform.topic_with_reader()
    one, two = later(platform.acme, topic, DAY_MS, "one", "two").body["messageIds"]
    path = f"/api/v1/mq/topics/{topic}/scheduled"
    shown = platform.acme.get(f"{path}/{one}").body
    assert (shown["id"], shown["payload"], shown["topic"]) == (one, "one", topic)
    moved = platform.acme.send("PATCH", f"{path}/{one}", {"scheduledAt": "2020-01-01T00:00:00Z"})
    assert moved.body == {"id": one, "scheduledAt": "2020-01-01T00:00:00.000Z"}
    assert platform.acme.send("DELETE", f"{path}/{two}").body == {"cancelled": two}
    assert [message["id"] for message in pulled(platform, subscription, 1)] == [one]
    for message in (one, two, "x", one.upper()):
        for method, body in (("GET", None), ("DELETE", None), ("PATCH", {"delayMs": 1})):
            answer = platform.acme.send(method, f"{path}/{message}", body)
            assert (answer.status, answer.code) == (404, "MESSAGE_NOT_FOUND"), (method, message)
    for body in ({}, {"delayMs": 1, "scheduledAt": "2030-01-01T00:00:00Z"}, {"delayMs": None}, {"x": 1}):
        assert platform.acme.send("PATCH", f"{path}/{one}", body).status == 400
    assert platform.acme.pull(subscription) == []


def test_who_may_only_publish_sees_no_payloads_and_others_see_nothing(platform: Platform) -> None:
    topic, _ = platform.topic_with_reader()
    publisher = platform.client.with_key(PUBLISHER)
    [message] = later(publisher, topic, DAY_MS, 1).body["messageIds"]
    path = f"/api/v1/mq/topics/{topic}/scheduled"
    assert publisher.get(path).status == publisher.get(f"{path}/{message}").status == 403
    stranger = platform.client.with_key(GLOBEX)
    for method in ("GET", "DELETE"):
        answer = stranger.send(method, f"{path}/{message}")
        assert (answer.status, answer.code) == (404, "TOPIC_NOT_FOUND")
    assert publisher.send("DELETE", f"{path}/{message}").status == 200


def test_what_is_due_waits_while_the_topic_is_full_and_is_not_lost(platform: Platform) -> None:
    topic, subscription = platform.topic_with_reader(maxBacklog=2)
    assert later(platform.acme, topic, 100, *range(5)).status == 200
    eventually(lambda: waiting(platform, topic)["total"] == 3, "two are stored", 5)
    assert platform.acme.publish(topic, {"payload": "no room"}).status == 429
    payloads = []
    while len(payloads) < 5:
        for message in pulled(platform, subscription, 1):
            payloads.append(message["payload"])
            platform.acme.settle("ack", subscription, message["ackId"])
    assert payloads == list(range(5))


def test_what_is_due_waits_while_the_topic_is_paused(platform: Platform) -> None:
    topic, subscription = platform.topic_with_reader()
    [message] = later(platform.acme, topic, DAY_MS, 1).body["messageIds"]
    platform.installation.topic("acme", topic, state="paused")
    path = f"/api/v1/mq/topics/{topic}/scheduled/{message}"
    assert platform.acme.send("PATCH", path, {"delayMs": 0}).status == 200
    time.sleep(0.5)
    assert waiting(platform, topic)["total"] == 1
    platform.installation.topic("acme", topic, state="active")
    assert [message["payload"] for message in pulled(platform, subscription, 1)] == [1]


def test_one_that_was_damaged_holds_up_nobody(platform: Platform) -> None:
    """Somebody deleted its body: it is counted as lost, and those after it come."""
    topic, subscription = platform.topic_with_reader()
    first = later(platform.acme, topic, 2_000, 1).body["messageIds"][0]
    assert later(platform.acme, topic, 2_050, 2).status == 200
    key = platform.installation.keys.delay(
        platform.installation.bucket("acme"), platform.installation.uid("Topic", "acme", topic)
    )
    with Redis.from_url(platform.installation.redis_url) as redis:
        assert redis.hdel(f"{key}:b", UUID(first).bytes) == 1
    assert [message["payload"] for message in pulled(platform, subscription, 1)] == [2]
    assert waiting(platform, topic)["total"] == 0


def test_a_paused_topic_takes_nothing_for_later(platform: Platform) -> None:
    topic, _ = platform.topic_with_reader()
    platform.installation.topic("acme", topic, state="paused")
    eventually(lambda: later(platform.acme, topic, 1, 1).status == 409, "the pause", 5)
