"""What a pass makes of resources: findings, and which of them differ from what is noted."""

from dataclasses import replace
from typing import Any

from declared import ROOT, SOURCES, managed, observed, respecified, tenant, topic, uid_of

from mqops.status import Reason, Status, conditions, unnoted
from reconciler.planning.conditions import AS_APPLIED, Finding, Pass, Undone, changed, findings, passed_over
from reconciler.planning.plan import plan
from reconciler.state import Observed, Resource

ORDERS, OTHER = topic("orders"), topic("other")
ALL = (tenant(), ORDERS, OTHER)
SEEN = observed(ALL)
UID = uid_of(ORDERS.identity)
NOTED = unnoted(1, 0)


def drifted() -> Observed:
    """The settings of one topic are gone from Redis."""
    live = SEEN.topics[UID]
    return replace(SEEN, topics={**SEEN.topics, UID: replace(live, meta={})})


def a_pass(seen: Observed = SEEN, desired: tuple[Resource, ...] = ALL, **more: Any) -> Pass:
    return Pass(seen, plan(desired, seen, SOURCES), SOURCES, **more)


DRIFT = Finding(Reason.DRIFTED, "meta missing: live.meta", is_awaited=True)


def test_of_what_is_as_declared_nothing_is_said() -> None:
    assert findings(a_pass()) == {}
    assert list(changed({}, a_pass())) == []


def test_drift_is_said_before_it_is_repaired_and_no_longer_afterwards() -> None:
    found = a_pass(drifted())
    assert findings(found) == {UID: DRIFT}
    assert list(changed({}, found)) == [(UID, DRIFT, 1)]
    done = replace(found, done={ORDERS.identity}, undone={})
    assert findings(done) == {}
    noted = {UID: Status(Reason.DRIFTED, DRIFT.message, 1, False, True, False, 5, 5, 0)}
    assert list(changed(noted, done)) == [(UID, AS_APPLIED, 1)]
    assert list(changed(noted, found)) == []  # what is noted already is not noted again


def test_drift_that_is_only_reported_waits_for_a_person() -> None:
    (finding,) = findings(a_pass(drifted(), reported={ORDERS.identity})).values()
    assert (finding, finding.is_stalled) == (replace(DRIFT, is_awaited=False), True)


def test_a_repair_that_nobody_chose_stays_drift() -> None:
    (finding,) = findings(a_pass(drifted(), undone={})).values()
    assert finding == replace(DRIFT, is_awaited=False)


def test_what_failed_is_tried_again_and_what_depends_on_it_waits() -> None:
    wanted = (tenant(), respecified(ORDERS, maxBacklog=5), respecified(OTHER, maxBacklog=5))
    undone = {ORDERS.identity: Undone("no", is_failed=True), OTHER.identity: Undone("neither", is_failed=False)}
    assert findings(a_pass(desired=wanted, undone=undone)) == {
        UID: Finding(Reason.FAILED, "no", is_awaited=True),
        uid_of(OTHER.identity): Finding(Reason.WAITING, "neither", is_awaited=True),
    }


def test_what_was_not_asked_for_keeps_what_is_noted() -> None:
    found = a_pass(desired=(tenant(), respecified(ORDERS, maxBacklog=5), OTHER), undone={})
    noted = {UID: replace_status(reason=Reason.REFUSED, is_ready=False)}
    assert passed_over(found) == {UID}
    assert list(changed(noted, found)) == []


def test_what_other_sources_have_is_not_spoken_of() -> None:
    theirs = observed((tenant(), managed(ORDERS, "theirs")))
    noted = {UID: replace_status(reason=Reason.REFUSED, is_ready=False)}
    found = Pass(theirs, plan((tenant(),), theirs, SOURCES), {ROOT})
    assert list(changed(noted, found)) == []


def test_a_new_generation_is_noted_where_something_is_noted() -> None:
    wanted = (tenant(), respecified(ORDERS, maxBacklog=5), OTHER)
    found = a_pass(desired=wanted, done={ORDERS.identity}, undone={})
    assert list(changed({UID: NOTED}, found)) == [(UID, AS_APPLIED, 2)]
    assert list(changed({}, found)) == []


def test_three_conditions_are_shown_with_since_when() -> None:
    status = Status("Drifted", "stream missing", 3, False, True, False, 60_000, 60_000, 0)
    common = {"reason": "Drifted", "message": "stream missing", "observedGeneration": 3}
    later, first = "1970-01-01T00:01:00Z", "1970-01-01T00:00:00Z"
    assert conditions(status) == [
        {"type": "Ready", "status": "False", **common, "lastTransitionTime": later},
        {"type": "Reconciling", "status": "True", **common, "lastTransitionTime": later},
        {"type": "Stalled", "status": "False", **common, "lastTransitionTime": first},
    ]


def replace_status(**changes: Any) -> Status:
    return Status(**{**{name: getattr(NOTED, name) for name in NOTED.__struct_fields__}, **changes})
