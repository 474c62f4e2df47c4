"""Messages that expire: what is not handed out in time is dead-lettered, and never handed out."""

import base64
import time
from datetime import datetime, timedelta
from typing import Any

import pytest
from api_platform import Platform
from served import API
from waiting import eventually

WAYS = pytest.mark.parametrize("way", ["", "?"])
PAST, FUTURE = "2020-01-01T00:00:00Z", "2100-01-01T00:00:00Z"


def letters(platform: Platform, topic: str) -> list[dict[str, Any]]:
    return platform.acme.pull(f"{topic}.deadletter", 100)


@WAYS
def test_what_has_expired_is_dead_lettered_in_place_of_being_handed_out(platform: Platform, way: str) -> None:
    topic, reader = platform.topic_with_reader()
    messages = [
        {"payload": 1, "expiresAt": PAST, "headers": {"a": "b"}, "key": "k"},
        {"payload": 2, "expiresAt": FUTURE},
        {"payload": 3, "expiresAt": 1},
        {"payload": 4},
        {"payload": 5, "ttlMs": 3_600_000},
    ]
    answer = platform.acme.post(f"/topics/{topic}/publish{way}", {"messages": messages})
    assert answer.status == 200
    pulled = platform.acme.pull(reader)
    assert [message["payload"] for message in pulled] == [2, 4, 5]
    assert [message.get("expiresAt", "")[:4] for message in pulled] == ["2100", "", pulled[2]["publishedAt"][:4]]
    dead = letters(platform, topic)
    assert [(letter["payload"], letter["deadLetter"]["reason"]) for letter in dead] == [(1, "expired"), (3, "expired")]
    assert (dead[0]["key"], dead[0]["headers"], dead[0]["deadLetter"]["attempts"]) == ("k", {"a": "b"}, 0)
    assert [letter["deadLetter"]["messageId"] for letter in dead] == [answer.body["messageIds"][n] for n in (0, 2)]
    assert len({letter["id"] for letter in dead}) == 2
    assert "expiresAt" not in dead[0]


def test_a_time_to_live_is_counted_from_when_it_is_stored(platform: Platform) -> None:
    topic, reader = platform.topic_with_reader()
    assert platform.acme.publish(topic, {"payload": 1, "ttlMs": 60_000}).status == 200
    assert platform.acme.publish(topic, {"payload": 2, "ttlMs": 1}).status == 200
    time.sleep(0.01)
    assert [message["payload"] for message in platform.acme.pull(reader)] == [1]
    assert [letter["payload"] for letter in letters(platform, topic)] == [2]


def test_what_is_tried_again_too_late_is_dead_lettered_with_its_attempts(platform: Platform) -> None:
    topic, reader = platform.topic_with_reader(reader={"ackDeadline": "100ms"})
    platform.acme.publish(topic, {"payload": 1, "ttlMs": 2_000})
    [message] = platform.acme.pull(reader)
    eventually(lambda: platform.acme.pull(reader) == [] and letters(platform, topic), "its end", 10)
    assert platform.acme.settle("ack", reader, message["ackId"]) == ["lost"]


def test_who_holds_it_may_finish_it(platform: Platform) -> None:
    topic, reader = platform.topic_with_reader()
    platform.acme.publish(topic, {"payload": 1, "ttlMs": 100})
    pulled = platform.acme.pull(reader)
    time.sleep(0.15)
    assert [platform.acme.settle("ack", reader, message["ackId"]) for message in pulled] in ([["acked"]], [])


def test_many_that_have_expired_do_not_hide_what_comes_after(platform: Platform) -> None:
    topic, reader = platform.topic_with_reader(partitions=2)
    for partition in range(2):
        messages = [{"payload": n, "expiresAt": PAST, "partition": partition} for n in range(450)]
        platform.acme.publish(topic, {"messages": messages})
        platform.acme.publish(topic, {"payload": f"last of {partition}", "partition": partition})
    pulled = platform.acme.pull(reader, 3)
    assert sorted(message["payload"] for message in pulled) == ["last of 0", "last of 1"]
    found: list[Any] = []
    eventually(lambda: not found.extend(letters(platform, topic)) and len(found) == 900, "all of them", 10)
    assert len({letter["id"] for letter in found}) == 900


def test_each_reader_has_its_own_dead_letter(platform: Platform) -> None:
    topic, reader = platform.topic_with_reader()
    other = platform.name("other")
    platform.installation.subscription("acme", other, topic=topic, deadLetter=f"{topic}.deadletter")
    platform.wait_for_subscription(other)
    answer = platform.acme.publish(topic, {"payload": 1, "expiresAt": PAST})
    assert platform.acme.pull(reader) == platform.acme.pull(other) == []
    dead = letters(platform, topic)
    assert {letter["deadLetter"]["subscription"] for letter in dead} == {f"acme/{reader}", f"acme/{other}"}
    assert {letter["deadLetter"]["messageId"] for letter in dead} == set(answer.body["messageIds"])
    assert len({letter["id"] for letter in dead}) == 2


@WAYS
def test_a_message_of_another_type_and_an_event_expire_too(platform: Platform, way: str) -> None:
    topic, reader = platform.topic_with_reader()
    path = f"/topics/{topic}/publish{way}"
    text = {"Content-Type": "text/plain"}
    assert platform.acme.post(path, b"1", **text, **{"Mqops-Expires-At": PAST}).status == 200
    assert platform.acme.post(path, b"2", **text, **{"Mqops-Ttl": "60000"}).status == 200
    event = {"specversion": "1.0", "id": "1", "source": "s", "type": "t", "expirytime": PAST, "data": 3}
    assert platform.acme.post(path, event, **{"Content-Type": "application/cloudevents+json"}).status == 200
    assert [base64.b64decode(message["payload"]) for message in platform.acme.pull(reader)] == [b"2"]
    assert len(letters(platform, topic)) == 2


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"ttlMs": 0}, "messages[0].ttlMs"),
        ({"ttlMs": -1}, "messages[0].ttlMs"),
        ({"ttlMs": 10**15}, "messages[0].ttlMs"),
        ({"ttlMs": 1.5}, "ttlMs"),
        ({"ttlMs": "1s"}, "ttlMs"),
        ({"expiresAt": "soon"}, "expiresAt"),
        ({"expiresAt": -1}, "messages[0].expiresAt"),
        ({"ttlMs": 1, "expiresAt": FUTURE}, "not both"),
    ],
)
def test_a_time_to_live_that_is_none_is_refused(platform: Platform, message: dict[str, Any], words: str) -> None:
    answer = platform.acme.publish(platform.untouched, {"payload": 1, **message})
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
    assert words in answer.body["message"]
    platform.assert_untouched()


def test_a_message_for_later_lives_from_when_it_is_stored(platform: Platform) -> None:
    topic, reader = platform.topic_with_reader()
    messages = [{"payload": 1, "ttlMs": 3_600_000}, {"payload": 2, "expiresAt": PAST}, {"payload": 3}]
    body = {"topic": topic, "messages": messages, "delayMs": 3_600_000}
    answer = platform.acme.post("/publish/delayed", body)
    assert answer.status == 200
    path = f"{API}/topics/{topic}/scheduled"
    shown = platform.acme.get(path).body["messages"]
    assert [(each.get("ttlMs"), each.get("expiresAt")) for each in shown] == [
        (3_600_000, None),
        (None, "2020-01-01T00:00:00.000Z"),
        (None, None),
    ]
    for message in answer.body["messageIds"]:
        assert platform.acme.send("PATCH", f"{path}/{message}", {"delayMs": 0}).status == 200
    found: list[dict[str, Any]] = []
    eventually(lambda: found.extend(platform.acme.pull(reader)) or len(found) == 2, "the messages", 5)
    assert [each["payload"] for each in found] == [1, 3]
    stored = datetime.fromisoformat(found[0]["publishedAt"])
    expires = datetime.fromisoformat(found[0]["expiresAt"])
    assert timedelta(0) <= expires - stored - timedelta(hours=1) < timedelta(seconds=1)
    [letter] = letters(platform, topic)
    assert (letter["payload"], letter["deadLetter"]["reason"]) == (2, "expired")
