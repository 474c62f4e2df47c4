"""Back to what the catalog held at an earlier revision, through a plan like any other.

The sources are pinned to the revision before anything is changed, so that no reconciler undoes it, wherever it stops:
the same rollback run again finishes it.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

from mqops.errors import ConfigurationError, Conflict
from mqops.model import Identity, SourceSpec
from mqops.settings import Settings
from reconciler.apply import Report, apply
from reconciler.garbage import without_garbage_collection
from reconciler.pipeline import LOCK_TIMEOUT_SECONDS, establish, require_ready
from reconciler.planning.holds import grounded
from reconciler.planning.plan import Plan, plan
from reconciler.state import Applied, Observed, Resource
from reconciler.stores import Stores, lock, revisions, sources
from reconciler.stores.history import Author
from reconciler.stores.observe import observe
from reconciler.stores.provision import Progress

_API = "api"
"""Owns what the management API declares: no manifests could undo a rollback of it, nor follow one."""


@dataclass(frozen=True, slots=True)
class Rollback:
    """What going back would do."""

    revision: int
    sources: tuple[str, ...]
    observed: Observed
    plan: Plan

    @property
    def is_going(self) -> bool:
        """Whether there is something to pin: not when there was something to change, and all of it is refused."""
        return bool(self.plan.changes) or not self.plan.refused


def plan_rollback(revision: int, names: Collection[str], settings: Settings, stores: Stores) -> Rollback:
    """What would bring the sources ``names`` (without any: all that had something then) back to ``revision``.

    Raises ``ConfigurationError`` when there is no such revision or source, or a source had nothing then; ``Conflict``
    when a source is suspended; ``BrokerNotAvailable`` when a store is away.
    """
    require_ready(stores, settings)
    revisions.read_revision(stores.database, revision)
    past = revisions.read_state(stores.database, revision)
    sources.require_known(stores.database, names)
    chosen = _chosen(revision, names, past)
    _refuse_suspended(chosen, stores)
    desired = tuple(resource for resource in past if resource.managed_by in chosen)
    with without_garbage_collection():
        observed = observe(stores, [resource.identity for resource in desired])
        specs = {name: _spec(name, desired, observed.applied) for name in chosen}
        found = grounded(plan(desired, observed, specs), desired, observed)
    return Rollback(revision, chosen, observed, found)


def roll_back(
    wanted: Rollback,
    settings: Settings,
    stores: Stores,
    author: Author,
    *,
    select: Callable[[Rollback], Plan] = lambda planned: planned.plan,
    lock_timeout_seconds: float = LOCK_TIMEOUT_SECONDS,
    progress: Progress = lambda _: None,
) -> tuple[Rollback, Report]:
    """Goes back to the revision and sources of ``wanted``: plans anew under their locks, pins them, and does what
    ``select`` takes from the plan. When all of it is refused, nothing is pinned.

    Raises like ``plan_rollback``; and ``Conflict`` when an apply holds a lock for too long.
    """
    establish(stores, settings)
    author = replace(author, note=f"to revision {wanted.revision}")
    with lock.hold(stores.database, wanted.sources, author, lock_timeout_seconds):
        planned = plan_rollback(wanted.revision, wanted.sources, settings, stores)
        selected = select(planned)
        if planned.is_going:
            sources.pin(stores.database, planned.sources, author.actor, planned.revision)
        return planned, apply(selected, planned.observed, stores, author, progress)


def _chosen(revision: int, names: Collection[str], past: Collection[Resource]) -> tuple[str, ...]:
    there = {resource.managed_by for resource in past} - {_API}
    for name in names:
        if name not in there:
            raise ConfigurationError(
                f"source {name!r} had nothing at revision {revision}, and going back to nothing would delete all it "
                f"has: choose a later revision, `mqops history --source {name}` lists them"
            )
    if not there:
        raise ConfigurationError(f"nothing was applied at revision {revision}: choose a later one")
    return tuple(sorted(names or there))


def _refuse_suspended(names: Collection[str], stores: Stores) -> None:
    states = sources.read_states(stores.database)
    suspended = [states[name].suspension for name in names if name in states]
    told = [str(suspension) for suspension in suspended if suspension is not None]
    if told:
        raise Conflict("\n".join(told))


def _spec(name: str, past: Collection[Resource], applied: Mapping[Identity, Applied]) -> SourceSpec:
    """As it was declared then, or is now; a tree without ``sources.yaml`` declares none."""
    identity = Identity("Source", "", name)
    declared = [resource for resource in past if resource.identity == identity]
    if not declared and identity in applied:
        declared = [applied[identity].resource]
    if not declared:
        return SourceSpec.model_construct(path=".", tenants=None, prune=True, self_heal=True)
    return SourceSpec.model_validate(declared[0].spec)
