"""Rows that somebody edits, adds or deletes by hand: told as what they are, and put right."""

from dataclasses import replace

import pytest
from declared import SOURCES, labelled, managed, queue, respecified
from declared import topic as a_topic
from drifting import (
    ALL,
    BILLING,
    HOOK,
    LETTERS,
    ORDERS,
    TENANT,
    Applied,
    deeds,
    drift_of,
    is_by_psql,
    is_settled,
    only,
)
from stores import applied, planned, uid

from mqops.model import PROTECT
from reconciler.planning.change import Action, FieldChange, Reason
from reconciler.planning.guard import NOTHING_ALLOWED, guard
from reconciler.planning.refusals import Obstacle
from reconciler.state import API, Resource
from reconciler.stores import drift
from reconciler.stores.observe import observe, observe_tenant

EDIT = "UPDATE mq_resources SET spec = jsonb_set(spec, '{retention}', '\"1h\"') WHERE name = 'orders'"


def test_an_edited_row_is_told_with_who_and_when_and_becomes_what_was_applied(there: Applied) -> None:
    there.sql(EDIT)
    one = only(drift_of(there.stores))
    assert (one.identity, one.reason) == (ORDERS.identity, Reason.ROW_EDITED)
    assert one.fields == (FieldChange("spec.retention", "7d", "1h"),)
    assert one.changed_by is not None
    assert is_by_psql(one.changed_by)
    assert one.changed_at is not None
    assert deeds(there.stores) == [(Action.REPAIR, Reason.ROW_EDITED, "orders")]
    assert applied(there.stores, ALL).summary == "Applied revision 2: 1 repaired."
    assert is_settled(there.stores)
    ask = there.stores.database.execute
    assert ask("SELECT count(*) FROM mq_row_edits").fetchone() == (0,)
    assert ask("SELECT spec ->> 'retention' FROM mq_resources WHERE name = 'orders'").fetchone() == ("7d",)


@pytest.mark.parametrize(
    ("assignment", "field"),
    [
        ('labels = \'{"by": "hand"}\'', FieldChange("metadata.labels.by", None, "hand")),
        ('annotations = \'{"a": "b"}\'', FieldChange("metadata.annotations.a", None, "b")),
        ("managed_by = 'somebody'", FieldChange("managedBy", "platform", "somebody")),
        ("generation = 9", FieldChange("generation", 1, 9)),
        ("name = 'stolen'", FieldChange("metadata.name", "orders", "stolen")),
        ('spec = spec || \'{"state": "paused"}\'', FieldChange("spec.state", "active", "paused")),
    ],
)
def test_whatever_of_a_row_was_edited_is_put_back(there: Applied, assignment: str, field: FieldChange) -> None:
    there.publish(b"1", b"2")
    there.sql(f"UPDATE mq_resources SET {assignment} WHERE name = 'orders'")
    one = only(drift_of(there.stores))
    assert (one.identity, one.uid, one.managed_by) == (ORDERS.identity, uid_of_orders(there), "platform")
    assert field in one.fields
    assert deeds(there.stores) == [(Action.REPAIR, one.reason, "orders")]
    applied(there.stores, ALL)
    assert is_settled(there.stores)
    assert there.take() == [b"1", b"2"]


def uid_of_orders(there: Applied) -> str:
    (found,) = (live.uid for live in observe(there.stores).topics.values() if live.meta["name"] == "orders")
    return found


def test_an_edit_that_somebody_took_back_is_no_drift(there: Applied) -> None:
    there.sql(EDIT)
    there.sql(EDIT.replace("1h", "7d"))
    assert is_settled(there.stores)


def test_an_edited_row_that_is_declared_anew_is_overwritten_and_told_all_the_same(there: Applied) -> None:
    wanted = (TENANT, HOOK, respecified(ORDERS, retention="2d"), LETTERS, BILLING)
    there.sql(EDIT)
    found = planned(there.stores, wanted)
    assert [(change.action, change.fields) for change in found.changes] == [
        (Action.UPDATE, (FieldChange("spec.retention", "7d", "2d"),))
    ]
    assert only(found.drift).fields == (FieldChange("spec.retention", "7d", "1h"),)
    applied(there.stores, wanted)
    assert is_settled(there.stores, wanted)


def test_a_protection_that_was_taken_away_by_hand_still_protects(there: Applied) -> None:
    """What guards look at is what was applied."""
    protected = replace(ORDERS, annotations={PROTECT: "true"})
    applied(there.stores, (TENANT, HOOK, protected, LETTERS, BILLING))
    there.sql("UPDATE mq_resources SET annotations = '{}' WHERE name = 'orders'")
    found = planned(there.stores, (TENANT, HOOK))
    left = guard(found, observe(there.stores), SOURCES, {}, NOTHING_ALLOWED)
    assert Obstacle.PROTECTED in {refusal.obstacle for refusal in left.refused}


def test_what_a_source_has_is_not_the_apis_because_a_row_says_so(there: Applied) -> None:
    there.sql("UPDATE mq_resources SET managed_by = 'api' WHERE name = 'orders'")
    row = observe_tenant(there.stores, "acme").applied[ORDERS.identity]
    assert row.resource.managed_by == "platform"


@pytest.mark.parametrize(
    ("assignment", "problem"),
    [
        ('spec = spec || \'{"partitions": "x"}\'', "spec.partitions"),
        ("spec = spec - 'partitions' || '{\"nonsense\": 1}'", "spec.nonsense"),
        ("spec = '[]'", "its spec is no mapping"),
        ("kind = 'Nonsense'", "there is no kind 'Nonsense'"),
        ("kind = 'Queue'", "spec.public"),
        ("labels = '[1]'", "its labels are no mapping of texts"),
    ],
)
def test_a_row_that_cannot_be_read_is_drift_and_no_traceback(there: Applied, assignment: str, problem: str) -> None:
    there.publish(b"1")
    there.sql(f"UPDATE mq_resources SET {assignment} WHERE name = 'orders'")
    one = only(drift_of(there.stores))
    assert (one.identity, one.reason) == (ORDERS.identity, Reason.ROW_MALFORMED)
    assert problem in one.fields[0].after
    applied(there.stores, ALL)
    assert is_settled(there.stores)
    assert there.take() == [b"1"]


def test_a_row_that_cannot_be_read_and_that_nobody_declared_is_named_with_the_way_out(there: Applied) -> None:
    there.sql(
        "INSERT INTO mq_resources (uid, kind, tenant, name, spec, managed_by, revision)"
        " VALUES (gen_random_uuid(), 'Topic', 'acme', 'odd', '{\"partitions\": \"x\"}', 'platform', 1)"
    )
    one = only(drift_of(there.stores))
    assert (one.identity.name, one.reason) == ("odd", Reason.ROW_MALFORMED)
    assert "delete its row from mq_resources" in one.message
    assert deeds(there.stores) == []
    declared = (*ALL, a_topic("odd"))
    assert deeds(there.stores, declared) == [(Action.REPAIR, Reason.ROW_MALFORMED, "odd")]
    applied(there.stores, declared)
    assert is_settled(there.stores, declared)


def add(there: Applied, resource: Resource) -> None:
    """Copies the row of ``resource`` under another name, as somebody would."""
    there.sql(
        "INSERT INTO mq_resources (uid, kind, tenant, name, spec, managed_by, revision)"
        " SELECT gen_random_uuid(), kind, tenant, 'added', spec, managed_by, revision FROM mq_resources WHERE uid = %s",
        uid(there.stores, resource),
    )


def test_a_row_added_by_hand_goes_again_or_is_made_good_where_it_is_declared(there: Applied) -> None:
    add(there, ORDERS)
    assert only(drift_of(there.stores)).reason is Reason.ROW_ADDED
    assert deeds(there.stores) == [(Action.DELETE, Reason.ROW_ADDED, "added")]
    declared = (*ALL, respecified(a_topic("added"), partitions=2))
    assert deeds(there.stores, declared) == [(Action.REPAIR, Reason.ROW_ADDED, "added")]
    applied(there.stores, declared)
    assert is_settled(there.stores, declared)
    add_again = (*ALL,)
    applied(there.stores, add_again)
    assert is_settled(there.stores, add_again)


def test_a_row_added_by_hand_under_the_name_of_one_that_was_deleted_gives_way(there: Applied) -> None:
    there.publish(b"1")
    there.sql("UPDATE mq_resources SET uid = gen_random_uuid() WHERE name = 'orders'")
    reasons = {one.reason for one in drift_of(there.stores)}
    assert reasons == {Reason.ROW_MISSING, Reason.ROW_ADDED}
    applied(there.stores, ALL)
    assert is_settled(there.stores)
    assert there.take() == [b"1"]


def test_a_row_deleted_by_hand_whose_manifest_is_gone_too_leaves_nothing_behind(there: Applied) -> None:
    there.sql("DELETE FROM mq_resources WHERE name IN ('billing', 'orders.deadletter', 'orders')")
    left = (TENANT, HOOK)
    assert {one.reason for one in drift_of(there.stores, left)} == {Reason.ROW_MISSING}
    assert {action for action, _, _ in deeds(there.stores, left)} == {Action.DELETE}
    applied(there.stores, left)
    assert is_settled(there.stores, left)
    assert there.stores.redis.keys("mq:*:s") == []


def test_what_the_api_has_is_repaired_too(there: Applied) -> None:
    clicks = managed(a_topic("clicks"), API)
    applied(there.stores, ALL)
    with_clicks = (*ALL, clicks)
    seen = observe(there.stores)
    make(there, with_clicks)
    assert clicks.identity in observe(there.stores).applied
    there.sql("DELETE FROM mq_resources WHERE name = 'clicks'")
    assert only(drift_of(there.stores)).managed_by == API
    assert deeds(there.stores) == [(Action.REPAIR, Reason.ROW_MISSING, "clicks")]
    applied(there.stores, ALL)
    assert is_settled(there.stores)
    assert clicks.identity not in seen.applied


def make(there: Applied, desired: tuple[Resource, ...]) -> None:
    """As the API does: it owns what it makes."""
    from stores import TESTER

    from reconciler.apply import apply
    from reconciler.planning.plan import plan
    from reconciler.planning.single import EVERYTHING

    seen = observe(there.stores)
    apply(plan(desired, seen, SOURCES, {API: EVERYTHING}), seen, there.stores, TESTER)


# Since when


def test_drift_is_known_since_it_was_first_seen_and_forgotten_when_it_is_no_more(there: Applied) -> None:
    there.sql(EDIT)
    found = drift_of(there.stores)
    assert drift.since(found, there.stores.database)[0].first_seen_at is None
    drift.note(there.stores.database, found, ["platform"])
    first = only(tuple(drift.read_drift(there.stores.database).values()))
    assert (first.identity, first.reason, first.fields, first.changed_by, first.changed_at) == (
        found[0].identity,
        found[0].reason,
        found[0].fields,
        found[0].changed_by,
        found[0].changed_at,
    )
    there.stores.redis.xgroup_create(there.stream, "peeping", "0")
    more = drift_of(there.stores)
    assert len(more[0].fields) == 2
    drift.note(there.stores.database, more, ["platform"])
    again = only(drift.since(more, there.stores.database))
    assert again.first_seen_at == first.first_seen_at
    drift.note(there.stores.database, (), ["another"])
    assert drift.read_drift(there.stores.database) != {}
    drift.note(there.stores.database, (), ["platform"])
    assert drift.read_drift(there.stores.database) == {}


def test_what_the_reconciler_writes_is_no_edit_of_a_hand(there: Applied) -> None:
    applied(there.stores, (TENANT, HOOK, labelled(ORDERS, team="a"), LETTERS, BILLING, queue("jobs")))
    applied(there.stores, ALL)
    assert there.stores.database.execute("SELECT count(*) FROM mq_row_edits").fetchone() == (0,)
