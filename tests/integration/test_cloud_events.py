"""CloudEvents over HTTP: the three modes of its HTTP binding."""

import base64
import json
from typing import Any

import pytest
from api_platform import Platform

WAYS = pytest.mark.parametrize("way", ["", "?"])
EVENT = {"specversion": "1.0", "id": "7", "source": "/shop/1", "type": "order.created"}
STRUCTURED, BATCHED = "application/cloudevents+json", "application/cloudevents-batch+json"


def publish(platform: Platform, topic: str, body: Any, content_type: str | None, way: str = "", **headers: str) -> Any:
    sent = {} if content_type is None else {"Content-Type": content_type}
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return platform.acme.post(f"/topics/{topic}/publish{way}", data, **sent, **headers)


def binary(**attributes: str) -> dict[str, str]:
    return {f"ce-{name}": value for name, value in {**EVENT, **attributes}.items()}


def kept(**attributes: str) -> dict[str, str]:
    return {f"ce-{name}": value for name, value in {**EVENT, **attributes}.items()}


@WAYS
def test_binary_mode_is_the_data_with_its_attributes_in_headers(platform: Platform, way: str) -> None:
    topic, reader = platform.topic_with_reader()
    headers = binary(time="2023-11-14T22:13:20.250Z", subject="caf%C3%A9", partitionkey="k", region="eu")
    assert publish(platform, topic, b'{"total": 1.50}', "application/json", way, **headers).status == 200
    assert publish(platform, topic, b"\xff", "image/png", way, **binary(id="8")).status == 200
    first, second = platform.acme.pull(reader)
    assert first["payload"] == {"total": 1.5}
    assert first["headers"] == kept(time="2023-11-14T22:13:20.250Z", subject="café", partitionkey="k", region="eu")
    assert (first["key"], first["timestamp"]) == ("k", "2023-11-14T22:13:20.250Z")
    assert (second["contentType"], base64.b64decode(second["payload"])) == ("image/png", b"\xff")


@WAYS
def test_structured_mode_is_taken_apart_the_same(platform: Platform, way: str) -> None:
    topic, reader = platform.topic_with_reader()
    events: list[tuple[dict[str, Any], Any, str]] = [
        ({"data": {"total": 1.5}}, {"total": 1.5}, "application/json"),
        ({"data": "text", "datacontenttype": "text/plain"}, b"text", "text/plain"),
        ({"data_base64": "/w==", "datacontenttype": "image/png"}, b"\xff", "image/png"),
        ({"data": "a", "datacontenttype": "application/x+json"}, "a", "application/x+json"),
        ({"data_base64": "WzFd"}, [1], "application/json"),
        ({}, None, "application/json"),
        ({"data": None, "subject": None}, None, "application/json"),
    ]
    for number, (members, _, _) in enumerate(events):
        event = {**EVENT, "id": str(number), "flag": True, "count": 3, **members}
        assert publish(platform, topic, event, f"{STRUCTURED}; charset=utf-8", way).status == 200
    for number, (message, (_, data, content_type)) in enumerate(zip(platform.acme.pull(reader), events, strict=True)):
        payload = message["payload"]
        assert (base64.b64decode(payload) if "payloadEncoding" in message else payload) == data
        assert message["contentType"] == content_type
        assert message["headers"] == kept(id=str(number), flag="true", count="3")


@WAYS
def test_batched_mode_has_a_message_for_each_event(platform: Platform, way: str) -> None:
    topic, reader = platform.topic_with_reader()
    events = [{**EVENT, "id": str(number), "data": number} for number in range(3)]
    answer = publish(platform, topic, events, BATCHED, way)
    assert answer.status == 200
    assert [place["offset"] for place in answer.body["partitions"]] == [1, 2, 3]
    assert [message["payload"] for message in platform.acme.pull(reader)] == [0, 1, 2]


def test_an_event_is_stored_once_for_its_source_and_id_in_whatever_mode_it_comes(platform: Platform) -> None:
    topic, reader = platform.topic_with_reader()
    ids = [
        publish(platform, topic, b"1", "application/json", **binary()).body["messageIds"],
        publish(platform, topic, {**EVENT, "data": 1}, STRUCTURED).body["messageIds"],
        publish(platform, topic, [{**EVENT, "data": 1}], BATCHED).body["messageIds"],
    ]
    assert ids[0] == ids[1] == ids[2]
    assert publish(platform, topic, {**EVENT, "data": 1, "source": "/shop/2"}, STRUCTURED).status == 200
    changed = publish(platform, topic, {**EVENT, "data": 2}, STRUCTURED)
    assert (changed.status, changed.code) == (422, "IDEMPOTENCY_CONFLICT")
    assert len(platform.acme.pull(reader)) == 2


WRONG: list[tuple[dict[str, Any], str]] = [
    *(({name: None}, f"event.{name}") for name in ("specversion", "id", "source", "type")),
    *(({name: ""}, f"event.{name}") for name in ("id", "source", "type", "subject", "dataschema")),
    ({"specversion": "0.3"}, "event.specversion"),
    ({"time": "yesterday"}, "event.time"),
    ({"Big": "x"}, "event.Big"),
    ({"a-b": "x"}, "event.a-b"),
    ({"ext": 1.5}, "event.ext"),
    ({"ext": {}}, "event.ext"),
    ({"datacontenttype": "nonsense"}, "event.datacontenttype"),
    ({"data": 1, "data_base64": "eA=="}, "data_base64"),
    ({"data_base64": "%"}, "event.data_base64"),
    ({"data_base64": 1}, "event.data_base64"),
]


@pytest.mark.parametrize(("members", "words"), WRONG)
def test_what_is_wrong_with_an_event_is_named(platform: Platform, members: dict[str, Any], words: str) -> None:
    event = {**EVENT, **members}
    answer = publish(platform, platform.untouched, event, STRUCTURED)
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
    assert words in answer.body["message"]
    answer = publish(platform, platform.untouched, [EVENT, event], BATCHED)
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
    assert words.replace("event.", "events[1].") in answer.body["message"]
    platform.assert_untouched()


@WAYS
@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({"ce-id": "1"}, "event.specversion"),
        (binary(source=""), "event.source"),
        (binary(specversion="2.0"), "event.specversion"),
        (binary(time="soon"), "event.time"),
        (binary(datacontenttype="text/plain"), "event.datacontenttype"),
        (binary(subject="%ff"), "ce-subject"),
    ],
)
def test_so_it_is_in_binary_mode(platform: Platform, headers: dict[str, str], words: str, way: str) -> None:
    answer = publish(platform, platform.untouched, b"1", "application/json", way, **headers)
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
    assert words in answer.body["message"]
    platform.assert_untouched()


@pytest.mark.parametrize(
    ("body", "content_type", "code"),
    [
        ([], BATCHED, "INVALID_REQUEST"),
        ([EVENT] * 1001, BATCHED, "INVALID_REQUEST"),
        (EVENT, BATCHED, "INVALID_REQUEST"),
        ([EVENT], STRUCTURED, "INVALID_REQUEST"),
        (b"{", STRUCTURED, "SERIALIZATION_ERROR"),
        (EVENT, "application/cloudevents+avro", "INVALID_REQUEST"),
        (EVENT, "application/cloudevents", "INVALID_REQUEST"),
    ],
)
def test_bodies_that_are_no_events_are_refused(platform: Platform, body: Any, content_type: str, code: str) -> None:
    answer = publish(platform, platform.untouched, body, content_type)
    assert (answer.status, answer.code) == (400, code)
    platform.assert_untouched()
