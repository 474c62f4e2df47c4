"""Payloads that are not JSON: a request that is a message, and bytes among messages that a request describes."""

import base64
import json
from typing import Any

import pytest
from api_platform import Platform

WAYS = pytest.mark.parametrize("way", ["", "?"])
BYTES = bytes(range(256))


def raw(platform: Platform, topic: str, data: bytes, content_type: str, way: str = "", **headers: str) -> Any:
    sent = {"Content-Type": content_type, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return platform.acme.post(f"/topics/{topic}/publish{way}", data, **sent)


@WAYS
def test_a_body_of_another_type_is_the_message_itself(platform: Platform, way: str) -> None:
    topic, reader = platform.topic_with_reader(partitions=3)
    headers = {
        "Mqops_Key": "größe".encode().decode("latin-1"),
        "Mqops_Partition": "2",
        "Mqops_Timestamp": "2023-11-14T22:13:20.250Z",
        "Mqops_Header_Region": "eu",
        "X_Correlation_Id": "c",
        "Idempotency_Key": "k",
    }
    for _ in range(2):
        answer = raw(platform, topic, BYTES, "image/png", way, **headers)
        assert (answer.status, answer.body["partitions"]) == (200, [{"partition": 2, "offset": 1}])
    [message] = platform.acme.pull(reader)
    assert message["contentType"] == "image/png"
    assert message["payloadEncoding"] == "base64"
    assert base64.b64decode(message["payload"]) == BYTES
    assert (message["key"], message["headers"]) == ("größe", {"region": "eu"})
    assert (message["timestamp"], message["correlationId"]) == ("2023-11-14T22:13:20.250Z", "c")


@WAYS
@pytest.mark.parametrize("data", [b"", b"text", b'{"payload": 1}'])
def test_text_is_kept_with_its_type_whatever_it_looks_like(platform: Platform, data: bytes, way: str) -> None:
    queue = platform.queue()
    content_type = "text/plain; charset=utf-8"
    answer = platform.acme.post(f"/queues/{queue}/publish{way}", data, **{"Content-Type": content_type})
    assert answer.status == 200
    [message] = platform.acme.pull(queue)
    assert message["contentType"] == content_type
    assert base64.b64decode(message["payload"]) == data


@WAYS
def test_a_type_that_is_written_in_json_is_given_back_as_json(platform: Platform, way: str) -> None:
    topic, reader = platform.topic_with_reader()
    assert raw(platform, topic, b' {"a": 1.50}', "application/vnd.order+json", way).status == 200
    [message] = platform.acme.pull(reader)
    assert message["payload"] == {"a": 1.5}
    assert "payloadEncoding" not in message
    refused = raw(platform, platform.untouched, b"{", "application/vnd.order+json", way)
    assert (refused.status, refused.code) == (400, "SERIALIZATION_ERROR")


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON", None])
def test_a_body_of_json_describes_messages_as_ever(platform: Platform, content_type: str | None) -> None:
    topic, reader = platform.topic_with_reader()
    headers = {} if content_type is None else {"Content-Type": content_type}
    assert platform.acme.post(f"/topics/{topic}/publish", b'{"payload": 1}', **headers).status == 200
    assert platform.acme.pull(reader)[0]["payload"] == 1


def test_bytes_stand_among_described_messages_as_base64(platform: Platform) -> None:
    topic, reader = platform.topic_with_reader()
    encoded = base64.b64encode(BYTES).decode()
    messages = [
        {"payload": encoded, "payloadEncoding": "base64", "contentType": "image/png"},
        {"payload": encoded, "payloadEncoding": "base64"},
        {"payload": {"a": 1}, "contentType": "application/vnd.order+json"},
        {"payload": base64.b64encode(b"[1]").decode(), "payloadEncoding": "base64", "contentType": "application/json"},
        {"payload": 5},
    ]
    answer = platform.acme.post("/publish/batch", {"topic": topic, "messages": messages})
    assert answer.status == 200, answer
    pulled = platform.acme.pull(reader)
    shown = [(m["payload"], m.get("payloadEncoding"), m["contentType"]) for m in pulled]
    assert shown == [
        (encoded, "base64", "image/png"),
        (encoded, "base64", "application/octet-stream"),
        ({"a": 1}, None, "application/vnd.order+json"),
        ([1], None, "application/json"),
        (5, None, "application/json"),
    ]
    again = {name: pulled[0][name] for name in ("payload", "payloadEncoding", "contentType")}
    assert platform.acme.publish(topic, again).status == 200, "what was pulled can be published as it is"


def test_the_limit_is_of_the_bytes(platform: Platform) -> None:
    topic, _ = platform.topic_with_reader(maxMessageSize="1KiB")
    assert raw(platform, topic, b"x" * 1024, "text/plain").status == 200
    assert raw(platform, topic, b"x" * 1025, "text/plain").status == 413
    encoded = {"payload": base64.b64encode(b"x" * 1024).decode(), "payloadEncoding": "base64"}
    assert platform.acme.publish(topic, encoded).status == 200


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"payload": "x", "contentType": "text/plain"}, "messages[0].contentType"),
        ({"payload": "x", "contentType": "nonsense"}, "messages[0].contentType"),
        ({"payload": "%%", "payloadEncoding": "base64"}, "messages[0].payload"),
        ({"payload": 7, "payloadEncoding": "base64"}, "messages[0].payload"),
        ({"payload": "eA==", "payloadEncoding": "hex"}, "payloadEncoding"),
        ({"payload": "eA==", "payloadEncoding": "base64", "contentType": "a/b\n"}, "messages[0].contentType"),
    ],
)
def test_bytes_that_are_not_as_they_say_are_refused(platform: Platform, message: dict[str, Any], words: str) -> None:
    answer = platform.acme.publish(platform.untouched, message)
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
    assert words in answer.body["message"]
    platform.assert_untouched()


@WAYS
@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({"Content-Type": "nonsense"}, "content type"),
        ({"Mqops-Key": ""}, "message.key"),
        ({"Mqops-Key": "\xff"}, "mqops-key"),
        ({"Mqops-Partition": "one"}, "mqops-partition"),
        ({"Mqops-Partition": "7"}, "partition 7"),
        ({"Mqops-Timestamp": "yesterday"}, "mqops-timestamp"),
        ({"Mqops-Acks": "2"}, "Mqops-Acks"),
        ({"Mqops-Timeout": "0"}, "timeout"),
        ({"Mqops-Header-": "x"}, "header"),
    ],
)
def test_headers_that_are_not_as_they_should_be_are_named(
    platform: Platform, headers: dict[str, str], words: str, way: str
) -> None:
    sent = {"Content-Type": "text/plain", **headers}
    answer = platform.acme.post(f"/topics/{platform.untouched}/publish{way}", b"x", **sent)
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
    assert words in answer.body["message"]
    platform.assert_untouched()


@WAYS
def test_options_stand_in_headers(platform: Platform, way: str) -> None:
    topic, _ = platform.topic_with_reader()
    assert raw(platform, topic, b"x", "text/plain", way, Mqops_Acks="0").status == 202
    assert raw(platform, topic, b"x", "text/plain", way, Mqops_Acks="1", Mqops_Timeout="5000").status == 200


def test_a_filter_does_not_see_into_bytes(platform: Platform) -> None:
    topic, reader = platform.topic_with_reader(reader={"filter": "payload.a == 1"})
    raw(platform, topic, b'{"a": 1}', "text/plain")
    raw(platform, topic, json.dumps({"a": 1}).encode(), "application/x+json")
    assert [message["offset"] for message in platform.acme.pull(reader)] == [2]
