"""What stands in a plan for sources that are held, and when a pin ends."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from declared import SOURCES, handler, managed, observed, queue, respecified, subscription, tenant, topic

from mqops.model import SourceSpec
from reconciler.planning.change import Action, Reason
from reconciler.planning.holds import Pin, Suspension, grounded, keep, unrepaired
from reconciler.planning.plan import Plan, plan
from reconciler.planning.refusals import Obstacle
from reconciler.state import Content, Observed, Resource

HELD = "shop"
BOTH = {**SOURCES, HELD: SourceSpec(path="shop")}
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ORDERS = managed(topic("orders"), HELD)


def planned(desired: tuple[Resource, ...], seen: Observed) -> tuple[Plan, int]:
    kept = keep(desired, seen, {HELD})
    return grounded(plan(kept.desired, seen, BOTH), kept.desired, seen), kept.held_back


def deeds(found: Plan) -> list[tuple[Action, str]]:
    return [(change.action, change.identity.name) for change in found.changes]


def test_of_a_held_source_nothing_is_created_changed_or_deleted() -> None:
    seen = observed([tenant(), ORDERS, managed(topic("gone"), HELD)])
    desired = (tenant(), respecified(ORDERS, maxBacklog=5), managed(topic("new"), HELD), topic("other"))
    assert planned(desired, seen) == (plan((*seen_resources(seen), topic("other")), seen, BOTH), 3)
    assert deeds(planned(desired, seen)[0]) == [(Action.CREATE, "other")]


def seen_resources(seen: Observed) -> list[Resource]:
    return [row.resource for row in seen.applied.values()]


def test_nothing_is_taken_from_a_held_source_nor_given_to_it() -> None:
    taken, given = ORDERS, topic("given")
    seen = observed([tenant(), taken, given])
    found, held_back = planned((tenant(), topic("orders"), managed(given, HELD)), seen)
    assert (found.changes, found.refused, held_back) == ((), (), 2)


def test_what_would_build_on_something_held_back_is_refused() -> None:
    seen = observed([tenant()])
    reader = subscription("billing", "orders", deadLetter=None, handler="hook")
    found, held_back = planned((tenant(), managed(ORDERS, HELD), handler("hook"), reader), seen)
    assert deeds(found) == [(Action.CREATE, "hook")]
    assert [(it.change.identity.name, it.obstacle, it.message) for it in found.refused] == [
        (
            "billing",
            Obstacle.DEPENDS_ON_REFUSED,
            "Subscription acme/billing needs Topic acme/orders, which is not there",
        )
    ]
    assert held_back == 1


def test_drift_of_a_pinned_source_is_found_against_what_is_applied_and_of_a_suspended_one_not() -> None:
    seen = observed([tenant(), ORDERS])
    (live,) = seen.topics.values()
    drifted = replace(seen, topics={live.uid: replace(live, groups={})})
    found, _ = planned((tenant(), respecified(ORDERS, maxBacklog=5)), drifted)
    assert [(it.action, it.reason) for it in found.changes] == [(Action.REPAIR, Reason.STREAM_MISSING)]
    assert unrepaired(found, {HELD}).changes == ()
    assert unrepaired(found, {"platform"}) == found


def test_with_nothing_held_everything_stays_as_it_is() -> None:
    seen = observed([tenant(), ORDERS])
    desired = (tenant(), queue("jobs"))
    assert keep(desired, seen, ()).desired == desired
    assert keep(desired, seen, ()).held_back == 0


@pytest.mark.parametrize(
    ("then", "now", "is_newer"),
    [
        (Content("t1", "d1"), Content("t1", "d1"), False),
        (Content("t1", "d1"), Content("t1", "d2"), False),  # saved, not committed
        (Content("t1", "d1"), Content("t2", "d2"), True),
        (Content("t1", "d2"), Content("t2", "d2"), False),  # committed since, and applied as saved before
        (Content("t1", "d1"), Content("", "d1"), False),  # the same, looked at without git
        (Content("t1", "d1"), Content("", "d2"), True),
        (Content("", "d1"), Content("t1", "d1"), False),
        (Content("", "d1"), Content("", "d2"), True),
        (Content("", ""), Content("t1", "d1"), False),  # nothing is known: only resume ends it
    ],
)
def test_a_pin_ends_with_another_commit_or_outside_git_with_another_content(
    then: Content, now: Content, is_newer: bool
) -> None:
    assert now.is_newer_than(then) is is_newer


def test_a_hold_says_who_when_why_and_the_way_out() -> None:
    assert str(Suspension("shop", "ann@build-7", NOON, "incident 7")) == (
        "source 'shop' is suspended by ann@build-7 since 2026-03-01T12:00:00Z: incident 7; "
        "`mqops resume shop` lets it go on"
    )
    pins = [Pin("shop", "ann@build-7", NOON, 3, content) for content in (Content("", ""), Content("", "d"))]
    assert [str(pin).partition("; ")[2] for pin in pins] == [
        "`mqops resume shop` ends that",
        "a change of its manifests or `mqops resume shop` ends that",
    ]
