"""What a plan does not do without being told to, and what it takes to tell it."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from declared import ROOT, SOURCES, dead_letters, managed, observed, renamed, subscription, tenant, topic, uid_of

from mqops.errors import Refused
from mqops.model import PROTECT, Identity, SourceSpec
from reconciler.pipeline import require_same
from reconciler.planning.change import Action, FieldChange
from reconciler.planning.guard import NOTHING_ALLOWED, Allowances, guard
from reconciler.planning.plan import Plan, plan
from reconciler.planning.refusals import Obstacle
from reconciler.state import API, REBUILT, Cost, Resource

ORDERS = topic("orders")
LETTERS = dead_letters("orders.deadletter")
BILLING = subscription("billing", "orders")
KEPT = (tenant(), topic("kept"))
ALL = (*KEPT, ORDERS, LETTERS, BILLING)


def guarded(
    desired: tuple[Resource, ...],
    there: tuple[Resource, ...],
    costs: Mapping[Identity, Cost] | None = None,
    allowed: Allowances = NOTHING_ALLOWED,
    sources: Mapping[str, SourceSpec] = SOURCES,
) -> Plan:
    seen = observed(there)
    by_uid = {uid_of(identity): cost for identity, cost in (costs or {}).items()}
    return guard(plan(desired, seen, sources), seen, sources, by_uid, allowed)


def told(found: Plan) -> dict[str, Obstacle]:
    return {refusal.change.identity.name: refusal.obstacle for refusal in found.refused}


def deleted(found: Plan) -> list[str]:
    return [change.identity.name for change in found.changes]


def protected(resource: Resource, value: str = "true") -> Resource:
    return replace(resource, annotations={PROTECT: value})


def holding(unfinished: int) -> Cost:
    return Cost(messages=9, unfinished=unfinished, in_flight=0, readers=1)


def test_protection_outlives_the_block_that_declared_it_and_the_rest_goes_on() -> None:
    found = guarded(KEPT, (*KEPT, protected(topic("ledger")), topic("old")))
    assert (told(found), deleted(found)) == ({"ledger": Obstacle.PROTECTED}, ["old"])
    assert found.refused[0].message.endswith("pass --unprotect Topic/acme/ledger")


def test_what_was_made_over_the_api_is_adopted_only_when_that_is_allowed() -> None:
    theirs = managed(topic("theirs"), API)
    found = guarded((*KEPT, topic("theirs")), (*KEPT, theirs))
    assert (told(found), found.changes) == ({"theirs": Obstacle.MADE_OVER_API}, ())
    allowed = guarded((*KEPT, topic("theirs")), (*KEPT, theirs), allowed=Allowances(adopt=True))
    (change,) = allowed.changes
    assert (change.action, change.uid, change.fields) == (
        Action.ADOPT,
        uid_of(theirs.identity),
        (FieldChange("managedBy", API, ROOT),),
    )
    assert allowed.others == found.others == 0


def test_taking_it_away_by_a_rename_or_a_replace_needs_the_same() -> None:
    theirs = managed(topic("theirs", partitions=2), API)
    for wanted in (renamed(topic("ours", partitions=2), "theirs"), topic("theirs")):
        found = guarded((*KEPT, wanted), (*KEPT, theirs))
        assert set(told(found).values()) == {Obstacle.MADE_OVER_API}
        assert found.changes == ()


def test_what_a_rebuild_found_is_adopted_without_a_word() -> None:
    theirs = managed(topic("theirs"), REBUILT)
    found = guarded((*KEPT, topic("theirs")), (*KEPT, theirs, managed(topic("more"), REBUILT)))
    assert found.refused == ()
    assert [(change.action, change.identity.name) for change in found.changes] == [(Action.ADOPT, "theirs")]
    assert [identity.name for identity in found.unclaimed] == ["more"]


def test_the_option_that_the_refusal_tells_goes_through() -> None:
    allowed = Allowances(unprotected=frozenset({Identity("Topic", "acme", "ledger")}))
    found = guarded(KEPT, (*KEPT, protected(topic("ledger"))), allowed=allowed)
    assert (found.refused, deleted(found)) == ((), ["ledger"])


def test_protection_ends_when_it_is_applied_as_false() -> None:
    assert deleted(guarded(KEPT, (*KEPT, protected(topic("ledger"), "false")))) == ["ledger"]


def test_kinds_without_a_tenant_are_named_without_one() -> None:
    found = guarded(KEPT, (*KEPT, protected(tenant("old"))))
    assert found.refused[0].message.endswith("pass --unprotect Tenant/old")


def test_unfinished_messages_keep_what_holds_them_and_what_that_needs() -> None:
    found = guarded(KEPT, ALL, {BILLING.identity: holding(3)})
    assert told(found) == {
        "billing": Obstacle.DATA_LOSS,
        "orders": Obstacle.STILL_NEEDED,
        "orders.deadletter": Obstacle.STILL_NEEDED,
    }
    assert found.refused[0].message == (
        "3 unfinished messages in Subscription acme/billing would be lost: have them handled first; "
        "or pass --allow-data-loss"
    )


def test_finished_messages_are_told_and_keep_nothing() -> None:
    found = guarded(KEPT, ALL, {ORDERS.identity: holding(0)})
    assert found.refused == ()
    assert {change.identity.name: change.cost for change in found.changes}["orders"] == holding(0)


def test_loss_that_is_allowed_is_told_and_made() -> None:
    found = guarded(KEPT, ALL, {BILLING.identity: holding(3)}, Allowances(data_loss=True))
    assert (found.refused, deleted(found)) == ((), ["billing", "orders", "orders.deadletter"])


@pytest.mark.parametrize(
    ("deletes", "kept", "is_refused"),
    [
        (10, 0, False),  # few, though all
        (11, 100, False),  # more, though a small part
        (11, 20, True),
        (99, 1, True),
    ],
)
def test_a_great_part_of_a_source_is_not_deleted_unasked(deletes: int, kept: int, is_refused: bool) -> None:
    staying = (*KEPT, *(topic(f"stays-{number}") for number in range(kept)))
    found = guarded(staying, (*staying, *(topic(f"goes-{number}") for number in range(deletes))))
    assert len(found.refused) == (deletes if is_refused else 0)
    assert {refusal.obstacle for refusal in found.refused} <= {Obstacle.MASS_DELETE}


@pytest.mark.parametrize(("number", "is_made"), [(12, True), (11, False), (13, False)])
def test_only_the_very_number_goes_through(number: int, is_made: bool) -> None:
    goes = tuple(topic(f"goes-{it}") for it in range(12))
    found = guarded(KEPT, (*KEPT, *goes), allowed=Allowances(mass_delete=frozenset({number})))
    assert len(found.changes) == (12 if is_made else 0)
    assert all(refusal.message.endswith("--allow-mass-delete 12") for refusal in found.refused)


def test_a_source_has_its_own_limit() -> None:
    strict = {ROOT: SourceSpec.model_validate({"path": "platform", "maxDeletes": {"resources": 0, "percent": 0}})}
    found = guarded(KEPT, (*KEPT, topic("old")), sources=strict)
    assert told(found) == {"old": Obstacle.MASS_DELETE}


def test_a_tenant_goes_in_two_steps_and_takes_nothing_along_before() -> None:
    last, other = topic("last", of="leaving"), topic("other")
    found = guarded(KEPT, (*KEPT, tenant("leaving"), last, other))
    assert told(found) == {"leaving": Obstacle.TENANT_ACTIVE, "last": Obstacle.TENANT_ACTIVE}
    assert deleted(found) == ["other"]
    assert deleted(guarded(KEPT, (*KEPT, tenant("leaving", state="closing"), last))) == ["last", "leaving"]


def test_a_tenant_that_has_nothing_goes_at_once() -> None:
    assert deleted(guarded(KEPT, (*KEPT, tenant("empty")))) == ["empty"]


def test_what_is_protected_does_not_count_as_deleted() -> None:
    goes = tuple(topic(f"goes-{it}") for it in range(10))
    found = guarded(KEPT, (*KEPT, protected(topic("ledger")), *goes))
    assert told(found) == {"ledger": Obstacle.PROTECTED}


def without_billing(messages: int, unfinished: int) -> Plan:
    costs = {BILLING.identity: Cost(messages, unfinished, 2, 0)}
    return guarded((*KEPT, ORDERS, LETTERS), ALL, costs, Allowances(data_loss=True))


def test_what_was_approved_is_made_when_messages_went_meanwhile() -> None:
    require_same(without_billing(9, 5), without_billing(9, 3))


def test_what_would_lose_more_than_was_approved_is_not_made() -> None:
    with pytest.raises(Refused, match=r"billing would take along more than the plan showed \(6 unfinished, not 5\)"):
        require_same(without_billing(9, 5), without_billing(9, 6))


def test_what_is_refused_with_another_number_is_the_same_refusal() -> None:
    costs = [{BILLING.identity: Cost(9, number, 0, 0)} for number in (1, 2)]
    require_same(*(guarded((*KEPT, ORDERS, LETTERS), ALL, cost) for cost in costs))
