"""What a plan refuses, and what is refused with it."""

from dataclasses import replace

from declared import (
    SOURCES,
    dead_letters,
    handler,
    implied,
    managed,
    observed,
    queue,
    respecified,
    subscription,
    tenant,
    topic,
    uid_of,
)

from mqops.model import Identity, SourceSpec
from reconciler.planning.change import Action
from reconciler.planning.placement import Leftover
from reconciler.planning.plan import Moved, Plan, plan
from reconciler.planning.refusals import Obstacle
from reconciler.state import Lost, Observed, Origin, Resource

ORDERS = topic("orders", partitions=4)
BILLING = subscription("billing", "orders")
LETTERS = implied(dead_letters("orders.deadletter"), BILLING)
ALL = (tenant(), ORDERS, LETTERS, BILLING)
TEAM = {**SOURCES, "team": SourceSpec(path="team")}


def planned(desired: tuple[Resource, ...], there: Observed) -> Plan:
    return plan(desired, there, SOURCES)


def told(found: Plan) -> dict[str, Obstacle]:
    return {str(refusal.change.identity): refusal.obstacle for refusal in found.refused}


def made(found: Plan) -> list[str]:
    return [f"{change.action} {change.identity}" for change in found.changes]


def test_the_summary_counts_by_action() -> None:
    found = planned((*ALL, topic("new")), observed((*ALL, topic("old"))))
    counts = {"create": 1, "update": 0, "delete": 1, "repair": 0, "rename": 0, "adopt": 0, "handover": 0, "replace": 0}
    assert found.summary == counts


def test_what_moved_is_noted_and_is_no_change() -> None:
    moved = replace(ORDERS, origin=Origin("acme.yaml", 40))
    found = planned((tenant(), moved, LETTERS, BILLING), observed(ALL))
    assert found.is_empty
    assert found.moved == (Moved(uid_of(ORDERS.identity), Origin("acme.yaml", 40)),)


def test_other_owners_resources_are_counted() -> None:
    assert planned(ALL, observed((*ALL, managed(topic("theirs"), "api")))).others == 1


def test_partitions_grow() -> None:
    assert made(planned((tenant(), respecified(ORDERS, partitions=8), LETTERS, BILLING), observed(ALL))) == [
        "update Topic acme/orders"
    ]


def test_partitions_do_not_shrink_by_way_of_a_lost_row() -> None:
    """Redis still has the four streams, whatever became of the row that said so."""
    there = observed(ALL)
    applied = {identity: row for identity, row in there.applied.items() if identity != ORDERS.identity}
    there = replace(there, applied=applied, lost={ORDERS.identity: Lost(uid_of(ORDERS.identity), 1)})
    found = planned((tenant(), respecified(ORDERS, partitions=2), LETTERS, BILLING), there)
    assert told(found)["Topic acme/orders"] is Obstacle.PARTITIONS_SHRINK


def test_naming_the_same_topic_in_full_is_a_plain_update() -> None:
    wanted = (tenant(), ORDERS, LETTERS, respecified(BILLING, topic="acme/orders"))
    assert made(planned(wanted, observed(ALL))) == ["update Subscription acme/billing"]


def test_what_an_owner_that_is_not_loaded_has_cannot_be_declared_here() -> None:
    found = planned(ALL, observed((tenant(), managed(ORDERS, "team"), LETTERS, BILLING)))
    assert told(found) == {"Topic acme/orders": Obstacle.OWNED_ELSEWHERE}
    assert "'team'" in found.refused[0].message


def test_a_source_that_is_no_more_is_taken_over_with_all_that_it_had() -> None:
    spec = {"path": "team", "tenants": None, "prune": True, "selfHeal": True}
    source = Resource(Identity("Source", "", "team"), spec, {}, {}, "team", Origin("sources.yaml", 1))
    theirs = managed(topic("theirs"), "team")
    there = observed((source, tenant(), managed(ORDERS, "team"), theirs, LETTERS, BILLING))
    assert set(told(planned(ALL, there))) == {"Topic acme/orders"}
    found = plan(ALL, there, SOURCES, {"team": SourceSpec(path="team")})
    assert found.refused == ()
    assert made(found) == ["handover Topic acme/orders", "delete Topic acme/theirs", "delete Source team"]


def test_a_topic_is_not_deleted_from_under_another_owners_subscription() -> None:
    theirs = managed(subscription("audit", "orders", deadLetter=None), "api")
    found = planned((tenant(),), observed((tenant(), ORDERS, theirs)))
    assert told(found) == {"Topic acme/orders": Obstacle.STILL_NEEDED}
    assert "Subscription acme/audit needs it" in found.refused[0].message


def test_a_source_that_declares_nothing_any_more_prunes_nothing() -> None:
    there = observed((tenant(), managed(ORDERS, "team")))
    found = plan((tenant(),), there, TEAM)
    assert told(found) == {"Topic acme/orders": Obstacle.SOURCE_EMPTIED}


def test_nothing_is_created_for_a_refused_create() -> None:
    """A chain: the queue that another's topic would become is refused, so its subscription, and the dead-letter topic
    that this brings along."""
    queued = queue("orders")
    reader = implied(subscription("orders", "orders"), queued)
    letters = implied(dead_letters("orders.deadletter"), reader)
    found = planned((tenant(), queued, reader, letters, handler("hook")), observed((tenant(), managed(ORDERS, "team"))))
    assert made(found) == ["create Handler acme/hook"]
    assert set(told(found)) == {
        "Queue acme/orders",
        "Subscription acme/orders",
        "Topic acme/orders.deadletter",
    }


def test_what_an_interrupted_delete_left_is_removed() -> None:
    there = observed(ALL)
    uid = uid_of(ORDERS.identity)
    live = there.topics[uid]
    there = replace(
        there,
        applied={identity: row for identity, row in there.applied.items() if identity == tenant().identity},
        topics={uid: replace(live, meta={**live.meta, "closing": "1"})},
        subscriptions={},
    )
    found = planned((tenant(),), there)
    assert found.leftovers == (Leftover(uid, live.bucket, ORDERS.identity),)
    assert not found.is_empty
    assert found.count(Action.DELETE) == 0
