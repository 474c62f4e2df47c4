"""What somebody does behind the reconciler's back, on real stores: it is told as what it is, and put right without a
message skipped or handed out twice."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import psycopg
import pytest
import traffic
from declared import SOURCES, dead_letters, handler, implied, labelled, managed, queue, respecified, subscription
from declared import tenant as a_tenant
from declared import topic as a_topic
from stores import Opened, applied, opened, planned, uid

from mqops.keys import bucket_of
from mqops.model import PROTECT
from mqops.settings import Settings
from mqops.streams import Lane, Stored
from reconciler.drifting import look
from reconciler.planning.change import Action, FieldChange, Reason
from reconciler.planning.drift import find_drift
from reconciler.planning.drifted import Drifted, drifted
from reconciler.planning.guard import NOTHING_ALLOWED, guard
from reconciler.planning.plan import KEPT
from reconciler.planning.refusals import Obstacle
from reconciler.planning.scope import EVERYTHING
from reconciler.state import API, Resource
from reconciler.stores import drift
from reconciler.stores.observe import observe, observe_tenant

TENANT = a_tenant()
ORDERS = a_topic("orders", partitions=2)
BILLING = subscription("billing", "orders", startFrom="earliest")
LETTERS = implied(dead_letters("orders.deadletter"), BILLING)
HOOK = handler("hook")
ALL = (TENANT, HOOK, ORDERS, LETTERS, BILLING)


@pytest.fixture
def stores(database_url: str, redis_url: str) -> Iterator[Opened]:
    with opened(database_url, redis_url) as stores:
        yield stores


@dataclass
class Applied:
    """``ALL`` applied, and a lane with messages in it."""

    stores: Opened
    redis_url: str

    @property
    def lane(self) -> Lane:
        bucket = bucket_of(uid(self.stores, TENANT))
        return Lane(bucket, uid(self.stores, BILLING), uid(self.stores, ORDERS), 0)

    @property
    def stream(self) -> str:
        return self.stores.keys.stream(self.lane.bucket, self.lane.topic, 0)

    def publish(self, *payloads: bytes) -> None:
        outcomes = traffic.publish(self.redis_url, self.lane, 1, payloads)
        assert all(isinstance(outcome, Stored) for outcome in outcomes), outcomes

    def take(self, count: int = 100) -> list[bytes]:
        return traffic.take(self.redis_url, self.lane, count)

    def meta(self, name: str) -> int:
        key = self.stores.keys.meta(self.lane.bucket, self.lane.subscription)
        return int(self.stores.redis.hget(key, name) or 0)

    def backlog(self) -> int:
        total = self.stores.redis.hget(self.stores.keys.meta(self.lane.bucket, self.lane.topic), "total")
        return int(total or 0) - self.meta("base") - self.meta("done")

    def sql(self, statement: str, *values: object) -> None:
        """As somebody with a client of their own."""
        with psycopg.connect(self.stores.database.info.dsn, application_name="psql", autocommit=True) as connection:
            connection.execute(statement, values)


@pytest.fixture
def there(stores: Opened, redis_url: str) -> Applied:
    applied(stores, ALL)
    return Applied(stores, redis_url)


def drift_of(stores: Opened, wanted: tuple[Resource, ...] = ALL) -> tuple[Drifted, ...]:
    observed = observe(stores)
    sources, names = {**SOURCES, API: KEPT}, [resource.identity for resource in wanted]
    return drifted(find_drift(observed, sources, names), observed, sources, names)


def only(found: tuple[Drifted, ...]) -> Drifted:
    assert len(found) == 1, found
    return found[0]


def deeds(stores: Opened, desired: tuple[Resource, ...] = ALL) -> list[tuple[Action, Reason, str]]:
    return [(change.action, change.reason, change.identity.name) for change in planned(stores, desired).changes]


def is_settled(stores: Opened, desired: tuple[Resource, ...] = ALL) -> bool:
    found = planned(stores, desired)
    return found.is_empty and not found.drift


# Rows


EDIT = "UPDATE mq_resources SET spec = jsonb_set(spec, '{retention}', '\"1h\"') WHERE name = 'orders'"


def test_an_edited_row_is_told_with_who_and_when_and_becomes_what_was_applied(there: Applied) -> None:
    there.sql(EDIT)
    one = only(drift_of(there.stores))
    assert (one.identity, one.reason) == (ORDERS.identity, Reason.ROW_EDITED)
    assert one.fields == (FieldChange("spec.retention", "7d", "1h"),)
    assert one.changed_by is not None
    assert one.changed_by.endswith("(psql)")
    assert one.changed_at is not None
    assert deeds(there.stores) == [(Action.REPAIR, Reason.ROW_EDITED, "orders")]
    assert applied(there.stores, ALL).summary == "Applied revision 2: 1 repaired."
    assert is_settled(there.stores)
    ask = there.stores.database.execute
    assert ask("SELECT count(*) FROM mq_row_edits").fetchone() == (0,)
    assert ask("SELECT spec ->> 'retention' FROM mq_resources WHERE name = 'orders'").fetchone() == ("7d",)


@pytest.mark.parametrize(
    ("assignment", "field"),
    [
        ('labels = \'{"by": "hand"}\'', FieldChange("metadata.labels.by", None, "hand")),
        ('annotations = \'{"a": "b"}\'', FieldChange("metadata.annotations.a", None, "b")),
        ("managed_by = 'somebody'", FieldChange("managedBy", "platform", "somebody")),
        ("generation = 9", FieldChange("generation", 1, 9)),
        ("name = 'stolen'", FieldChange("metadata.name", "orders", "stolen")),
        ('spec = spec || \'{"state": "paused"}\'', FieldChange("spec.state", "active", "paused")),
    ],
)
def test_whatever_of_a_row_was_edited_is_put_back(there: Applied, assignment: str, field: FieldChange) -> None:
    there.publish(b"1", b"2")
    there.sql(f"UPDATE mq_resources SET {assignment} WHERE name = 'orders'")
    one = only(drift_of(there.stores))
    assert (one.identity, one.uid, one.managed_by) == (ORDERS.identity, uid_of_orders(there), "platform")
    assert field in one.fields
    assert deeds(there.stores) == [(Action.REPAIR, one.reason, "orders")]
    applied(there.stores, ALL)
    assert is_settled(there.stores)
    assert there.take() == [b"1", b"2"]


def uid_of_orders(there: Applied) -> str:
    (found,) = (live.uid for live in observe(there.stores).topics.values() if live.meta["name"] == "orders")
    return found


def test_an_edit_that_somebody_took_back_is_no_drift(there: Applied) -> None:
    there.sql(EDIT)
    there.sql(EDIT.replace("1h", "7d"))
    assert is_settled(there.stores)


def test_an_edited_row_that_is_declared_anew_is_overwritten_and_told_all_the_same(there: Applied) -> None:
    wanted = (TENANT, HOOK, respecified(ORDERS, retention="2d"), LETTERS, BILLING)
    there.sql(EDIT)
    found = planned(there.stores, wanted)
    assert [(change.action, change.fields) for change in found.changes] == [
        (Action.UPDATE, (FieldChange("spec.retention", "7d", "2d"),))
    ]
    assert only(found.drift).fields == (FieldChange("spec.retention", "7d", "1h"),)
    applied(there.stores, wanted)
    assert is_settled(there.stores, wanted)


def test_a_protection_that_was_taken_away_by_hand_still_protects(there: Applied) -> None:
    """What guards look at is what was applied."""
    protected = replace(ORDERS, annotations={PROTECT: "true"})
    applied(there.stores, (TENANT, HOOK, protected, LETTERS, BILLING))
    there.sql("UPDATE mq_resources SET annotations = '{}' WHERE name = 'orders'")
    found = planned(there.stores, (TENANT, HOOK))
    left = guard(found, observe(there.stores), SOURCES, {}, NOTHING_ALLOWED)
    assert Obstacle.PROTECTED in {refusal.obstacle for refusal in left.refused}


def test_what_a_source_has_is_not_the_apis_because_a_row_says_so(there: Applied) -> None:
    there.sql("UPDATE mq_resources SET managed_by = 'api' WHERE name = 'orders'")
    row = observe_tenant(there.stores, "acme").applied[ORDERS.identity]
    assert row.resource.managed_by == "platform"


@pytest.mark.parametrize(
    ("assignment", "problem"),
    [
        ('spec = spec || \'{"partitions": "x"}\'', "spec.partitions"),
        ("spec = spec - 'partitions' || '{\"nonsense\": 1}'", "spec.nonsense"),
        ("spec = '[]'", "its spec is no mapping"),
        ("kind = 'Nonsense'", "there is no kind 'Nonsense'"),
        ("kind = 'Queue'", "spec.public"),
        ("labels = '[1]'", "its labels are no mapping of texts"),
    ],
)
def test_a_row_that_cannot_be_read_is_drift_and_no_traceback(there: Applied, assignment: str, problem: str) -> None:
    there.publish(b"1")
    there.sql(f"UPDATE mq_resources SET {assignment} WHERE name = 'orders'")
    one = only(drift_of(there.stores))
    assert (one.identity, one.reason) == (ORDERS.identity, Reason.ROW_MALFORMED)
    assert problem in one.fields[0].after
    applied(there.stores, ALL)
    assert is_settled(there.stores)
    assert there.take() == [b"1"]


def test_a_row_that_cannot_be_read_and_that_nobody_declared_is_named_with_the_way_out(there: Applied) -> None:
    there.sql(
        "INSERT INTO mq_resources (uid, kind, tenant, name, spec, managed_by, revision)"
        " VALUES (gen_random_uuid(), 'Topic', 'acme', 'odd', '{\"partitions\": \"x\"}', 'platform', 1)"
    )
    one = only(drift_of(there.stores))
    assert (one.identity.name, one.reason) == ("odd", Reason.ROW_MALFORMED)
    assert "delete its row from mq_resources" in one.message
    assert deeds(there.stores) == []
    declared = (*ALL, a_topic("odd"))
    assert deeds(there.stores, declared) == [(Action.REPAIR, Reason.ROW_MALFORMED, "odd")]
    applied(there.stores, declared)
    assert is_settled(there.stores, declared)


def add(there: Applied, resource: Resource) -> None:
    """Copies the row of ``resource`` under another name, as somebody would."""
    there.sql(
        "INSERT INTO mq_resources (uid, kind, tenant, name, spec, managed_by, revision)"
        " SELECT gen_random_uuid(), kind, tenant, 'added', spec, managed_by, revision FROM mq_resources WHERE uid = %s",
        uid(there.stores, resource),
    )


def test_a_row_added_by_hand_goes_again_or_is_made_good_where_it_is_declared(there: Applied) -> None:
    add(there, ORDERS)
    assert only(drift_of(there.stores)).reason is Reason.ROW_ADDED
    assert deeds(there.stores) == [(Action.DELETE, Reason.ROW_ADDED, "added")]
    declared = (*ALL, respecified(a_topic("added"), partitions=2))
    assert deeds(there.stores, declared) == [(Action.REPAIR, Reason.ROW_ADDED, "added")]
    applied(there.stores, declared)
    assert is_settled(there.stores, declared)
    add_again = (*ALL,)
    applied(there.stores, add_again)
    assert is_settled(there.stores, add_again)


def test_a_row_added_by_hand_under_the_name_of_one_that_was_deleted_gives_way(there: Applied) -> None:
    there.publish(b"1")
    there.sql("UPDATE mq_resources SET uid = gen_random_uuid() WHERE name = 'orders'")
    reasons = {one.reason for one in drift_of(there.stores)}
    assert reasons == {Reason.ROW_MISSING, Reason.ROW_ADDED}
    applied(there.stores, ALL)
    assert is_settled(there.stores)
    assert there.take() == [b"1"]


def test_a_row_deleted_by_hand_whose_manifest_is_gone_too_leaves_nothing_behind(there: Applied) -> None:
    there.sql("DELETE FROM mq_resources WHERE name IN ('billing', 'orders.deadletter', 'orders')")
    left = (TENANT, HOOK)
    assert {one.reason for one in drift_of(there.stores, left)} == {Reason.ROW_MISSING}
    assert {action for action, _, _ in deeds(there.stores, left)} == {Action.DELETE}
    applied(there.stores, left)
    assert is_settled(there.stores, left)
    assert there.stores.redis.keys("mq:*:s") == []


def test_what_the_api_has_is_repaired_too(there: Applied) -> None:
    clicks = managed(a_topic("clicks"), API)
    applied(there.stores, ALL)
    with_clicks = (*ALL, clicks)
    seen = observe(there.stores)
    make(there, with_clicks)
    assert clicks.identity in observe(there.stores).applied
    there.sql("DELETE FROM mq_resources WHERE name = 'clicks'")
    assert only(drift_of(there.stores)).managed_by == API
    assert deeds(there.stores) == [(Action.REPAIR, Reason.ROW_MISSING, "clicks")]
    applied(there.stores, ALL)
    assert is_settled(there.stores)
    assert clicks.identity not in seen.applied


def make(there: Applied, desired: tuple[Resource, ...]) -> None:
    """As the API does: it owns what it makes."""
    from stores import TESTER

    from reconciler.apply import apply
    from reconciler.planning.plan import plan
    from reconciler.planning.single import EVERYTHING

    seen = observe(there.stores)
    apply(plan(desired, seen, SOURCES, {API: EVERYTHING}), seen, there.stores, TESTER)


# Groups


@pytest.mark.parametrize("to", ["0-0", "back", "forward", "end"])
def test_a_moved_group_is_put_back_and_nothing_is_skipped_or_comes_twice(there: Applied, to: str) -> None:
    there.publish(b"1", b"2", b"3", b"4")
    assert there.take(2) == [b"1", b"2"]
    ids = [entry.decode() for entry, _ in there.stores.redis.xrange(there.stream)]
    target = {"0-0": "0-0", "back": ids[0], "forward": ids[2], "end": ids[3]}[to]
    there.stores.redis.xgroup_setid(there.stream, there.lane.subscription, target)
    one = only(drift_of(there.stores))
    assert (one.identity, one.reason) == (BILLING.identity, Reason.GROUP_MOVED)
    assert one.fields == (FieldChange("live.partitions[0].position", ids[1], target),)
    applied(there.stores, ALL)
    assert is_settled(there.stores)
    assert there.take() == [b"3", b"4"]
    assert there.backlog() == 0


@pytest.mark.parametrize("to", ["0-0", "back", "forward", "end"])
def test_nothing_is_read_from_a_moved_group_until_it_is_put_back(there: Applied, to: str) -> None:
    there.publish(b"1", b"2", b"3", b"4")
    assert there.take(2) == [b"1", b"2"]
    ids = [entry.decode() for entry, _ in there.stores.redis.xrange(there.stream)]
    target = {"0-0": "0-0", "back": ids[0], "forward": ids[2], "end": ids[3]}[to]
    there.stores.redis.xgroup_setid(there.stream, there.lane.subscription, target)
    assert there.take() == []
    assert there.take(1) == []
    assert only(drift_of(there.stores)).reason is Reason.GROUP_MOVED
    applied(there.stores, ALL)
    assert there.take() == [b"3", b"4"]
    assert (there.backlog(), there.meta("lost")) == (0, 0)


def test_a_group_of_nobodys_is_removed_when_it_holds_nothing(there: Applied) -> None:
    there.stores.redis.xgroup_create(there.stream, "peeping", "0")
    one = only(drift_of(there.stores))
    assert (one.identity, one.reason, one.message) == (ORDERS.identity, Reason.GROUP_FOREIGN, "")
    applied(there.stores, ALL)
    assert is_settled(there.stores)
    assert [group["name"] for group in there.stores.redis.xinfo_groups(there.stream)] == [
        there.lane.subscription.encode()
    ]


def test_a_group_of_nobodys_that_somebody_reads_with_is_told_and_left_alone(there: Applied) -> None:
    there.publish(b"1")
    there.stores.redis.xgroup_create(there.stream, "peeping", "0")
    there.stores.redis.xreadgroup("peeping", "tom", {there.stream: ">"})
    one = only(drift_of(there.stores))
    assert one.reason is Reason.GROUP_FOREIGN
    assert "XGROUP DESTROY" in one.message
    assert deeds(there.stores) == []
    assert there.take() == [b"1"]


# Streams


def test_a_renamed_stream_is_taken_back_with_all_it_holds(there: Applied) -> None:
    there.publish(b"1", b"2", b"3")
    assert there.take(1) == [b"1"]
    elsewhere = there.stores.keys.bucket(there.lane.bucket) + "stolen"
    there.stores.redis.rename(there.stream, elsewhere)
    one = only(drift_of(there.stores))
    assert (one.identity, one.reason) == (ORDERS.identity, Reason.STREAM_RENAMED)
    assert one.fields == (FieldChange("live.partitions[0].stream", "in its place", elsewhere),)
    applied(there.stores, ALL)
    assert drift_of(there.stores) == ()
    assert is_settled(there.stores)
    assert there.take() == [b"2", b"3"]
    assert there.meta("lost") == 0


def test_a_stream_that_was_copied_away_and_deleted_is_found_too(there: Applied) -> None:
    there.publish(b"1")
    there.stores.redis.copy(there.stream, there.stores.keys.bucket(there.lane.bucket) + "copy")
    assert drift_of(there.stores) == ()
    there.stores.redis.delete(there.stream)
    assert only(drift_of(there.stores)).reason is Reason.STREAM_RENAMED
    applied(there.stores, ALL)
    assert there.take() == [b"1"]


@pytest.mark.parametrize(
    ("removed", "missing", "left"),
    [
        ((2, 3), 2, [b"5", b"6"]),  # at the front
        ((3, 4), 2, [b"3", b"6"]),  # in the middle
        ((4, 5), 2, [b"3", b"4"]),  # at the end
        ((2, 3, 4, 5), 4, []),
        ((0, 1), 0, [b"3", b"4", b"5", b"6"]),  # what was handled already is nobody's business
    ],
)
@pytest.mark.parametrize("is_repaired", [True, False])
def test_messages_that_were_deleted_are_counted_as_lost(
    there: Applied, removed: tuple[int, ...], missing: int, left: list[bytes], is_repaired: bool
) -> None:
    there.publish(b"1", b"2", b"3", b"4", b"5", b"6")
    assert there.take(2) == [b"1", b"2"]
    ids = [entry for entry, _ in there.stores.redis.xrange(there.stream)]
    there.stores.redis.xdel(there.stream, *(ids[index] for index in removed))
    found = drift_of(there.stores)
    if missing:
        one = only(found)
        assert (one.identity, one.reason) == (BILLING.identity, Reason.STREAM_TRUNCATED)
        assert one.fields == (FieldChange("live.partitions[0].missing", 0, missing),)
    else:
        assert found == ()
    if is_repaired:
        applied(there.stores, ALL)
        assert is_settled(there.stores)
        assert (there.backlog(), there.meta("lost")) == (len(left), missing)
    assert there.take() == left
    assert (there.backlog(), there.meta("lost")) == (0, missing)
    assert is_settled(there.stores)
    there.publish(b"7")
    assert there.take() == [b"7"]
    assert (there.backlog(), there.meta("lost")) == (0, missing)


@pytest.mark.parametrize("is_repaired", [True, False])
def test_a_stream_trimmed_below_unfinished_work_loses_what_it_lost_and_no_more(
    there: Applied, is_repaired: bool
) -> None:
    there.publish(b"1", b"2", b"3", b"4")
    there.stores.redis.xtrim(there.stream, maxlen=1, approximate=False)
    assert only(drift_of(there.stores)).fields == (FieldChange("live.partitions[0].missing", 0, 3),)
    if is_repaired:
        applied(there.stores, ALL)
        assert is_settled(there.stores)
    assert there.take() == [b"4"]
    assert (there.backlog(), there.meta("lost")) == (0, 3)


def test_a_message_that_waits_to_be_tried_again_and_was_deleted_is_lost(there: Applied) -> None:
    there.publish(b"1", b"2")
    traffic.lease(there.redis_url, there.lane, 2)
    key = there.stores.keys
    retry, lease = (name(there.lane.bucket, there.lane.subscription, 0) for name in (key.retry, key.lease))
    entry = there.stores.redis.xrange(there.stream)[0][0].decode()
    there.stores.redis.zrem(lease, entry)
    there.stores.redis.zadd(retry, {entry: 99_999_999_999_999})
    there.stores.redis.xdel(there.stream, entry)
    assert only(drift_of(there.stores)).fields == (FieldChange("live.partitions[0].missing", 0, 1),)
    applied(there.stores, ALL)
    assert is_settled(there.stores)
    assert (there.backlog(), there.meta("lost")) == (1, 1)


def test_entries_added_by_hand_are_passed_on_to_nobody_and_stop_nobody(there: Applied) -> None:
    there.publish(b"1", b"2")
    there.stores.redis.xadd(there.stream, {"by": "hand"})
    there.stores.redis.xadd(there.stream, {"by": "hand"})
    there.publish(b"3")
    there.stores.redis.xadd(there.stream, {"by": "hand"})
    assert there.take(2) == [b"1", b"2"]
    assert there.take(1) == [b"3"]
    assert there.take() == []
    there.publish(b"4")
    assert there.take() == [b"4"]
    assert (there.backlog(), there.meta("lost")) == (0, 0)
    assert is_settled(there.stores)


def test_a_flushed_server_is_told_of_every_resource_it_held(there: Applied) -> None:
    there.stores.redis.flushall()
    assert {one.reason for one in drift_of(there.stores)} == {Reason.SERVER_FLUSHED}
    applied(there.stores, ALL)
    assert is_settled(there.stores)


def test_what_nobody_knows_is_told_with_the_way_out(there: Applied) -> None:
    applied(there.stores, (*ALL, a_topic("old")))
    there.sql("DELETE FROM mq_resources WHERE name = 'old'")
    there.sql("DELETE FROM mq_changes WHERE name = 'old'")
    assert drift_of(there.stores) == ()  # a plan tells it as unclaimed
    one = only(look(None, EVERYTHING, Settings(environment="test"), there.stores).drift)
    assert (one.identity.name, one.reason) == ("old", Reason.STRAY_FOUND)
    assert "declare it" in one.message


def test_settings_on_redis_that_cannot_be_read_stop_nobody(there: Applied) -> None:
    key = there.stores.keys.meta(there.lane.bucket, there.lane.topic)
    there.stores.redis.hset(key, "partitions", "x")
    there.sql("DELETE FROM mq_resources WHERE name = 'orders'")
    assert Reason.ROW_MISSING in {one.reason for one in drift_of(there.stores)}
    applied(there.stores, ALL)
    assert is_settled(there.stores)


# Since when


def test_drift_is_known_since_it_was_first_seen_and_forgotten_when_it_is_no_more(there: Applied) -> None:
    there.sql(EDIT)
    found = drift_of(there.stores)
    assert drift.since(found, there.stores.database)[0].first_seen_at is None
    drift.note(there.stores.database, found, ["platform"])
    first = only(tuple(drift.read_drift(there.stores.database).values()))
    assert (first.identity, first.reason, first.fields, first.changed_by, first.changed_at) == (
        found[0].identity,
        found[0].reason,
        found[0].fields,
        found[0].changed_by,
        found[0].changed_at,
    )
    there.stores.redis.xgroup_create(there.stream, "peeping", "0")
    more = drift_of(there.stores)
    assert len(more[0].fields) == 2
    drift.note(there.stores.database, more, ["platform"])
    again = only(drift.since(more, there.stores.database))
    assert again.first_seen_at == first.first_seen_at
    drift.note(there.stores.database, (), ["another"])
    assert drift.read_drift(there.stores.database) != {}
    drift.note(there.stores.database, (), ["platform"])
    assert drift.read_drift(there.stores.database) == {}


def test_what_the_reconciler_writes_is_no_edit_of_a_hand(there: Applied) -> None:
    applied(there.stores, (TENANT, HOOK, labelled(ORDERS, team="a"), LETTERS, BILLING, queue("jobs")))
    applied(there.stores, ALL)
    assert there.stores.database.execute("SELECT count(*) FROM mq_row_edits").fetchone() == (0,)


# Ordinary traffic


def test_ordinary_traffic_is_never_drift(there: Applied) -> None:
    """Publishers and consumers at full speed move positions and counters all the while."""
    lane, url, done = there.lane, there.redis_url, threading.Event()

    def publish() -> None:
        while not done.is_set():
            traffic.publish(url, lane, 1, [b"x"] * 20)

    def consume() -> None:
        while not done.is_set():
            traffic.take(url, lane, 7)
            claims = traffic.lease(url, lane, 3)
            if claims:
                traffic.settle(url, lane, claims, "rejected")

    looks = 0
    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(do) for do in (publish, publish, consume, consume)]
        try:
            while looks < 150:
                assert drift_of(there.stores) == ()
                looks += 1
        finally:
            done.set()
        for one in running:
            one.result()
    assert there.meta("lost") == 0
    assert there.meta("done") > 100
