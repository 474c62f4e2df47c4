"""What cannot change in place: which replaces a plan has, what goes along, and what stops them."""

from dataclasses import replace

import pytest
from declared import (
    ROOT,
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

from mqops.model import PROTECT, Identity, SourceSpec
from reconciler.apply import Report
from reconciler.planning.change import Action, FieldChange, Reason
from reconciler.planning.guard import Allowances, guard
from reconciler.planning.holds import grounded, keep, unreplaced
from reconciler.planning.plan import Plan, hold_back, plan
from reconciler.planning.refusals import Obstacle
from reconciler.planning.render import as_json, footer, text
from reconciler.planning.scope import Scope
from reconciler.planning.target import Target, close_steps, opening_steps, remove_steps, target_of, topic_steps
from reconciler.planning.unified import diff_lines
from reconciler.state import Cost, Observed, Resource

ORDERS = topic("orders", partitions=4)
BILLING = subscription("billing", "orders")
AUDIT = subscription("audit", "orders")
LETTERS = implied(dead_letters("orders.deadletter"), AUDIT)
ALL = (tenant(), ORDERS, LETTERS, AUDIT, BILLING)
FEWER = respecified(ORDERS, partitions=2)
JOBS = queue("jobs", partitions=2)
WORKER = implied(subscription("jobs", "jobs", startFrom="earliest"), JOBS)
JOBS_LETTERS = implied(dead_letters("jobs.deadletter"), WORKER)
QUEUE = (tenant(), JOBS, WORKER, JOBS_LETTERS)
TEAM = {**SOURCES, "team": SourceSpec(path="team")}


def planned(desired: tuple[Resource, ...], there: Observed, sources: dict[str, SourceSpec] | None = None) -> Plan:
    return plan(desired, there, sources or SOURCES)


def deeds(found: Plan) -> list[str]:
    return [f"{change.action} {change.identity}" for change in found.changes]


def told(found: Plan) -> dict[str, Obstacle]:
    return {str(refusal.change.identity): refusal.obstacle for refusal in found.refused}


def test_fewer_partitions_replace_the_topic_and_who_reads_it_and_keep_the_dead_letters() -> None:
    found = planned((tenant(), FEWER, LETTERS, AUDIT, BILLING), observed(ALL))
    assert [(it.action, it.reason, it.identity.name, it.forced_by) for it in found.changes] == [
        (Action.REPLACE, Reason.CHANGED, "orders", ("spec.partitions",)),
        (Action.UPDATE, Reason.PARENT_REPLACED, "orders.deadletter", ()),
        (Action.REPLACE, Reason.TOPIC_REPLACED, "audit", ("spec.topic",)),
        (Action.REPLACE, Reason.TOPIC_REPLACED, "billing", ("spec.topic",)),
    ]
    orders = found.changes[0]
    assert orders.gone is not None
    assert (orders.uid, orders.gone.uid, orders.generation) == (None, uid_of(ORDERS.identity), 1)
    assert found.refused == ()


def test_what_changes_along_goes_with_the_replace_and_not_before_it() -> None:
    wanted = (tenant(), respecified(FEWER, retention="1d"), LETTERS, AUDIT, respecified(BILLING, concurrency=9))
    found = planned(wanted, observed(ALL))
    orders, billing = found.changes[0], found.changes[-1]
    assert [field.path for field in orders.fields] == ["spec.partitions", "spec.retention"]
    assert (billing.action, billing.fields) == (Action.REPLACE, (FieldChange("spec.concurrency", 5, 9),))


@pytest.mark.parametrize(("field", "value"), [("topic", "other"), ("startFrom", "earliest")])
def test_another_topic_or_start_replaces_the_subscription_alone(field: str, value: str) -> None:
    others = topic("other"), dead_letters("other.deadletter")
    wanted = (tenant(), ORDERS, LETTERS, AUDIT, *others, respecified(BILLING, **{field: value}))
    (change,) = planned(wanted, observed((*ALL, *others))).changes
    assert (change.action, change.identity, change.reason) == (Action.REPLACE, BILLING.identity, Reason.CHANGED)
    assert change.forced_by == (f"spec.{field}",)


def test_a_topic_that_becomes_a_queue_is_one_replace() -> None:
    queued = queue("orders", partitions=4)
    reader = implied(subscription("orders", "orders", startFrom="earliest"), queued)
    letters = implied(dead_letters("orders.deadletter"), reader)
    found = planned((tenant(), queued, reader, letters), observed(ALL))
    assert deeds(found) == [
        "update Topic acme/orders.deadletter",
        "replace Queue acme/orders",
        "create Subscription acme/orders",
        "delete Subscription acme/audit",
        "delete Subscription acme/billing",
    ]
    change = found.changes[1]
    assert change.gone is not None
    assert (change.gone.resource.identity, change.forced_by) == (ORDERS.identity, ("kind",))
    assert change.fields[0] == FieldChange("kind", "Topic", "Queue")


def test_a_queue_that_becomes_a_topic_lets_its_subscription_go() -> None:
    found = planned((tenant(), topic("jobs")), observed(QUEUE))
    assert deeds(found) == [
        "replace Topic acme/jobs",
        "delete Subscription acme/jobs",
        "delete Topic acme/jobs.deadletter",
    ]


def test_the_subscription_of_a_queue_stays_a_subscription_of_that_name_where_one_is_declared() -> None:
    reader = subscription("jobs", "jobs", startFrom="earliest")
    found = planned((tenant(), topic("jobs", partitions=2), reader, JOBS_LETTERS), observed(QUEUE))
    assert deeds(found) == [
        "replace Topic acme/jobs",
        "update Topic acme/jobs.deadletter",
        "replace Subscription acme/jobs",
    ]
    assert found.changes[2].fields == (FieldChange("impliedBy", "Queue acme/jobs", None),)


def test_a_source_that_is_not_pruned_keeps_the_subscription_of_what_was_a_queue_as_its_own() -> None:
    sources = {ROOT: SourceSpec(path="platform", prune=False)}
    found = planned((tenant(), topic("jobs", partitions=2)), observed(QUEUE), sources)
    assert deeds(found) == [
        "replace Topic acme/jobs",
        "update Topic acme/jobs.deadletter",
        "replace Subscription acme/jobs",
    ]
    assert found.changes[2].resource.implied_by is None


def test_what_another_source_reads_is_not_replaced_under_it() -> None:
    there = observed((*ALL, managed(subscription("mirror", "orders", deadLetter=None), "team")))
    found = planned((tenant(), FEWER, LETTERS, AUDIT, BILLING), there)
    assert found.changes == ()
    assert told(found) == {
        "Topic acme/orders": Obstacle.STILL_NEEDED,
        "Topic acme/orders.deadletter": Obstacle.DEPENDS_ON_REFUSED,
        "Subscription acme/audit": Obstacle.DEPENDS_ON_REFUSED,
        "Subscription acme/billing": Obstacle.DEPENDS_ON_REFUSED,
    }
    assert "Subscription acme/mirror of source 'team' reads it" in found.refused[0].message


def test_another_loaded_source_has_its_subscription_replaced_along() -> None:
    mirror = managed(subscription("mirror", "acme/orders", "globex", deadLetter=None), "team")
    there = (*ALL, tenant("globex"), mirror)
    found = planned((tenant(), tenant("globex"), FEWER, LETTERS, AUDIT, BILLING, mirror), observed(there), TEAM)
    assert "replace Subscription globex/mirror" in deeds(found)
    assert found.refused == ()


def test_what_is_held_keeps_the_topic_that_it_reads() -> None:
    mirror = managed(subscription("mirror", "orders", deadLetter=None), "team")
    there = observed((*ALL, mirror))
    wanted = keep((tenant(), FEWER, LETTERS, AUDIT, BILLING, mirror), there, {"team"}).desired
    found = unreplaced(planned(wanted, there, TEAM), there, {"team"})
    assert grounded(found, wanted, there).changes == ()
    assert told(found)["Topic acme/orders"] is Obstacle.STILL_NEEDED
    assert "Subscription acme/mirror" not in told(found)


COSTS = {uid_of(ORDERS.identity): Cost(9, 3, 1, 2), uid_of(BILLING.identity): Cost(0, 3, 1, 0)}
"""Nothing unfinished for the other one, so that its data is no obstacle of its own."""


def guarded(allowed: Allowances, there: tuple[Resource, ...] = ALL) -> Plan:
    seen = observed(there)
    found = planned((tenant(), FEWER, LETTERS, AUDIT, BILLING), seen)
    return guard(found, seen, SOURCES, COSTS, allowed)


def test_unfinished_messages_are_not_replaced_away_and_the_rest_stays_consistent() -> None:
    found = guarded(Allowances())
    assert found.changes == ()
    assert told(found) == {
        "Topic acme/orders": Obstacle.DATA_LOSS,
        "Topic acme/orders.deadletter": Obstacle.DEPENDS_ON_REFUSED,
        "Subscription acme/audit": Obstacle.DEPENDS_ON_REFUSED,
        "Subscription acme/billing": Obstacle.DATA_LOSS,
    }
    assert "pass --allow-data-loss" in found.refused[0].message
    allowed = guarded(Allowances(data_loss=True))
    assert (allowed.refused, allowed.count(Action.REPLACE)) == ((), 3)
    assert allowed.changes[0].cost == Cost(9, 3, 1, 2)


def test_what_is_protected_is_not_replaced_and_keeps_what_it_reads() -> None:
    protected = replace(BILLING, annotations={PROTECT: "true"})
    found = guarded(Allowances(data_loss=True), (*ALL[:-1], protected))
    assert told(found)["Subscription acme/billing"] is Obstacle.PROTECTED
    assert told(found)["Topic acme/orders"] is Obstacle.STILL_NEEDED
    assert found.changes == ()
    allowed = Allowances(data_loss=True, unprotected=frozenset({BILLING.identity}))
    assert guarded(allowed, (*ALL[:-1], protected)).refused == ()


def test_a_topic_that_is_protected_does_not_become_a_queue() -> None:
    protected, there = replace(topic("it"), annotations={PROTECT: "true"}), tenant()
    seen = observed((there, protected))
    found = guard(planned((there, queue("it", deadLetter=None)), seen), seen, SOURCES, {})
    (refusal,) = found.refused
    assert refusal.message == (
        "Topic acme/it is protected (annotation mqops/protect): put back what it was; or, to replace it, "
        "pass --unprotect Topic/acme/it"
    )


def test_replaces_count_among_what_goes_at_once() -> None:
    before = tuple(topic(f"t{number}", partitions=2) for number in range(12))
    after = tuple(respecified(one, partitions=1) for one in before)
    seen = observed((tenant(), *before))
    found = guard(planned((tenant(), *after), seen), seen, SOURCES, {})
    assert {refusal.obstacle for refusal in found.refused} == {Obstacle.MASS_DELETE}
    assert "12 of the 13 resources of source 'platform' would be deleted or replaced" in found.refused[0].message


def test_a_rename_is_not_made_with_what_takes_a_replace() -> None:
    fewer = renamed(topic("purchases", partitions=2), "orders")
    readers = (respecified(AUDIT, topic="purchases"), respecified(BILLING, topic="purchases", retry={"maxAttempts": 9}))
    found = planned((tenant(), fewer, LETTERS, *readers), observed(ALL))
    assert found.changes == ()
    assert told(found)["Topic acme/purchases"] is Obstacle.RENAME_REPLACES
    assert "replaced for its partitions" in found.refused[0].message


def test_a_subscription_is_not_renamed_while_its_topic_is_replaced() -> None:
    invoicing = renamed(subscription("invoicing", "orders"), "billing")
    found = planned((tenant(), FEWER, LETTERS, AUDIT, invoicing), observed(ALL))
    assert told(found)["Subscription acme/invoicing"] is Obstacle.RENAME_REPLACES
    assert told(found)["Topic acme/orders"] is Obstacle.STILL_NEEDED
    assert found.changes == ()


def test_a_name_that_a_renamed_topic_takes_is_no_replace_of_the_queue_that_has_it() -> None:
    found = planned((tenant(), renamed(topic("jobs"), "orders")), observed((*QUEUE, ORDERS)))
    assert told(found)["Topic acme/jobs"] is Obstacle.KIND_FIXED
    assert told(found)["Queue acme/jobs"] is Obstacle.KIND_FIXED
    assert found.changes == ()


def test_a_tenant_that_is_not_renamed_keeps_what_the_new_one_would_not_have() -> None:
    """A rename that is refused leaves nothing of the edit that it was part of."""
    there = observed((tenant("acme"), managed(topic("theirs"), "team"), topic("orders"), topic("returns")))
    found = planned((renamed(tenant("globex"), "acme"), topic("orders", "globex")), there)
    assert found.changes == ()
    assert told(found) == {
        "Tenant globex": Obstacle.STILL_NEEDED,
        "Topic globex/orders": Obstacle.DEPENDS_ON_REFUSED,
        "Topic acme/returns": Obstacle.DEPENDS_ON_REFUSED,
    }


def test_a_queue_stays_as_long_as_its_subscription_does() -> None:
    """With the queue on its way out, its name used to be taken for a topic's, which nobody deletes."""
    seen = observed(QUEUE)
    costs = {uid_of(WORKER.identity): Cost(0, 3, 0, 0)}
    found = guard(planned((tenant(),), seen), seen, SOURCES, costs)
    assert told(found)["Subscription acme/jobs"] is Obstacle.DATA_LOSS
    assert told(found)["Queue acme/jobs"] is Obstacle.STILL_NEEDED
    assert found.changes == ()


def test_dead_letters_that_nobody_implies_any_more_do_not_go_unasked() -> None:
    letters = dead_letters("graveyard")
    there = observed((tenant(), ORDERS, implied(dead_letters("orders.deadletter"), BILLING), BILLING))
    wanted = (tenant(), ORDERS, letters, respecified(BILLING, deadLetter="graveyard"))
    costs = {uid_of(LETTERS.identity): Cost(2, 2, 0, 0)}
    found = guard(planned(wanted, there), there, SOURCES, costs)
    assert told(found) == {"Topic acme/orders.deadletter": Obstacle.DATA_LOSS}
    assert "update Subscription acme/billing" in deeds(found)


def test_a_limited_plan_takes_what_a_replace_takes_along() -> None:
    wanted = (tenant(), FEWER, LETTERS, AUDIT, respecified(BILLING, concurrency=9))
    for target in (ORDERS, BILLING, LETTERS):
        found = plan(wanted, observed(ALL), SOURCES, scope=Scope(frozenset({target.identity})))
        assert found.count(Action.REPLACE) == 3
        assert found.refused == ()
    gone = plan((tenant(), FEWER, LETTERS, AUDIT), observed(ALL), SOURCES, scope=Scope(frozenset({ORDERS.identity})))
    assert "delete Subscription acme/billing" in deeds(gone)
    assert gone.refused == ()


def target() -> tuple[Plan, Target]:
    there = observed((*ALL, subscription("other", "news", deadLetter="orders.deadletter"), topic("news")))
    wanted = (tenant(), ORDERS, *ALL[2:], subscription("other", "news", deadLetter="orders.deadletter"), topic("news"))
    wanted = tuple(respecified(one, partitions=1) if one is LETTERS else one for one in wanted)
    there = observed(
        respecified(row.resource, partitions=2) if identity == LETTERS.identity else row.resource
        for identity, row in there.applied.items()
    )
    found = planned(wanted, there)
    return found, target_of(found.changes, there, lambda: "the-new-one")


def test_a_new_one_is_closed_until_the_catalog_has_it_and_never_shares_keys() -> None:
    found, aim = target()
    assert deeds(found) == ["replace Topic acme/orders.deadletter"]
    (prepared,) = topic_steps(found.changes, aim)
    (closed,) = close_steps(found.changes, aim)
    (removed,) = remove_steps(found.changes, (), aim)
    assert (prepared.arguments[0], prepared.arguments[-1]) == ("the-new-one", "closed")
    assert closed.arguments == removed.arguments == (uid_of(LETTERS.identity),)


def test_who_sends_dead_letters_to_what_is_replaced_is_told_after_the_catalog() -> None:
    found, aim = target()
    opened, *told_so = opening_steps(found.changes, aim)
    assert opened.arguments[-1] != "closed"
    assert {step.arguments[0] for step in told_so} == {
        uid_of(Identity("Subscription", "acme", name)) for name in ("audit", "billing", "other")
    }
    assert all(step.arguments[6].endswith("the-new-one") for step in told_so)


def test_it_is_told_in_words_in_json_and_as_a_difference() -> None:
    found = guarded(Allowances(data_loss=True))
    what, field, kept = text(found).splitlines()[:3]
    cost = "takes along 9 messages, 3 unfinished, 1 in flight, read by 2"
    assert what == f"  -/+ replace Topic acme/orders ({cost})  acme.yaml:1"
    assert field == "      partitions: 4 → 2  # forces the replacement"
    notes = "kept as it is, for the new one; implied by Subscription acme/audit"
    assert kept == f"  ~ update Topic acme/orders.deadletter ({notes})  acme.yaml:1"
    assert footer(found) == "Plan: 0 to create, 1 to update, 0 to delete, 0 to repair, 3 to replace."
    entry = as_json(found)["resource_changes"][0]
    assert (entry["uid"], entry["forced_by"]) == (None, ["spec.partitions"])
    gone = {"kind": "Topic", "tenant": "acme", "name": "orders", "uid": uid_of(ORDERS.identity)}
    assert entry["replaces"] == gone
    lines = [line for _, line in diff_lines(found)]
    assert f"-uid: {uid_of(BILLING.identity)}" in lines
    assert lines.count("+uid: a new one") == 3
    assert Report(7, found.changes, ()).summary == "Applied revision 7: 1 updated, 3 replaced."


def test_what_an_interrupted_replace_left_closed_is_opened_also_where_nothing_heals_itself() -> None:
    """Only an apply closes, so it is no drift; and publishing is refused until it is opened."""
    sources = {ROOT: SourceSpec(path="platform", selfHeal=False)}
    there = observed((tenant(), ORDERS))
    topics = {uid: replace(live, meta={**live.meta, "closing": "1"}) for uid, live in there.topics.items()}
    found = plan((tenant(), ORDERS), replace(there, topics=topics), sources)
    for is_declared_anew in (True, False):
        done, held = hold_back(found, there, sources, is_declared_anew=is_declared_anew)
        assert (deeds(done), held) == (["repair Topic acme/orders"], ())


def test_a_handler_that_is_renamed_stays_in_place() -> None:
    reader = subscription("billing", "orders", handler="hook")
    there = observed((tenant(), handler("hook"), ORDERS, LETTERS, AUDIT, reader))
    wanted = (tenant(), renamed(handler("web"), "hook"), ORDERS, LETTERS, AUDIT, respecified(reader, handler="web"))
    assert planned(wanted, there).count(Action.REPLACE) == 0
