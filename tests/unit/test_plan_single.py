"""The plan of changing one resource that no source owns."""

from dataclasses import replace

from declared import dead_letters, handler, implied, managed, observed, queue, subscription, tenant, topic

from mqops.model import Identity
from mqops.settings import Settings
from reconciler.manifests.single import declared_again, judge, manifest_of
from reconciler.manifests.validate import Declared
from reconciler.planning.change import Action
from reconciler.planning.plan import Plan
from reconciler.planning.single import is_refused, plan_single
from reconciler.state import API, Observed, Resource

NOTHING = {"labels": {}, "annotations": {}}


def theirs(resource: Resource) -> Resource:
    return managed(resource, API)


def planned(target: Identity, spec: dict[str, object] | None, seen: Observed) -> Plan:
    others = declared_again(row.resource for row in seen.applied.values())
    declared = None
    if spec is not None:
        declared = judge(manifest_of(target, {**NOTHING, "spec": spec}), others, ())
        assert isinstance(declared, Declared), declared
    return plan_single(target, declared, others, seen, Settings())


def deeds(found: Plan) -> list[str]:
    return [f"{change.action} {change.identity}" for change in found.changes]


def test_what_a_new_resource_brings_along_comes_with_it() -> None:
    found = planned(Identity("Queue", "acme", "q"), {}, observed([tenant()]))
    assert deeds(found) == ["create Topic acme/q.deadletter", "create Queue acme/q", "create Subscription acme/q"]
    assert {change.resource.managed_by for change in found.changes} == {API}


def test_dead_letters_that_a_source_brought_along_stay_its_own() -> None:
    orders = topic("orders")
    first = subscription("b", "orders")
    seen = observed([tenant(), orders, first, implied(dead_letters("orders.deadletter"), first)])
    found = planned(Identity("Subscription", "acme", "a"), {"topic": "orders"}, seen)
    assert deeds(found) == ["create Subscription acme/a"]
    assert found.refused == ()


def test_nothing_else_of_the_api_is_touched_though_defaults_are_others_now() -> None:
    old = theirs(topic("old", retention="1d", maxBacklog=5))
    hook = theirs(handler("hook"))
    seen = observed([tenant(), tenant("globex"), old, hook, theirs(topic("far", "globex")), topic("ours")])
    assert deeds(planned(Identity("Topic", "acme", "new"), {}, seen)) == ["create Topic acme/new"]
    assert deeds(planned(hook.identity, None, seen)) == ["delete Handler acme/hook"]


def test_the_last_thing_of_the_api_can_be_deleted() -> None:
    only = theirs(topic("only"))
    found = planned(only.identity, None, observed([tenant(), only]))
    assert (deeds(found), found.refused) == (["delete Topic acme/only"], ())


def test_what_others_need_is_not_deleted_and_strangers_are_not_named() -> None:
    orders = theirs(topic("orders", public=True))
    reader = subscription("secret", "acme/orders", "globex", deadLetter=None)
    found = planned(orders.identity, None, observed([tenant(), tenant("globex"), orders, reader]))
    assert is_refused(found, orders.identity)
    [refusal] = found.refused
    assert refusal.message == "Topic acme/orders cannot be deleted: a Subscription of another tenant needs it"


def test_only_the_target_is_repaired() -> None:
    ours, other = theirs(topic("ours")), theirs(topic("other"))
    seen = replace(observed([tenant(), ours, other]), topics={})
    found = planned(ours.identity, dict(ours.spec), seen)
    assert [(change.action, change.identity) for change in found.changes] == [(Action.REPAIR, ours.identity)]


def test_a_queue_and_what_it_brought_along_go_together() -> None:
    whole = theirs(queue("q"))
    reader = implied(theirs(subscription("q", "q", deadLetter="q.deadletter", startFrom="earliest")), whole)
    letters = implied(theirs(dead_letters("q.deadletter")), reader)
    found = planned(whole.identity, None, observed([tenant(), whole, reader, letters]))
    assert deeds(found) == ["delete Subscription acme/q", "delete Queue acme/q", "delete Topic acme/q.deadletter"]
