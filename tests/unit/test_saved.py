"""Saved plans as values: what is bound, what may move, and what is refused in which words."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from declared import (
    SOURCES,
    dead_letters,
    handler,
    implied,
    managed,
    observed,
    respecified,
    subscription,
    tenant,
    topic,
    uid_of,
)

from mqops.errors import ConfigurationError, Refused
from mqops.override import Override
from reconciler.manifests.check import Checked, Digest
from reconciler.planning.guard import NOTHING_ALLOWED, Allowances, guard
from reconciler.planning.plan import Plan, plan
from reconciler.planning.render import as_json
from reconciler.planning.saved import (
    Basis,
    PlaceDocument,
    SavedDocument,
    allowances_of,
    read,
    request_document,
    scope_of,
    write,
)
from reconciler.planning.scope import EVERYTHING, Scope
from reconciler.planning.staleness import select
from reconciler.state import Cost, Observed, Resource, Suspended

HERE: PlaceDocument = {"installation": "i", "environment": "test"}
ORDERS = topic("orders", partitions=2)
HOOK = handler("hook")
BILLING = subscription("billing", "orders", handler="hook")
LETTERS = implied(dead_letters("orders.deadletter"), BILLING)
ALL = (tenant(), HOOK, ORDERS, LETTERS, BILLING)
WANTED = (tenant(), HOOK, respecified(ORDERS, partitions=3), LETTERS, BILLING)
REQUEST = request_document(("manifests", None), EVERYTHING, (), NOTHING_ALLOWED)


def basis(there: Observed, **digests: str) -> Basis:
    files = {"a.yaml": "1", **digests}
    held = {name: Digest("platform", held) for name, held in files.items()}
    return Basis(Checked((), (), SOURCES, 0, len(held), held), there, HERE)


def written(found: Plan, there: Observed) -> str:
    return write(found, basis(there), REQUEST, as_json(found))


def saved(wanted: tuple[Resource, ...], there: Observed) -> SavedDocument:
    return read("plan.json", written(plan(wanted, there, SOURCES), there))


def reselected(wanted: tuple[Resource, ...], there: Observed, now: Observed) -> list[str]:
    """What is selected ``now`` of a plan that was saved ``there``."""
    found = select(saved(wanted, there), plan(wanted, now, SOURCES), basis(now))
    return [str(change.identity) for change in found.changes]


def with_meta(there: Observed, resource: Resource, changes: Mapping[str, str]) -> Observed:
    live = there.topics[uid_of(resource.identity)]
    return replace(there, topics={**there.topics, live.uid: replace(live, meta={**live.meta, **changes})})


def test_nothing_moved() -> None:
    assert reselected(WANTED, observed(ALL), observed(ALL)) == ["Topic acme/orders"]


def test_counters_positions_and_other_readers_may_move() -> None:
    now = with_meta(observed(ALL), ORDERS, {"total": "99", "last:0": "5-0", "low": "1"})
    live = now.topics[uid_of(ORDERS.identity)]
    moved = {partition: dict.fromkeys(groups, "7-7") for partition, groups in live.groups.items()}
    live = replace(live, groups=moved, readers={**live.readers, "somebody": "foreign"})
    assert reselected(WANTED, observed(ALL), replace(now, topics={**now.topics, live.uid: live})) == [
        "Topic acme/orders"
    ]


def test_settings_on_redis_may_not() -> None:
    now = with_meta(observed(ALL), ORDERS, {"max_backlog": "5"})
    with pytest.raises(Refused, match=r"Topic acme/orders: live\.meta\.max_backlog was 10000, is 5"):
        reselected(WANTED, observed(ALL), now)


def test_what_went_or_came_meanwhile_is_said_so() -> None:
    with pytest.raises(Refused, match=r"Topic acme/orders is gone from the catalog"):
        reselected(WANTED, observed(ALL), observed((tenant(),)))
    with pytest.raises(Refused, match=r"Topic acme/orders is in the catalog by now"):
        reselected(ALL, observed((tenant(),)), observed((tenant(), ORDERS)))


def test_a_delete_that_somebody_has_come_to_need_is_refused() -> None:
    wanted = (tenant(), topic("other"))
    there = observed((tenant(), ORDERS, topic("other")))
    theirs = managed(subscription("theirs", "acme/orders", of="globex", deadLetter=None), "globex")
    now = observed((tenant(), tenant("globex"), ORDERS, topic("other"), theirs))
    with pytest.raises(Refused, match=r"Topic acme/orders is refused by now: .* Subscription globex/theirs needs it"):
        reselected(wanted, there, now)


def test_a_delete_that_needs_another_that_was_not_saved_is_refused() -> None:
    """Somebody applied a subscription from another checkout of the same Source: pruning that was never approved."""
    wanted = (tenant(), topic("other"))
    there = observed((tenant(), ORDERS, topic("other")))
    late = subscription("late", "orders", deadLetter=None)
    now = observed((tenant(), ORDERS, topic("other"), late))
    with pytest.raises(Refused, match=r"Topic acme/orders cannot be deleted: Subscription acme/late needs it"):
        reselected(wanted, there, now)


def test_leftovers_are_removed_as_saved_or_not_at_all() -> None:
    closing = with_meta(observed((tenant(), ORDERS)), ORDERS, {"closing": "1"})
    there = replace(closing, applied={tenant().identity: closing.applied[tenant().identity]})
    found = select(saved((tenant(),), there), plan((tenant(),), there, SOURCES), basis(there))
    assert [leftover.identity for leftover in found.leftovers] == [ORDERS.identity]
    with pytest.raises(Refused, match="what was left of Topic acme/orders on Redis has been removed"):
        reselected((tenant(),), there, observed((tenant(),)))
    later = select(saved((tenant(),), observed((tenant(),))), plan((tenant(),), there, SOURCES), basis(there))
    assert later.leftovers == ()


def test_what_there_is_to_do_beyond_is_not_done() -> None:
    now = with_meta(observed(ALL), LETTERS, {"max_backlog": "5"})
    assert reselected((*WANTED[:3], *ALL[3:]), observed(ALL), now) == ["Topic acme/orders"]
    assert len(plan(WANTED, now, SOURCES).changes) == 2


def test_only_files_of_the_sources_that_it_touches_count() -> None:
    there = observed(ALL)
    document = saved(WANTED, there)
    now = basis(there)
    theirs = {**now.checked.digests, "b.yaml": Digest("another", "9")}
    found = plan(WANTED, there, SOURCES)
    assert select(document, found, replace(now, checked=replace(now.checked, digests=theirs))).changes
    operators = {**now.checked.digests, "sources.yaml": Digest("", "9")}
    with pytest.raises(Refused, match=r"sources\.yaml was added"):
        select(document, found, replace(now, checked=replace(now.checked, digests=operators)))
    with pytest.raises(Refused, match=r"a\.yaml was changed"):
        select(document, found, basis(there, **{"a.yaml": "2"}))


def test_everything_that_moved_is_named_at_once() -> None:
    now = with_meta(observed(ALL), ORDERS, {"state": "paused"})
    with pytest.raises(Refused) as stale:
        select(saved(WANTED, observed(ALL)), plan(WANTED, now, SOURCES), basis(now, **{"a.yaml": "2"}))
    assert [line.split()[0] for line in stale.value.message.splitlines()[1:]] == ["manifests/a.yaml", "Topic"]


def test_what_an_operator_pauses_meanwhile_makes_no_plan_stale_and_a_suspension_does() -> None:
    there = observed(ALL)
    paused = replace(there, overrides={uid_of(BILLING.identity): Override("paused", "acme/ann", 1)})
    assert reselected(WANTED, there, paused) == reselected(WANTED, there, there)
    suspended = {uid_of(ORDERS.identity): Suspended("ann@build-7", datetime.now(UTC), "incident 7")}
    with pytest.raises(Refused, match="Topic acme/orders is suspended by ann@build-7"):
        reselected(WANTED, there, replace(there, suspended=suspended))


@pytest.mark.parametrize("text", ["", "[1]", "{}", '{"format_version": "1.1"}', "[" * 100_000])
def test_other_files_are_no_saved_plans(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"x is not a saved plan"):
        read("x", text)


@pytest.mark.parametrize("path", [("plan", "summary", "create"), ("request", "refresh_only"), ("checksum",)])
def test_any_edit_is_found(path: tuple[str, ...]) -> None:
    document: Any = json.loads(written(plan(WANTED, observed(ALL), SOURCES), observed(ALL)))
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = "edited"
    with pytest.raises(Refused, match=r"x was edited since it was saved: plan again"):
        read("x", json.dumps(document))


def test_what_was_asked_for_can_be_asked_again() -> None:
    scope = Scope(frozenset({ORDERS.identity, tenant().identity}), {"a": "b"}, is_refresh_only=True)
    allowed = Allowances(True, frozenset({3, 11}), frozenset({ORDERS.identity}))
    document = request_document((None, "-"), scope, ("gone",), allowed)
    assert (scope_of(document), allowances_of(document)) == (scope, allowed)


def test_a_cost_that_has_grown_is_refused_and_one_that_has_not_is_none() -> None:
    there, wanted = observed((tenant(), ORDERS, topic("other"))), (tenant(), topic("other"))
    known = {uid_of(ORDERS.identity): Cost(5, 2, 1, 0)}
    allowed = Allowances(data_loss=True)
    planned = guard(plan(wanted, there, SOURCES), there, SOURCES, known, allowed)
    document = read("plan.json", written(planned, there))
    for cost in (Cost(5, 2, 2, 1), Cost(4, 0, 0, 0)):
        later = guard(plan(wanted, there, SOURCES), there, SOURCES, {uid_of(ORDERS.identity): cost}, allowed)
        assert len(select(document, later, basis(there)).changes) == 1
    later = guard(plan(wanted, there, SOURCES), there, SOURCES, {uid_of(ORDERS.identity): Cost(9, 3, 0, 0)}, allowed)
    with pytest.raises(Refused, match="would take along more than it did: 9 messages, not 5, 3 unfinished, not 2"):
        select(document, later, basis(there))
