"""Looks for what was changed outside, and nothing else: whatever the manifests say, and if they cannot be read.

What is found is noted, so that everybody knows since when; nothing is repaired.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from mqops.model import Identity, SourceSpec
from mqops.settings import Settings
from reconciler.garbage import without_garbage_collection
from reconciler.manifests.check import Checked
from reconciler.pipeline import require_same_installation, require_targets
from reconciler.planning.drift import find_drift
from reconciler.planning.drifted import Drifted, chooses_any, drifted, strays_of, within
from reconciler.planning.placement import astray
from reconciler.planning.plan import KEPT
from reconciler.planning.scope import Scope
from reconciler.state import NO_SOURCES, Observed
from reconciler.stores import Stores, drift
from reconciler.stores.observe import observe


@dataclass(frozen=True, slots=True)
class Looked:
    """What was found, and whether there was anything to look at."""

    drift: tuple[Drifted, ...]
    is_about_something: bool
    """False when nothing that is applied is chosen."""


def look(checked: Checked | None, scope: Scope, settings: Settings, stores: Stores) -> Looked:
    """What was changed outside of what the sources of ``checked`` own, or of all there is, within ``scope``; since
    when it is known, too.

    Raises ``BrokerNotAvailable`` when a store is away; ``ConfigurationError`` when the stores are another
    installation's, or the database is not of this version; ``NotThere`` for a target that neither store knows.
    """
    require_same_installation(settings, stores)
    with without_garbage_collection():
        observed = observe(stores)
        if scope.targets:
            require_targets(scope, _known(observed), "neither applied nor known to the history", "name what is applied")
        sources = _owners(observed) if checked is None else {**checked.sources, **_OF_NO_MANIFESTS}
        wanted = () if checked is None else [resource.identity for resource in checked.resources]
        found = drifted(find_drift(observed, sources, wanted), observed, sources, wanted)
    drift.note(stores.database, found, None if checked is None else sources)
    known = drift.since(found, stores.database)
    every = sorted((*known, *strays_of(observed, wanted)), key=lambda one: (one.identity, one.uid))
    return Looked(within(every, observed, scope), chooses_any(observed, scope))


def _known(observed: Observed) -> set[Identity]:
    """Whatever drift could be of: what is applied, was, was written by hand, or is on Redis alone."""
    by_hand = (edit.identity for edit in observed.edits.values())
    return {*observed.applied, *observed.lost, *by_hand, *astray(observed).values()}


_OF_NO_MANIFESTS: Mapping[str, SourceSpec] = MappingProxyType(dict.fromkeys(NO_SOURCES, KEPT))


def _owners(observed: Observed) -> Mapping[str, SourceSpec]:
    """Of everything there is, and was."""
    lost = (gone.applied for gone in observed.lost.values() if gone.applied is not None)
    names = {applied.resource.managed_by for applied in (*observed.applied.values(), *lost)}
    return {**dict.fromkeys(names, KEPT), **_OF_NO_MANIFESTS}
