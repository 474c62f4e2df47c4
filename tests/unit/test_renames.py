"""What is renamed: said by a manifest, for itself and for what goes along; and what may not be."""

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
    renamed,
    respecified,
    subscription,
    tenant,
    topic,
    uid_of,
)

from mqops.model import SourceSpec
from reconciler.apply import Report
from reconciler.planning.change import Action, FieldChange, Reason
from reconciler.planning.plan import Moved, Plan, plan
from reconciler.planning.refusals import Obstacle
from reconciler.planning.render import as_json, footer
from reconciler.planning.target import subscription_steps, target_of, topic_steps
from reconciler.state import Observed, Resource

ORDERS = topic("orders")
BILLING = subscription("billing", "orders")
LETTERS = implied(dead_letters("orders.deadletter"), BILLING)
ALL = (tenant(), ORDERS, LETTERS, BILLING)

PURCHASES = renamed(topic("purchases"), "orders")
READING = subscription("billing", "purchases")
GONE_ALONG = implied(dead_letters("purchases.deadletter"), READING)
RENAMED = (tenant(), PURCHASES, GONE_ALONG, READING)


def planned(desired: tuple[Resource, ...], there: Observed) -> Plan:
    return plan(desired, there, SOURCES)


def deeds(found: Plan) -> list[str]:
    return [
        f"{change.action} {change.renamed_from} → {change.identity.tenant}/{change.identity.name}"
        if change.renamed_from
        else f"{change.action} {change.identity}"
        for change in found.changes
    ]


def test_a_topic_is_renamed_under_its_uid_with_its_dead_letters_and_readers() -> None:
    found = planned(RENAMED, observed(ALL))
    assert deeds(found) == [
        "rename Topic acme/orders → acme/purchases",
        "rename Topic acme/orders.deadletter → acme/purchases.deadletter",
        "update Subscription acme/billing",
    ]
    first, letters, reader = found.changes
    assert (first.uid, first.reason, first.generation) == (uid_of(ORDERS.identity), Reason.RENAMED, 1)
    assert (first.renamed_from, first.fields) == (ORDERS.identity, ())
    assert letters.uid == uid_of(LETTERS.identity)
    assert FieldChange("spec.topic", "orders", "purchases") in reader.fields
    assert found.refused == ()


def test_fields_that_change_with_the_name_are_told() -> None:
    wanted = respecified(PURCHASES, partitions=3)
    found = planned((tenant(), wanted, GONE_ALONG, READING), observed(ALL))
    assert found.changes[0].fields == (FieldChange("spec.partitions", 1, 3),)
    assert found.changes[0].generation == 2


@pytest.mark.parametrize("keeps_saying_so", [True, False])
def test_once_the_new_name_is_applied_it_says_nothing(keeps_saying_so: bool) -> None:
    there = observed(RENAMED)
    says = PURCHASES if keeps_saying_so else topic("purchases")
    found = planned((tenant(), says, GONE_ALONG, READING), there)
    assert found.is_empty
    assert bool(found.moved) != keeps_saying_so  # the row forgets what the manifest no longer says
    again = planned((*RENAMED, ORDERS), there)
    assert deeds(again) == ["create Topic acme/orders"]


def test_in_a_fresh_installation_it_is_a_create() -> None:
    assert set(deeds(planned(RENAMED, Observed({})))) == {f"create {resource.identity}" for resource in RENAMED}


def test_the_old_name_is_free_for_another_at_once() -> None:
    found = planned((*RENAMED, respecified(ORDERS, partitions=4)), observed(ALL))
    assert "create Topic acme/orders" in deeds(found)
    assert found.changes[0].uid is None
    assert (found.summary["rename"], found.summary["delete"], found.refused) == (2, 0, ())


def test_two_trade_names_and_do_not_trade_them_back() -> None:
    left, right = topic("left"), topic("right", partitions=2)
    wanted = (tenant(), renamed(topic("left", partitions=2), "right"), renamed(topic("right"), "left"))
    found = planned(wanted, observed((tenant(), left, right)))
    assert deeds(found) == ["rename Topic acme/right → acme/left", "rename Topic acme/left → acme/right"]
    assert [change.uid for change in found.changes] == [uid_of(right.identity), uid_of(left.identity)]
    assert planned(wanted, observed(wanted)).is_empty


def test_names_move_up_in_a_chain() -> None:
    wanted = (tenant(), renamed(topic("b"), "a"), renamed(topic("c"), "b"))
    there = observed((tenant(), topic("a"), topic("b")))
    assert deeds(planned(wanted, there)) == ["rename Topic acme/a → acme/b", "rename Topic acme/b → acme/c"]


def test_a_name_that_is_kept_is_not_taken() -> None:
    found = planned((tenant(), renamed(topic("b"), "a")), observed((tenant(), topic("a"), topic("b"))))
    assert deeds(found) == ["delete Topic acme/a"]


def test_a_queue_takes_its_subscription_and_its_dead_letters_along() -> None:
    def of(name: str, former: str | None = None) -> tuple[Resource, ...]:
        whole = replace(queue(name), renamed_from=former)
        reader = implied(subscription(name, name), whole)
        return tenant(), implied(dead_letters(f"{name}.deadletter"), reader), whole, reader

    assert deeds(planned(of("tasks", "jobs"), observed(of("jobs")))) == [
        "rename Topic acme/jobs.deadletter → acme/tasks.deadletter",
        "rename Queue acme/jobs → acme/tasks",
        "rename Subscription acme/jobs → acme/tasks",
    ]


def test_a_dead_letter_topic_that_is_declared_keeps_its_name() -> None:
    there = observed((tenant(), ORDERS, dead_letters("orders.deadletter"), BILLING))
    found = planned((tenant(), PURCHASES, dead_letters("orders.deadletter"), GONE_ALONG, READING), there)
    assert "create Topic acme/purchases.deadletter" in deeds(found)


def test_a_tenant_is_renamed_with_all_it_has() -> None:
    hook = handler("hook")
    there = (*ALL, hook, topic("old"))
    wanted = (
        renamed(tenant("globex"), "acme"),
        topic("orders", "globex"),
        implied(dead_letters("orders.deadletter", "globex"), subscription("billing", "orders", "globex")),
        subscription("billing", "orders", "globex"),
        handler("hook", "globex"),
        renamed(topic("new", "globex"), "old"),
    )
    found = planned(wanted, observed(there))
    assert (found.summary["rename"], found.refused) == (6, ())
    assert not any(found.summary[action] for action in ("create", "update", "delete", "repair"))
    assert {change.uid for change in found.changes} == {uid_of(resource.identity) for resource in there}
    target = target_of(found.changes, observed(there), lambda: "new")
    bucket = target.placement.buckets["globex"]
    assert {step.bucket for step in topic_steps(found.changes, target)} == {bucket}
    assert {step.arguments[1] for step in subscription_steps(found.changes, target)} == {"globex"}


def test_what_a_tenant_left_undeclared_is_deleted() -> None:
    wanted = (renamed(tenant("globex"), "acme"),)
    found = planned(wanted, observed((tenant(), ORDERS)))
    assert deeds(found) == ["rename Tenant acme → /globex", "delete Topic acme/orders"]
    assert found.refused == ()


def test_a_tenant_can_get_the_name_of_one_that_is_renamed() -> None:
    wanted = (renamed(tenant("globex"), "acme"), topic("orders", "globex"), tenant(), ORDERS)
    found = planned(wanted, observed((tenant(), ORDERS)))
    assert deeds(found) == [
        "create Tenant acme",
        "rename Tenant acme → /globex",
        "create Topic acme/orders",
        "rename Topic acme/orders → globex/orders",
    ]
    assert found.refused == ()


def test_nothing_stays_behind_with_the_name_of_its_tenant() -> None:
    """It would be in the bucket of the one, and declared of the other."""
    wanted = (renamed(tenant("globex"), "acme"), tenant(), ORDERS)
    found = planned(wanted, observed((tenant(), ORDERS)))
    assert found.is_empty
    assert {refusal.obstacle for refusal in found.refused} == {Obstacle.STAYS_BEHIND, Obstacle.DEPENDS_ON_REFUSED}


def test_what_another_source_names_keeps_its_name_and_nobody_else_gets_it() -> None:
    elsewhere = managed(subscription("mirror", "orders", deadLetter=None), "elsewhere")
    found = planned((*RENAMED, ORDERS), observed((*ALL, elsewhere)))
    assert found.is_empty
    told = {str(refusal.change.identity): refusal for refusal in found.refused}
    assert told["Topic acme/purchases"].obstacle is Obstacle.STILL_NEEDED
    assert "Subscription acme/mirror of source 'elsewhere' still names it" in told["Topic acme/purchases"].message
    assert told["Topic acme/orders"].message == "its name is not free: Topic acme/orders is not renamed"


def test_a_subscription_that_goes_on_saying_the_old_name_does_not_slip_onto_the_new_topic() -> None:
    found = planned((tenant(), PURCHASES, ORDERS, LETTERS, BILLING), observed(ALL))
    told = {str(refusal.change.identity): refusal.obstacle for refusal in found.refused}
    assert told["Subscription acme/billing"] is Obstacle.TOPIC_FIXED
    assert told["Topic acme/purchases"] is Obstacle.STILL_NEEDED


def test_a_handler_whose_name_another_gets_is_let_go_of_openly() -> None:
    reader = subscription("billing", "orders", handler="hook")
    there = observed((tenant(), handler("hook"), ORDERS, LETTERS, reader))
    new = handler("hook", url="https://new.example/")
    found = planned((tenant(), renamed(handler("old-hook"), "hook"), new, ORDERS, LETTERS, reader), there)
    assert deeds(found) == [
        "create Handler acme/hook",
        "rename Handler acme/hook → acme/old-hook",
        "update Subscription acme/billing",
    ]
    assert found.changes[-1].fields == (FieldChange("spec.handler", "old-hook", "hook"),)


def test_what_belongs_to_a_source_that_is_not_loaded_is_not_taken() -> None:
    found = planned((tenant(), PURCHASES), observed((tenant(), managed(ORDERS, "elsewhere"))))
    (refusal,) = found.refused
    assert refusal.obstacle is Obstacle.OWNED_ELSEWHERE
    assert refusal.message.startswith("Topic acme/orders belongs to source 'elsewhere'")


def test_a_source_that_is_not_pruned_keeps_the_old_tenant_of_what_it_keeps() -> None:
    sources = {"platform": SourceSpec(path="platform", prune=False)}
    found = plan((renamed(tenant("globex"), "acme"),), observed((tenant(), ORDERS)), sources)
    assert found.is_empty
    assert [refusal.obstacle for refusal in found.refused] == [Obstacle.STILL_NEEDED]


def test_it_is_told_in_words_and_numbers() -> None:
    found = planned(RENAMED, observed(ALL))
    assert footer(found) == "Plan: 0 to create, 1 to update, 0 to delete, 0 to repair, 2 to rename."
    change = as_json(found)["resource_changes"][0]
    assert (change["change"]["actions"], change["renamed_from"]) == (["rename"], "Topic acme/orders")
    assert Report(7, found.changes, ()).summary == "Applied revision 7: 1 updated, 2 renamed."
    assert [change.action for change in found.changes].count(Action.RENAME) == 2


def test_where_it_is_said_is_noted_when_nothing_else_changes() -> None:
    there = observed((tenant(), ORDERS))
    (moved,) = planned((tenant(), renamed(ORDERS, "former")), there).moved
    assert moved == Moved(uid_of(ORDERS.identity), ORDERS.origin, "former")


def test_a_queue_is_not_renamed_from_a_topic_and_the_topic_is_not_deleted_for_it() -> None:
    jobs = renamed(queue("jobs", deadLetter=None), "orders")
    found = planned((tenant(), jobs), observed((tenant(), ORDERS)))
    assert found.is_empty
    assert [refusal.obstacle for refusal in found.refused] == [Obstacle.KIND_FIXED] * 2
    assert "Topic acme/orders cannot become Queue acme/jobs" in found.refused[0].message
    later = planned((tenant(), jobs), observed((tenant(), jobs, ORDERS)))  # what it says is long done
    assert deeds(later) == ["delete Topic acme/orders"]
