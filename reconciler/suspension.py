"""Suspending a source or a single resource, so that nothing of it is reconciled, and letting a held one go on. All of
that waits for an apply that is under way, and is a revision of the history."""

from dataclasses import dataclass, replace

from mqops.errors import ConfigurationError, Conflict
from mqops.model import Identity
from mqops.nearest import nearest
from mqops.settings import Settings
from reconciler.pipeline import require_same_installation
from reconciler.planning.beside import suspended_text, target_text
from reconciler.planning.holds import Hold
from reconciler.request import LOCK_TIMEOUT_SECONDS
from reconciler.state import Applied, Suspended
from reconciler.stores import Stores, lock, sources, suspensions
from reconciler.stores.history import Author
from reconciler.stores.observe import observe_rows


@dataclass(frozen=True, slots=True)
class Act:
    """Who suspends or resumes which source."""

    source: str
    author: Author
    lock_timeout_seconds: float = LOCK_TIMEOUT_SECONDS


def suspend(act: Act, reason: str, settings: Settings, stores: Stores) -> None:
    """Nothing of the source is applied or repaired from then on, by whomever, until it is resumed.

    Raises ``ConfigurationError`` when there is no such source; ``Conflict`` when it is suspended already, and when an
    apply holds its lock for too long; ``BrokerNotAvailable`` when a store is away.
    """
    require_same_installation(settings, stores)
    sources.require_known(stores.database, [act.source])
    with lock.hold(stores.database, [act.source], act.author, act.lock_timeout_seconds):
        state = sources.read_states(stores.database).get(act.source)
        if state is not None and state.suspension is not None:
            raise Conflict(str(state.suspension))
        sources.suspend(stores.database, act.source, replace(act.author, note=reason))


def resume(act: Act, settings: Settings, stores: Stores) -> tuple[Hold, ...]:
    """Ends the source's suspension and its pin, and returns what of them there was.

    Raises like ``suspend``; and ``ConfigurationError`` when there is neither.
    """
    require_same_installation(settings, stores)
    sources.require_known(stores.database, [act.source])
    with lock.hold(stores.database, [act.source], act.author, act.lock_timeout_seconds):
        state = sources.read_states(stores.database).get(act.source)
        ended = () if state is None else tuple(hold for hold in (state.suspension, state.pin) if hold is not None)
        if not ended:
            raise ConfigurationError(f"source {act.source!r} is neither suspended nor pinned: it goes on as it is")
        sources.resume(stores.database, act.source, act.author)
    return ended


@dataclass(frozen=True, slots=True)
class ResourceAct:
    """Who suspends or resumes which resource."""

    identity: Identity
    author: Author
    lock_timeout_seconds: float = LOCK_TIMEOUT_SECONDS


def suspend_resource(act: ResourceAct, reason: str, settings: Settings, stores: Stores) -> None:
    """Nothing of the resource, or of what it brings along, is applied or repaired until it is resumed, whatever becomes
    of its name.

    Raises ``ConfigurationError`` when there is no such resource; ``Conflict`` when it is suspended already, and when an
    apply holds its owner's lock for too long; ``BrokerNotAvailable`` when a store is away.
    """
    row = _applied(act, settings, stores)
    owner = row.resource.managed_by
    with lock.hold(stores.database, [owner], act.author, act.lock_timeout_seconds):
        found = suspensions.read_suspended(stores.database).get(row.uid)
        if found is not None:
            raise Conflict(f"{act.identity} is {suspended_text(found)}")
        note = f"{act.identity}: {reason}" if reason else str(act.identity)
        suspensions.suspend(stores.database, row.uid, reason, replace(act.author, note=note), owner)


def resume_resource(act: ResourceAct, settings: Settings, stores: Stores) -> Suspended:
    """Ends the resource's suspension, and returns it.

    Raises like ``suspend_resource``; and ``ConfigurationError`` when it is not suspended.
    """
    row = _applied(act, settings, stores)
    owner = row.resource.managed_by
    with lock.hold(stores.database, [owner], act.author, act.lock_timeout_seconds):
        found = suspensions.read_suspended(stores.database).get(row.uid)
        if found is None:
            raise ConfigurationError(f"{act.identity} is not suspended: it goes on as it is")
        suspensions.resume(stores.database, row.uid, replace(act.author, note=str(act.identity)), owner)
    return found


def _applied(act: ResourceAct, settings: Settings, stores: Stores) -> Applied:
    require_same_installation(settings, stores)
    if act.identity.kind == "Source":
        raise ConfigurationError(f"a source is suspended by its name alone: `mqops suspend {act.identity.name}`")
    rows = observe_rows(stores)
    row = rows.applied.get(act.identity)
    if row is None:
        likely = nearest(target_text(act.identity), map(target_text, rows.applied))
        hint = f"did you mean {likely}?" if likely else f"`mqops get {act.identity.kind.lower()}` lists what there is"
        raise ConfigurationError(f"there is no {act.identity}: {hint}")
    return row
