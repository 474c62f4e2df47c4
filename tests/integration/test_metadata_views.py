"""The views of topics and subscriptions that other services read: every column of the owner's tables, set to something
else than its default in a manifest, read back, and seen at work.
"""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from commands import MQOPS, environment
from databases import created
from metadata_world import ADMIN, BASE, GLOBEX, MAKER, OTHER, READERS, World, applied, credential, receiving
from redis import Redis
from served import API, served
from waiting import eventually

from mqops.api.puller import MAX_MESSAGES
from mqops.delivery.dispatch import Limits
from mqops.delivery.heartbeat import BEAT_SECONDS
from mqops.settings import Settings
from mqops.streams import PULL_CONSUMER


@pytest.fixture(scope="module")
def world(
    database_server_url: str, template_database: str, redis_server_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("views")
    name = f"mqops_views_{uuid4().hex[:12]}"
    with (
        Redis.from_url(redis_server_url) as redis,
        created(database_server_url, name, template_database) as database_url,
        receiving() as (receiver, url),
    ):
        redis.flushdb()
        settings = Settings(database_url=database_url, redis_url=redis_server_url, state_dir=folder / "state")
        credentials = (
            credential("acme", "maker", MAKER, "publisher, consumer")
            + credential("acme", "other", OTHER, "publisher, consumer")
            + credential("acme", "admin", ADMIN, "admin")
            + credential("globex", "reader", GLOBEX, "consumer, viewer")
        )
        base = BASE.replace("CREDENTIALS\n", credentials)
        applied_at = datetime.now(UTC)
        installation = applied(folder / "manifests", base, settings)
        with served(
            database_url, redis_server_url, folder / "serve", installation, health_check_interval_seconds=1.0
        ) as client:
            world = World(client, redis, database_url, receiver, applied_at)
            eventually(lambda: world.publish("orders", {"n": 1}) == 200, "the first message", 10)
            applied(folder / "manifests", base + READERS.replace("URL", url), settings)
            stores = {
                "DATABASE_URL": database_url,
                "REDIS_URL": redis_server_url,
                "MQOPS_STATE_DIR": str(folder / "work"),
            }
            more = {"MQOPS_PRIVATE_TARGETS": "*=*", "MQOPS_ACCEPT_RISK": "1", "HEALTH_CHECK_INTERVAL": "1"}
            worker = subprocess.Popen([*MQOPS, "work"], env=environment(**stores, **more), stdout=subprocess.DEVNULL)
            try:
                path = "/subscriptions/foreign/ack"
                eventually(lambda: world.by(GLOBEX).post(path, {"ackIds": ["x"]}).status == 200, "the readers", 10)
                yield world
            finally:
                worker.terminate()
                worker.wait(30)


Check = Callable[[World], None]


# --- topics -----------------------------------------------------------------------------------------------------------


def topic_id(world: World) -> None:
    uid = world.view("mq_topics", "orders")["id"]
    assert uid == world.uid("Topic", "orders")
    assert world.publish(str(uid), {"n": 2}) == 200


def topic_name(world: World) -> None:
    assert world.view("mq_topics", "jobs")["id"] == world.uid("Queue", "jobs")  # queues are topics here
    assert world.by(MAKER).post("/queues/jobs/publish", {"payload": 1}).status == 200
    assert world.view("mq_topics", "orders")["name"] == "orders"
    assert world.publish("order", 1) == 404


def topic_words(world: World) -> None:
    row = world.view("mq_topics", "orders")
    shown = world.by(ADMIN).get(f"{API}/topics/orders").body["spec"]
    assert (row["display_name"], row["description"]) == ("All orders", "Orders as the checkout takes them")
    assert (shown["displayName"], shown["description"]) == (row["display_name"], row["description"])


def topic_type(world: World) -> None:
    row = world.view("mq_topics", "orders")
    assert row["topic_type"] == "redis_stream"
    [stream] = world.redis.scan_iter(f"*:{row['id']}:0:s", count=1000)
    assert world.redis.type(stream) == b"stream"


def topic_partition_count(world: World) -> None:
    assert world.view("mq_topics", "orders")["partition_count"] == 3
    for partition, status in ((2, 200), (3, 400)):
        assert world.by(MAKER).publish("orders", {"payload": {"n": 0}, "partition": partition}).status == status


def topic_retention(world: World) -> None:
    assert world.view("mq_topics", "orders")["retention_ms"] == 36 * 3_600_000
    assert world.view("mq_topics", "brief")["retention_ms"] == 1000
    assert world.publish("brief", "unread") == 200
    count = "/subscriptions/brief/pull"
    eventually(lambda: not world.by(MAKER).get(f"{API}/topics/brief/messages").body["messages"], "retention", 20)
    assert world.by(MAKER).post(count).body["messages"] == []


def topic_tenant(world: World) -> None:
    assert world.view("mq_topics", "orders")["tenant_id"] == world.uid("Tenant", "acme")
    assert world.by(GLOBEX).get(f"{API}/topics/orders").status == 404


def topic_public(world: World) -> None:
    assert (world.view("mq_topics", "orders")["is_public"], world.view("mq_topics", "plain")["is_public"]) == (
        True,
        False,
    )
    assert world.publish("orders", {"n": 3}) == 200
    assert world.taken("foreign", {"n": 3}, GLOBEX)["topic"] == "acme/orders"


def topic_producers(world: World) -> None:
    assert (
        world.view("mq_topics", "orders")["allowed_producers"],
        world.view("mq_topics", "plain")["allowed_producers"],
    ) == (
        ["maker"],
        [],
    )
    assert [world.publish("orders", {"n": 0}, key) for key in (MAKER, OTHER)] == [200, 403]


def topic_consumers(world: World) -> None:
    assert world.view("mq_topics", "orders")["allowed_consumers"] == ["maker"]
    pulls = [world.by(key).post("/subscriptions/reading/pull").status for key in (MAKER, OTHER)]
    assert pulls == [200, 403]


def topic_status(world: World) -> None:
    states = [world.view("mq_topics", name)["status"] for name in ("orders", "halted", "shelved")]
    assert states == ["active", "paused", "archived"]
    assert [world.publish(name, 1) for name in ("halted", "shelved")] == [409, 409]
    assert world.by(MAKER).post("/subscriptions/shelved/pull").status == 409


def topic_times(world: World) -> None:
    row = world.view("mq_topics", "orders")
    assert world.applied_at <= row["created_at"] <= row["updated_at"] <= datetime.now(UTC)
    shown = world.by(ADMIN).get(f"{API}/topics/orders").body
    assert abs((datetime.fromisoformat(shown["createdAt"]) - row["created_at"]).total_seconds()) < 0.01
    before = world.view("mq_topics", "plain")
    with psycopg.connect(world.database_url) as database:  # as an apply changes a row
        database.execute("UPDATE mq_resources SET updated_at = now() WHERE uid = %s", (before["id"],))
    after = world.view("mq_topics", "plain")
    assert (after["created_at"], after["updated_at"] > before["updated_at"]) == (before["created_at"], True)


def constant(column: str, value: Any, way: str = "") -> Check:
    """What there is no choice of yet, and what says so."""

    def check(world: World) -> None:
        assert world.view("mq_topics", "orders")[column] == value
        if way:
            body = {"name": "chosen", "spec": {way: "x"}}
            assert world.by(ADMIN).post("/topics", body).status == 400

    return check


TOPICS: dict[str, Check] = {
    "id": topic_id,
    "name": topic_name,
    "display_name": topic_words,
    "description": topic_words,
    "topic_type": topic_type,
    "partition_count": topic_partition_count,
    "replication_factor": constant("replication_factor", 1, "replicationFactor"),
    "retention_ms": topic_retention,
    "message_format": constant("message_format", "json", "format"),
    "schema_definition": constant("schema_definition", None, "schema"),
    "compression_type": constant("compression_type", "none", "compression"),
    "tenant_id": topic_tenant,
    "is_public": topic_public,
    "allowed_producers": topic_producers,
    "allowed_consumers": topic_consumers,
    "status": topic_status,
    "created_at": topic_times,
    "updated_at": topic_times,
}


# --- subscriptions ----------------------------------------------------------------------------------------------------


def sub_id(world: World) -> None:
    uid = world.view("mq_subscriptions", "reading")["id"]
    assert uid == world.uid("Subscription", "reading")
    assert world.by(MAKER).post(f"/subscriptions/{uid}/pull").status == 200


def sub_topic(world: World) -> None:
    topics = [world.view("mq_subscriptions", name)["topic_id"] for name in ("reading", "foreign", "jobs")]
    assert topics == [world.uid("Topic", "orders"), world.uid("Topic", "orders"), world.uid("Queue", "jobs")]
    assert world.publish("orders", {"n": 4}) == 200
    world.taken("reading", {"n": 4})


def sub_group(world: World) -> None:
    assert world.view("mq_subscriptions", "reading")["consumer_group"] == "reading"
    assert world.by(MAKER).post("/subscriptions/reading/pull").status == 200


def sub_consumer(world: World) -> None:
    row = world.view("mq_subscriptions", "reading")
    assert (row["consumer_name"], world.view("mq_subscriptions", "billing")["consumer_name"]) == (PULL_CONSUMER, "hook")
    assert world.publish("orders", {"n": 5}) == 200
    world.taken("reading", {"n": 5})
    streams = list(world.redis.scan_iter(f"*:{row['topic_id']}:*:s", count=1000))
    consumers = [it["name"] for stream in streams for it in world.redis.xinfo_consumers(stream, str(row["id"]))]
    assert set(consumers) == {PULL_CONSUMER.encode()}


def sub_type(world: World) -> None:
    types = [world.view("mq_subscriptions", name)["subscription_type"] for name in ("reading", "billing", "jobs")]
    assert types == ["redis_consumer", "webhook", "redis_consumer"]
    assert world.by(MAKER).post("/subscriptions/billing/pull").status == 409
    assert world.publish("hooked", "type") == 200
    eventually(lambda: world.receiver.times("type"), "the webhook", 10)


def sub_start(world: World) -> None:
    policies = [world.view("mq_subscriptions", name)["offset_reset_policy"] for name in ("reading", "foreign")]
    assert policies == ["earliest", "latest"]
    firsts = []
    for name, key in (("reading", MAKER), ("foreign", GLOBEX)):
        uid = world.view("mq_subscriptions", name)["id"]
        [meta] = world.redis.scan_iter(f"*:{uid}:meta", count=1000)
        firsts.append(int(world.redis.hget(meta, "base") or 0))
        assert world.by(key).post(f"/subscriptions/{name}/pull").status == 200
    assert firsts == [0, 1]  # one message was there before both


def sub_poll(world: World) -> None:
    polls = [world.view("mq_subscriptions", name)["max_poll_records"] for name in ("reading", "billing")]
    assert polls == [MAX_MESSAGES, 2]
    pulls = [
        world.by(MAKER).post("/subscriptions/reading/pull", {"maxMessages": most}).status
        for most in (MAX_MESSAGES, MAX_MESSAGES + 1)
    ]
    assert pulls == [200, 400]
    for number in range(6):
        assert world.publish("hooked", f"poll {number}") == 200
    eventually(lambda: world.receiver.times("poll 5"), "the last of them", 10)
    assert world.receiver.most == 2


def sub_session(world: World) -> None:
    sessions = [world.view("mq_subscriptions", name)["session_timeout_ms"] for name in ("reading", "billing")]
    assert sessions == [1000, 4000 + Limits().lease_beyond_timeout_ms]
    assert world.publish("orders", {"n": 6}) == 200
    [first] = eventually(lambda: [it for it in world.by(MAKER).pull("reading") if it["payload"] == {"n": 6}], "it", 10)
    taken = time.time()
    again = world.taken("reading", {"n": 6})
    assert (again["id"], again["attempt"], time.time() - taken >= 0.9) == (first["id"], 2, True)


def sub_heartbeat(world: World) -> None:
    beats = [world.view("mq_subscriptions", name)["heartbeat_interval_ms"] for name in ("reading", "billing")]
    assert beats == [None, BEAT_SECONDS * 1000]
    [workers] = world.redis.scan_iter("mq:*workers*", count=1000)
    before = world.redis.zrange(workers, 0, -1, withscores=True)
    eventually(lambda: world.redis.zrange(workers, 0, -1, withscores=True) != before, "a beat", 2 * BEAT_SECONDS)


def sub_handler(world: World) -> None:
    assert world.view("mq_subscriptions", "reading")["handler_config"] is None
    config = world.view("mq_subscriptions", "billing")["handler_config"]
    assert (config["type"], config["http"]["timeout"], config["http"]["headers"]) == ("http", "4s", {"X-App": "mqops"})
    assert world.publish("hooked", "config") == 200
    eventually(lambda: world.receiver.times("config"), "the webhook", 10)
    assert {headers["x-app"] for _, headers, _ in world.receiver.arrived} == {"mqops"}


def sub_failing(world: World) -> None:
    """Dead letters, attempts and their delay."""
    row = world.view("mq_subscriptions", "billing")
    told = (row["dead_letter_queue"], row["max_retry_attempts"], row["retry_delay_ms"])
    assert told == ("graveyard", 1, 700)
    pulled = world.view("mq_subscriptions", "reading")
    assert (pulled["max_retry_attempts"], pulled["retry_delay_ms"]) == (2, 1500)
    assert world.view("mq_subscriptions", "jobs")["max_retry_attempts"] == 6
    if not world.receiver.times("fail"):
        assert world.publish("hooked", "fail") == 200
    assert world.dead("fail")["subscription"] in ("billing", "acme/billing")
    first, second = world.receiver.times("fail")
    assert 0.85 <= second - first <= 5  # 0.7 s after the answer, which takes 0.2 s


def sub_filter(world: World) -> None:
    assert world.view("mq_subscriptions", "reading")["message_filter"] == "payload.n > 0"
    assert world.by(MAKER).publish("orders", {"payload": {"n": -7}, "partition": 0}).status == 200
    assert world.by(MAKER).publish("orders", {"payload": {"n": 7}, "partition": 0}).status == 200
    seen: list[Any] = []

    def look() -> bool:
        for message in world.by(MAKER).pull("reading"):
            seen.append(message["payload"])
            world.by(MAKER).settle("ack", "reading", message["ackId"])
        return {"n": 7} in seen

    eventually(look, "what passes", 10)
    assert all(payload["n"] > 0 for payload in seen)


def sub_status(world: World) -> None:
    assert [world.view("mq_subscriptions", name)["status"] for name in ("reading", "still", "shelved")] == [
        "active",
        "paused",
        "stopped",
    ]
    assert world.by(MAKER).post("/subscriptions/still/pull").status == 409
    path = "/subscriptions/reading"
    for verb, body, status in (
        ("pause", {}, "paused"),
        ("resume", None, "active"),
        ("pause", {"forMs": 300}, "paused"),
    ):
        assert world.by(ADMIN).post(f"{path}/{verb}", body).status == 200
        assert world.view("mq_subscriptions", "reading")["status"] == status
        assert world.by(MAKER).post(f"{path}/pull").status == (409 if status == "paused" else 200)
    eventually(lambda: world.view("mq_subscriptions", "reading")["status"] == "active", "the end of the pause", 5)


def sub_tenant(world: World) -> None:
    tenants = [world.view("mq_subscriptions", name)["tenant_id"] for name in ("reading", "foreign")]
    assert tenants == [world.uid("Tenant", "acme"), world.uid("Tenant", "globex")]
    assert world.by(GLOBEX).post("/subscriptions/reading/pull").status == 404


def sub_times(world: World) -> None:
    row = world.view("mq_subscriptions", "reading")
    assert world.applied_at <= row["created_at"] <= row["updated_at"] <= datetime.now(UTC)


def sub_consumed(world: World) -> None:
    before = datetime.now(UTC)
    assert world.publish("hooked", "consumed") == 200
    assert world.publish("orders", {"n": 8}) == 200
    world.taken("reading", {"n": 8})

    def is_noted() -> bool:
        rows = [world.view("mq_subscriptions", name)["last_consumed_at"] for name in ("reading", "billing")]
        return all(when is not None and when >= before for when in rows)

    eventually(is_noted, "both notes", 15)
    assert world.view("mq_subscriptions", "still")["last_consumed_at"] is None


SUBSCRIPTIONS: dict[str, Check] = {
    "id": sub_id,
    "topic_id": sub_topic,
    "consumer_group": sub_group,
    "consumer_name": sub_consumer,
    "subscription_type": sub_type,
    "offset_reset_policy": sub_start,
    "max_poll_records": sub_poll,
    "session_timeout_ms": sub_session,
    "heartbeat_interval_ms": sub_heartbeat,
    "handler_config": sub_handler,
    "dead_letter_queue": sub_failing,
    "max_retry_attempts": sub_failing,
    "retry_delay_ms": sub_failing,
    "message_filter": sub_filter,
    "status": sub_status,
    "tenant_id": sub_tenant,
    "created_at": sub_times,
    "updated_at": sub_times,
    "last_consumed_at": sub_consumed,
}


@pytest.mark.parametrize("column", TOPICS)
def test_a_column_of_a_topic_is_what_its_manifest_says_and_does_what_it_says(world: World, column: str) -> None:
    TOPICS[column](world)


@pytest.mark.parametrize("column", SUBSCRIPTIONS)
def test_a_column_of_a_subscription_is_what_its_manifest_says_and_does_what_it_says(world: World, column: str) -> None:
    SUBSCRIPTIONS[column](world)


@pytest.mark.parametrize(("view", "checks"), [("mq_topics", TOPICS), ("mq_subscriptions", SUBSCRIPTIONS)])
def test_every_column_is_checked(world: World, view: str, checks: dict[str, Check]) -> None:
    assert set(world.view(view, "orders" if view == "mq_topics" else "reading")) == set(checks)


@pytest.mark.parametrize(
    ("text", "milliseconds"), [("250ms", 250), ("1.5s", 1500), ("15m", 900_000), ("0s", 0), ("oops", None)]
)
def test_durations_read_in_sql_as_they_do_in_manifests(world: World, text: str, milliseconds: int | None) -> None:
    with psycopg.connect(world.database_url) as database:
        assert database.execute("SELECT mq_duration_ms(%s)", (text,)).fetchone() == (milliseconds,)


def test_a_row_that_somebody_spoiled_leaves_the_others_readable(world: World) -> None:
    spoiled = {"partitions": "oops", "producers": {"a": 1}, "retention": 7, "public": []}
    with psycopg.connect(world.database_url) as database:
        database.execute("UPDATE mq_resources SET spec = %s WHERE name = 'plain'", (json.dumps(spoiled),))
        row = database.execute(
            "SELECT partition_count, allowed_producers, retention_ms FROM mq_topics WHERE name = 'plain'"
        )
        assert row.fetchone() == (None, None, None)
        assert database.execute("SELECT count(*) > 5 FROM mq_topics").fetchone() == (True,)
        database.rollback()
