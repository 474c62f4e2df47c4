"""The difference between desired and observed, as data."""

from collections.abc import Mapping
from dataclasses import replace

from declared import (
    ROOT,
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
    uid_of,
)

from mqops.model import Identity, SourceSpec
from reconciler.planning.change import Action, Change, FieldChange, Reason
from reconciler.planning.diff import diff
from reconciler.planning.drift import find_drift
from reconciler.state import LiveTopic, Lost, Observed, Origin, Resource

ORDERS = topic("orders", partitions=2)
BILLING = subscription("billing", "orders", startFrom="earliest")
LETTERS = implied(dead_letters("orders.deadletter"), BILLING)
ALL = (tenant(), ORDERS, LETTERS, BILLING)


def changes(
    desired: tuple[Resource, ...], there: Observed, sources: Mapping[str, SourceSpec] = SOURCES
) -> tuple[Change, ...]:
    drift = find_drift(there, sources, [resource.identity for resource in desired])
    return diff(desired, there, sources, drift)


def only(found: tuple[Change, ...]) -> Change:
    assert len(found) == 1, found
    return found[0]


def test_what_is_as_declared_is_no_change() -> None:
    assert changes(ALL, observed(ALL)) == ()


def test_moving_within_the_manifests_is_no_change() -> None:
    moved = tuple(replace(resource, origin=Origin("elsewhere.yaml", 99)) for resource in ALL)
    assert changes(moved, observed(ALL)) == ()


def test_creates_come_in_the_order_that_kinds_build_on_each_other() -> None:
    shuffled = (BILLING, queue("zeta"), ORDERS, handler("hook"), tenant(), LETTERS)
    assert [str(change.identity) for change in changes(shuffled, Observed({}))] == [
        "Tenant acme",
        "Handler acme/hook",
        "Topic acme/orders",
        "Topic acme/orders.deadletter",
        "Queue acme/zeta",
        "Subscription acme/billing",
    ]


def test_a_create_has_no_uid_and_is_generation_one() -> None:
    assert changes((tenant(),), Observed({})) == (Change(Action.CREATE, Reason.DECLARED, tenant(), None, None, 1),)


def test_deletes_come_last_and_in_reverse() -> None:
    found = changes((tenant(), topic("new")), observed(ALL))
    assert [(change.action, change.identity.name) for change in found] == [
        (Action.CREATE, "new"),
        (Action.DELETE, "billing"),
        (Action.DELETE, "orders"),
        (Action.DELETE, "orders.deadletter"),
    ]


def test_an_update_names_each_field_that_differs() -> None:
    there = observed(ALL)
    retry = {**BILLING.spec["retry"], "maxAttempts": 6}
    wanted = labelled(respecified(BILLING, retry=retry, filter="payload.total > 1"), team="checkout")
    applied = there.applied[BILLING.identity]
    assert only(changes((*ALL[:-1], wanted), there)) == Change(
        Action.UPDATE,
        Reason.CHANGED,
        wanted,
        applied,
        applied.uid,
        2,
        (
            FieldChange("spec.filter", None, "payload.total > 1"),
            FieldChange("spec.retry.maxAttempts", 4, 6),
            FieldChange("metadata.labels.team", None, "checkout"),
        ),
    )


def test_labels_alone_do_not_raise_the_generation() -> None:
    change = only(changes((labelled(tenant(), team="x"), *ALL[1:]), observed(ALL)))
    assert (change.action, change.generation) == (Action.UPDATE, 1)


def test_what_another_owner_has_is_left_alone() -> None:
    others = managed(topic("theirs"), "api")
    assert changes(ALL, observed((*ALL, others))) == ()


def test_a_source_that_does_not_prune_keeps_what_is_gone_from_it() -> None:
    keeping = {ROOT: SourceSpec(path="platform", prune=False)}
    assert changes((tenant(),), observed(ALL), keeping) == ()


def test_a_source_that_does_not_prune_still_repairs_what_it_keeps() -> None:
    keeping = {ROOT: SourceSpec(path="platform", prune=False)}
    there = without_stream(observed(ALL), ORDERS, 0)
    assert Reason.STREAM_MISSING in {change.reason for change in changes((tenant(),), there, keeping)}


def test_declaring_what_was_implied_is_an_update_of_its_ownership() -> None:
    declared = replace(LETTERS, implied_by=None)
    change = only(changes((tenant(), ORDERS, declared, BILLING), observed(ALL)))
    assert change.fields == (FieldChange("impliedBy", "Subscription acme/billing", None),)
    assert change.generation == 1


def test_a_move_to_another_loaded_source_is_a_handover() -> None:
    sources = {**SOURCES, "team": SourceSpec(path="team")}
    change = only(changes((tenant(), managed(ORDERS, "team"), LETTERS, BILLING), observed(ALL), sources))
    assert (change.action, change.reason) == (Action.HANDOVER, Reason.HANDED_OVER)
    assert change.fields == (FieldChange("managedBy", ROOT, "team"),)


# What someone broke


def without_stream(there: Observed, resource: Resource, partition: int) -> Observed:
    live = there.topics[uid_of(resource.identity)]
    groups = {number: found for number, found in live.groups.items() if number != partition}
    return replace(there, topics={**there.topics, live.uid: replace(live, groups=groups)})


def with_topic(there: Observed, live: LiveTopic) -> Observed:
    return replace(there, topics={**there.topics, live.uid: live})


def test_a_missing_stream_is_repaired_with_the_groups_it_takes_along() -> None:
    found = changes(ALL, without_stream(observed(ALL), ORDERS, 1))
    assert [(change.identity.name, change.reason, change.fields) for change in found] == [
        ("orders", Reason.STREAM_MISSING, (FieldChange("live.partitions[1].stream", None, "empty"),)),
        ("billing", Reason.GROUP_MISSING, (FieldChange("live.partitions[1].group", None, "earliest"),)),
    ]


def test_a_missing_group_comes_back_where_it_left_off() -> None:
    there = observed(ALL)
    live = there.topics[uid_of(ORDERS.identity)]
    reader = there.subscriptions[uid_of(BILLING.identity)]
    there = replace(
        with_topic(there, replace(live, groups={**live.groups, 0: {}})),
        subscriptions={**there.subscriptions, reader.uid: replace(reader, meta={**reader.meta, "pos:0": "1700-5"})},
    )
    change = only(changes(ALL, there))
    assert (change.action, change.reason) == (Action.REPAIR, Reason.GROUP_MISSING)
    assert change.fields == (FieldChange("live.partitions[0].group", None, "1700-5"),)


def test_altered_settings_on_redis_are_put_back() -> None:
    there = observed(ALL)
    live = there.topics[uid_of(ORDERS.identity)]
    meta = {**live.meta, "max_backlog": "5", "closing": "1"}
    change = only(changes(ALL, with_topic(there, replace(live, meta=meta))))
    assert change.reason is Reason.META_DIFFERS
    assert change.fields == (
        FieldChange("live.meta.max_backlog", "5", "10000"),
        FieldChange("live.meta.closing", "1", None),
    )


def test_a_minimum_generation_that_no_publisher_can_know_is_put_back() -> None:
    """An apply that was killed before it committed leaves one behind; when its manifest is then reverted, nothing but
    this tells, and every publish would be refused for ever."""
    there = observed(ALL)
    live = there.topics[uid_of(ORDERS.identity)]
    change = only(changes(ALL, with_topic(there, replace(live, meta={**live.meta, "min_generation": "2"}))))
    assert change.fields == (FieldChange("live.meta.min_generation", "2", "1"),)


def test_a_topic_that_forgot_a_reader_is_a_repair_of_the_reader() -> None:
    there = observed(ALL)
    live = there.topics[uid_of(ORDERS.identity)]
    change = only(changes(ALL, with_topic(there, replace(live, readers={}))))
    assert change.identity == BILLING.identity
    assert change.fields == (FieldChange("live.reader", None, "own"),)


def test_a_flushed_server_is_told_apart_from_a_missing_hash() -> None:
    flushed = replace(observed(ALL), topics={}, subscriptions={}, index={}, epochs=frozenset())
    assert {change.reason for change in changes(ALL, flushed)} == {Reason.SERVER_FLUSHED}
    hash_gone = with_topic(observed(ALL), replace(observed(ALL).topics[uid_of(ORDERS.identity)], meta={}))
    assert only(changes(ALL, hash_gone)).reason is Reason.META_MISSING


def test_a_row_deleted_by_hand_comes_back_under_its_uid() -> None:
    there = observed(ALL)
    applied = {identity: row for identity, row in there.applied.items() if identity != ORDERS.identity}
    there = replace(there, applied=applied, lost={ORDERS.identity: Lost(uid_of(ORDERS.identity), 3)})
    change = only(changes(ALL, there))
    assert (change.action, change.reason) == (Action.REPAIR, Reason.ROW_MISSING)
    assert (change.uid, change.generation) == (uid_of(ORDERS.identity), 4)


def test_a_create_takes_up_what_redis_already_has_of_it() -> None:
    """An apply killed after it prepared Redis and before it committed; or PostgreSQL lost with its history."""
    there = replace(observed(ALL), applied={}, revision=0)
    found = {change.identity: change for change in changes(ALL, there)}
    assert found[ORDERS.identity].uid == uid_of(ORDERS.identity)
    assert found[BILLING.identity].uid == uid_of(BILLING.identity)
    assert found[ORDERS.identity].reason is Reason.STRAY_FOUND
    assert found[Identity("Tenant", "", "acme")].uid is None


def test_what_is_being_removed_is_not_taken_up() -> None:
    there = observed(ALL)
    live = there.topics[uid_of(ORDERS.identity)]
    applied = {identity: row for identity, row in there.applied.items() if identity != ORDERS.identity}
    there = replace(with_topic(there, replace(live, meta={**live.meta, "closing": "1"})), applied=applied)
    found = {change.identity: change for change in changes(ALL, there)}
    assert found[ORDERS.identity].uid is None
