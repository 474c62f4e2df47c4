"""What somebody does behind the reconciler's back on Redis: it is told as what it is, and put right without a message
skipped or handed out twice."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import traffic
from declared import topic as a_topic
from drifting import (
    ALL,
    BILLING,
    ORDERS,
    Applied,
    deeds,
    drift_of,
    is_settled,
    only,
)
from stores import applied

from mqops.settings import Settings
from reconciler.drifting import look
from reconciler.planning.change import FieldChange, Reason
from reconciler.planning.scope import EVERYTHING

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
