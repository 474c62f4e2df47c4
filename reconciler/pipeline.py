"""The whole way from a directory of manifests to what is applied, in the two halves that every caller needs: what would
be done, and doing it. The command line, the watch loop and `mqops up` all come in here.
"""

import getpass
import os
import socket
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mqops.errors import ConfigurationError, Conflict
from mqops.model import SourceSpec
from mqops.settings import Settings
from reconciler.apply import Report, apply
from reconciler.garbage import without_garbage_collection
from reconciler.manifests.check import Checked, check
from reconciler.manifests.problem import Problem
from reconciler.planning.holds import Hold, Suspension, grounded, keep, unrepaired
from reconciler.planning.plan import Plan, plan
from reconciler.provenance import read_commit, read_trees
from reconciler.state import Commit, Content, Observed
from reconciler.stores import Stores, instance, lock, migrate, sources, translated
from reconciler.stores.history import Author
from reconciler.stores.observe import observe
from reconciler.stores.provision import Progress
from reconciler.stores.sources import SourceState

LOCK_TIMEOUT_SECONDS = 10.0
"""How long an apply waits for another to finish, unless it is told otherwise."""


_UNKNOWN = Content("", "")
"""Of a source that is taken over: its manifests are not here."""


class ManifestsRejected(ConfigurationError):
    """The manifests are wrong, and nothing was done. The message has a line for each problem."""

    def __init__(self, directory: Path, problems: Sequence[Problem]) -> None:
        count = "a problem" if len(problems) == 1 else f"{len(problems)} problems"
        lines = [problem.render(directory) for problem in sorted(problems)]
        super().__init__("\n".join((f"{count} in the manifests, nothing was changed:", *lines)))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan, and what it was made from."""

    checked: Checked
    observed: Observed
    plan: Plan
    holds: tuple[Hold, ...] = ()
    """What keeps sources among the manifests' from being reconciled, by their names."""
    held_back: int = 0
    """How many resources of those are declared otherwise than they are applied."""
    renewed: frozenset[str] = frozenset()
    """Sources that are reconciled from these manifests for the first time: an apply notes it, and ends their pins."""


def author_of(trigger: str) -> Author:
    """This process's user at this machine, acting because of ``trigger``: see ``Author``."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number that has no name
        user = f"uid-{os.getuid()}"
    return Author(f"{user}@{socket.gethostname()}", trigger)


def check_manifests(directory: Path, settings: Settings) -> Checked:
    """Reads and checks the manifests. Raises ``ManifestsRejected`` with every problem they have."""
    # Asked first: what is committed meanwhile is then applied as of the earlier commit, and no pin ends too early.
    commit = read_commit(directory)
    checked = check(directory, settings)
    if checked.problems:
        raise ManifestsRejected(directory, checked.problems)
    return with_commit(checked, commit, directory)


def with_commit(checked: Checked, commit: Commit | None, directory: Path) -> Checked:
    """``checked`` as of ``commit``, which was asked for before it was read from ``directory``."""
    trees = read_trees(directory, commit, {name: spec.path for name, spec in checked.sources.items()})
    contents = {name: replace(content, tree=trees.get(name, "")) for name, content in checked.contents.items()}
    return replace(checked, commit=commit, contents=contents)


def plan_manifests(checked: Checked, settings: Settings, stores: Stores, take_over: Collection[str] = ()) -> Planned:
    """What applying ``checked`` would do; changes nothing, neither stamps nor migrates. ``take_over`` names sources
    that are no more: see ``plan``. What sources that are held declare is left out.

    Raises ``BrokerNotAvailable`` when a store is away; ``ConfigurationError`` when the stores are another
    installation's, when the database is not of this version, when a source cannot be taken over, and when there is
    nothing declared at all; ``Conflict`` when a source that is to be taken over is held.
    """
    require_ready(stores, settings)
    states = sources.read_states(stores.database)
    holds = _holds(checked, states, take_over)
    held = {hold.source for hold in holds}
    with without_garbage_collection():
        observed = observe(stores, [resource.identity for resource in checked.resources])
        kept = keep(checked.resources, observed, held)
        found = plan(kept.desired, observed, checked.sources, _taken(take_over, checked, observed))
        if held:
            found = grounded(found, kept.desired, observed)
            found = unrepaired(found, {hold.source for hold in holds if isinstance(hold, Suspension)})
    if not checked.resources and found.refused:
        raise ConfigurationError(
            f"no manifests were found, and {len(found.refused)} resources are applied: an empty tree never prunes. "
            "Name the directory that has the manifests"
        )
    renewed = (name for name in checked.sources if name not in held and _is_renewed(name, checked, states.get(name)))
    return Planned(checked, observed, found, holds, kept.held_back, frozenset(renewed))


def apply_manifests(
    checked: Checked,
    settings: Settings,
    stores: Stores,
    author: Author,
    *,
    take_over: Collection[str] = (),
    select: Callable[[Planned], Plan] = lambda planned: planned.plan,
    lock_timeout_seconds: float = LOCK_TIMEOUT_SECONDS,
    progress: Progress = lambda _: None,
) -> tuple[Planned, Report]:
    """Applies ``checked``: plans under the sources' locks and does what ``select`` takes from the plan, by default all
    that it does not refuse.

    Raises like ``plan_manifests``; and ``Conflict`` when another apply holds a lock for too long.
    """
    establish(stores, settings)
    author = replace(author, commit=checked.commit)
    with lock.hold(stores.database, {*checked.sources, *take_over}, author, lock_timeout_seconds):
        planned = plan_manifests(checked, settings, stores, take_over)
        selected = select(planned)
        # Before anything is changed: a rollback of what fails half-way is from these manifests, too.
        if planned.renewed:
            renewed = {name: checked.contents[name] for name in sorted(planned.renewed)}
            sources.note_reconciled(stores.database, renewed, checked.commit)
        return planned, apply(selected, planned.observed, stores, author, progress)


def exactly(approved: Plan) -> Callable[[Planned], Plan]:
    """Selects ``approved``; raises ``Conflict`` when that is not what would be done any more."""

    def select(planned: Planned) -> Plan:
        require_same(approved, planned.plan, planned.holds)
        return planned.plan

    return select


def require_same(approved: Plan, found: Plan, holds: Sequence[Hold] = ()) -> None:
    """Raises ``Conflict`` when ``found`` would do something else than ``approved``; ``holds`` may be why."""
    if _deeds(found) != _deeds(approved):
        held = "".join(f"\n{hold}" for hold in holds)
        raise Conflict(f"what is applied has changed since the plan was shown: plan again{held}")


def _deeds(found: Plan) -> tuple[object, ...]:
    return found.changes, found.refused, found.leftovers


def _holds(checked: Checked, states: Mapping[str, SourceState], take_over: Collection[str]) -> tuple[Hold, ...]:
    """Raises ``Conflict`` when something of ``take_over`` is held: it can only be taken over as a whole."""
    found = {
        name: hold
        for name in sorted({*checked.sources, *take_over})
        if name in states and (hold := states[name].hold(checked.contents.get(name, _UNKNOWN))) is not None
    }
    for name in take_over:
        if name in found:
            raise Conflict(str(found[name]))
    return tuple(found.values())


def _is_renewed(name: str, checked: Checked, state: SourceState | None) -> bool:
    """Whether these manifests are others than those that the source was last reconciled from, or its pin has ended."""
    if state is None or state.pin is not None:
        return True
    return (state.commit, state.content) != (checked.commit, checked.contents[name])


def _taken(names: Collection[str], checked: Checked, observed: Observed) -> dict[str, SourceSpec]:
    owners = {applied.resource.managed_by for applied in observed.applied.values()}
    for name in names:
        if name in checked.sources:
            raise ConfigurationError(f"source {name!r} is declared here: there is nothing to take over")
        if name not in owners:
            raise ConfigurationError(f"source {name!r} owns nothing: leave out --take-over {name}")
    return {name: SourceSpec.model_construct(path=".", tenants=None, prune=True, self_heal=True) for name in names}


def require_ready(stores: Stores, settings: Settings) -> None:
    """Raises ``ConfigurationError`` when the stores are another installation's, or not of this version."""
    with translated():
        _require_migrated(stores)
        stamps = (instance.read_database(stores.database), instance.read_broker(stores.redis, stores.keys))
        instance.agree(*stamps, settings.environment)


def establish(stores: Stores, settings: Settings) -> None:
    """Like ``require_ready``, and stamps stores that have no stamp."""
    with translated():
        _require_migrated(stores)
        instance.establish(stores.database, stores.redis, stores.keys, settings.environment)


def _require_migrated(stores: Stores) -> None:
    pending = migrate.pending(migrate.load_migrations(), migrate.read_applied(stores.database))
    if pending:
        raise ConfigurationError("the database is not at this version: run `mqops migrate`")
