"""Back to what the catalog held at an earlier revision, through a plan like any other.

The sources that something changes of are pinned to the revision before anything is changed, so that no reconciler
undoes it, wherever it stops: the same rollback run again finishes it. The others go on following their manifests.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from mqops.errors import BrokerNotAvailable, ConfigurationError, Refused
from mqops.model import Identity, SourceSpec
from mqops.settings import Settings
from reconciler.apply import Report, apply
from reconciler.garbage import without_garbage_collection
from reconciler.noting import with_report
from reconciler.pipeline import establish, require_same_installation
from reconciler.planning.change import Change
from reconciler.planning.conditions import Pass
from reconciler.planning.guard import NOTHING_ALLOWED, Allowances, guard
from reconciler.planning.holds import grounded
from reconciler.planning.plan import Plan, plan
from reconciler.request import Execution
from reconciler.state import NO_SOURCES, Applied, Observed, Resource
from reconciler.stores import Stores, conditions, drift, lock, revisions, sources
from reconciler.stores.cost import read_costs
from reconciler.stores.observe import observe


@dataclass(frozen=True, slots=True)
class Wanted:
    """Where to go back to."""

    revision: int
    sources: tuple[str, ...]
    """Without any: all that had something then."""
    settings: Settings
    allowed: Allowances = NOTHING_ALLOWED
    """What the guards let through."""


@dataclass(frozen=True, slots=True)
class Rollback:
    """What going back would do."""

    wanted: Wanted
    sources: tuple[str, ...]
    """Those that it is about."""
    observed: Observed
    plan: Plan

    @property
    def pinned(self) -> tuple[str, ...]:
        """The sources that it pins: those that something changes of, and those that it was told. None when there was
        something to change, and all of it is refused."""
        if self.plan.refused and not self.plan.changes:
            return ()
        changed = {owner for change in self.plan.changes for owner in _owners(change)}
        return tuple(name for name in self.sources if name in changed or name in self.wanted.sources)


def plan_rollback(wanted: Wanted, stores: Stores) -> Rollback:
    """What would bring the sources back to the revision.

    Raises ``ConfigurationError`` when there is no such revision or source, or a source had nothing then; ``Refused``
    when a source is suspended; ``BrokerNotAvailable`` when a store is away.
    """
    require_same_installation(wanted.settings, stores)
    revisions.read_revision(stores.database, wanted.revision)
    past = revisions.read_state(stores.database, wanted.revision)
    sources.require_known(stores.database, wanted.sources)
    chosen = _chosen(wanted.revision, wanted.sources, past.values())
    _refuse_suspended(chosen, stores)
    past = {uid: resource for uid, resource in past.items() if resource.managed_by in chosen}
    with without_garbage_collection():
        observed = observe(stores)
        desired = _renamed_back(past, observed.applied)
        specs = {name: _spec(name, desired, observed.applied) for name in chosen}
        found = grounded(plan(desired, observed, specs), desired, observed)
        costs = read_costs(stores, observed, found.changes)
        found = guard(found, observed, specs, costs, wanted.allowed)
    found = replace(found, drift=drift.since(found.drift, stores.database))
    return Rollback(wanted, chosen, observed, found)


def roll_back(found: Rollback, stores: Stores, execution: Execution[Rollback]) -> tuple[Rollback, Report]:
    """Goes back to where ``found`` does: plans anew under the sources' locks, pins those that it says, and does what
    ``execution`` selects.

    Raises like ``plan_rollback``; and ``Conflict`` when an apply holds a lock for too long.
    """
    wanted = found.wanted
    require_same_installation(wanted.settings, stores)
    author = replace(execution.author, note=f"to revision {wanted.revision}")
    with lock.hold(stores.database, found.sources, author, execution.lock_timeout_seconds):
        planned = plan_rollback(wanted, stores)
        selected = execution.select(planned)
        establish(stores, wanted.settings)
        if planned.pinned:
            sources.pin(stores.database, planned.pinned, author.actor, wanted.revision)
        report = apply(selected, planned.observed, stores, author, execution.oversight)
        with suppress(BrokerNotAvailable):  # it is applied
            _note(planned, report, stores)
        return planned, report


def _note(planned: Rollback, report: Report, stores: Stores) -> None:
    """Of the resources, what came of it."""
    chosen = planned.sources
    states = [sources.read_states(stores.database).get(name) for name in chosen]
    pins = [state.pin for state in states if state is not None and state.pin is not None]
    conditions.note(stores.database, with_report(Pass(planned.observed, planned.plan, chosen, pins), report))


def _owners(change: Change) -> Iterator[str]:
    """Whose it is, and whose it was."""
    yield change.resource.managed_by
    if change.before is not None:
        yield change.before.resource.managed_by


def _chosen(revision: int, names: Collection[str], past: Collection[Resource]) -> tuple[str, ...]:
    # What has no source: no manifests could undo a rollback of it, nor follow one.
    there = {resource.managed_by for resource in past}.difference(NO_SOURCES)
    for name in names:
        if name not in there:
            raise ConfigurationError(
                f"source {name!r} had nothing at revision {revision}, and going back to nothing would delete all it "
                f"has: choose a later revision, `mqops history --source {name}` lists them"
            )
    if not there:
        raise ConfigurationError(f"nothing was applied at revision {revision}: choose a later one")
    return tuple(sorted(names or there))


def _renamed_back(past: Mapping[str, Resource], applied: Mapping[Identity, Applied]) -> tuple[Resource, ...]:
    """What was there then, by uid, saying what it is called now where that is another name. The others go on saying
    what they last said: else the next apply of manifests would take it for new."""
    rows = {row.uid: row.resource for row in applied.values()}
    return tuple(
        resource
        if (now := rows.get(uid)) is None
        else replace(
            resource,
            renamed_from=now.renamed_from if now.identity.name == resource.identity.name else now.identity.name,
        )
        for uid, resource in past.items()
    )


def _refuse_suspended(names: Collection[str], stores: Stores) -> None:
    states = sources.read_states(stores.database)
    suspended = [states[name].suspension for name in names if name in states]
    told = [str(suspension) for suspension in suspended if suspension is not None]
    if told:
        raise Refused("\n".join(told))


def _spec(name: str, past: Collection[Resource], applied: Mapping[Identity, Applied]) -> SourceSpec:
    """As it was declared then, or is now; a tree without ``sources.yaml`` declares none."""
    identity = Identity("Source", "", name)
    declared = [resource for resource in past if resource.identity == identity]
    if not declared and identity in applied:
        declared = [applied[identity].resource]
    if not declared:
        return SourceSpec.model_construct(path=".", tenants=None, prune=True, self_heal=True)
    return SourceSpec.model_validate(declared[0].spec)
