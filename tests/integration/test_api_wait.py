"""Long polls over real stores: who waits, what wakes them, and what ends it."""

import contextlib
import gc
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from api_platform import ACME, Platform
from redis import Redis
from served import API, Client, served
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from waiting import eventually

from mqops.api.consume import Consumer
from mqops.api.edge import Request
from mqops.api.waiting import Place
from mqops.streams.scripts import FETCH

LONG_MS = 20_000
SOON_SECONDS = 5.0
"""Far less than a wait, and far more than waking takes."""
QUICK = {"maxAttempts": 3, "initialDelay": "10ms", "maxDelay": "10ms", "jitter": 0}


class Waiters:
    """Consumers that wait, each in a thread of its own."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(32)

    def start(self, client: Client, subscription: str, most: int = 1, wait_ms: int = LONG_MS) -> "Future[Any]":
        def wait() -> Any:
            return client.post(f"/subscriptions/{subscription}/pull", {"maxMessages": most, "waitMs": wait_ms})

        return self._threads.submit(wait)

    def end(self) -> None:
        self._threads.shutdown()


@pytest.fixture
def waiters() -> Iterator[Waiters]:
    found = Waiters()
    yield found
    found.end()


def payloads(answer: "Future[Any]") -> list[Any]:
    """What a waiter got, which has to be soon."""
    got = answer.result(SOON_SECONDS)
    assert got.status == 200, got
    return [message["payload"] for message in got.body["messages"]]


def wait_until_armed(platform: Platform, subscription: str, partition: int = 0) -> None:
    """Until a fetch has found nothing, and the next publish will ring."""
    uid = platform.installation.uid("Subscription", "acme", subscription)

    with Redis.from_url(platform.installation.redis_url) as client:
        pattern = f"mq:*:{partition}:armed"
        eventually(lambda: any(client.sismember(key, uid) for key in client.keys(pattern)), "the armed partition", 5)
    time.sleep(0.05)


def publish(platform: Platform, topic: str, *payloads: Any) -> None:
    messages = [{"payload": payload} for payload in payloads]
    assert platform.acme.publish(topic, {"messages": messages}).status == 200


def test_a_message_ends_the_wait_at_once(platform: Platform, waiters: Waiters) -> None:
    topic, subscription = platform.topic_with_reader()
    waiting = waiters.start(platform.acme, subscription)
    wait_until_armed(platform, subscription)
    started = time.monotonic()
    publish(platform, topic, "hello")
    assert payloads(waiting) == ["hello"]
    assert time.monotonic() - started < 0.5


def test_what_is_there_already_is_not_waited_for(platform: Platform) -> None:
    topic, subscription = platform.topic_with_reader()
    publish(platform, topic, 1, 2)
    started = time.monotonic()
    assert len(platform.acme.pull(subscription, 10, waitMs=LONG_MS)) == 2
    assert time.monotonic() - started < 1


def test_the_wait_ends_with_nothing_when_its_time_is_up(platform: Platform) -> None:
    _, subscription = platform.topic_with_reader()
    started = time.monotonic()
    assert platform.acme.pull(subscription, 10, waitMs=400) == []
    assert 0.4 <= time.monotonic() - started < 2


@pytest.mark.parametrize("wait", [-1, 30_001, "1", 1.5, None])
def test_a_wrong_wait_is_400(platform: Platform, wait: Any) -> None:
    answer = platform.acme.post(f"/subscriptions/{platform.untouched}/pull", {"waitMs": wait})
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")


def test_a_queue_is_waited_for(platform: Platform) -> None:
    queue = platform.queue()
    timer = threading.Timer(0.3, lambda: platform.acme.post(f"/queues/{queue}/publish", {"payload": 7}))
    timer.start()
    messages = platform.acme.post(f"/queues/{queue}/pull", {"waitMs": LONG_MS}).body["messages"]
    assert [message["payload"] for message in messages] == [7]
    timer.join()


def test_a_message_wakes_one_of_many_and_the_next_another(platform: Platform, waiters: Waiters) -> None:
    topic, subscription = platform.topic_with_reader()
    waiting = [waiters.start(platform.acme, subscription) for _ in range(8)]
    wait_until_armed(platform, subscription)
    time.sleep(0.3)
    for number in range(8):
        publish(platform, topic, number)
        eventually(lambda number=number: sum(each.done() for each in waiting) == number + 1, "one more", 5)
    assert sorted(payload for each in waiting for payload in payloads(each)) == list(range(8))


def test_what_one_consumer_leaves_wakes_the_next(platform: Platform, waiters: Waiters) -> None:
    topic, subscription = platform.topic_with_reader()
    waiting = [waiters.start(platform.acme, subscription, most=3) for _ in range(4)]
    wait_until_armed(platform, subscription)
    time.sleep(0.3)
    publish(platform, topic, *range(12))
    assert sorted(payload for each in waiting for payload in payloads(each)) == list(range(12))


def test_every_partition_wakes_who_waits(platform: Platform, waiters: Waiters) -> None:
    topic, subscription = platform.topic_with_reader(partitions=12)
    for partition in (11, 0, 5):
        waiting = waiters.start(platform.acme, subscription)
        wait_until_armed(platform, subscription, partition)
        platform.acme.publish(topic, {"payload": partition, "partition": partition})
        assert payloads(waiting) == [partition]


def test_only_what_passes_the_filter_ends_the_wait(platform: Platform, waiters: Waiters) -> None:
    topic, subscription = platform.topic_with_reader(reader={"filter": "payload > 10"})
    waiting = waiters.start(platform.acme, subscription)
    wait_until_armed(platform, subscription)
    publish(platform, topic, 1, 2)
    time.sleep(0.3)
    assert not waiting.done()
    publish(platform, topic, 11)
    assert payloads(waiting) == [11]


def test_what_is_given_back_or_not_settled_in_time_ends_the_wait(platform: Platform, waiters: Waiters) -> None:
    topic, subscription = platform.topic_with_reader(reader={"retry": QUICK, "ackDeadline": "500ms"})
    publish(platform, topic, "again")
    [message] = platform.acme.pull(subscription)
    waiting = waiters.start(platform.acme, subscription)
    time.sleep(0.1)
    assert platform.acme.settle("nack", subscription, message["ackId"]) == ["nacked"]
    [second] = waiting.result(SOON_SECONDS).body["messages"]
    assert second["attempt"] == 2
    [third] = waiters.start(platform.acme, subscription).result(SOON_SECONDS).body["messages"]
    assert third["attempt"] == 3


def test_another_process_serves_whoever_waits(platform: Platform, waiters: Waiters, tmp_path: Path) -> None:
    installation = platform.installation
    topic, subscription = platform.topic_with_reader()
    with served(installation.database_url, installation.redis_url, tmp_path, installation.id) as other:
        client = other.with_key(ACME)
        waiting = [waiters.start(each, subscription) for each in (client, platform.acme)]
        wait_until_armed(platform, subscription)
        time.sleep(0.3)
        publish(platform, topic, 1)
        eventually(lambda: any(each.done() for each in waiting), "who gets it", 5)
        assert client.publish(topic, {"payload": 2}).status == 200
        assert sorted(payload for each in waiting for payload in payloads(each)) == [1, 2]


def test_a_consumer_that_went_away_takes_nothing_with_it(platform: Platform) -> None:
    topic, subscription = platform.topic_with_reader()
    body = json.dumps({"waitMs": LONG_MS})
    head = f"POST {API}/subscriptions/{subscription}/pull HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ACME}\r\n"
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", platform.client.port)) as consumer:
            consumer.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
            wait_until_armed(platform, subscription)
    time.sleep(0.2)
    publish(platform, topic, 1)
    [message] = platform.acme.pull(subscription)
    assert message["attempt"] == 1


def test_a_pause_ends_the_wait(platform: Platform, waiters: Waiters) -> None:
    topic, subscription = platform.topic_with_reader()
    waiting = waiters.start(platform.acme, subscription)
    wait_until_armed(platform, subscription)
    platform.installation.put("Subscription", "acme", subscription, {"topic": topic, "state": "paused"})
    answer = waiting.result(SOON_SECONDS)
    assert (answer.status, answer.code) == (409, "CONFLICT")


def test_a_revoked_key_gets_nothing_and_others_get_it_in_its_place(platform: Platform, waiters: Waiters) -> None:
    topic, subscription = platform.topic_with_reader()
    platform.installation.credential("acme", "leaver-who-waits", "key-of-a-leaver")
    leaver = platform.client.with_key("key-of-a-leaver")
    eventually(lambda: leaver.post(f"/subscriptions/{subscription}/pull").status == 200, "the credential", 5)
    first = waiters.start(leaver, subscription)
    wait_until_armed(platform, subscription)
    second = waiters.start(platform.acme, subscription)
    time.sleep(0.2)
    platform.installation.delete("Credential", "acme", "leaver-who-waits")
    eventually(lambda: leaver.post(f"/subscriptions/{subscription}/pull").status == 401, "the revocation", 5)
    publish(platform, topic, 1)
    assert first.result(SOON_SECONDS).status == 401
    assert payloads(second) == [1]


def test_rings_that_nobody_heard_are_made_up_for(platform: Platform, waiters: Waiters) -> None:
    """While the bell's connection is down, a message comes."""
    topic, subscription = platform.topic_with_reader()
    waiting = waiters.start(platform.acme, subscription)
    wait_until_armed(platform, subscription)
    with Redis.from_url(platform.installation.redis_url) as client:
        client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    publish(platform, topic, 1)
    assert payloads(waiting) == [1]


def test_waiting_asks_the_server_for_nothing(platform: Platform, waiters: Waiters) -> None:
    subscriptions = [platform.topic_with_reader()[1] for _ in range(5)]
    waiting = [waiters.start(platform.acme, each, wait_ms=2_500) for each in subscriptions]
    for each in subscriptions:
        wait_until_armed(platform, each)
    fetches, stop = [0], threading.Event()

    def count() -> None:
        with Redis.from_url(platform.installation.redis_url, socket_timeout=0.2) as client, client.monitor() as monitor:
            while not stop.is_set():
                with contextlib.suppress(Exception):
                    fetches[0] += FETCH.sha in monitor.next_command()["command"]

    counting = threading.Thread(target=count)
    counting.start()
    time.sleep(1.5)
    stop.set()
    counting.join()
    assert fetches == [0]
    assert [payloads(each) for each in waiting] == [[]] * 5


def test_a_wait_leaves_nothing_to_the_collector(platform: Platform, waiters: Waiters) -> None:
    """It seldom runs: what only it could free would pile up."""
    topic, subscription = platform.topic_with_reader()

    def wait_and_settle() -> None:
        waiting = waiters.start(platform.acme, subscription)
        wait_until_armed(platform, subscription)
        publish(platform, topic, 1)
        [message] = waiting.result(SOON_SECONDS).body["messages"]
        assert platform.acme.settle("ack", subscription, message["ackId"]) == ["acked"]

    wait_and_settle()
    gc.collect()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        for _ in range(5):
            wait_and_settle()
        gc.collect()
        left = {type(each) for each in gc.garbage}
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
    assert left.isdisjoint({Consumer, Place, RequestResponseCycle, Request})
