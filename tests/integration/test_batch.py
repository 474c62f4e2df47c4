"""Batches: many messages in a request, to one topic or to several, and what is said of each."""

from typing import Any

import pytest
from api_platform import GLOBEX, PUBLISHER, Platform


def batch(platform: Platform, body: Any, **headers: str) -> Any:
    return platform.acme.post("/publish/batch", body, **headers)


def pulled(platform: Platform, reader: str) -> list[Any]:
    return [message["payload"] for message in platform.acme.pull(reader, 100)]


def test_messages_to_one_topic_are_answered_like_a_publish(platform: Platform) -> None:
    topic, reader = platform.topic_with_reader()
    answer = batch(platform, {"topic": topic, "messages": [{"payload": number} for number in range(3)]})
    assert answer.status == 200
    assert answer.body.keys() == {"messageIds", "partitions", "timestamp"}
    assert [place["offset"] for place in answer.body["partitions"]] == [1, 2, 3]
    assert pulled(platform, reader) == [0, 1, 2]


def test_ten_thousand_are_taken_and_one_more_is_not(platform: Platform) -> None:
    topic, _ = platform.topic_with_reader(maxBacklog=20_000)
    answer = batch(platform, {"topic": topic, "messages": [{"payload": 1}] * 10_000})
    assert answer.status == 200
    assert answer.body["partitions"][-1] == {"partition": 0, "offset": 10_000}
    assert len(set(answer.body["messageIds"])) == 10_000
    for body, field in (
        ({"topic": topic, "messages": [{"payload": 1}] * 10_001}, "messages"),
        ({"requests": [{"topic": topic, "messages": [{"payload": 1}] * 5_001} for _ in range(2)]}, "requests"),
    ):
        refused = batch(platform, body)
        assert (refused.status, refused.code) == (400, "INVALID_REQUEST")
        assert refused.body["message"].startswith(field)
        assert "10000" in refused.body["message"]
    assert batch(platform, {"topic": topic, "messages": [{"payload": 1}]}).body["partitions"][0]["offset"] == 10_001


def test_requests_go_to_topics_and_queues_with_a_result_for_each_message(platform: Platform) -> None:
    topic, reader = platform.topic_with_reader()
    full, _ = platform.topic_with_reader(maxBacklog=1)
    queue = platform.queue()
    body = {
        "requests": [
            {"topic": topic, "messages": [{"payload": 1}, {"payload": 2}]},
            {"topic": "nowhere", "messages": [{"payload": 3}]},
            {"queue": queue, "messages": [{"payload": 4}]},
            {"topic": full, "messages": [{"payload": 5}, {"payload": 6}]},
            {"topic": topic, "messages": [{"payload": 7}, {"payload": 8, "partition": 9}]},
        ]
    }
    answer = batch(platform, body)
    assert answer.status == 207
    results = [(result["status"], result.get("code")) for result in answer.body["results"]]
    refused = [("not_stored", "INVALID_REQUEST")] * 2  # a request is taken or refused as one of its own would be
    assert results == [
        ("stored", None),
        ("stored", None),
        ("not_stored", "TOPIC_NOT_FOUND"),
        ("stored", None),
        ("stored", None),
        ("not_stored", "QUOTA_EXCEEDED"),
        *refused,
    ]
    has_id = [message_id is not None for message_id in answer.body["messageIds"]]
    assert has_id == [place is not None for place in answer.body["partitions"]]
    assert has_id == [status == "stored" for status, _ in results]
    assert pulled(platform, reader) == [1, 2]


def test_all_stored_is_200_and_says_so_of_each(platform: Platform) -> None:
    one, another = platform.topic_with_reader()[0], platform.topic_with_reader()[0]
    answer = batch(platform, {"requests": [{"topic": name, "messages": [{"payload": 1}]} for name in (one, another)]})
    assert answer.status == 200
    assert answer.body["results"] == [{"status": "stored"}] * 2


def test_nothing_stored_is_the_error_of_the_first(platform: Platform) -> None:
    messages = [{"payload": 1}]
    body = {"requests": [{"topic": "nowhere", "messages": messages}, {"queue": "neither", "messages": messages}]}
    answer = batch(platform, body)
    assert (answer.status, answer.code) == (404, "TOPIC_NOT_FOUND")
    assert [result["code"] for result in answer.body["details"]["results"]] == ["TOPIC_NOT_FOUND", "MQ_QUEUE_NOT_FOUND"]


def test_who_may_not_publish_to_a_topic_is_told_of_that_one_alone(platform: Platform) -> None:
    topic, _ = platform.topic_with_reader()
    private = platform.name("private")
    platform.installation.topic("acme", private, producers=["nobody"])
    platform.wait_for_topic(private)
    body = {"requests": [{"topic": name, "messages": [{"payload": 1}]} for name in (private, topic)]}
    answer = platform.client.with_key(PUBLISHER).post("/publish/batch", body)
    assert answer.status == 207
    assert [result.get("code") for result in answer.body["results"]] == ["FORBIDDEN", None]
    assert platform.client.with_key(GLOBEX).post("/publish/batch", body).status == 404


def test_a_repeated_batch_is_stored_once_even_where_it_names_a_topic_twice(platform: Platform) -> None:
    topic, reader = platform.topic_with_reader()
    body = {"requests": [{"topic": topic, "messages": [{"payload": number}]} for number in (1, 2)]}
    first, second = (batch(platform, body, Idempotency_Key="batch") for _ in range(2))
    assert first.status == second.status == 200
    assert first.body["messageIds"] == second.body["messageIds"]
    assert pulled(platform, reader) == [1, 2]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "messages"),
        ({"messages": [{"payload": 1}]}, "topic"),
        ({"topic": "untouched", "queue": "x", "messages": [{"payload": 1}]}, "exactly one"),
        ({"topic": "untouched", "messages": []}, "messages"),
        ({"topic": "untouched", "payload": 1}, "payload"),
        ({"topic": "untouched", "messages": [{"payload": 1}, {"payload": 1, "key": ""}]}, "messages[1].key"),
        ({"requests": []}, "requests"),
        ({"requests": [{"topic": "untouched", "messages": []}]}, "requests[0].messages"),
        ({"requests": [{"messages": [{"payload": 1}]}]}, "requests[0].topic"),
        ({"requests": [{"topic": "untouched"}]}, "messages"),
        ({"topic": "untouched", "requests": [{"topic": "untouched", "messages": [{"payload": 1}]}]}, "not both"),
        (
            {
                "requests": [
                    {"topic": "untouched", "messages": [{"payload": 1}]},
                    {"topic": "untouched", "messages": [{"payload": 1, "headers": {"a b": "c"}}]},
                ]
            },
            "requests[1].messages[0].headers",
        ),
        ({"requests": [{"topic": "untouched", "messages": [{"payload": 1}], "options": {}}]}, "options"),
    ],
)
def test_a_wrong_batch_is_refused_by_the_field_and_nothing_is_stored(platform: Platform, body: Any, words: str) -> None:
    answer = batch(platform, body)
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
    assert words in answer.body["message"]
    platform.assert_untouched()
