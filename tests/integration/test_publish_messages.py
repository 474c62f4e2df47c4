"""What a message may carry beside its payload, and what comes of it."""

import time
from typing import Any

import pytest
from api_platform import Platform
from waiting import eventually

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def offsets(answer: Any) -> list[int]:
    assert answer.status == 200, answer
    return [place["offset"] for place in answer.body["partitions"]]


# Partitions


def test_a_message_goes_to_the_partition_that_it_names_whatever_its_key(platform: Platform) -> None:
    topic, _ = platform.topic_with_reader(partitions=3)
    messages = [{"payload": 1, "partition": number, "key": "same"} for number in (2, 0, 1, 2)]
    answer = platform.acme.publish(topic, {"messages": messages})
    assert [place["partition"] for place in answer.body["partitions"]] == [2, 0, 1, 2]
    refused = platform.acme.publish(topic, {"messages": [{"payload": 1}, {"payload": 1, "partition": 3}]})
    assert refused.status == 400
    assert "messages[1].partition 3" in refused.body["message"]


# Idempotency keys of messages


def test_a_message_is_stored_once_under_its_own_key_wherever_it_stands(platform: Platform) -> None:
    topic, reader = platform.topic_with_reader()
    one, two = ({"payload": name, "idempotencyKey": name} for name in ("one", "two"))
    first = platform.acme.publish(topic, {"messages": [one, two]})
    again = platform.acme.publish(topic, {"messages": [two, {"payload": "new"}, one, one]})
    ids = first.body["messageIds"]
    assert [again.body["messageIds"][place] for place in (0, 2, 3)] == [ids[1], ids[0], ids[0]]
    assert [message["payload"] for message in platform.acme.pull(reader)] == ["one", "two", "new"]
    conflict = platform.acme.publish(topic, {**one, "payload": "other"})
    assert (conflict.status, conflict.code) == (422, "IDEMPOTENCY_CONFLICT")


def test_a_messages_key_goes_before_the_header_and_is_not_taken_for_it(platform: Platform) -> None:
    topic, _ = platform.topic_with_reader()
    body = {"messages": [{"payload": 1, "idempotencyKey": "k:1"}, {"payload": 2}]}
    assert offsets(platform.acme.publish(topic, body, Idempotency_Key="k")) == [1, 2]
    assert offsets(platform.acme.publish(topic, body, Idempotency_Key="j")) == [1, 3]
    assert offsets(platform.acme.publish(topic, {"payload": 3, "idempotencyKey": "k"})) == [4]


def test_a_key_is_known_for_as_long_as_the_topic_says(platform: Platform) -> None:
    topic, _ = platform.topic_with_reader(idempotencyWindow="1s")
    body = {"payload": 1, "idempotencyKey": "k"}
    started = time.monotonic()
    assert offsets(platform.acme.publish(topic, body)) == [1]
    assert offsets(platform.acme.publish(topic, body)) == [1] or time.monotonic() - started > 1
    eventually(lambda: offsets(platform.acme.publish(topic, body)) == [2], "the end of the window", 5)
    assert time.monotonic() - started >= 1


# What ties messages together


@pytest.mark.parametrize("way", ["", "?"])
def test_correlation_id_and_trace_context_come_with_the_message(platform: Platform, way: str) -> None:
    topic, reader = platform.topic_with_reader()
    headers = {"X-Correlation-Id": "of-all", "traceparent": TRACEPARENT, "tracestate": "a=1,b=2"}
    body = {"messages": [{"payload": 1, "correlationId": "own"}, {"payload": 2}]}
    assert platform.acme.post(f"/topics/{topic}/publish{way}", body, **headers).status == 200
    assert platform.acme.publish(topic, {"payload": 3}, traceparent="broken", tracestate="a=1").status == 200
    own, of_all, none = platform.acme.pull(reader)
    assert (own["correlationId"], of_all["correlationId"]) == ("own", "of-all")
    for message in (own, of_all):
        assert (message["traceparent"], message["tracestate"]) == (TRACEPARENT, "a=1,b=2")
    assert not {"correlationId", "traceparent", "tracestate"} & none.keys()


def test_another_correlation_id_of_the_request_is_the_same_message(platform: Platform) -> None:
    topic, _ = platform.topic_with_reader()
    for number in range(2):
        answer = platform.acme.publish(topic, {"payload": 1}, Idempotency_Key="k", X_Correlation_Id=f"try-{number}")
        assert offsets(answer) == [1]


@pytest.mark.parametrize(
    ("message", "headers", "words"),
    [
        ({"idempotencyKey": ""}, {}, "messages[0].idempotencyKey"),
        ({"idempotencyKey": "x" * 256}, {}, "messages[0].idempotencyKey"),
        ({"idempotencyKey": "a\nb"}, {}, "messages[0].idempotencyKey"),
        ({"idempotencyKey": 7}, {}, "idempotencyKey"),
        ({"correlationId": "ü"}, {}, "messages[0].correlationId"),
        ({}, {"X-Correlation-Id": "x" * 256}, "X-Correlation-Id"),
    ],
)
def test_keys_and_ids_are_printable_and_short(
    platform: Platform, message: dict[str, Any], headers: dict[str, str], words: str
) -> None:
    answer = platform.acme.publish(platform.untouched, {"payload": 1, **message}, **headers)
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
    assert words in answer.body["message"]
    platform.assert_untouched()
