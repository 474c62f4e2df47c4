"""What users of other control planes complain about, each with the guard that answers it: a check that holds, and that
fails when the guard is switched off.

Two more need real stores and stand elsewhere: in how many round trips a plan is made (``test_observe``), and that an
apply finds the catalog as the plan did (``test_stores``).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest
from declared import SOURCES, dead_letters, managed, observed, respecified, subscription, tenant, topic, uid_of

from mqops.cli import exit_codes
from mqops.errors import Refused
from mqops.model import PROTECT, Identity, SourceSpec, completed
from mqops.settings import settings_from
from reconciler import pipeline
from reconciler.manifests.check import Checked
from reconciler.planning import diff as diffing
from reconciler.planning import drift as drifting
from reconciler.planning import guard as guarding
from reconciler.planning.change import Action
from reconciler.planning.guard import Allowances
from reconciler.planning.plan import Plan, plan
from reconciler.planning.refusals import Obstacle, Refusal
from reconciler.state import Cost, Observed, Resource

KEPT = (tenant(), topic("kept"))
ORDERS, BILLING = topic("orders", partitions=4), subscription("billing", "orders")
READ = (ORDERS, dead_letters("orders.deadletter"), BILLING)
PROTECTED = replace(topic("ledger"), annotations={PROTECT: "true"})
THEIRS = managed(topic("theirs"), "api")
MANY = tuple(topic(f"many-{number}") for number in range(99))
CLAIMED: dict[str, SourceSpec] = {}
"""Sources that a plan is told to own beside its own."""

Costs = Mapping[Identity, Cost]
HOLDING: Costs = {BILLING.identity: Cost(9, 3, 0, 0)}


def planned(
    desired: tuple[Resource, ...], there: tuple[Resource, ...], costs: Costs | None = None, allowed: Any = None
) -> Plan:
    return planned_on(desired, observed(there), costs, allowed)


def planned_on(desired: tuple[Resource, ...], seen: Observed, costs: Costs | None = None, allowed: Any = None) -> Plan:
    sources = {**SOURCES, **CLAIMED}
    by_uid = {uid_of(identity): cost for identity, cost in (costs or {}).items()}
    found = plan(desired, seen, SOURCES, CLAIMED)
    return guarding.guard(found, seen, sources, by_uid, allowed or Allowances())


def deleted(found: Plan) -> set[str]:
    return {change.identity.name for change in found.changes if change.action is Action.DELETE}


def protection_outlives_its_block() -> None:
    assert "ledger" not in deleted(planned(KEPT, (*KEPT, PROTECTED)))


def what_is_protected_is_skipped_and_the_rest_goes_on() -> None:
    assert deleted(planned(KEPT, (*KEPT, PROTECTED, topic("old")))) == {"old"}


def an_approved_plan_is_not_made_when_another_would_be() -> None:
    approved, now = planned(KEPT, ()), planned(KEPT, KEPT[:1])
    request = pipeline.Request(Checked(KEPT, (), SOURCES, len(KEPT), 1), settings_from({}))
    found = pipeline.Planned(request, observed(KEPT[:1]), now, None)
    with pytest.raises(Refused):
        pipeline.exactly(approved, lambda it: it.plan)(found)


def a_first_run_leaves_alone_what_is_there() -> None:
    assert deleted(planned(KEPT, (tenant(), THEIRS, managed(topic("old"), "api")))) == set()


def one_team_does_not_delete_what_another_has() -> None:
    assert deleted(planned(KEPT, (*KEPT, THEIRS))) == set()


def a_hundred_do_not_become_one_without_a_word() -> None:
    assert planned(KEPT, (*KEPT, *MANY)).changes == ()


def each_guard_prints_the_option_that_goes_through() -> None:
    there = (*KEPT, PROTECTED, *MANY, *READ)
    messages = " ".join(it.message for it in planned(KEPT, there).refused)
    number, word = re.search(r"--allow-mass-delete (\d+)", messages), re.search(r"--unprotect (\S+)", messages)
    assert number is not None
    assert word is not None
    kind, of, name = word[1].split("/")
    allowed = Allowances(False, frozenset({int(number[1]), int(number[1]) + 1}), frozenset({Identity(kind, of, name)}))
    left = planned(KEPT, there, HOLDING, allowed).refused
    assert "--allow-data-loss" in left[0].message
    assert planned(KEPT, there, HOLDING, replace(allowed, data_loss=True)).refused == ()


def a_prune_does_not_destroy_queued_messages() -> None:
    assert "billing" not in deleted(planned(KEPT, (*KEPT, *READ), HOLDING))


def what_cannot_change_in_place_is_replaced_openly_and_not_ignored() -> None:
    fewer = (*KEPT, respecified(ORDERS, partitions=1), *READ[1:])
    found = planned(fewer, (*KEPT, *READ))
    assert {change.identity.name for change in found.changes if change.action is Action.REPLACE} == {
        "orders",
        "billing",
    }


def what_is_destroyed_outside_is_found() -> None:
    seen = observed((*KEPT, *READ))
    found = planned_on((*KEPT, *READ), replace(seen, topics={}, subscriptions={}, epochs=frozenset()))
    assert {change.action for change in found.changes} == {Action.REPAIR}


def a_plan_settles_also_after_a_new_version_has_new_fields() -> None:
    older = {name: value for name, value in ORDERS.spec.items() if name != "maxMessageSize"}
    before = replace(ORDERS, spec=completed_spec("Topic", older))
    wanted = respecified(ORDERS, maxMessageSize=None)
    assert planned((*KEPT, wanted, *READ[1:]), (*KEPT, before, *READ[1:])).is_empty


def an_error_a_difference_and_a_refusal_exit_differently() -> None:
    assert len({0, exit_codes.ERROR, exit_codes.PENDING, exit_codes.REFUSED}) == 4


completed_spec: Callable[[str, Mapping[str, Any]], Mapping[str, Any]] = completed


@dataclass(frozen=True)
class Answer:
    """A check, and what switches its guard off: a thing, the name in it, and what comes in its place."""

    check: Callable[[], None]
    owner: Any
    name: str
    instead: Any


def _everything_refused(changes: Any, refused: Any, seen: Observed) -> dict[Identity, Refusal]:
    return {change.identity: Refusal(change, Obstacle.PROTECTED, "") for change in changes}


_guard, _nothing = guarding.guard, lambda *_: ()
_API = {"api": SourceSpec(path="api")}

ANSWERS = {
    "protection vanishes together with the block": Answer(
        protection_outlives_its_block, guarding, "_protected", _nothing
    ),
    "a protected object fails the whole plan": Answer(
        what_is_protected_is_skipped_and_the_rest_goes_on, guarding, "with_dependents", _everything_refused
    ),
    "apply ran though reality had moved since the plan": Answer(
        an_approved_plan_is_not_made_when_another_would_be, pipeline, "_deeds", lambda found: ()
    ),
    "the first run wiped what was there": Answer(
        a_first_run_leaves_alone_what_is_there, f"{__name__}", "CLAIMED", _API
    ),
    "two teams delete each other's things": Answer(
        one_team_does_not_delete_what_another_has, f"{__name__}", "CLAIMED", _API
    ),
    "100 objects down to 1 without a word": Answer(
        a_hundred_do_not_become_one_without_a_word, guarding, "_too_many", _nothing
    ),
    "the guard then has no way through": Answer(
        each_guard_prints_the_option_that_goes_through, guarding, "guard", lambda *given: _guard(*given[:4])
    ),
    "a prune destroyed queued messages": Answer(
        a_prune_does_not_destroy_queued_messages, guarding, "_losing_messages", _nothing
    ),
    "an immutable change accepted and ignored": Answer(
        what_cannot_change_in_place_is_replaced_openly_and_not_ignored, diffing, "forcing", _nothing
    ),
    'deleted outside, still "Ready"': Answer(
        what_is_destroyed_outside_is_found, drifting, "drift_of", lambda *_: None
    ),
    "noise: a plan that never settles": Answer(
        a_plan_settles_also_after_a_new_version_has_new_fields, f"{__name__}", "completed_spec", lambda _, spec: spec
    ),
    "drift and error share an exit code": Answer(
        an_error_a_difference_and_a_refusal_exit_differently, exit_codes, "PENDING", exit_codes.ERROR
    ),
}  # fmt: skip


@pytest.mark.parametrize("complaint", ANSWERS)
def test_nobody_has_to_complain_here(complaint: str) -> None:
    ANSWERS[complaint].check()


@pytest.mark.parametrize("complaint", ANSWERS)
def test_without_its_guard_the_check_fails(complaint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = ANSWERS[complaint]
    if isinstance(answer.owner, str):
        monkeypatch.setitem(globals(), answer.name, answer.instead)
    else:
        monkeypatch.setattr(answer.owner, answer.name, answer.instead)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        answer.check()
