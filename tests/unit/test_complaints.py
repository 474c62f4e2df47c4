"""What users of other control planes complain about, each with the guard that answers it: a check that holds, and that
fails when the guard is switched off.

One more stands elsewhere: that an apply finds the catalog as the plan did (``test_apply``).
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from declared import (
    ROOT,
    SOURCES,
    dead_letters,
    managed,
    observed,
    queue,
    respecified,
    subscription,
    tenant,
    topic,
    uid_of,
)
from stores import Opened, applied, opened

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
from reconciler.planning.conditions import Pass, findings
from reconciler.planning.guard import Allowances
from reconciler.planning.holds import Pin, keep
from reconciler.planning.plan import Plan, plan
from reconciler.planning.refusals import Obstacle, Refusal
from reconciler.state import Content, Cost, Observed, Resource
from reconciler.stores import live
from reconciler.stores.observe import observe
from reconciler.stores.sources import SourceState

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
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


@pytest.fixture
def stores(database_url: str, redis_url: str) -> Iterator[Opened]:
    with opened(database_url, redis_url) as stores:
        yield stores


def deeds(found: Plan) -> set[tuple[Action, str]]:
    return {(change.action, change.identity.name) for change in found.changes}


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
    gone = replace(seen, topics={}, subscriptions={}, epochs=frozenset())
    found = planned_on((*KEPT, *READ), gone)
    assert {change.action for change in found.changes} == {Action.REPAIR}
    said = findings(Pass(gone, found, SOURCES))
    assert len(said) == len(found.changes)
    assert not any(finding.is_ready for finding in said.values())


def a_plan_settles_also_after_a_new_version_has_new_fields() -> None:
    older = {name: value for name, value in ORDERS.spec.items() if name != "maxMessageSize"}
    before = replace(ORDERS, spec=completed_spec("Topic", older))
    wanted = respecified(ORDERS, maxMessageSize=None)
    assert planned((*KEPT, wanted, *READ[1:]), (*KEPT, before, *READ[1:])).is_empty


def an_error_a_difference_and_a_refusal_exit_differently() -> None:
    assert len({0, exit_codes.ERROR, exit_codes.PENDING, exit_codes.REFUSED}) == 4


def a_rollback_is_not_undone_until_something_newer_is_declared() -> None:
    """What the watcher finds is the very manifests that were rolled back from."""
    before, after = (tenant(), topic("kept", maxBacklog=5)), KEPT
    then, now = Content("", "then"), Content("", "now")
    pinned = SourceState(ROOT, None, then, None, None, Pin(ROOT, "ann@build-7", NOON, 1, then))

    def watched(content: Content) -> Plan:
        checked = Checked(after, (), SOURCES, len(after), 1, contents={ROOT: content})
        holds = pipeline.holds_of(pipeline.Request(checked, settings_from({})), {ROOT: pinned})
        kept = keep(after, observed(before), {hold.source for hold in holds})
        return planned(kept.desired, before)

    assert watched(then).is_empty
    assert deeds(watched(now)) == {(Action.UPDATE, "kept")}


def what_is_read_does_not_grow_in_trips_with_what_there_is(stores: Opened) -> None:
    def trips(count: int) -> int:
        applied(stores, (tenant(), *(queue(f"q{number}", deadLetter=None) for number in range(count))))
        before = stores.redis.info("stats")["total_reads_processed"]
        observe(stores)
        return int(stores.redis.info("stats")["total_reads_processed"] - before)

    few, many = trips(20), trips(120)
    assert many - few < 20, "a hundred more resources, each of several commands"


completed_spec: Callable[[str, Mapping[str, Any]], Mapping[str, Any]] = completed


@dataclass(frozen=True)
class Answer:
    """A check, and what switches its guard off: a thing, the name in it, and what comes in its place."""

    check: Callable[..., None]
    owner: Any
    name: str
    instead: Any
    needs: tuple[str, ...] = ()
    """Fixtures that the check is given."""


def _everything_refused(changes: Any, refused: Any, seen: Observed) -> dict[Identity, Refusal]:
    return {change.identity: Refusal(change, Obstacle.PROTECTED, "") for change in changes}


def _one_by_one(things: Sequence[live.Thing]) -> dict[str, list[live.Thing]]:
    return {thing.uid: [thing] for thing in things}


_guard, _nothing = guarding.guard, lambda *_: ()
_API = {"api": SourceSpec(path="api")}

COMPLAINTS = (
    "protection vanishes together with the block",
    "a protected object fails the whole plan",
    "apply ran though reality had moved since the plan",
    "the first run wiped what was there",
    "two teams delete each other's things",
    "100 objects down to 1 without a word",
    "the guard then has no way through",
    "a prune destroyed queued messages",
    "an immutable change accepted and ignored",
    'deleted outside, still "Ready"',
    "noise: a plan that never settles",
    "drift and error share an exit code",
    "rollback fights auto-sync",
    "O(N) reads",
)
"""What is told most often in the trackers of other control planes."""

ANSWERS = {
    "protection vanishes together with the block": Answer(
        protection_outlives_its_block, guarding, "_protected", _nothing
    ),
    "a protected object fails the whole plan": Answer(
        what_is_protected_is_skipped_and_the_rest_goes_on, guarding, "with_dependents", _everything_refused
    ),
    "apply ran though reality had moved since the plan": Answer(
        an_approved_plan_is_not_made_when_another_would_be, pipeline, "require_same", _nothing
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
    "rollback fights auto-sync": Answer(
        a_rollback_is_not_undone_until_something_newer_is_declared, SourceState, "hold", lambda *_: None
    ),
    "O(N) reads": Answer(
        what_is_read_does_not_grow_in_trips_with_what_there_is, live, "_slices", _one_by_one, ("stores",)
    ),
}  # fmt: skip


@pytest.mark.parametrize("complaint", ANSWERS)
def test_nobody_has_to_complain_here(complaint: str, request: pytest.FixtureRequest) -> None:
    answer = ANSWERS[complaint]
    answer.check(*map(request.getfixturevalue, answer.needs))


@pytest.mark.parametrize("complaint", ANSWERS)
def test_without_its_guard_the_check_fails(
    complaint: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    answer = ANSWERS[complaint]
    if isinstance(answer.owner, str):
        monkeypatch.setitem(globals(), answer.name, answer.instead)
    else:
        monkeypatch.setattr(answer.owner, answer.name, answer.instead)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        answer.check(*map(request.getfixturevalue, answer.needs))


def test_every_complaint_is_answered() -> None:
    assert set(ANSWERS) == set(COMPLAINTS)
