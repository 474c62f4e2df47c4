"""Applying to the real stores: what is there afterwards, what a repair keeps, and where a killed apply goes on."""

import threading
from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest
import traffic
from declared import (
    SOURCES,
    dead_letters,
    handler,
    implied,
    labelled,
    queue,
    respecified,
    subscription,
    tenant,
    topic,
)
from stores import TESTER, Opened, applied, opened, planned, uid

from mqops.errors import Conflict
from mqops.keys import bucket_of
from mqops.streams import Lane, Stored
from reconciler import apply as apply_module
from reconciler.apply import apply
from reconciler.planning.change import Action, Reason
from reconciler.planning.plan import plan
from reconciler.state import Resource
from reconciler.stores import lock, provision
from reconciler.stores.history import Author, changes_of
from reconciler.stores.observe import observe
from reconciler.stores.store import read_ages

ORDERS = topic("orders", partitions=2)
BILLING = subscription("billing", "orders", startFrom="earliest")
LETTERS = implied(dead_letters("orders.deadletter"), BILLING)
ALL = (tenant(), ORDERS, LETTERS, BILLING)


@pytest.fixture
def stores(database_url: str, redis_url: str) -> Iterator[Opened]:
    with opened(database_url, redis_url) as stores:
        yield stores


def lane(stores: Opened, partition: int = 0) -> Lane:
    return Lane(bucket_of(uid(stores, tenant())), uid(stores, BILLING), uid(stores, ORDERS), partition)


def deeds(stores: Opened, desired: tuple[Resource, ...]) -> list[tuple[Action, Reason, str]]:
    return [(change.action, change.reason, change.identity.name) for change in planned(stores, desired).changes]


def test_a_plan_after_an_apply_is_empty(stores: Opened) -> None:
    report = applied(stores, ALL)
    assert (report.revision, report.failed, len(report.done)) == (1, (), 4)
    assert report.summary == "Applied revision 1: 4 created."
    found = planned(stores, ALL)
    assert found.is_empty
    assert found.moved == ()


def test_every_kind_of_change_in_one_apply(stores: Opened) -> None:
    applied(stores, (*ALL, handler("old"), queue("jobs", deadLetter=None)))
    retry = {**BILLING.spec["retry"], "maxAttempts": 9}
    wanted = (labelled(tenant(), tier="gold"), ORDERS, LETTERS, respecified(BILLING, retry=retry), handler("new"))
    report = applied(stores, wanted)
    assert report.summary == "Applied revision 2: 1 created, 2 updated, 2 deleted."
    assert planned(stores, wanted).is_empty
    meta = stores.redis.hgetall(stores.keys.meta(lane(stores).bucket, uid(stores, BILLING)))
    assert meta[b"max_attempts"] == b"9"


def test_a_deleted_topic_leaves_nothing_on_redis(stores: Opened) -> None:
    applied(stores, (tenant(),))
    before = set(stores.redis.keys())
    applied(stores, ALL)
    applied(stores, (tenant(),))
    assert set(stores.redis.keys()) == before


def test_what_moved_is_noted_without_a_revision(stores: Opened) -> None:
    applied(stores, ALL)
    moved = tuple(replace(resource, origin=replace(resource.origin, line=50)) for resource in ALL)
    report = applied(stores, moved)
    assert (report.revision, report.done) == (None, ())
    assert {row.resource.origin.line for row in observe(stores).applied.values()} == {50}


def test_new_partitions_can_be_published_to_once_the_catalog_says_so(stores: Opened, redis_url: str) -> None:
    """And the groups of subscriptions that did not change are there before the first message."""
    applied(stores, ALL)
    applied(stores, (tenant(), respecified(ORDERS, partitions=4), LETTERS, BILLING))
    new = lane(stores, partition=3)
    (stale,) = traffic.publish(redis_url, new, 1, [b"too early"])
    assert not isinstance(stale, Stored)
    (stored,) = traffic.publish(redis_url, new, 2, [b"one"])
    assert isinstance(stored, Stored)
    assert traffic.take(redis_url, new, 10) == [b"one"]


def test_a_change_that_publishers_need_not_know_of_does_not_refuse_them(stores: Opened, redis_url: str) -> None:
    applied(stores, ALL)
    applied(stores, (tenant(), respecified(ORDERS, maxBacklog=5), LETTERS, BILLING))
    (outcome,) = traffic.publish(redis_url, lane(stores), 1, [b"one"])
    assert isinstance(outcome, Stored)


def test_history_tells_each_change(stores: Opened) -> None:
    applied(stores, ALL)
    applied(stores, (tenant(), ORDERS, LETTERS, respecified(BILLING, ackDeadline="1m")))
    update, create = changes_of(stores.database, BILLING.identity, 10)
    assert (create.revision, create.action, create.before, create.author) == (1, "create", None, TESTER)
    assert (update.revision, update.action, update.error) == (2, "update", None)
    assert update.before is not None
    assert update.after is not None
    assert (update.before["spec"]["ackDeadline"], update.after["spec"]["ackDeadline"]) == ("30s", "1m")
    assert (update.before["generation"], update.after["generation"]) == (1, 2)


# What someone destroyed comes back where it left off


def test_a_destroyed_group_goes_on_where_it_left_off(stores: Opened, redis_url: str) -> None:
    applied(stores, ALL)
    here = lane(stores)
    traffic.publish(redis_url, here, 1, [b"1", b"2", b"3", b"4", b"5"])
    assert traffic.take(redis_url, here, 2) == [b"1", b"2"]
    stream = stores.keys.stream(here.bucket, here.topic, 0)
    assert stores.redis.xgroup_destroy(stream, here.subscription) == 1
    assert deeds(stores, ALL) == [(Action.REPAIR, Reason.GROUP_MISSING, "billing")]
    assert applied(stores, ALL).summary == "Applied revision 2: 1 repaired."
    assert planned(stores, ALL).is_empty
    assert traffic.take(redis_url, here, 10) == [b"3", b"4", b"5"]


def test_a_deleted_stream_takes_messages_again_and_counts_what_it_lost(stores: Opened, redis_url: str) -> None:
    applied(stores, ALL)
    here = lane(stores)
    traffic.publish(redis_url, here, 1, [b"1", b"2", b"3"])
    assert traffic.take(redis_url, here, 1) == [b"1"]
    stores.redis.delete(stores.keys.stream(here.bucket, here.topic, 0))
    assert deeds(stores, ALL) == [
        (Action.REPAIR, Reason.STREAM_MISSING, "orders"),
        (Action.REPAIR, Reason.GROUP_MISSING, "billing"),
    ]
    applied(stores, ALL)
    assert planned(stores, ALL).is_empty
    (outcome,) = traffic.publish(redis_url, here, 1, [b"4"])
    assert isinstance(outcome, Stored)
    assert outcome.position.offset == 4
    assert traffic.take(redis_url, here, 10) == [b"4"]
    meta = stores.redis.hgetall(stores.keys.meta(here.bucket, here.subscription))
    assert meta[b"lost"] == b"2"


@pytest.mark.parametrize("victim", [ORDERS, BILLING, tenant()], ids=lambda resource: resource.identity.kind)
def test_a_deleted_row_comes_back_with_its_uid_and_backlog(stores: Opened, redis_url: str, victim: Resource) -> None:
    applied(stores, ALL)
    here = lane(stores)
    traffic.publish(redis_url, here, 1, [b"1", b"2", b"3"])
    assert traffic.take(redis_url, here, 1) == [b"1"]
    before = uid(stores, victim)
    ages = read_ages(stores.database)
    stores.database.execute("DELETE FROM mq_resources WHERE uid = %s", (before,))
    assert deeds(stores, ALL) == [(Action.REPAIR, Reason.ROW_MISSING, victim.identity.name)]
    applied(stores, ALL)
    assert uid(stores, victim) == before
    assert read_ages(stores.database)[before][0] == ages[before][0]
    assert planned(stores, ALL).is_empty
    assert traffic.take(redis_url, here, 10) == [b"2", b"3"]


def test_a_flushed_server_is_made_anew(stores: Opened, redis_url: str) -> None:
    applied(stores, ALL)
    here = lane(stores)
    stamp = stores.redis.hgetall(stores.keys.stamp)
    stores.redis.flushdb()
    stores.redis.hset(stores.keys.stamp, mapping=stamp)
    assert {reason for _, reason, _ in deeds(stores, ALL)} == {Reason.SERVER_FLUSHED}
    applied(stores, ALL)
    assert planned(stores, ALL).is_empty
    traffic.publish(redis_url, here, 1, [b"1"])
    assert traffic.take(redis_url, here, 10) == [b"1"]


def test_with_the_whole_catalog_lost_backlogs_are_taken_up_again(stores: Opened, redis_url: str) -> None:
    """Rows and history: only Redis still knows the uids, and that the tenant's keys lie in this bucket."""
    applied(stores, ALL)
    here = lane(stores)
    traffic.publish(redis_url, here, 1, [b"1", b"2"])
    stores.database.execute("TRUNCATE mq_resources, mq_changes, mq_revisions")
    assert {action for action, _, _ in deeds(stores, ALL)} == {Action.CREATE, Action.ADOPT}
    applied(stores, ALL)
    assert lane(stores) == here
    assert planned(stores, ALL).is_empty
    assert traffic.take(redis_url, here, 10) == [b"1", b"2"]


# What fails is left out with what depends on it


def test_a_step_that_redis_refuses_leaves_out_its_resource_and_what_needs_it(stores: Opened) -> None:
    applied(stores, (tenant(),))
    broken = topic("broken")
    desired = (*ALL, broken, subscription("reader", "broken", deadLetter=None))
    seen = observe(stores)
    found = plan(desired, seen, SOURCES)
    # A partition count that the script cannot read makes Redis refuse this one step.
    changes = tuple(
        replace(change, resource=respecified(change.resource, partitions="none"))
        if change.identity == broken.identity
        else change
        for change in found.changes
    )
    report = apply(replace(found, changes=changes), seen, stores, TESTER)
    assert report.summary == "Applied revision 2: 3 created, 2 failed."
    refused, dependent = report.failed
    assert refused.identity == broken.identity
    assert "Redis refuses" in refused.message
    assert dependent.message == "left out: Subscription acme/reader needs Topic acme/broken, which is not there"
    assert len(planned(stores, desired).changes) == 2
    assert applied(stores, desired).summary == "Applied revision 3: 2 created."


def test_a_catalog_that_moved_on_is_not_written_to(stores: Opened) -> None:
    applied(stores, (tenant(),))
    seen = observe(stores)
    found = plan(ALL, seen, SOURCES)
    applied(stores, (tenant(), topic("meanwhile")))
    with pytest.raises(Conflict, match="from revision 1 to 2"):
        apply(found, seen, stores, TESTER)
    assert set(observe(stores).applied) == {tenant().identity, topic("meanwhile").identity}


# Killed anywhere, the next run converges


class Killed(BaseException):
    """As if the process had ended here."""


BEFORE = (*ALL, queue("jobs", deadLetter=None), implied(subscription("jobs", "jobs", deadLetter=None), queue("jobs")))
AFTER = (
    tenant(),
    respecified(ORDERS, partitions=3),
    LETTERS,
    BILLING,
    topic("new"),
    subscription("reader", "new", deadLetter="orders.deadletter"),
)


@pytest.mark.parametrize("steps", range(10))
def test_killed_at_any_call_it_converges(
    stores: Opened, redis_url: str, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    applied(stores, BEFORE)
    here = lane(stores)
    traffic.publish(redis_url, here, 1, [b"1", b"2"])
    left = steps
    call, commit = provision._call, apply_module.commit

    def fatal(*arguments: object) -> object:
        nonlocal left
        if left == 0:
            raise Killed
        left -= 1
        return (commit if len(arguments) == 3 and isinstance(arguments[0], psycopg.Connection) else call)(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(provision, "_CALLS_AT_ONCE", 1)
        patched.setattr(provision, "_call", fatal)
        patched.setattr(apply_module, "commit", fatal)
        killed = False
        try:
            applied(stores, AFTER)
        except Killed:
            killed = True
    assert killed == (steps < 9), "the number of calls has changed: extend the range of this test"
    applied(stores, AFTER)
    assert planned(stores, AFTER).is_empty
    assert len(stores.redis.hgetall(stores.keys.index(here.bucket))) == 5
    assert traffic.take(redis_url, here, 10) == [b"1", b"2"]


def test_a_killed_apply_that_is_then_reverted_leaves_publishing_open(
    stores: Opened, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    applied(stores, ALL)

    def fatal(*_: object) -> None:
        raise Killed

    grown = (tenant(), respecified(ORDERS, partitions=3), LETTERS, BILLING)
    with monkeypatch.context() as patched:
        patched.setattr(apply_module, "commit", fatal)
        with pytest.raises(Killed):
            applied(stores, grown)
    (change,) = planned(stores, ALL).changes
    assert [field.path for field in change.fields] == ["live.meta.partitions", "live.meta.min_generation"]
    applied(stores, ALL)
    assert planned(stores, ALL).is_empty
    (outcome,) = traffic.publish(redis_url, lane(stores), 1, [b"1"])
    assert isinstance(outcome, Stored)


# One at a time


def test_a_second_apply_is_told_who_is_at_it_and_since_when(stores: Opened, database_url: str) -> None:
    with (
        psycopg.connect(database_url, autocommit=True) as other,
        lock.hold(other, SOURCES, Author("ann@build-7", "watch"), 0),
        pytest.raises(Conflict, match=r"\(mqops watch ann@build-7, database process \d+, since \d{4}-.*Z\)"),
        lock.hold(stores.database, SOURCES, TESTER, 0),
    ):
        pass


def test_a_second_apply_waits_for_the_first(stores: Opened, database_url: str) -> None:
    got = threading.Event()

    def second() -> None:
        with psycopg.connect(database_url, autocommit=True) as other, lock.hold(other, SOURCES, TESTER, 10):
            got.set()

    thread = threading.Thread(target=second)
    with lock.hold(stores.database, SOURCES, TESTER, 0):
        thread.start()
        assert not got.wait(0.3)
    assert got.wait(10)
    thread.join()


def test_sources_of_their_own_do_not_wait_for_each_other(stores: Opened, database_url: str) -> None:
    with (
        psycopg.connect(database_url, autocommit=True) as other,
        lock.hold(other, ["a"], TESTER, 0),
        lock.hold(stores.database, ["b"], TESTER, 0),
    ):
        pass
