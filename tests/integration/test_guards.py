"""The guards with real messages: what deletes would cost, what they are stopped by, and messages that come in late."""

from declared import SOURCES, dead_letters, subscription, tenant, topic
from stores import TESTER, Opened, applied, opened, uid
from traffic import publish, schedule, take

from mqops.keys import bucket_of
from mqops.streams import Lane, NotStored, Reason, Scheduled, Stored
from reconciler.apply import apply
from reconciler.planning.guard import Allowances, guard
from reconciler.planning.plan import Plan, plan
from reconciler.state import Cost, Observed, Resource
from reconciler.stores.cost import read_costs
from reconciler.stores.observe import observe

ORDERS = topic("orders", partitions=2)
LETTERS = dead_letters("orders.deadletter")
BILLING = subscription("billing", "orders", startFrom="earliest")
AUDIT = subscription("audit", "orders", startFrom="earliest")
KEPT = (tenant(), topic("kept"))
ALL = (*KEPT, ORDERS, LETTERS, BILLING, AUDIT)


def lane(stores: Opened, reader: Resource = BILLING, partition: int = 0) -> Lane:
    bucket = bucket_of(uid(stores, tenant()))
    return Lane(bucket, uid(stores, reader), uid(stores, ORDERS), partition)


def guarded(stores: Opened, desired: tuple[Resource, ...], allowed: Allowances | None = None) -> tuple[Plan, Observed]:
    seen = observe(stores)
    found = plan(desired, seen, SOURCES)
    costs = read_costs(stores, seen, found.changes)
    return guard(found, seen, SOURCES, costs, allowed or Allowances()), seen


def costs(stores: Opened) -> dict[str, Cost]:
    found, _ = guarded(stores, KEPT, Allowances(data_loss=True))
    return {change.identity.name: change.cost for change in found.changes if change.cost is not None}


def test_what_a_delete_would_take_along_is_counted(database_url: str, redis_url: str) -> None:
    with opened(database_url, redis_url) as stores:
        applied(stores, ALL)
        assert set(costs(stores).values()) == {Cost(0, 0, 0, 0), Cost(0, 0, 0, 2)}
        for partition in (0, 1):
            outcomes = publish(redis_url, lane(stores, partition=partition), 1, [b"1", b"2", b"3"])
            assert all(isinstance(outcome, Stored) for outcome in outcomes)
        assert len(take(redis_url, lane(stores), 2)) == 2
        assert costs(stores) == {
            "billing": Cost(messages=0, unfinished=4, in_flight=0, readers=0),
            "audit": Cost(messages=0, unfinished=6, in_flight=0, readers=0),
            "orders": Cost(messages=6, unfinished=6, in_flight=0, readers=2),
            "orders.deadletter": Cost(0, 0, 0, 0),
        }


def test_what_waits_for_its_time_is_unfinished_and_goes_with_its_topic(database_url: str, redis_url: str) -> None:
    with opened(database_url, redis_url) as stores:
        applied(stores, ALL)
        topic_lane = lane(stores)
        assert all(isinstance(it, Scheduled) for it in schedule(redis_url, topic_lane, 1, [b"1", b"2"], 3_600_000))
        publish(redis_url, topic_lane, 1, [b"3"])
        assert costs(stores)["orders"] == Cost(messages=1, unfinished=3, in_flight=0, readers=2, scheduled=2)
        refused = {refusal.change.identity.name: refusal.message for refusal in guarded(stores, KEPT)[0].refused}
        assert refused["orders"].startswith("3 unfinished messages in Topic acme/orders would be lost: ")
        found, seen = guarded(stores, KEPT, Allowances(data_loss=True))
        assert apply(found, seen, stores, TESTER).failed == ()
        assert list(stores.redis.scan_iter("*:delay*")) == []
        assert stores.redis.zcard(stores.keys.due(topic_lane.bucket)) == 0


def test_messages_without_a_reader_are_unfinished(database_url: str, redis_url: str) -> None:
    with opened(database_url, redis_url) as stores:
        applied(stores, (*KEPT, ORDERS))
        publish(redis_url, Lane(bucket_of(uid(stores, tenant())), "", uid(stores, ORDERS), 0), 1, [b"1"])
        found, _ = guarded(stores, KEPT)
        assert len(found.refused) == 1
        assert found.refused[0].message.startswith("1 unfinished message in Topic acme/orders would be lost: ")


def test_what_fills_up_between_plan_and_apply_stays_and_is_open_again(database_url: str, redis_url: str) -> None:
    with opened(database_url, redis_url) as stores:
        applied(stores, ALL)
        found, seen = guarded(stores, KEPT)
        assert (len(found.changes), found.refused) == (4, ())
        publish(redis_url, lane(stores), 1, [b"late"])
        report = apply(found, seen, stores, TESTER)
        assert report.done == ()
        messages = {failure.identity.name: failure.message for failure in report.failed}
        assert messages["orders"] == "it held nothing unfinished when the plan was made, and 1 by now: plan again"
        assert messages["orders.deadletter"].startswith("left out: ")
        assert all(isinstance(it, Stored) for it in publish(redis_url, lane(stores), 1, [b"open"]))
        assert take(redis_url, lane(stores), 5) == [b"late", b"open"]
        assert guarded(stores, ALL)[0].is_empty


def test_a_closing_tenant_takes_nothing_more_and_hands_out_what_is_there(database_url: str, redis_url: str) -> None:
    closing = (tenant(state="closing"), *ALL[1:])
    with opened(database_url, redis_url) as stores:
        applied(stores, ALL)
        publish(redis_url, lane(stores), 1, [b"1"])
        assert [change.identity.name for change in guarded(stores, closing)[0].changes] == ["acme"]
        applied(stores, closing)
        assert guarded(stores, closing)[0].is_empty
        assert publish(redis_url, lane(stores), 1, [b"2"]) == [NotStored(Reason.PAUSED, "closing")]
        assert take(redis_url, lane(stores), 5) == [b"1"]
        assert take(redis_url, lane(stores, AUDIT), 5) == [b"1"]
        assert guarded(stores, (tenant("other"),))[0].refused == ()
        applied(stores, ALL)
        assert guarded(stores, ALL)[0].is_empty
        assert isinstance(publish(redis_url, lane(stores), 1, [b"3"])[0], Stored)


def test_what_was_allowed_to_be_lost_may_fill_up(database_url: str, redis_url: str) -> None:
    with opened(database_url, redis_url) as stores:
        applied(stores, ALL)
        publish(redis_url, lane(stores), 1, [b"1"])
        found, seen = guarded(stores, KEPT, Allowances(data_loss=True))
        publish(redis_url, lane(stores), 1, [b"late"])
        report = apply(found, seen, stores, TESTER)
        assert (len(report.done), report.failed) == (4, ())
        assert guarded(stores, KEPT)[0].is_empty
