"""The HTTP API over real stores: pulling, settling, looking, and health."""

import time
from typing import Any

import pytest
from api_platform import ACME, GLOBEX, NOT_A_KEY, SYSTEM, Platform
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from served import API
from waiting import eventually

from mqops.api.ack_id import HandOut, format_ack_id
from mqops.message import Position

QUICK = {"maxAttempts": 2, "initialDelay": "10ms", "maxDelay": "10ms", "jitter": 0}


def publish(platform: Platform, topic: str, *payloads: Any) -> None:
    answer = platform.acme.publish(topic, {"messages": [{"payload": payload} for payload in payloads]})
    assert answer.status == 200, answer


def pull_until(platform: Platform, subscription: str, seconds: float = 5.0) -> dict[str, Any]:
    """The next message, which may still be on its way there."""
    return eventually(lambda: platform.acme.pull(subscription, 1), f"a message in {subscription}", seconds)[0]


# Settling


def test_an_acknowledged_message_is_done_and_nobody_gets_it_again(platform: Platform) -> None:
    topic, subscription = platform.topic_with_reader(reader={"ackDeadline": "1s"})
    publish(platform, topic, 1)
    ack_id = platform.acme.pull(subscription)[0]["ackId"]
    assert platform.acme.pull(subscription) == []
    assert platform.acme.settle("ack", subscription, ack_id) == ["acked"]
    assert platform.acme.settle("ack", subscription, ack_id, ack_id) == ["lost", "lost"]
    time.sleep(1.5)
    assert platform.acme.pull(subscription) == []


def test_a_message_nobody_settles_comes_again_and_the_first_ack_id_is_lost(platform: Platform) -> None:
    topic, subscription = platform.topic_with_reader(reader={"ackDeadline": "300ms"})
    publish(platform, topic, 1)
    first = platform.acme.pull(subscription)[0]
    again = pull_until(platform, subscription)
    assert (again["id"], again["attempt"]) == (first["id"], 2)
    assert platform.acme.settle("ack", subscription, first["ackId"], again["ackId"]) == ["lost", "acked"]


def test_a_nack_brings_it_back_and_the_last_one_to_the_dead_letters(platform: Platform) -> None:
    topic, subscription = platform.topic_with_reader(reader={"retry": QUICK})
    answer = platform.acme.publish(topic, {"payload": {"n": 1}, "key": "k", "headers": {"a": "b"}})
    first = platform.acme.pull(subscription)[0]
    assert platform.acme.settle("nack", subscription, first["ackId"]) == ["nacked"]
    second = pull_until(platform, subscription)
    assert second["attempt"] == 2
    assert platform.acme.settle("nack", subscription, second["ackId"]) == ["dead_lettered"]
    letter = pull_until(platform, f"{topic}.deadletter")
    assert (letter["payload"], letter["key"], letter["headers"]) == ({"n": 1}, "k", {"a": "b"})
    told = letter["deadLetter"]
    assert told.pop("detail")
    assert told.pop("failedAt") >= told["timestamp"]
    assert told == {
        "messageId": answer.body["messageIds"][0],
        "topic": f"acme/{topic}",
        "partition": 0,
        "offset": 1,
        "timestamp": answer.body["timestamp"],
        "subscription": f"acme/{subscription}",
        "reason": "retries_exhausted",
        "attempts": 2,
        "redrives": 0,
    }


def test_without_dead_letters_the_last_nack_drops_it(platform: Platform) -> None:
    topic, subscription = platform.topic_with_reader(reader={"retry": {"maxAttempts": 1}, "deadLetter": None})
    publish(platform, topic, 1)
    ack_id = platform.acme.pull(subscription)[0]["ackId"]
    assert platform.acme.settle("nack", subscription, ack_id) == ["dropped"]


def test_what_is_no_ack_id_of_this_subscription_is_invalid(platform: Platform) -> None:
    topic, subscription = platform.topic_with_reader(partitions=2)
    other = platform.topic_with_reader()[1]
    publish(platform, topic, 1)
    ack_id = platform.acme.pull(subscription)[0]["ackId"]
    assert platform.acme.settle("ack", other, ack_id) == ["invalid"]
    assert platform.acme.settle("nack", subscription, "", "x", "A" * 44, ack_id[::-1]) == ["invalid"] * 4
    uid = platform.installation.uid("Subscription", "acme", subscription)
    made_up = [format_ack_id(uid, HandOut(partition, Position(1, 1), 7, 1)) for partition in (0, 900)]
    assert platform.acme.settle("ack", subscription, *made_up) == ["lost", "lost"]
    assert platform.acme.settle("ack", subscription, "x", ack_id, made_up[0]) == ["invalid", "acked", "lost"]


@pytest.mark.parametrize(
    "body", [{}, {"ackIds": []}, {"ackIds": ["x"] * 1001}, {"ackIds": [1]}, {"ackIds": ["x"], "more": 1}, []]
)
def test_a_wrong_settle_request_is_400(platform: Platform, body: Any) -> None:
    for verb in ("ack", "nack", "extend"):
        assert platform.acme.post(f"/subscriptions/{platform.untouched}/{verb}", body).code == "INVALID_REQUEST"


def test_a_nack_may_say_when_it_comes_again(platform: Platform) -> None:
    topic, subscription = platform.topic_with_reader(reader={"retry": {**QUICK, "maxAttempts": 3}})
    publish(platform, topic, 1)
    [message] = platform.acme.pull(subscription)
    assert platform.acme.settle("nack", subscription, message["ackId"], delayMs=1_200) == ["nacked"]
    started = time.monotonic()
    again = pull_until(platform, subscription)
    assert 1.0 < time.monotonic() - started < 3
    assert platform.acme.settle("nack", subscription, again["ackId"], delayMs=0) == ["nacked"]
    [third] = platform.acme.pull(subscription)
    assert third["attempt"] == 3
    assert platform.acme.settle("nack", subscription, third["ackId"], delayMs=60_000) == ["dead_lettered"]


@pytest.mark.parametrize("delay", [-1, 604_800_001, "1", 0.5])
def test_a_wrong_delay_is_400(platform: Platform, delay: Any) -> None:
    body = {"ackIds": ["x"], "delayMs": delay}
    assert platform.acme.post(f"/subscriptions/{platform.untouched}/nack", body).code == "INVALID_REQUEST"


def test_what_is_extended_stays_its_holders_under_the_same_ack_id(platform: Platform) -> None:
    topic, subscription = platform.topic_with_reader(reader={"ackDeadline": "500ms"})
    publish(platform, topic, 1, 2)
    kept, left = platform.acme.pull(subscription)
    body = {"ackIds": [kept["ackId"], "x"], "leaseMs": 20_000}
    first, second = platform.acme.post(f"/subscriptions/{subscription}/extend", body).body["results"]
    assert first["status"] == "extended"
    assert first["leaseUntil"] > kept["leaseUntil"]
    assert second == {"ackId": "x", "status": "invalid"}
    assert pull_until(platform, subscription)["id"] == left["id"]
    time.sleep(0.7)
    assert platform.acme.settle("ack", subscription, kept["ackId"]) == ["acked"]
    assert platform.acme.settle("extend", subscription, kept["ackId"]) == ["lost"]


def test_an_extension_without_a_length_is_one_more_deadline_and_may_shorten(platform: Platform) -> None:
    topic, subscription = platform.topic_with_reader(reader={"ackDeadline": "1m"})
    publish(platform, topic, 1)
    [message] = platform.acme.pull(subscription)
    assert platform.acme.settle("extend", subscription, message["ackId"], leaseMs=100) == ["extended"]
    again = pull_until(platform, subscription)
    assert platform.acme.settle("extend", subscription, message["ackId"], again["ackId"]) == ["lost", "extended"]
    assert platform.acme.pull(subscription) == []
    assert platform.acme.settle("ack", subscription, again["ackId"]) == ["acked"]


def test_what_ran_out_and_was_handed_to_nobody_is_its_holders_again(platform: Platform) -> None:
    topic, subscription = platform.topic_with_reader(reader={"ackDeadline": "200ms"})
    publish(platform, topic, 1)
    [message] = platform.acme.pull(subscription)
    time.sleep(1.5)  # the sweep has seen that it ran out
    assert platform.acme.settle("extend", subscription, message["ackId"], leaseMs=10_000) == ["extended"]
    assert platform.acme.pull(subscription) == []
    assert platform.acme.settle("ack", subscription, message["ackId"]) == ["acked"]


@pytest.mark.parametrize("lease", [0, 99, 86_400_001, "1"])
def test_a_wrong_extension_is_400(platform: Platform, lease: Any) -> None:
    body = {"ackIds": ["x"], "leaseMs": lease}
    assert platform.acme.post(f"/subscriptions/{platform.untouched}/extend", body).code == "INVALID_REQUEST"


# Pulling


@pytest.mark.parametrize("body", [{"maxMessages": 0}, {"maxMessages": 101}, {"maxMessages": "1"}, {"most": 1}, [1]])
def test_a_wrong_pull_request_is_400(platform: Platform, body: Any) -> None:
    assert platform.acme.post(f"/subscriptions/{platform.untouched}/pull", body).code == "INVALID_REQUEST"


def test_a_pull_brings_ten_unless_it_says_how_many(platform: Platform) -> None:
    topic, subscription = platform.topic_with_reader()
    publish(platform, topic, *range(130))
    assert len(platform.acme.post(f"/subscriptions/{subscription}/pull").body["messages"]) == 10
    assert len(platform.acme.pull(subscription, 100)) == 100
    assert len(platform.acme.pull(subscription, 100)) == 20


def test_a_pull_takes_from_all_partitions_in_fair_shares(platform: Platform) -> None:
    topic, subscription = platform.topic_with_reader(partitions=4)
    messages = [{"payload": number, "partition": number % 4} for number in range(40)]
    platform.acme.publish(topic, {"messages": messages})
    for _ in range(4):
        partitions = [message["partition"] for message in platform.acme.pull(subscription, 8)]
        assert sorted(partitions) == [0, 0, 1, 1, 2, 2, 3, 3]
    firsts = [platform.acme.pull(subscription, 1)[0]["partition"] for _ in range(4)]
    assert sorted(firsts) == [0, 1, 2, 3]


def test_one_pull_empties_many_partitions(platform: Platform) -> None:
    topic, subscription = platform.topic_with_reader(partitions=40)
    messages = [{"payload": number, "partition": number} for number in range(40)]
    messages += [{"payload": number, "partition": 7} for number in range(40, 60)]
    platform.acme.publish(topic, {"messages": messages})
    assert sorted(message["payload"] for message in platform.acme.pull(subscription, 100)) == list(range(60))


def test_large_messages_come_in_several_pulls(platform: Platform) -> None:
    topic, subscription = platform.topic_with_reader()
    for number in range(20):
        publish(platform, topic, str(number) + "x" * 1_000_000)
    sizes = []
    while messages := platform.acme.pull(subscription, 100):
        sizes.append(len(messages))
    assert sum(sizes) == 20
    assert max(sizes) < 20


def test_only_what_passes_the_filter_is_handed_out(platform: Platform) -> None:
    expression = 'payload.total > 100 && headers.region in ["eu", "us"]'
    topic, subscription = platform.topic_with_reader(reader={"filter": expression, "ackDeadline": "500ms"})
    wanted = {"payload": {"total": 150}, "headers": {"region": "eu"}}
    unwanted = [{"payload": {"total": 50}, "headers": {"region": "eu"}}, {"payload": {"other": 1}}, {"payload": 5}]
    messages = [unwanted[number % 2] for number in range(60)] + [wanted] + [unwanted[0]] * 30 + [wanted]
    assert platform.acme.publish(topic, {"messages": messages}).status == 200
    pulled = platform.acme.pull(subscription, 10)
    assert [message["offset"] for message in pulled] == [61, 92]
    platform.acme.settle("ack", subscription, *(message["ackId"] for message in pulled))
    time.sleep(0.8)
    assert platform.acme.pull(subscription) == []


def test_a_filter_that_fails_over_a_message_dead_letters_it(platform: Platform) -> None:
    topic, subscription = platform.topic_with_reader(reader={"filter": "payload.total > 100"})
    publish(platform, topic, {"total": "much"}, {"total": 101})
    assert [message["payload"] for message in platform.acme.pull(subscription)] == [{"total": 101}]
    letter = pull_until(platform, f"{topic}.deadletter")
    assert (letter["payload"], letter["deadLetter"]["reason"]) == ({"total": "much"}, "filter_error")
    assert letter["deadLetter"]["detail"]


def test_what_is_pushed_or_paused_is_not_pulled(platform: Platform) -> None:
    topic, _ = platform.topic_with_reader()
    platform.installation.handler("acme", "hook", "https://example.test/")
    for more, words in (({"handler": "hook"}, "delivered to handler 'hook'"), ({"state": "paused"}, "is paused")):
        name = platform.name("reader")
        platform.installation.subscription("acme", name, topic=topic, **more)
        platform.wait_for_subscription(name)
        answer = platform.acme.post(f"/subscriptions/{name}/pull")
        assert (answer.status, answer.code) == (409, "CONFLICT")
        assert words in answer.body["message"]


def test_nothing_is_read_from_an_archived_topic(platform: Platform) -> None:
    _, subscription = platform.topic_with_reader(state="archived")
    assert platform.acme.post(f"/subscriptions/{subscription}/pull").status == 409


def test_a_subscription_that_cannot_be_used_says_why(platform: Platform) -> None:
    platform.installation.put("Subscription", "acme", "waits", {"topic": "not-there-yet"})
    eventually(lambda: platform.acme.post("/subscriptions/waits/pull").status != 404, "the subscription", 5)
    answer = platform.acme.post("/subscriptions/waits/pull")
    assert (answer.status, answer.code) == (503, "MQ_CONSUMER_ERROR")
    assert "not-there-yet" in answer.body["message"]
    assert platform.globex.post("/subscriptions/waits/pull").status == 404
    platform.installation.delete("Subscription", "acme", "waits")


def test_a_subscription_whose_group_is_gone_answers_that_it_is_being_restored(platform: Platform) -> None:
    topic, _ = platform.topic_with_reader()
    name = platform.name("reader")
    platform.installation.put("Subscription", "acme", name, {"topic": topic})
    platform.wait_for_subscription(name)
    answer = platform.acme.post(f"/subscriptions/{name}/pull")
    assert (answer.status, answer.code, answer.body["retryAfter"]) == (503, "BROKER_NOT_AVAILABLE", 1)


def test_a_queue_is_pulled_and_settled_by_its_name(platform: Platform) -> None:
    queue = platform.queue(maxAttempts=1)
    platform.acme.post(f"/queues/{queue}/publish", {"messages": [{"payload": 1}, {"payload": 2}]})
    messages = platform.acme.post(f"/queues/{queue}/pull", {}).body["messages"]
    assert [message["payload"] for message in messages] == [1, 2]
    body = {"ackIds": [messages[0]["ackId"]]}
    assert platform.acme.post(f"/queues/{queue}/ack", body).body["results"][0]["status"] == "acked"
    body = {"ackIds": [messages[1]["ackId"]]}
    assert platform.acme.post(f"/queues/{queue}/nack", body).body["results"][0]["status"] == "dead_lettered"
    assert pull_until(platform, f"{queue}.deadletter")["payload"] == 2


def test_another_tenants_public_topic_is_read_by_ones_own_subscription(platform: Platform) -> None:
    topic = platform.name("news")
    platform.installation.topic("acme", topic, public=True, consumers=["nobody"])
    name = platform.name("reader")
    platform.installation.subscription("globex", name, topic=f"acme/{topic}")
    platform.wait_for_subscription(name, tenant="globex")
    publish(platform, topic, 1)
    message = platform.globex.pull(name)[0]
    assert (message["topic"], message["payload"]) == (f"acme/{topic}", 1)
    assert platform.globex.settle("ack", name, message["ackId"]) == ["acked"]
    platform.installation.put("Topic", "acme", topic, {"public": False})
    eventually(lambda: platform.globex.post(f"/subscriptions/{name}/pull").status != 200, "the refusal", 5)
    answer = platform.globex.post(f"/subscriptions/{name}/pull")
    assert (answer.status, answer.code) == (403, "FORBIDDEN")


# Looking


def test_a_look_takes_nothing_and_goes_on_where_it_stopped(platform: Platform) -> None:
    topic, subscription = platform.topic_with_reader(partitions=3)
    publish(platform, topic, *range(30))
    path = f"{API}/topics/{topic}/messages"
    seen, cursor = [], ""
    for _ in range(20):
        answer = platform.acme.get(f"{path}?max=7&after={cursor}")
        assert len(answer.body["messages"]) <= 7
        seen += answer.body["messages"]
        cursor = answer.body["cursor"]
    assert sorted(message["payload"] for message in seen) == list(range(30))
    assert {"ackId", "attempt", "leaseUntil"}.isdisjoint(seen[0])
    assert len(platform.acme.pull(subscription, 100)) == 30


def test_a_look_from_latest_sees_what_comes_from_then_on(platform: Platform) -> None:
    topic, _ = platform.topic_with_reader(partitions=2)
    publish(platform, topic, "old", "old")
    path = f"{API}/topics/{topic}/messages"
    latest = platform.acme.get(f"{path}?after=latest").body
    assert latest["messages"] == []
    publish(platform, topic, "new")
    answer = platform.acme.get(f"{path}?after={latest['cursor']}")
    assert [message["payload"] for message in answer.body["messages"]] == ["new"]


@pytest.mark.parametrize("query", ["max=0", "max=101", "max=x", "after=x", "after=1-1,2", "until=1"])
def test_a_wrong_look_is_400(platform: Platform, query: str) -> None:
    answer = platform.acme.get(f"{API}/topics/{platform.untouched}/messages?{query}")
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cursor=st.from_regex(r"[0-9.-]{0,60}", fullmatch=True))
def test_no_cursor_is_answered_with_a_defect(platform: Platform, cursor: str) -> None:
    assert platform.acme.get(f"{API}/topics/{platform.untouched}/messages?after={cursor}").status in (200, 400)


def test_another_tenants_topic_is_not_looked_at_even_when_public(platform: Platform) -> None:
    topic, _ = platform.topic_with_reader(public=True)
    assert platform.globex.get(f"{API}/topics/{topic}/messages").code == "TOPIC_NOT_FOUND"


# Health


def test_health_tells_verdicts_to_everybody_and_more_to_system(platform: Platform) -> None:
    for path in ("/health", f"{API}/health"):
        for key in (None, NOT_A_KEY, ACME, GLOBEX):
            body = platform.client.with_key(key).get(path).body
            assert (body["service"], body["status"]) == ("mqops", "up")
            assert body["checks"] == {part: {"status": "up"} for part in ("redis", "database", "queues")}
        checks = platform.client.with_key(SYSTEM).get(path).body["checks"]
        assert checks["redis"]["usedMemoryBytes"] > 0
        assert checks["database"]["catalogRevision"] > 0


def test_probes_need_no_credential_and_answer_head_as_well(platform: Platform) -> None:
    for path in ("/livez", "/readyz", "/health"):
        assert platform.client.get(path).status == 200
        answer = platform.client.send("HEAD", path)
        assert (answer.status, answer.raw) == (200, b"")
