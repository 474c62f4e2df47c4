"""Plans of a part: what goes with what is chosen, and that the rest is neither done nor refused, but told."""

from dataclasses import replace

import pytest
from declared import (
    SOURCES,
    dead_letters,
    handler,
    implied,
    labelled,
    managed,
    observed,
    queue,
    respecified,
    subscription,
    tenant,
    topic,
)

from mqops.model import Identity
from reconciler.planning.change import Action
from reconciler.planning.plan import Outside, Plan, plan
from reconciler.planning.scope import Scope
from reconciler.state import Lost, Observed, Resource

ORDERS = topic("orders", partitions=2)
HOOK = handler("hook")
BILLING = subscription("billing", "orders", handler="hook")
LETTERS = implied(dead_letters("orders.deadletter"), BILLING)
JOBS = queue("jobs", deadLetter=None)
JOBS_READER = implied(subscription("jobs", "jobs", deadLetter=None), JOBS)
ALL = (tenant(), HOOK, ORDERS, LETTERS, BILLING, JOBS, JOBS_READER)


def limited(desired: tuple[Resource, ...], there: Observed, *targets: Resource, **scope: object) -> Plan:
    chosen = frozenset(target.identity for target in targets)
    return plan(desired, there, SOURCES, scope=Scope(chosen, **scope))  # type: ignore[arg-type]


def deeds(found: Plan) -> list[tuple[Action, Identity]]:
    return [(change.action, change.identity) for change in found.changes]


def test_a_create_comes_with_all_it_needs_to_the_end() -> None:
    found = limited(ALL, Observed({}), BILLING)
    assert deeds(found) == [(Action.CREATE, one.identity) for one in (tenant(), HOOK, ORDERS, LETTERS, BILLING)]
    assert found.outside == (Outside(Action.CREATE, JOBS.identity), Outside(Action.CREATE, JOBS_READER.identity))


@pytest.mark.parametrize("target", [JOBS, JOBS_READER])
def test_parent_and_child_go_together(target: Resource) -> None:
    found = limited((tenant(), JOBS, JOBS_READER), observed([tenant()]), target)
    assert deeds(found) == [(Action.CREATE, JOBS.identity), (Action.CREATE, JOBS_READER.identity)]


def test_what_is_there_and_as_it_should_be_is_not_brought_along() -> None:
    wanted = (*ALL[:4], respecified(BILLING, ackDeadline="1m"), respecified(JOBS, ackDeadline="1m"), JOBS_READER)
    assert deeds(limited(wanted, observed(ALL), BILLING)) == [(Action.UPDATE, BILLING.identity)]


def test_what_needs_a_deleted_target_goes_before_it() -> None:
    found = limited((tenant(), ORDERS), observed(ALL), HOOK)
    assert deeds(found) == [(Action.DELETE, one.identity) for one in (BILLING, LETTERS, HOOK)]
    assert found.refused == ()


def test_an_update_that_lets_go_of_a_deleted_target_goes_before_it() -> None:
    wanted = (tenant(), ORDERS, LETTERS, respecified(BILLING, handler=None), JOBS, JOBS_READER)
    assert deeds(limited(wanted, observed(ALL), HOOK)) == [
        (Action.UPDATE, BILLING.identity),
        (Action.DELETE, HOOK.identity),
    ]


def test_a_delete_that_another_source_is_in_the_way_of_is_still_refused() -> None:
    theirs = managed(BILLING, "finance")
    found = limited((tenant(), ORDERS), observed((*ALL[:4], theirs)), HOOK)
    assert [refusal.change.identity for refusal in found.refused] == [HOOK.identity]


def test_labels_choose_by_what_is_declared_and_by_what_is_applied() -> None:
    there = observed((tenant(), labelled(ORDERS, team="a"), labelled(JOBS, team="b"), JOBS_READER))
    wanted = (tenant(), labelled(ORDERS, team="b"), labelled(JOBS, team="a", tier="x"), JOBS_READER)
    for team in ("a", "b"):
        assert len(limited(wanted, there, labels={"team": team}).changes) == 2
    assert deeds(limited(wanted, there, labels={"team": "a", "tier": "x"})) == [(Action.UPDATE, JOBS.identity)]
    assert limited(wanted, there, labels={"team": "c"}).changes == ()


def test_refusals_outside_are_told_as_left_out_only() -> None:
    wanted = (
        *ALL[:2],
        respecified(ORDERS, retention="1d"),
        *ALL[3:5],
        respecified(JOBS, ackDeadline="1m"),
        JOBS_READER,
    )
    there = observed(managed(one, "team") if one is ORDERS else one for one in ALL)
    assert plan(wanted, there, SOURCES).refused != ()
    found = limited(wanted, there, JOBS)
    assert (found.refused, found.outside) == ((), (Outside(Action.HANDOVER, ORDERS.identity),))


def test_refresh_only_repairs_even_what_the_manifests_change() -> None:
    there = observed(ALL)
    there = replace(there, topics={}, subscriptions={}, index={}, epochs=frozenset())
    wanted = (tenant(), respecified(ORDERS, partitions=3), topic("news"))
    found = limited(wanted, there, is_refresh_only=True)
    assert {change.action for change in found.changes} == {Action.REPAIR}
    assert {change.identity for change in found.changes} == {one.identity for one in ALL if one is not HOOK}
    assert (
        next(change for change in found.changes if change.identity == ORDERS.identity).resource.spec["partitions"] == 2
    )
    assert Outside(Action.UPDATE, ORDERS.identity) in found.outside
    assert Outside(Action.CREATE, topic("news").identity) in found.outside


def test_refresh_only_brings_back_a_lost_row_only_onto_what_is_there() -> None:
    """The row of ``billing`` was deleted by hand, and the manifests have it read a topic that is only declared now."""
    rows = (tenant(), HOOK, ORDERS)
    lost = {BILLING.identity: Lost("1", 1), LETTERS.identity: Lost("2", 1)}
    there = replace(observed(rows), lost=lost)
    elsewhere = subscription("billing", "news", handler="hook", deadLetter="orders.deadletter")
    assert deeds(limited((*rows, topic("news"), LETTERS, elsewhere), there, is_refresh_only=True)) == []
    assert deeds(limited((*rows, LETTERS, BILLING), there, is_refresh_only=True)) == [
        (Action.REPAIR, LETTERS.identity),
        (Action.REPAIR, BILLING.identity),
    ]
