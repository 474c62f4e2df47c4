"""The internal API: where manifests have it lead to, and what it tells of what waits there."""

from collections.abc import Iterator
from typing import Any

import pytest
from api_platform import SERVICE_TOKEN, SYSTEM, SYSTEM_ADMIN, Platform
from served import API, Answer, Client
from waiting import eventually

from mqops.model import INTERNAL_API, INTERNAL_PATHS

ROOT = "/internal/mq"
TOKEN = {"X-Service-Token": SERVICE_TOKEN}


def send(client: Client, path: str, payload: Any) -> Answer:
    return client.send("POST", f"{ROOT}/{path}", {"payload": payload}, TOKEN)


def look(client: Client, path: str) -> Answer:
    return client.send("GET", f"{ROOT}/{path}", None, TOKEN)


def lead(platform: Platform, paths: str, *, kind: str = "Topic", **spec: Any) -> str:
    """The name of a new topic of ``system`` that ``paths`` lead to, and of a subscription that reads it."""
    name = platform.name("internal")
    make = platform.installation.queue if kind == "Queue" else platform.installation.topic
    if kind == "Queue":
        platform.installation.topic("system", f"{name}.deadletter")
        spec = {"deadLetter": f"{name}.deadletter", **spec}
    make("system", name, **spec)
    platform.installation.annotate(kind, "system", name, {INTERNAL_API: paths})
    if kind == "Topic":
        platform.installation.subscription("system", name, topic=name, retry={"initialDelay": "1h", "maxDelay": "1h"})
    platform.wait_for_subscription(name, "system")
    return name


@pytest.fixture(autouse=True)
def _leads_nowhere_after(platform: Platform) -> Iterator[None]:
    yield
    for kind, tenant, name in list(platform.installation._uids):
        if name.startswith("internal-") and kind in ("Topic", "Queue"):
            platform.installation.annotate(kind, tenant, name, {})
    client = platform.client
    for path in INTERNAL_PATHS:
        eventually(lambda path=path: send(client, path, 1).status == 404, "the end of what it led to", 5)


@pytest.mark.parametrize("path", INTERNAL_PATHS)
def test_a_path_publishes_to_the_topic_that_says_so(platform: Platform, path: str) -> None:
    name = lead(platform, path)
    lead(platform, ", ".join(other for other in INTERNAL_PATHS if other != path))
    answer = send(platform.client, path, "told")
    assert answer.status == 200, answer
    [message] = platform.client.with_key(SYSTEM).pull(name)
    assert (message["payload"], message["producer"]) == ("told", "service")


def test_what_is_published_is_as_to_any_topic(platform: Platform) -> None:
    name = lead(platform, "user-events", partitions=4)
    body = {
        "messages": [{"key": "user-7", "headers": {"type": "user_changed"}, "payload": number} for number in (1, 2)]
    }
    headers = {**TOKEN, "Idempotency-Key": "once"}
    first, again = (platform.client.send("POST", f"{ROOT}/user-events", body, headers) for _ in range(2))
    assert first.body == again.body
    messages = platform.client.with_key(SYSTEM).pull(name)
    assert [(it["key"], it["headers"], it["payload"]) for it in messages] == [
        ("user-7", {"type": "user_changed"}, number) for number in (1, 2)
    ]
    assert platform.client.send("POST", f"{ROOT}/user-events", {"paylod": 1}, TOKEN).code == "INVALID_REQUEST"


def test_a_queue_will_do_as_well(platform: Platform) -> None:
    name = lead(platform, "notifications", kind="Queue")
    assert send(platform.client, "notifications", "queued").status == 200
    answer = platform.client.with_key(SYSTEM).post(f"/queues/{name}/pull")
    assert [message["payload"] for message in answer.body["messages"]] == ["queued"]


def test_where_nothing_is_declared_a_path_leads_nowhere(platform: Platform) -> None:
    for path in INTERNAL_PATHS:
        assert send(platform.client, path, 1).code == "TOPIC_NOT_FOUND"
    for path in ("audit-queue-status", "notification-queue"):
        assert look(platform.client, path).code == "TOPIC_NOT_FOUND"


def test_an_annotation_of_another_tenant_leads_nowhere(platform: Platform) -> None:
    topic, _ = platform.topic_with_reader()
    platform.installation.annotate("Topic", "acme", topic, {INTERNAL_API: "user-events"})
    acme = platform.client.with_key(SYSTEM_ADMIN, "acme")
    eventually(lambda: acme.get(f"{API}/topics/{topic}").body["annotations"], "the annotation", 5)
    assert send(platform.client, "user-events", 1).code == "TOPIC_NOT_FOUND"


def test_two_that_claim_a_path_get_nothing(platform: Platform) -> None:
    names = [lead(platform, "audit-logs") for _ in range(2)]
    answer = send(platform.client, "audit-logs", 1)
    assert (answer.status, answer.code, answer.body["details"]["topics"]) == (409, "CONFLICT", sorted(names))


@pytest.mark.parametrize(
    ("path", "route"), [("audit-logs", "audit-queue-status"), ("notifications", "notification-queue")]
)
def test_a_status_counts_what_is_not_finished(platform: Platform, path: str, route: str) -> None:
    name = lead(platform, path, partitions=2)
    system = platform.client.with_key(SYSTEM)
    for number in range(7):
        assert send(platform.client, path, number).status == 200
    pulled = []
    for _ in range(2):
        pulled += system.pull(name, 2)
    assert system.settle("ack", name, pulled[0]["ackId"]) == ["acked"]
    assert system.settle("nack", name, pulled[1]["ackId"], pulled[2]["ackId"]) == ["nacked", "nacked"]
    status = look(platform.client, route)
    assert status.status == 200
    assert status.body == {
        "topic": name,
        "state": "active",
        "partitions": 2,
        "stored": 7,
        "unfinished": 6,
        "subscriptions": [
            {
                "tenant": "system",
                "name": name,
                "handler": None,
                "paused": False,
                "unfinished": 6,
                "inFlight": 1,
                "retrying": 2,
                "deadLettered": 0,
            }
        ],
    }


def test_health_is_told_with_all_that_is_behind_it(platform: Platform) -> None:
    answer = look(platform.client, "health-detailed")
    assert answer.status == 200
    assert {"latencyMs", "usedMemoryBytes"} <= set(answer.body["checks"]["redis"])
    assert {"topics", "unusable", "unprepared"} <= set(answer.body["checks"]["queues"])
    assert look(platform.client, "health-detailed?x=1").code == "INVALID_REQUEST"


def test_it_is_for_whoever_acts_in_system(platform: Platform) -> None:
    lead(platform, "user-events")
    for client, status in (
        (platform.client.with_key(SYSTEM), 200),
        (platform.client.with_key(SYSTEM, "acme"), 403),
        (platform.acme, 403),
        (platform.client, 401),
    ):
        assert client.send("POST", f"{ROOT}/user-events", {"payload": 1}).status == status
    assert send(platform.client.with_key(None, "acme"), "user-events", 1).status == 403
