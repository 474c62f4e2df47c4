"""What observe reads from the real stores, and in how many round trips."""

from collections.abc import Callable, Iterator

import psycopg
import pytest
from declared import dead_letters, implied, queue, subscription, tenant, topic
from redis import Redis
from redis.connection import AbstractConnection
from stores import Opened, applied, opened, uid

from mqops.errors import BrokerNotAvailable, ConfigurationError
from mqops.keys import BUCKETS, Keyspace, bucket_of
from reconciler.state import LiveTopic
from reconciler.stores.observe import Observer, observe, observe_tenant

ORDERS = topic("orders", partitions=2)
BILLING = subscription("billing", "orders", startFrom="earliest")
LETTERS = implied(dead_letters("orders.deadletter"), BILLING)
ALL = (tenant(), ORDERS, LETTERS, BILLING)


@pytest.fixture
def stores(database_url: str, redis_url: str) -> Iterator[Opened]:
    with opened(database_url, redis_url) as stores:
        yield stores


def test_empty_stores_are_an_empty_state(stores: Opened) -> None:
    seen = observe(stores)
    assert (seen.applied, seen.topics, seen.subscriptions, seen.epochs, seen.revision) == ({}, {}, {}, frozenset(), 0)


def test_what_was_applied_is_seen_as_it_was_declared(stores: Opened) -> None:
    applied(stores, ALL)
    seen = observe(stores)
    assert {identity: row.resource for identity, row in seen.applied.items()} == {
        resource.identity: resource for resource in ALL
    }
    assert {row.generation for row in seen.applied.values()} == {1}
    bucket = bucket_of(uid(stores, tenant()))
    live = seen.topics[uid(stores, ORDERS)]
    assert (live.bucket, live.meta["partitions"], live.meta["min_generation"]) == (bucket, "2", "1")
    reader = uid(stores, BILLING)
    assert live.groups == {0: {reader: "0-0"}, 1: {reader: "0-0"}}
    assert live.readers == {reader: "own"}
    assert seen.subscriptions[reader].meta["dead"] == stores.keys.bucket(bucket) + uid(stores, LETTERS)
    assert seen.epochs == {bucket}


def test_a_missing_stream_is_a_missing_partition(stores: Opened) -> None:
    applied(stores, ALL)
    live = observe(stores).topics[uid(stores, ORDERS)]
    stores.redis.delete(stores.keys.stream(live.bucket, live.uid, 1))
    assert set(observe(stores).topics[live.uid].groups) == {0}


def test_a_key_that_holds_something_else_counts_as_missing(stores: Opened) -> None:
    applied(stores, ALL)
    live = observe(stores).topics[uid(stores, ORDERS)]
    stores.redis.set(stores.keys.meta(live.bucket, live.uid), "oops")
    stores.redis.delete(stores.keys.stream(live.bucket, live.uid, 0))
    stores.redis.set(stores.keys.stream(live.bucket, live.uid, 0), "oops")
    seen = observe(stores).topics[live.uid]
    assert seen.meta == {}
    assert set(seen.groups) == {1}


def test_what_no_row_claims_is_seen_too(stores: Opened) -> None:
    applied(stores, ALL)
    orders = uid(stores, ORDERS)
    stores.database.execute("DELETE FROM mq_resources WHERE uid = %s", (orders,))
    seen = observe(stores)
    assert seen.topics[orders].meta["name"] == "orders"
    (lost,) = seen.lost.values()
    assert (lost.uid, lost.generation) == (orders, 1)
    assert lost.applied is not None
    assert lost.applied.resource == ORDERS


def test_a_row_that_an_apply_deleted_is_not_lost(stores: Opened) -> None:
    applied(stores, ALL)
    applied(stores, (tenant(),))
    assert observe(stores).lost == {}


def test_another_prefix_sees_nothing(stores: Opened, database_url: str, redis_url: str) -> None:
    applied(stores, ALL)
    with opened(database_url, redis_url, Keyspace("other:")) as other:
        assert {live.meta.get("name") for live in observe(other).topics.values()} == {None}


def test_round_trips_do_not_grow_with_each_resource(stores: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    applied(stores, (tenant(), *(queue(f"q{number}", deadLetter=None) for number in range(100))))
    trips = 0
    original = AbstractConnection.send_packed_command

    def counting(connection: AbstractConnection, *arguments: object) -> object:
        nonlocal trips
        trips += 1
        return original(connection, *arguments)

    monkeypatch.setattr(AbstractConnection, "send_packed_command", counting)
    observe(stores)
    assert trips == BUCKETS + 16


def test_what_has_not_changed_is_the_very_same_observation(stores: Opened) -> None:
    applied(stores, ALL)
    observer = Observer()
    seen = observer.observe(stores)
    assert observer.observe(stores) is seen
    assert seen == observe(stores)


def test_redis_is_not_asked_again_within_the_time_that_is_fresh_enough_unless_a_row_was_written(stores: Opened) -> None:
    applied(stores, ALL)
    observer = Observer()
    seen = observer.observe(stores)
    live = seen.topics[uid(stores, ORDERS)]
    stores.redis.delete(stores.keys.stream(live.bucket, live.uid, 0))
    assert observer.observe(stores, fresh_seconds=60) is seen
    stores.database.execute("UPDATE mq_resources SET line = 7 WHERE uid = %s", (live.uid,))
    assert set(observer.observe(stores, fresh_seconds=60).topics[live.uid].groups) == {1}


CHANGES: dict[str, Callable[[Opened, LiveTopic], object]] = {
    "a setting": lambda stores, it: stores.redis.hset(stores.keys.meta(it.bucket, it.uid), "state", "odd"),
    "a group": lambda stores, it: stores.redis.xgroup_destroy(
        stores.keys.stream(it.bucket, it.uid, 1), uid(stores, BILLING)
    ),
    "a stream": lambda stores, it: stores.redis.delete(stores.keys.stream(it.bucket, it.uid, 0)),
    "a reader": lambda stores, it: stores.redis.delete(stores.keys.groups(it.bucket, it.uid)),
    "an index": lambda stores, it: stores.redis.hdel(stores.keys.index(it.bucket), it.uid),
    "a row": lambda stores, it: stores.database.execute(
        'UPDATE mq_resources SET labels = \'{"a": "b"}\' WHERE uid = %s', (it.uid,)
    ),
    "a row that is gone": lambda stores, it: stores.database.execute(
        "DELETE FROM mq_resources WHERE uid = %s", (it.uid,)
    ),
    "a suspension": lambda stores, it: stores.database.execute(
        "INSERT INTO mq_suspensions (uid, suspended_by, suspended_reason) VALUES (%s, 'me', '')", (it.uid,)
    ),
    "everything": lambda stores, it: stores.redis.flushdb(),
}


@pytest.mark.parametrize("what", CHANGES)
def test_whatever_has_changed_is_seen_as_if_everything_was_read_anew(what: str, stores: Opened) -> None:
    applied(stores, ALL)
    observer = Observer()
    seen = observer.observe(stores)
    CHANGES[what](stores, seen.topics[uid(stores, ORDERS)])
    again = observer.observe(stores)
    assert again != seen
    assert again == observe(stores)


def test_a_database_without_tables_is_said_to_be_not_migrated(empty_database_url: str, redis_url: str) -> None:
    with (
        opened(empty_database_url, redis_url, stamp=False) as stores,
        pytest.raises(ConfigurationError, match="migrate"),
    ):
        observe(stores)


def test_stores_that_are_away_are_said_to_be(database_url: str, redis_url: str) -> None:
    with opened(database_url, redis_url) as stores:
        away = Opened(stores.database, Redis(port=1, socket_connect_timeout=1), stores.keys)
        with pytest.raises(BrokerNotAvailable, match="Redis"):
            observe(away)
        with psycopg.connect(database_url, autocommit=True) as killer:
            killer.execute("SELECT pg_terminate_backend(%s)", (stores.database.info.backend_pid,))
        with pytest.raises(BrokerNotAvailable, match="PostgreSQL"):
            observe(stores)


def test_of_one_tenant_only_its_own_and_what_it_shares_with_others_is_read(stores: Opened) -> None:
    shared = topic("shared", public=True)
    reader = subscription("reader", "acme/shared", "globex", deadLetter=None)
    applied(stores, [*ALL, tenant("globex"), shared, topic("hidden", "globex"), reader])
    seen = observe_tenant(stores, "acme")
    assert set(seen.applied) == {one.identity for one in (*ALL, tenant("globex"), shared, reader)}
    assert set(seen.topics) == {uid(stores, one) for one in (ORDERS, LETTERS, shared)}
    assert set(seen.subscriptions) == {uid(stores, one) for one in (BILLING, reader)}


def test_of_one_tenant_what_no_row_claims_is_read_too(stores: Opened) -> None:
    applied(stores, [*ALL, tenant("globex"), topic("hidden", "globex")])
    stray = uid(stores, ORDERS)
    stores.database.execute("DELETE FROM mq_resources WHERE uid = %s", (stray,))
    assert stray in observe_tenant(stores, "acme").topics
