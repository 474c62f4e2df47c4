"""The whole way from manifests that were read to what is applied, in the two halves that every caller needs: what would
be done, and doing it. The command line, the watch loop and `mqops up` all come in here, with a ``request``.
"""

import getpass
import operator
import os
import socket
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from mqops.errors import BrokerNotAvailable, ConfigurationError, Refused
from mqops.model import Identity, SourceSpec
from mqops.nearest import nearest
from mqops.settings import Settings
from reconciler.apply import Report, apply
from reconciler.garbage import without_garbage_collection
from reconciler.manifests import authority
from reconciler.manifests.check import Checked
from reconciler.noting import note_pass
from reconciler.planning.guard import grown, guard
from reconciler.planning.holds import Hold, Suspension, grounded, keep, unrepaired, unreplaced
from reconciler.planning.notices import notices
from reconciler.planning.plan import NOTHING_TAKEN, Plan, plan
from reconciler.planning.scope import Scope
from reconciler.planning.waiting import as_applied
from reconciler.provenance import follows_on
from reconciler.request import Execution, NotThere, Planned, Request
from reconciler.state import Content, Observed
from reconciler.stores import Stores, drift, instance, lock, migrate, sources, translated
from reconciler.stores.cost import read_costs
from reconciler.stores.history import Author
from reconciler.stores.instance import Instance
from reconciler.stores.observe import Observer
from reconciler.stores.sources import SourceState

_FRESH_SECONDS = 1.0

_UNKNOWN = Content("", "")
"""Of a source that is taken over: its manifests are not here."""


def author_of(trigger: str) -> Author:
    """This process's user at this machine, acting because of ``trigger``: see ``Author``."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number that has no name
        user = f"uid-{os.getuid()}"
    return Author(f"{user}@{socket.gethostname()}", trigger)


@dataclass(slots=True)
class Memory:
    """What planning leaves for the next time, for whoever plans one installation again and again: what was observed,
    and the last plan, where it says nothing of messages, which come and go."""

    observer: Observer = field(default_factory=Observer)
    _made_from: tuple[object, ...] = ()
    _beside: tuple[object, ...] = ()
    _found: tuple[Plan, int] | None = None

    def recall(self, request: Request, observed: Observed, holds: Sequence[Hold]) -> tuple[Plan, int] | None:
        """What was found the last time, when everything is as it was then."""
        made_from, beside = _basis(request, observed, holds)
        is_same = len(self._made_from) == 2 and all(map(operator.is_, self._made_from, made_from))
        return self._found if is_same and self._beside == beside else None

    def keep(self, request: Request, observed: Observed, holds: Sequence[Hold], found: tuple[Plan, int]) -> None:
        """Keep ``found``, unless something in it has a cost, which may be another the next time."""
        plan, _ = found
        every = (*plan.changes, *(refusal.change for refusal in plan.refused))
        is_free = all(change.gone is None for change in every)
        self._found = found if is_free and request.checked.resources else None
        self._made_from, self._beside = _basis(request, observed, holds)


def _basis(
    request: Request, observed: Observed, holds: Sequence[Hold]
) -> tuple[tuple[object, ...], tuple[object, ...]]:
    """What a plan is made from: what is large, and the same only where nothing was read anew; and the rest."""
    checked = request.checked
    beside = (
        checked.sources,
        checked.waiting,
        holds,
        request.settings,
        request.take_over,
        request.scope,
        request.allowed,
    )
    return (checked.resources, observed), beside


def plan_manifests(
    request: Request, stores: Stores, memory: Memory | None = None, fresh_seconds: float = 0.0
) -> Planned:
    """What applying the request's manifests would do; changes nothing, neither stamps nor migrates. What sources that
    are held declare is left out. With the ``memory`` of earlier plans, only what has changed since is read, and Redis
    not again within ``fresh_seconds``.

    Raises ``BrokerNotAvailable`` when a store is away; ``ConfigurationError`` when the stores are another
    installation's, and when the database is not of this version; ``NotThere`` when a source cannot be taken over, or a
    target is not there; ``Refused`` when there is nothing declared at all, and when a source that is to be taken over
    is held.
    """
    checked = request.checked
    database, broker = _stamps(request.settings, stores)
    states = sources.read_states(stores.database)
    holds = holds_of(request, states)
    memory = Memory() if memory is None else memory
    with without_garbage_collection():
        observed = memory.observer.observe(stores, fresh_seconds)
        taken = _taken(request.take_over, checked, observed) if request.take_over else NOTHING_TAKEN
        if request.scope.targets:
            require_targets(request.scope, {*observed.applied, *(resource.identity for resource in checked.resources)})
        plans = memory.recall(request, observed, holds) or plan_observed(request, observed, holds, stores, taken)
        memory.keep(request, observed, holds, plans)
    found, held_back = plans
    if not checked.resources and found.refused:
        raise Refused(
            f"no manifests were found, and {len(found.refused)} resources are applied: an empty tree never prunes. "
            "Name the directory that has the manifests"
        )
    unstamped = instance.unstamped_broker(database, broker, stores.keys) if observed.applied else None
    with translated():
        is_recovering = instance.read_recovering(stores.database) is not None
    return Planned(
        request,
        observed,
        found,
        database or broker,
        holds,
        held_back,
        warnings=(
            *(() if unstamped is None else (unstamped,)),
            *_strangers(checked, states),
            *notices(checked.resources, observed.applied, request.allowed.unprotected),
        ),
        is_recovering=is_recovering,
        renewed=_renewed(request, states, holds),
    )


def _strangers(checked: Checked, states: Mapping[str, SourceState]) -> Iterator[str]:
    """Sources that were last reconciled from what these manifests do not follow on. Asked only where that is another
    commit."""
    if checked.commit is None or checked.directory is None:
        return
    follows: dict[str, bool] = {checked.commit.id: True}
    for name in checked.sources:
        last = states[name].commit if name in states else None
        if last is None:
            continue
        if last.id not in follows:
            follows[last.id] = follows_on(checked.directory, last)
        if not follows[last.id]:
            yield (
                f"source {name!r} was last reconciled from {last.short}, which this checkout does not follow on: it is "
                "older, or somebody else applies another"
            )


def plan_observed(
    request: Request,
    observed: Observed,
    holds: Collection[Hold],
    stores: Stores,
    taken: Mapping[str, SourceSpec] = NOTHING_TAKEN,
) -> tuple[Plan, int]:
    """What turns ``observed`` into what the request declares, and how many resources ``holds`` keep as they are. Raises
    ``BrokerNotAvailable`` when a store is away."""
    found, held_back = _plan(request, observed, taken, holds)
    costs = read_costs(stores, observed, found.changes)
    found = guard(found, observed, {**request.checked.sources, **taken}, costs, request.allowed)
    return replace(found, drift=drift.since(found.drift, stores.database)), held_back


def _plan(
    request: Request, observed: Observed, taken: Mapping[str, SourceSpec], holds: Collection[Hold]
) -> tuple[Plan, int]:
    """The plan before its guards, and how many resources are held back."""
    checked, held = request.checked, {hold.source for hold in holds}
    kept = keep(checked.resources, observed, held, request.scope)
    desired = (*kept.desired, *as_applied(checked.waiting, kept.desired, observed))
    found = replace(plan(desired, observed, checked.sources, taken, request.scope), waiting=checked.waiting)
    if held:
        found = unreplaced(found, observed, held)
        found = grounded(found, desired, observed)
        found = unrepaired(found, {hold.source for hold in holds if isinstance(hold, Suspension)})
    return found, kept.held_back


def apply_manifests(
    request: Request, stores: Stores, execution: Execution[Planned], memory: Memory | None = None
) -> tuple[Planned, Report]:
    """Applies the request's manifests: plans under the sources' locks and does what ``execution`` selects, which is
    the plan that is returned. ``memory`` is as for ``plan_manifests``.

    Raises like ``plan_manifests``; and ``Conflict`` when another apply holds a lock for too long.
    """
    author, owners = replace(execution.author, commit=request.checked.commit), request.owners
    with translated():
        _require_migrated(stores)
    with lock.hold(stores.database, owners, author, execution.lock_timeout_seconds):
        # Whoever has a memory has planned a moment ago: what has happened on Redis since, the next look sees.
        planned = plan_manifests(request, stores, memory, _FRESH_SECONDS if memory is not None else 0.0)
        selected = execution.select(planned)
        establish(stores, request.settings)  # not before: what is refused as a whole leaves empty stores empty
        # Before anything is changed: a rollback of what fails half-way is from these manifests, too.
        if planned.renewed:
            renewed = {name: request.checked.contents[name] for name in sorted(planned.renewed)}
            sources.note_reconciled(stores.database, renewed, request.checked.commit)
        report = apply(selected, planned.observed, stores, author, execution.oversight)
        if request.scope.is_whole and report.is_complete:
            with translated():
                instance.end_recovery(stores.database)
        with suppress(BrokerNotAvailable):  # it is applied; the next pass notes it
            note_pass(planned, stores, report)
        return replace(planned, plan=selected), report


def require_targets(
    scope: Scope,
    known: Collection[Identity],
    where: str = "neither in the manifests nor applied",
    otherwise: str = "name what is declared or applied",
) -> None:
    """Raises ``NotThere`` for a target that is not ``known``, which is said by ``where``; ``otherwise`` is what to do
    when no name is near."""
    for target in sorted(scope.targets.difference(known)):
        likely = nearest(str(target), map(str, known))
        hint = f"did you mean {likely}?" if likely else otherwise
        raise NotThere(f"there is no {target}, {where}: {hint}")


def exactly(approved: Plan, select: Callable[[Planned], Plan]) -> Callable[[Planned], Plan]:
    """Selects like ``select``, which chose ``approved`` before; raises ``Refused`` when it chooses otherwise now."""

    def selected(planned: Planned) -> Plan:
        found = select(planned)
        require_same(approved, found, planned.holds)
        return found

    return selected


def require_same_installation(settings: Settings, stores: Stores) -> Instance | None:
    """What the stores are stamped with. Raises ``ConfigurationError`` when they are another installation's, or the
    database is not of this version."""
    database, broker = _stamps(settings, stores)
    return database or broker


def _stamps(settings: Settings, stores: Stores) -> tuple[Instance | None, Instance | None]:
    """Of the database and the Redis server, which do not contradict each other."""
    with translated():
        _require_migrated(stores)
        database, broker = instance.read_database(stores.database), instance.read_broker(stores.redis, stores.keys)
        instance.agree(database, broker, settings.environment)
    return database, broker


def require_same(approved: Plan, found: Plan, holds: Sequence[Hold] = ()) -> None:
    """Raises ``Refused`` when ``found`` would do something else than ``approved``, or lose more; ``holds`` may be why.
    Messages come and go meanwhile: that something holds fewer of them is no reason."""
    if _deeds(found) != _deeds(approved):
        held = "".join(f"\n{hold}" for hold in holds)
        raise Refused(f"what is applied has changed since the plan was shown: plan again{held}")
    for before, now in zip(approved.changes, found.changes, strict=True):
        more = "" if now.cost is None else grown(before.cost, now.cost)
        if more:
            raise Refused(f"{now.identity} would take along more than the plan showed ({more}): plan again")


def _deeds(found: Plan) -> tuple[object, ...]:
    """What would be done and what would not; without how many messages are where."""
    changes = tuple(replace(change, cost=None) for change in found.changes)
    refused = tuple((refusal.change.action, refusal.change.identity, refusal.obstacle) for refusal in found.refused)
    return changes, refused, found.leftovers


def holds_of(request: Request, states: Mapping[str, SourceState]) -> tuple[Hold, ...]:
    """What keeps sources of the request from being reconciled. Raises ``Refused`` when something that is to be taken
    over is held: it can only be taken over as a whole."""
    contents = request.checked.contents
    found = {
        name: hold
        for name in sorted(request.owners)
        if name in states and (hold := states[name].hold(contents.get(name, _UNKNOWN))) is not None
    }
    for name in request.take_over:
        if name in found:
            raise Refused(str(found[name]))
    return tuple(found.values())


def _renewed(request: Request, states: Mapping[str, SourceState], holds: Collection[Hold]) -> frozenset[str]:
    if request.scope.is_refresh_only:  # what the manifests say is not applied
        return frozenset()
    checked, held = request.checked, {hold.source for hold in holds}
    renewed = (name for name in checked.sources if name not in held and _is_renewed(name, checked, states.get(name)))
    return frozenset(renewed)


def _is_renewed(name: str, checked: Checked, state: SourceState | None) -> bool:
    """Whether these manifests are others than those that the source was last reconciled from, or its pin has ended."""
    if state is None or state.pin is not None:
        return True
    return (state.commit, state.content) != (checked.commit, checked.contents[name])


def _taken(names: Collection[str], checked: Checked, observed: Observed) -> dict[str, SourceSpec]:
    owners = {applied.resource.managed_by for applied in observed.applied.values()}
    for name in names:
        if name in checked.sources:
            raise NotThere(f"source {name!r} is declared here: there is nothing to take over")
        if name not in owners:
            raise NotThere(f"source {name!r} owns nothing: leave out --take-over {name}")
    return dict.fromkeys(names, authority.EVERYTHING)


def establish(stores: Stores, settings: Settings) -> None:
    """Stamps stores that have no stamp. Raises ``ConfigurationError`` when they are another installation's."""
    with translated():
        instance.establish(stores.database, stores.redis, stores.keys, settings.environment)


def _require_migrated(stores: Stores) -> None:
    pending = migrate.pending(migrate.load_migrations(), migrate.read_applied(stores.database))
    if pending:
        raise ConfigurationError("the database is not at this version: run `mqops migrate`")
