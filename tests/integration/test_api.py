"""The HTTP API over real stores: publishing, and what it answers to everything else."""

import re
import socket
from typing import Any
from uuid import UUID, uuid4

import pytest
from api_platform import ACME, GLOBEX, NOT_A_KEY, PUBLISHER, SYSTEM, Platform
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from served import API

from mqops.api.edge import MAX_BODY_BYTES
from mqops.api.partitioning import partition_of_key

TIME = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d\d\dZ")


# Publishing


def test_a_message_is_stored_and_pulled_as_it_was_sent(platform: Platform) -> None:
    topic, subscription = platform.topic_with_reader()
    body = (
        b'{"key": "k\xc3\xa9", "payload": {"b" : [1.0, 1e2, "\\u00e9"],"a":null, "a": 2}, "headers": {"region": "eu"}}'
    )
    answer = platform.acme.publish(topic, body)
    assert answer.status == 200
    assert set(answer.body) == {"messageIds", "partitions", "timestamp"}
    assert answer.body["partitions"] == [{"partition": 0, "offset": 1}]
    assert TIME.fullmatch(answer.body["timestamp"])
    assert UUID(answer.body["messageIds"][0]).version == 7
    pulled = platform.acme.post(f"/subscriptions/{subscription}/pull")
    assert b'"payload":{"b" : [1.0, 1e2, "\\u00e9"],"a":null, "a": 2}' in pulled.raw
    message = pulled.body["messages"][0]
    assert message["id"] == answer.body["messageIds"][0]
    assert (message["key"], message["headers"], message["topic"]) == ("k\xe9", {"region": "eu"}, topic)
    assert (message["partition"], message["offset"], message["attempt"]) == (0, 1, 1)
    assert (message["producer"], message["contentType"]) == ("checkout", "application/json")
    assert message["publishedAt"] == answer.body["timestamp"]
    assert message["leaseUntil"] > message["publishedAt"]
    assert "deadLetter" not in message


@pytest.mark.parametrize("payload", [None, False, 0, "", [], {}, "text", 1.5, {"nested": {"deep": [1, [2]]}}])
def test_any_json_value_is_a_payload(platform: Platform, payload: Any) -> None:
    topic, subscription = platform.topic_with_reader()
    assert platform.acme.publish(topic, {"payload": payload}).status == 200
    assert platform.acme.pull(subscription)[0]["payload"] == payload


def test_many_messages_get_an_id_and_a_place_each_in_their_order(platform: Platform) -> None:
    topic, subscription = platform.topic_with_reader()
    answer = platform.acme.publish(topic, {"messages": [{"payload": number} for number in range(7)]})
    assert [place["offset"] for place in answer.body["partitions"]] == [1, 2, 3, 4, 5, 6, 7]
    pulled = platform.acme.pull(subscription)
    assert [message["payload"] for message in pulled] == list(range(7))
    assert [message["id"] for message in pulled] == answer.body["messageIds"]


def test_a_body_may_name_its_topic_or_queue(platform: Platform) -> None:
    topic, _ = platform.topic_with_reader()
    queue = platform.queue()
    assert platform.acme.post("/publish", {"topic": topic, "payload": 1}).status == 200
    assert platform.acme.post("/publish", {"queue": queue, "messages": [{"payload": 2}]}).status == 200
    assert platform.acme.post(f"/queues/{queue}/publish", {"payload": 3}).status == 200
    for wrong in ({"payload": 1}, {"topic": topic, "queue": queue, "payload": 1}):
        answer = platform.acme.post("/publish", wrong)
        assert (answer.status, answer.code) == (400, "INVALID_REQUEST")


def test_a_topic_is_found_by_its_uid_too(platform: Platform) -> None:
    topic, _ = platform.topic_with_reader()
    uid = platform.installation.uid("Topic", "acme", topic)
    assert platform.acme.publish(uid, {"payload": 1}).status == 200


def test_topics_and_queues_are_not_taken_for_each_other(platform: Platform) -> None:
    topic, _ = platform.topic_with_reader()
    queue = platform.queue()
    assert platform.acme.post(f"/queues/{topic}/publish", {"payload": 1}).code == "MQ_QUEUE_NOT_FOUND"
    assert platform.acme.post(f"/topics/{queue}/publish", {"payload": 1}).code == "TOPIC_NOT_FOUND"


@pytest.mark.parametrize("timestamp", [1_700_000_000_250, "2023-11-14T22:13:20.250Z", "2023-11-14T23:13:20.25+01:00"])
def test_the_time_of_the_event_is_kept(platform: Platform, timestamp: int | str) -> None:
    topic, subscription = platform.topic_with_reader()
    assert platform.acme.publish(topic, {"payload": 1, "timestamp": timestamp}).status == 200
    assert platform.acme.pull(subscription)[0]["timestamp"] == "2023-11-14T22:13:20.250Z"


# What is wrong with a request


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"payload": 1, "colour": "red"}, "colour"),
        ({"messages": [{"payload": 1, "colour": "red"}]}, "colour"),
        ({"payload": 1, "options": {"colour": "red"}}, "colour"),
        ({"payload": 1, "topic": "orders"}, "topic"),
        ({}, "payload"),
        ({"key": "k"}, "payload"),
        ({"messages": [{"key": "k"}]}, "payload"),
        ({"messages": []}, "1 to 1000"),
        ({"messages": [{"payload": 1}] * 1001}, "1 to 1000"),
        ({"messages": [{"payload": 1}], "payload": 2}, "not both"),
        ({"messages": [{"payload": 1}], "key": "k"}, "not both"),
        ({"messages": {"payload": 1}}, "messages"),
        ({"payload": 1, "key": 7}, "key"),
        ({"payload": 1, "key": ""}, "key"),
        ({"payload": 1, "key": "k" * 1025}, "key"),
        ({"payload": 1, "headers": {"a": 1}}, "headers"),
        ({"payload": 1, "headers": {"a": "b" * 40_000}}, "headers"),
        ({"payload": 1, "partition": 1}, "partition 1"),
        ({"payload": 1, "partition": -1}, "partition -1"),
        ({"payload": 1, "partition": "0"}, "partition"),
        ({"payload": 1, "timestamp": -1}, "timestamp"),
        ({"payload": 1, "timestamp": 10**17}, "timestamp"),
        ({"payload": 1, "timestamp": "yesterday"}, "timestamp"),
        ({"payload": 1, "timestamp": "2023-11-14T22:13:20"}, "timestamp"),
        ({"payload": 1, "options": {"compression": "gzip"}}, "not available in this version"),
        ({"payload": 1, "options": {"acks": 2}}, "acks"),
        ({"payload": 1, "options": {"acks": "some"}}, "acks"),
        ({"payload": 1, "options": {"acks": True}}, "acks"),
        ({"payload": 1, "options": {"acks": None}}, "acks"),
        ({"payload": 1, "options": {"timeout": 0}}, "timeout"),
        ([1], "object"),
        ("text", "object"),
    ],
)
def test_a_wrong_request_is_refused_in_words_and_nothing_is_stored(platform: Platform, body: Any, words: str) -> None:
    answer = platform.acme.publish(platform.untouched, body)
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
    assert words in answer.body["message"]
    platform.assert_untouched()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"payload": }',
        b'{"payload": 01}',
        b'{"payload": NaN}',
        b'{"payload": "\xff"}',
        b'{"payload": "\xed\xa0\x80"}',
        b'{"payload": "\\ud800"}',
        b'{"payload": 1} x',
        b'{"payload": "a\nb"}',
        b'\xef\xbb\xbf{"payload": 1}',
        b'{"\xff": 1}',
        b'{"payload": ' + b"[" * 200_000 + b"]" * 200_000 + b"}",
        b'{"payload": ' + b'{"a":' * 200_000 + b"1" + b"}" * 200_000 + b"}",
        b'{"payload": ' + b"[" * 500_000,
        b"\x1f\x8b\x08\x00compressed",
    ],
)
def test_what_is_not_json_is_refused_and_nothing_is_stored(platform: Platform, body: bytes) -> None:
    answer = platform.acme.publish(platform.untouched, body)
    assert (answer.status, answer.code) == (400, "SERIALIZATION_ERROR")
    platform.assert_untouched()


def test_options_that_exist_are_taken(platform: Platform) -> None:
    topic, _ = platform.topic_with_reader()
    options = {"compression": "none", "acks": 1, "timeout": 5000}
    assert platform.acme.publish(topic, {"payload": 1, "options": options}).status == 200


def test_a_payload_over_the_topics_limit_is_413_and_at_the_limit_is_taken(platform: Platform) -> None:
    topic, _ = platform.topic_with_reader(maxMessageSize="1KiB")
    assert platform.acme.publish(topic, {"payload": "x" * 1022}).status == 200
    answer = platform.acme.publish(topic, {"messages": [{"payload": 1}, {"payload": "x" * 1023}]})
    assert (answer.status, answer.code) == (413, "PAYLOAD_TOO_LARGE")
    assert answer.body["details"] == {"limitBytes": 1024}
    assert platform.acme.publish(topic, {"payload": 1}).body["partitions"] == [{"partition": 0, "offset": 2}]


def test_a_body_over_the_limit_is_413_whatever_its_framing(platform: Platform) -> None:
    huge = b'{"payload":"' + b"x" * MAX_BODY_BYTES + b'"}'
    announced = platform.acme.publish(platform.untouched, huge)
    assert (announced.status, announced.code) == (413, "PAYLOAD_TOO_LARGE")
    chunks = iter([huge[start : start + 65_536] for start in range(0, len(huge), 65_536)])
    streamed = platform.acme.publish(platform.untouched, chunks)
    assert (streamed.status, streamed.code) == (413, "PAYLOAD_TOO_LARGE")
    platform.assert_untouched()


def test_a_chunked_body_is_read_whole(platform: Platform) -> None:
    topic, subscription = platform.topic_with_reader()
    payload = "x" * 300_000
    body = f'{{"payload":"{payload}"}}'.encode()
    chunks = iter([body[start : start + 1000] for start in range(0, len(body), 1000)])
    assert platform.acme.publish(topic, chunks).status == 200
    assert platform.acme.pull(subscription)[0]["payload"] == payload


def test_a_client_that_goes_away_in_the_middle_stores_nothing(platform: Platform) -> None:
    with socket.create_connection(("127.0.0.1", platform.client.port)) as connection:
        head = f"POST {API}/topics/{platform.untouched}/publish HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ACME}\r\n"
        connection.sendall(f'{head}Content-Length: 100\r\n\r\n{{"payload":'.encode())
    platform.assert_untouched()


def test_a_client_that_waits_to_be_told_to_go_on_is_told(platform: Platform) -> None:
    topic, _ = platform.topic_with_reader()
    body = b'{"payload":1}'
    head = (
        f"POST {API}/topics/{topic}/publish HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ACME}\r\n"
        f"Content-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", platform.client.port), timeout=5) as connection:
        connection.sendall(head.encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 100")
        connection.sendall(body)
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")


def test_requests_in_one_piece_are_answered_in_their_order(platform: Platform) -> None:
    topic, _ = platform.topic_with_reader()
    request = (
        f"POST {API}/topics/{topic}/publish HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ACME}\r\n"
        "Content-Length: 13\r\n\r\n"
        '{"payload":1}'
    )
    answers = b""
    with socket.create_connection(("127.0.0.1", platform.client.port), timeout=5) as connection:
        connection.sendall(request.encode() * 5)
        while answers.count(b'"offset"') < 5:
            answers += connection.recv(65_536)
    assert re.findall(rb'"offset":(\d)', answers) == [b"1", b"2", b"3", b"4", b"5"]


# Who may do what


@pytest.mark.parametrize("key", [None, "", NOT_A_KEY, "key-that-expired"])
def test_without_a_credential_there_is_nothing(platform: Platform, key: str | None) -> None:
    for path in ("/publish", f"/topics/{platform.untouched}/publish", "/subscriptions/x/pull", "/queues/x/ack"):
        answer = platform.client.with_key(key).post(path, {"payload": 1})
        assert (answer.status, answer.code) == (401, "UNAUTHENTICATED")
        assert answer.headers["www-authenticate"] == "Bearer"


def test_what_belongs_to_another_tenant_is_absent_byte_for_byte(platform: Platform) -> None:
    topic, subscription = platform.topic_with_reader(public=True)
    queue = platform.queue()
    names = {
        f"/topics/{topic}/publish": "Topic",
        f"/queues/{queue}/publish": "Queue",
        f"/queues/{queue}/pull": "Queue",
        f"/subscriptions/{subscription}/pull": "Subscription",
        f"/subscriptions/{subscription}/ack": "Subscription",
    }
    for path, kind in names.items():
        _, family, name, verb = path.split("/")
        uid = platform.installation.uid(kind, "acme", name)
        body = {"ackIds": ["x"]} if verb == "ack" else {"payload": 1} if verb == "publish" else {}
        absent = str(uuid4())
        for hidden in (name, uid):
            answers = [platform.globex.post(f"/{family}/{who}/{verb}", body) for who in (hidden, absent)]
            assert [answer.status for answer in answers] == [404, 404]
            assert answers[0].raw.replace(hidden.encode(), b"?") == answers[1].raw.replace(absent.encode(), b"?")
            assert {**answers[0].headers, "content-length": "", "date": ""} == {
                **answers[1].headers,
                "content-length": "",
                "date": "",
            }


def test_a_role_and_a_place_on_the_list_are_needed(platform: Platform) -> None:
    topic, subscription = platform.topic_with_reader(producers=["billing"], consumers=["billing"])
    assert platform.acme.publish(topic, {"payload": 1}).status == 403
    assert platform.acme.post(f"/subscriptions/{subscription}/pull").status == 403
    assert platform.acme.get(f"{API}/topics/{topic}/messages").status == 403
    publisher = platform.client.with_key(PUBLISHER)
    assert publisher.publish(topic, {"payload": 1}).status == 200
    answer = publisher.post(f"/subscriptions/{subscription}/pull")
    assert (answer.status, answer.code) == (403, "FORBIDDEN")


def test_principals_of_system_act_for_the_tenant_they_name(platform: Platform) -> None:
    topic, subscription = platform.topic_with_reader(producers=["billing"])
    system = platform.client.with_key(SYSTEM, tenant="acme")
    assert system.publish(topic, {"payload": 1}).status == 200
    assert system.pull(subscription)[0]["producer"] == "system/gateway"
    assert platform.client.with_key(SYSTEM).publish(topic, {"payload": 1}).status == 404
    assert platform.client.with_key(SYSTEM, tenant="nobody").publish(topic, {"payload": 1}).code == "NOT_FOUND"
    answer = platform.client.with_key(GLOBEX, tenant="acme").publish(topic, {"payload": 1})
    assert (answer.status, answer.code) == (403, "FORBIDDEN")


# Partitions, idempotency, limits


def test_a_key_keeps_to_its_partition_and_others_take_turns(platform: Platform) -> None:
    topic, _ = platform.topic_with_reader(partitions=4)
    messages = [{"payload": 1, "key": f"k{number % 8}"} for number in range(32)]
    places = platform.acme.publish(topic, {"messages": messages}).body["partitions"]
    assert [place["partition"] for place in places] == [partition_of_key(f"k{number % 8}", 4) for number in range(32)]
    places = platform.acme.publish(topic, {"messages": [{"payload": 1}] * 8}).body["partitions"]
    assert sorted(place["partition"] for place in places) == [0, 0, 1, 1, 2, 2, 3, 3]
    answer = platform.acme.publish(topic, {"payload": 1, "key": "k0", "partition": 3})
    assert answer.body["partitions"][0]["partition"] == 3


def test_a_repeated_request_is_stored_once_and_answers_the_first_ids(platform: Platform) -> None:
    topic, subscription = platform.topic_with_reader(partitions=3)
    body = {"messages": [{"payload": 1}, {"payload": 2, "key": "k"}]}
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b71692033{:02x}-01"
    answers = [
        platform.acme.publish(topic, body, Idempotency_Key="order 1", Traceparent=trace.format(number))
        for number in range(3)
    ]
    assert {answer.status for answer in answers} == {200}
    assert answers[0].raw == answers[1].raw == answers[2].raw
    assert len(platform.acme.pull(subscription)) == 2


def test_an_idempotency_key_belongs_to_its_principal_and_to_one_body(platform: Platform) -> None:
    topic, _ = platform.topic_with_reader()
    first = platform.acme.publish(topic, {"payload": 1}, Idempotency_Key="a")
    other = platform.client.with_key(PUBLISHER).publish(topic, {"payload": 2}, Idempotency_Key="a")
    assert (first.status, other.status) == (200, 200)
    answer = platform.acme.publish(topic, {"payload": 2}, Idempotency_Key="a")
    assert (answer.status, answer.code) == (422, "IDEMPOTENCY_CONFLICT")


@pytest.mark.parametrize("key", ["", "x" * 256, "caf\xe9"])
def test_an_idempotency_key_is_printable_and_short(platform: Platform, key: str) -> None:
    answer = platform.acme.publish(platform.untouched, {"payload": 1}, Idempotency_Key=key)
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
    platform.assert_untouched()


def test_a_full_subscription_refuses_and_is_named(platform: Platform) -> None:
    topic, subscription = platform.topic_with_reader(maxBacklog=2)
    partly = platform.acme.publish(topic, {"messages": [{"payload": number} for number in range(3)]})
    assert partly.status == 207
    assert [result["status"] for result in partly.body["results"]] == ["stored", "stored", "not_stored"]
    assert partly.body["results"][2]["code"] == "QUOTA_EXCEEDED"
    assert [bool(one) for one in partly.body["messageIds"]] == [True, True, False]
    assert partly.body["partitions"][2] is None
    answer = platform.acme.publish(topic, {"payload": 4})
    assert (answer.status, answer.code) == (429, "QUOTA_EXCEEDED")
    assert answer.body["details"] == {"subscription": subscription, "quota": "maxBacklog", "limit": 2}
    assert int(answer.headers["retry-after"]) == answer.body["retryAfter"] > 0
    several = platform.acme.publish(topic, {"messages": [{"payload": 4}, {"payload": 5}]})
    assert several.status == 429
    assert [result["code"] for result in several.body["details"]["results"]] == ["QUOTA_EXCEEDED"] * 2
    for message in platform.acme.pull(subscription):
        platform.acme.settle("ack", subscription, message["ackId"])
    assert platform.acme.publish(topic, {"payload": 4}).status == 200


def test_a_paused_topic_takes_nothing(platform: Platform) -> None:
    topic, _ = platform.topic_with_reader(state="paused")
    answer = platform.acme.publish(topic, {"payload": 1})
    assert (answer.status, answer.code) == (409, "CONFLICT")


BOTH_WAYS = pytest.mark.parametrize("way", ["", "?"], ids=["directly", "by the route table"])


@BOTH_WAYS
def test_a_topic_that_changed_a_moment_ago_is_published_to_as_it_is_now(platform: Platform, way: str) -> None:
    topic, _ = platform.topic_with_reader(partitions=2)
    platform.acme.post(f"/topics/{topic}/publish{way}", {"payload": 1})
    platform.installation.put("Topic", "acme", topic, {"partitions": 4})
    platform.installation.prepare_again("acme", topic, generation=2)
    answer = platform.acme.post(f"/topics/{topic}/publish{way}", {"payload": 1, "partition": 0})
    assert answer.status == 200
    assert platform.acme.post(f"/topics/{topic}/publish{way}", {"payload": 1, "partition": 3}).status == 200


@BOTH_WAYS
def test_a_topic_that_was_deleted_a_moment_ago_is_not_found(platform: Platform, way: str) -> None:
    topic, _ = platform.topic_with_reader()
    platform.acme.post(f"/topics/{topic}/publish{way}", {"payload": 1})
    platform.installation.close("acme", topic)
    platform.installation.delete("Topic", "acme", topic)
    answer = platform.acme.post(f"/topics/{topic}/publish{way}", {"payload": 1})
    assert (answer.status, answer.code) == (404, "TOPIC_NOT_FOUND")


@BOTH_WAYS
def test_a_topic_whose_streams_are_gone_answers_that_it_is_being_restored(platform: Platform, way: str) -> None:
    topic = platform.name("bare")
    platform.installation.put("Topic", "acme", topic, {})
    platform.wait_for_topic(topic)
    answer = platform.acme.post(f"/topics/{topic}/publish{way}", {"payload": 1})
    assert (answer.status, answer.code, answer.body["retryAfter"]) == (503, "BROKER_NOT_AVAILABLE", 1)


# Everything else


def test_what_the_framework_refuses_has_the_same_body(platform: Platform) -> None:
    for method, path, status, code in [
        ("GET", "/nowhere", 404, "NOT_FOUND"),
        ("GET", API + "/nothing", 404, "NOT_FOUND"),
        ("GET", API + "/publish", 405, "METHOD_NOT_ALLOWED"),
        ("DELETE", API + "/topics/x/publish", 405, "METHOD_NOT_ALLOWED"),
        ("GET", API + f"/topics/{platform.untouched}/messages?max=many", 400, "INVALID_REQUEST"),
    ]:
        answer = platform.acme.send(method, path)
        assert (answer.status, answer.code) == (status, code)
        assert set(answer.body) == {"code", "message"}
    assert "POST" in platform.acme.send("GET", API + "/publish").headers["allow"]


def test_a_slash_at_the_end_changes_nothing(platform: Platform) -> None:
    topic, _ = platform.topic_with_reader()
    assert platform.acme.post(f"/topics/{topic}/publish/", {"payload": 1}).status == 200


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
message_like = st.fixed_dictionaries(
    {},
    optional={
        "payload": json_like,
        "key": st.text(max_size=5) | json_like,
        "headers": st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3) | json_like,
        "partition": st.integers(-2, 4) | json_like,
        "timestamp": st.integers() | st.text() | json_like,
    },
)
body_like = st.one_of(
    st.binary(max_size=200),
    json_like,
    message_like,
    st.fixed_dictionaries({"messages": st.lists(message_like | json_like, max_size=4) | json_like}),
    st.fixed_dictionaries({"payload": json_like, "options": st.dictionaries(st.text(max_size=5), json_like)}),
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=body_like)
def test_no_body_is_answered_with_a_defect(platform: Platform, body: Any) -> None:
    topic = platform.fuzzed
    answer = platform.acme.publish(topic, body)
    assert answer.status in (200, 400, 413), answer
    if answer.status == 200:
        sent = body.get("messages", [body])
        stored = platform.acme.pull(topic, 100)
        assert [message["payload"] for message in stored] == [message["payload"] for message in sent]
        assert [message["id"] for message in stored] == answer.body["messageIds"]
        platform.acme.settle("ack", topic, *(message["ackId"] for message in stored))


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=100) | json_like | st.fixed_dictionaries({"ackIds": st.lists(st.text(max_size=60))}))
def test_no_body_of_the_other_calls_is_answered_with_a_defect(platform: Platform, body: Any) -> None:
    for verb in ("pull", "ack", "nack"):
        answer = platform.acme.post(f"/subscriptions/{platform.fuzzed}/{verb}", body)
        assert answer.status in (200, 400), answer
