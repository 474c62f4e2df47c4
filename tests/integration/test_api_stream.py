"""Server-sent events: messages as they come, and no more than agreed."""

import contextlib
import http.client
import json
import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from api_platform import ACME, GLOBEX, PUBLISHER, Platform
from served import API, served
from waiting import eventually

SOON_SECONDS = 5.0


@dataclass
class Events:
    """A stream that is read in a thread of its own."""

    connection: http.client.HTTPConnection
    response: http.client.HTTPResponse
    messages: "queue.Queue[dict[str, Any]]" = field(default_factory=queue.Queue)
    other: "queue.Queue[tuple[str, Any]]" = field(default_factory=queue.Queue)
    ended: threading.Event = field(default_factory=threading.Event)

    def read(self) -> None:
        with contextlib.suppress(OSError, ValueError, AttributeError, http.client.HTTPException):
            fields: dict[str, str] = {}
            while line := self.response.readline().decode():
                name, _, value = line.rstrip("\n").partition(": ")
                if name:
                    fields[name] = f"{fields[name]}\n{value}" if name in fields else value
                    continue
                if fields.get("event") == "message":
                    message = json.loads(fields["data"])
                    assert message["id"] == fields["id"]
                    self.messages.put(message)
                else:
                    self.other.put((fields.get("event", ""), fields))
                fields = {}
        self.ended.set()

    def next(self) -> dict[str, Any]:
        return self.messages.get(timeout=SOON_SECONDS)

    def close(self) -> None:
        """Go away."""
        if self.connection.sock is not None:
            self.connection.sock.shutdown(2)
        self.connection.close()


@contextlib.contextmanager
def streaming(
    port: int, subscription: str, query: str = "", key: str = ACME, plural: str = "subscriptions"
) -> Iterator[Events]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(
        "GET", f"{API}/{plural}/{subscription}/stream{query}", headers={"Authorization": f"Bearer {key}"}
    )
    sock = connection.sock
    response = connection.getresponse()
    assert (response.status, response.headers["content-type"]) == (200, "text/event-stream")
    connection.sock = sock  # a response without a length has taken it
    events = Events(connection, response)
    thread = threading.Thread(target=events.read)
    thread.start()
    try:
        yield events
    finally:
        with contextlib.suppress(OSError):
            events.close()
        thread.join()


@pytest.fixture
def reader(platform: Platform) -> tuple[str, str]:
    return platform.topic_with_reader()


def publish(platform: Platform, topic: str, *payloads: Any) -> None:
    messages = [{"payload": payload} for payload in payloads]
    assert platform.acme.publish(topic, {"messages": messages}).status == 200


def test_messages_come_when_they_are_published_and_are_acknowledged_over_http(platform: Platform) -> None:
    topic, subscription = platform.topic_with_reader(partitions=3)
    publish(platform, topic, 0)
    with streaming(platform.client.port, subscription) as events:
        assert events.next()["payload"] == 0
        for number in range(1, 10):
            started = time.monotonic()
            publish(platform, topic, number)
            message = events.next()
            assert time.monotonic() - started < 0.5
            assert (message["payload"], message["attempt"]) == (number, 1)
            assert platform.acme.settle("ack", subscription, message["ackId"]) == ["acked"]


def test_a_payload_on_several_lines_is_whole(platform: Platform) -> None:
    topic, subscription = platform.topic_with_reader()
    with streaming(platform.client.port, subscription) as events:
        body = b'{"payload": {\n"a":\r\n [1,\r2], "b": "x\\ny"}}'
        assert platform.acme.send("POST", f"{API}/topics/{topic}/publish", body).status == 200
        assert events.next()["payload"] == {"a": [1, 2], "b": "x\ny"}


def test_no_more_are_out_than_agreed_until_some_are_settled(platform: Platform, tmp_path: Path) -> None:
    topic, subscription = platform.topic_with_reader(partitions=2)
    installation = platform.installation
    publish(platform, topic, *range(20))
    with (
        served(installation.database_url, installation.redis_url, tmp_path, installation.id) as other,
        streaming(platform.client.port, subscription, "?maxUnacked=4") as events,
    ):
        got = [events.next() for _ in range(4)]
        time.sleep(0.5)
        assert events.messages.empty()
        elsewhere = other.with_key(ACME)
        for client in (platform.acme, elsewhere, platform.acme, elsewhere):
            assert client.settle("ack", subscription, *(each["ackId"] for each in got[-2:])) == ["acked"] * 2
            got += [events.next(), events.next()]
            time.sleep(0.2)
            assert events.messages.empty()
        assert sorted(message["offset"] for message in got if message["partition"] == 0)[:3] == [1, 2, 3]


def test_what_is_past_its_lease_or_given_back_makes_room(platform: Platform) -> None:
    retry = {"maxAttempts": 5, "initialDelay": "10s", "maxDelay": "10s", "jitter": 0}
    topic, subscription = platform.topic_with_reader(reader={"ackDeadline": "500ms", "retry": retry})
    publish(platform, topic, 1, 2)
    with streaming(platform.client.port, subscription, "?maxUnacked=1") as events:
        first = events.next()
        assert platform.acme.settle("nack", subscription, first["ackId"]) == ["nacked"]
        second, again = events.next(), events.next()
        assert (second["payload"], again["payload"], again["attempt"]) == (2, 2, 2)


def test_a_stream_ends_when_its_time_is_up(platform: Platform, reader: tuple[str, str]) -> None:
    started = time.monotonic()
    with streaming(platform.client.port, reader[1], "?forMs=400") as events:
        assert events.ended.wait(SOON_SECONDS)
    assert 0.4 <= time.monotonic() - started < 2
    assert [kind for kind, _ in list(events.other.queue)] == [""]


def test_a_queue_is_streamed(platform: Platform) -> None:
    queue_name = platform.queue()
    with streaming(platform.client.port, queue_name, plural="queues") as events:
        platform.acme.post(f"/queues/{queue_name}/publish", {"payload": "job"})
        assert events.next()["payload"] == "job"


def test_a_client_that_went_away_takes_nothing_with_it(platform: Platform, reader: tuple[str, str]) -> None:
    topic, subscription = reader
    for _ in range(5):
        with streaming(platform.client.port, subscription):
            time.sleep(0.05)
    time.sleep(0.2)
    publish(platform, topic, 1)
    [message] = platform.acme.pull(subscription)
    assert message["attempt"] == 1


def test_a_pause_ends_the_stream_with_an_error(platform: Platform, reader: tuple[str, str]) -> None:
    topic, subscription = reader
    with streaming(platform.client.port, subscription) as events:
        events.other.get(timeout=SOON_SECONDS)
        platform.installation.put("Subscription", "acme", subscription, {"topic": topic, "state": "paused"})
        kind, fields = events.other.get(timeout=SOON_SECONDS)
        assert (kind, json.loads(fields["data"])["code"]) == ("error", "CONFLICT")
        assert events.ended.wait(SOON_SECONDS)


def test_streams_share_what_there_is(platform: Platform, reader: tuple[str, str]) -> None:
    topic, subscription = reader
    with contextlib.ExitStack() as stack:
        several = [stack.enter_context(streaming(platform.client.port, subscription)) for _ in range(3)]
        time.sleep(0.3)
        for number in range(30):
            publish(platform, topic, number)
        eventually(lambda: sum(each.messages.qsize() for each in several) == 30, "all of them", 5)
        assert all(each.messages.qsize() >= 3 for each in several)


@pytest.mark.parametrize("query", ["maxUnacked=0", "maxUnacked=1001", "maxUnacked=x", "forMs=0", "forMs=x", "more=1"])
def test_a_wrong_stream_request_is_400(platform: Platform, query: str) -> None:
    answer = platform.acme.get(f"{API}/subscriptions/{platform.untouched}/stream?{query}")
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")


def test_who_may_not_pull_may_not_stream(platform: Platform) -> None:
    path = f"{API}/subscriptions/{platform.untouched}/stream?forMs=10"
    for key, code in ((None, "UNAUTHENTICATED"), (PUBLISHER, "FORBIDDEN"), (GLOBEX, "SUBSCRIPTION_NOT_FOUND")):
        assert platform.client.with_key(key).get(path).code == code
