"""Suspending a source, so that nothing of it is reconciled, and letting a held one go on. Both wait for an apply of it
that is under way, and are revisions of the history."""

from dataclasses import dataclass, replace

from mqops.errors import ConfigurationError, Conflict
from mqops.settings import Settings
from reconciler.pipeline import LOCK_TIMEOUT_SECONDS, require_same_installation
from reconciler.planning.holds import Hold
from reconciler.stores import Stores, lock, sources
from reconciler.stores.history import Author


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
