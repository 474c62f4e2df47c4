"""What a plan refuses, and what is refused with it."""

from dataclasses import replace

import pytest
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
    assert found.summary == {"create": 1, "update": 0, "delete": 1, "repair": 0, "rename": 0, "adopt": 0, "handover": 0}


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


def test_partitions_do_not_shrink() -> None:
    found = planned((tenant(), respecified(ORDERS, partitions=2), LETTERS, BILLING), observed(ALL))
    assert told(found) == {"Topic acme/orders": Obstacle.PARTITIONS_SHRINK}
    assert found.changes == ()
    assert "Topic acme/orders has 4" in found.refused[0].message


def test_partitions_do_not_shrink_by_way_of_a_lost_row() -> None:
    """Redis still has the four streams, whatever became of the row that said so."""
    there = observed(ALL)
    applied = {identity: row for identity, row in there.applied.items() if identity != ORDERS.identity}
    there = replace(there, applied=applied, lost={ORDERS.identity: Lost(uid_of(ORDERS.identity), 1)})
    found = planned((tenant(), respecified(ORDERS, partitions=2), LETTERS, BILLING), there)
    assert told(found)["Topic acme/orders"] is Obstacle.PARTITIONS_SHRINK


@pytest.mark.parametrize(
    ("change", "obstacle"),
    [({"topic": "other"}, Obstacle.TOPIC_FIXED), ({"startFrom": "earliest"}, Obstacle.START_FIXED)],
)
def test_what_only_matters_at_creation_cannot_change(change: dict[str, str], obstacle: Obstacle) -> None:
    there = (*ALL, topic("other"))
    wanted = (tenant(), ORDERS, LETTERS, respecified(BILLING, **change), topic("other"))
    assert told(planned(wanted, observed(there))) == {"Subscription acme/billing": obstacle}


def test_naming_the_same_topic_in_full_is_a_plain_update() -> None:
    wanted = (tenant(), ORDERS, LETTERS, respecified(BILLING, topic="acme/orders"))
    assert made(planned(wanted, observed(ALL))) == ["update Subscription acme/billing"]


def test_a_refused_update_keeps_what_the_applied_one_needs() -> None:
    """The old dead-letter topic is still where the subscription as it stays sends to."""
    wanted = (
        tenant(),
        ORDERS,
        dead_letters("graveyard"),
        respecified(BILLING, startFrom="earliest", deadLetter="graveyard"),
    )
    found = planned(wanted, observed(ALL))
    assert told(found) == {
        "Subscription acme/billing": Obstacle.START_FIXED,
        "Topic acme/orders.deadletter": Obstacle.STILL_NEEDED,
    }
    assert made(found) == ["create Topic acme/graveyard"]


def test_a_topic_does_not_become_a_queue() -> None:
    queued = queue("orders", partitions=4)
    reader = implied(subscription("orders", "orders"), queued)
    found = planned((tenant(), queued, reader, LETTERS, BILLING), observed(ALL))
    assert told(found) == {
        "Topic acme/orders": Obstacle.KIND_FIXED,
        "Queue acme/orders": Obstacle.KIND_FIXED,
        "Subscription acme/orders": Obstacle.DEPENDS_ON_REFUSED,
    }
    assert found.changes == ()


def test_a_queue_does_not_become_a_topic() -> None:
    jobs = queue("jobs")
    reader = implied(subscription("jobs", "jobs"), jobs)
    letters = implied(dead_letters("jobs.deadletter"), reader)
    found = planned((tenant(), topic("jobs")), observed((tenant(), jobs, reader, letters)))
    assert told(found) == {
        "Queue acme/jobs": Obstacle.KIND_FIXED,
        "Topic acme/jobs": Obstacle.KIND_FIXED,
        "Subscription acme/jobs": Obstacle.DEPENDS_ON_REFUSED,
        "Topic acme/jobs.deadletter": Obstacle.STILL_NEEDED,
    }
    assert found.changes == ()


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
    """A chain: the queue is refused, so its subscription, and the dead-letter topic that this brings along."""
    queued = queue("orders")
    reader = implied(subscription("orders", "orders"), queued)
    letters = implied(dead_letters("orders.deadletter"), reader)
    found = planned((tenant(), queued, reader, letters, handler("hook")), observed((tenant(), ORDERS)))
    assert made(found) == ["create Handler acme/hook"]
    assert set(told(found)) == {
        "Topic acme/orders",
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
