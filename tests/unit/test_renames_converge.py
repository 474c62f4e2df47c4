"""Whatever is renamed: the plan holds together, loses no uid on the way, and is not made twice."""

from dataclasses import replace

from declared import observed
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st
from trees import manifest, together, validated

from mqops.model import SourceSpec
from mqops.settings import Settings
from reconciler.manifests.desired import desired
from reconciler.manifests.rules import RULES, Declarations
from reconciler.manifests.validate import Declared
from reconciler.planning.change import Action
from reconciler.planning.plan import Plan, plan
from reconciler.planning.renames import place
from reconciler.state import Applied, Observed, Resource

SOURCES = {"default": SourceSpec.model_construct(path=".", tenants=None, prune=True, self_heal=True)}
POOL = {"Tenant": "tu", "Topic": "abc", "Queue": "abq", "Handler": "hi", "Subscription": "rs"}


@st.composite
def manifests(draw: st.DrawFn, *, renames: bool) -> str:
    """A tree in which references lead somewhere; with ``renames``, most of it says what it was called."""

    def one(kind: str, name: str, spec: str = "{}", tenant: str = "") -> str:
        text = manifest(kind, name, spec, tenant)
        former = draw(st.sampled_from([*POOL[kind], None])) if renames else None
        if former is None or former == name:
            return text
        return text.replace(f"name: {name}}}", f"name: {name}, renamedFrom: {former}}}")

    def some(kind: str) -> list[str]:
        return sorted(draw(st.sets(st.sampled_from(POOL[kind]), min_size=1, max_size=2)))

    documents = []
    for tenant in some("Tenant"):
        documents.append(one("Tenant", tenant))
        topics, queues, handlers = some("Topic"), some("Queue"), some("Handler")
        documents += [one("Topic", name, "{}", tenant) for name in topics]
        documents += [one("Queue", name, "{}", tenant) for name in queues if name not in topics]
        hook = "{type: http, http: {url: http://x}}"
        documents += [one("Handler", name, hook, tenant) for name in handlers]
        for name in some("Subscription"):
            handler = draw(st.sampled_from([None, *handlers]))
            pushed = "" if handler is None else f", handler: {handler}"
            reads = draw(st.sampled_from(topics))
            documents.append(one("Subscription", name, f"{{topic: {reads}{pushed}, startFrom: earliest}}", tenant))
    return together(*documents)


def wanted(text: str) -> tuple[Resource, ...]:
    declared = [one for one in validated(text) if isinstance(one, Declared)]
    declarations = Declarations(declared)
    assume(not any(found for rule in RULES for found in rule(declarations)))
    return desired(declared, lambda _: "default", Settings())


def after(found: Plan, there: Observed) -> dict[str, Applied]:
    """The rows that an apply of ``found`` leaves, by uid."""
    rows = {row.uid: row for row in there.applied.values()}
    for moved in found.moved:
        resource = replace(rows[moved.uid].resource, origin=moved.origin, renamed_from=moved.renamed_from)
        rows[moved.uid] = replace(rows[moved.uid], resource=resource)
    for number, change in enumerate(found.changes):
        uid = change.uid or f"new-{number}"
        if change.gone is not None:
            del rows[change.gone.uid]
        if change.action is not Action.DELETE:
            assert (uid in rows) == (change.action not in (Action.CREATE, Action.REPLACE))
            rows[uid] = Applied(uid, change.resource, change.generation, 2)
    # Rows have their parent's uid, so those that are not touched say its new name, and nothing when it is gone.
    uids = {identity: row.uid for identity, row in there.applied.items()}
    names = {row.uid: row.resource.identity for row in rows.values()}
    touched = {change.uid or f"new-{number}" for number, change in enumerate(found.changes)}
    for uid, row in rows.items():
        if uid not in touched and row.resource.implied_by is not None:
            parent = names.get(uids[row.resource.implied_by])
            rows[uid] = replace(row, resource=replace(row.resource, implied_by=parent))
    return rows


@settings(max_examples=300, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(manifests(renames=False), manifests(renames=True))
def test_a_plan_holds_together_and_the_next_one_is_empty(before: str, now: str) -> None:
    there, resources = observed(wanted(before)), wanted(now)
    found = plan(resources, there, SOURCES)
    event(f"renames: {min(found.summary['rename'], 4)}")
    event(f"refused: {bool(found.refused)}")
    touched = [change.uid for change in found.changes if change.uid is not None]
    assert len(touched) == len(set(touched))
    rows = after(found, there)
    names = [place(row.resource.identity) for row in rows.values()]
    assert len(names) == len(set(names))
    state = observed(row.resource for row in rows.values())
    again = plan(resources, state, SOURCES)
    assert again.changes == ()
    assert again.moved == () or found.refused
