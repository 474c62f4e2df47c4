"""Looks for what was changed outside, and nothing else: whatever the manifests say, and if they cannot be read.

What is found is noted, so that everybody knows since when; nothing is repaired.
"""

from collections.abc import Mapping
from types import MappingProxyType

from mqops.model import SourceSpec
from mqops.settings import Settings
from reconciler.garbage import without_garbage_collection
from reconciler.manifests.check import Checked
from reconciler.pipeline import require_same_installation
from reconciler.planning.drift import find_drift
from reconciler.planning.drifted import Drifted, drifted, strays_of, within
from reconciler.planning.plan import KEPT
from reconciler.planning.scope import Scope
from reconciler.state import NO_SOURCES, Observed
from reconciler.stores import Stores, drift
from reconciler.stores.observe import observe


def look(checked: Checked | None, scope: Scope, settings: Settings, stores: Stores) -> tuple[Drifted, ...]:
    """What was changed outside of what the sources of ``checked`` own, or of all there is, within ``scope``; since
    when it is known, too.

    Raises ``BrokerNotAvailable`` when a store is away; ``ConfigurationError`` when the stores are another
    installation's, or the database is not of this version.
    """
    require_same_installation(settings, stores)
    with without_garbage_collection():
        observed = observe(stores)
        sources = _owners(observed) if checked is None else {**checked.sources, **_OF_NO_MANIFESTS}
        wanted = () if checked is None else [resource.identity for resource in checked.resources]
        found = drifted(find_drift(observed, sources, wanted), observed, sources, wanted)
    drift.note(stores.database, found, None if checked is None else sources)
    known = drift.since(found, stores.database)
    every = sorted((*known, *strays_of(observed, wanted)), key=lambda one: (one.identity, one.uid))
    return within(every, observed, scope)


_OF_NO_MANIFESTS: Mapping[str, SourceSpec] = MappingProxyType(dict.fromkeys(NO_SOURCES, KEPT))


def _owners(observed: Observed) -> Mapping[str, SourceSpec]:
    """Of everything there is, and was."""
    lost = (gone.applied for gone in observed.lost.values() if gone.applied is not None)
    names = {applied.resource.managed_by for applied in (*observed.applied.values(), *lost)}
    return {**dict.fromkeys(names, KEPT), **_OF_NO_MANIFESTS}
