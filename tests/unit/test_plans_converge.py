"""Whatever is declared after whatever: the plan holds together, loses no uid on the way, and is not made twice."""

from collections import Counter
from dataclasses import replace

import pytest
from declared import observed
from generated import FEATURES, Pair, examples, features, pairs, report
from hypothesis import assume, given
from hypothesis import strategies as st

from mqops.model import Identity
from reconciler.manifests.check import Checked
from reconciler.planning.change import Action
from reconciler.planning.guard import Allowances, guard
from reconciler.planning.links import links
from reconciler.planning.plan import Plan, plan
from reconciler.planning.renames import place
from reconciler.state import Applied, Observed


def planned(checked: Checked, there: Observed, allowed: Allowances) -> Plan:
    return guard(plan(checked.resources, there, checked.sources), there, checked.sources, {}, allowed)


def after(found: Plan, there: Observed) -> dict[str, Applied]:
    """The rows that an apply of ``found`` leaves, by uid."""
    rows = {row.uid: row for row in there.applied.values()}
    for moved in found.moved:
        resource = replace(rows[moved.uid].resource, origin=moved.origin, renamed_from=moved.renamed_from)
        rows[moved.uid] = replace(rows[moved.uid], resource=resource)
    given = {change.identity: change.uid or f"new-{number}" for number, change in enumerate(found.changes)}
    for change in found.changes:
        uid = given[change.identity]
        if change.gone is not None:
            del rows[change.gone.uid]
        if change.action is not Action.DELETE:
            assert (uid in rows) == (change.action not in (Action.CREATE, Action.REPLACE))
            rows[uid] = Applied(uid, change.resource, change.generation, 2)
    # Rows have their parent's uid, so those that are not touched say its new name, and nothing when it is gone.
    uids = {identity: row.uid for identity, row in there.applied.items()}
    names = {row.uid: row.resource.identity for row in rows.values()}
    touched = set(given.values())
    for uid, row in rows.items():
        if uid not in touched and row.resource.implied_by is not None:
            parent = names.get(uids[row.resource.implied_by])
            rows[uid] = replace(row, resource=replace(row.resource, implied_by=parent))
    return rows


def holds_together(found: Plan, rows: dict[str, Applied]) -> None:
    touched = [uid for change in found.changes for uid in {change.uid, change.gone and change.gone.uid} if uid]
    assert len(touched) == len(set(touched))
    names = [place(row.resource.identity) for row in rows.values()]
    assert len(names) == len(set(names))
    there = {row.resource.identity for row in rows.values()}
    out = {refusal.change.identity for refusal in found.refused}
    for change in found.changes:
        is_edited = change.before is not None and change.action not in (Action.DELETE, Action.REPAIR, Action.RENAME)
        assert not is_edited or change.resource.implied_by not in out, change
    for row in rows.values():
        identity, spec = row.resource.identity, row.resource.spec
        if identity.tenant:
            assert Identity("Tenant", "", identity.tenant) in there, identity
        if identity.kind == "Subscription":
            owner, _, name = spec["topic"].rpartition("/")
            assert there & {Identity(kind, owner or identity.tenant, name) for kind in ("Topic", "Queue")}, identity
            if spec["deadLetter"] is not None:
                assert Identity("Topic", identity.tenant, spec["deadLetter"]) in there, identity
            if spec["handler"] is not None:
                assert Identity("Handler", identity.tenant, spec["handler"]) in there, identity


@pytest.mark.parametrize("is_unprotected", [False, True])
def test_a_plan_holds_together_and_the_next_one_is_empty(
    capsys: pytest.CaptureFixture[str], is_unprotected: bool
) -> None:
    seen: Counter[str] = Counter()

    @examples(120)
    @given(pairs(), st.booleans())
    def converges(pair: Pair, is_limited: bool) -> None:
        before, now = pair.before.checked(), pair.after.checked()
        there = observed(before.resources)
        if is_limited:  # the other source is not among those that are loaded, and owns what it owns
            now = replace(now, sources={name: spec for name, spec in now.sources.items() if name == "left"})
            now = replace(now, resources=tuple(it for it in now.resources if it.managed_by == "left"))
            known = {*there.applied, *(it.identity for it in now.resources)}
            assume(all(known.issuperset(links(it, known)) for it in now.resources))
        unprotected = frozenset(there.applied) if is_unprotected else frozenset()
        allowed = Allowances(unprotected=unprotected)
        found = planned(now, there, allowed)
        seen["examples"] += 1
        seen.update(features(found, there, now))
        rows = after(found, there)
        if not is_limited:
            holds_together(found, rows)
        state = observed(row.resource for row in rows.values())
        again = planned(now, state, allowed)
        assert again.changes == ()
        assert found.refused or (again.refused, again.moved) == ((), ())

    converges()
    with capsys.disabled():
        print(report(f"pairs of states, protection {'lifted' if is_unprotected else 'kept'}", seen))
    assert [feature for feature in FEATURES if not seen[feature]] == []
