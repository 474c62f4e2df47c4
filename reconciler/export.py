"""Manifests of what exists: of resources that no source owns, of what only Redis holds, and when asked of all the rest.

Applying what is written changes nothing but whose it is. Reads both stores in bulk, and changes neither.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from mqops.errors import ConfigurationError
from mqops.model import API_VERSION, KINDS, Identity
from mqops.nearest import nearest
from mqops.settings import Settings
from reconciler.manifests.authority import SOURCES_FILE
from reconciler.manifests.deadletters import dead_letters
from reconciler.manifests.single import declared_again
from reconciler.manifests.write import documents, manifest_text
from reconciler.pipeline import require_same_installation
from reconciler.planning.recovered import recovered
from reconciler.state import NO_SOURCES, REBUILT, Observed, Resource
from reconciler.stores import Stores
from reconciler.stores.observe import observe

_ONLY_ON_REDIS = (
    "Only Redis still knew this, and does not tell all of it: labels, handler, filter, retry delays,\n"
    "producers and whatever else is not written here stand at their defaults. Complete it."
)


@dataclass(frozen=True, slots=True)
class Chosen:
    """What to write manifests of."""

    tenants: frozenset[str] = frozenset()
    """Only of these; without any, of all."""
    kinds: frozenset[str] = frozenset()
    """The same."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Only what has all of them."""
    is_all: bool = False
    """Also what sources own."""

    def has(self, resource: Resource) -> bool:
        """Never a Source: those are declared by whoever lays out the tree."""
        identity = resource.identity
        return (
            resource.implied_by is None
            and identity.kind in KINDS
            and identity.kind != "Source"
            and (self.is_all or resource.managed_by in NO_SOURCES)
            and (not self.tenants or _tenant_of(identity) in self.tenants)
            and (not self.kinds or identity.kind in self.kinds)
            and self.labels.items() <= resource.labels.items()
        )


@dataclass(frozen=True, slots=True)
class Exported:
    """One resource."""

    identity: Identity
    text: str
    """Its manifest."""


def export(chosen: Chosen, settings: Settings, stores: Stores) -> tuple[Exported, ...]:
    """The manifests of what is ``chosen``, by tenant, in the order that kinds build on each other.

    Raises ``BrokerNotAvailable`` when a store is away, ``ConfigurationError`` when they are another installation's and
    for what another version applied and this one cannot read.
    """
    observed = _observe(settings, stores)
    found = _every(observed, settings)
    return tuple(_written((one for one in found if chosen.has(one)), found, observed, settings))


def export_one(identity: Identity, settings: Settings, stores: Stores) -> Exported:
    """The manifest of one resource that a source may adopt. Raises like ``export``; and ``ConfigurationError`` when
    there is none, and when there is nothing to adopt: a source has it, or another resource brings it along."""
    observed = _observe(settings, stores)
    every = _every(observed, settings)
    found = {one.identity: one for one in every}
    resource = found.get(identity)
    if resource is None:
        likely = nearest(str(identity), map(str, found))
        hint = f"did you mean {likely}?" if likely else f"`mqops get {KINDS[identity.kind].plural}` lists what there is"
        raise ConfigurationError(f"there is no {identity}: {hint}")
    if resource.implied_by is not None:
        raise ConfigurationError(f"{identity} is brought along by {resource.implied_by}: import that")
    if resource.managed_by not in NO_SOURCES:
        raise ConfigurationError(
            f"{identity} is declared at {resource.origin} by source {resource.managed_by!r} already: there is nothing "
            f"to import; `mqops get {KINDS[identity.kind].plural} {'/'.join(identity[1:]).strip('/')} -o yaml` shows it"
        )
    (written,) = _written([resource], every, observed, settings)
    return written


def files(exported: Iterable[Exported], source: str | None = None) -> dict[str, str]:
    """The manifests as a tree, text by path: a folder for each tenant, with a file for each kind. With ``source`` they
    stand in a folder of that name, beside a file that declares it as their Source."""
    folder = "" if source is None else f"{source}/"
    texts: dict[str, list[str]] = {}
    tenants: set[str] = set()
    for one in exported:
        tenant, kind = _tenant_of(one.identity), KINDS[one.identity.kind]
        tenants.add(tenant)
        name = kind.plural if kind.has_tenant else kind.name.lower()
        texts.setdefault(f"{folder}{tenant}/{name}.yaml", []).append(one.text)
    tree = {path: documents(found) for path, found in texts.items()}
    if source is not None and tree:
        tree[SOURCES_FILE] = _source(source, sorted(tenants))
    return tree


def _source(name: str, tenants: list[str]) -> str:
    return (
        f"apiVersion: {API_VERSION}\nkind: Source\nmetadata:\n  name: {name}\n"
        f"spec:\n  path: {name}\n  tenants: [{', '.join(tenants)}]\n"
    )


def _observe(settings: Settings, stores: Stores) -> Observed:
    require_same_installation(settings, stores)
    return observe(stores)


def _every(observed: Observed, settings: Settings) -> tuple[Resource, ...]:
    return *(row.resource for row in observed.applied.values()), *recovered(observed, settings)


def _written(
    chosen: Iterable[Resource], every: tuple[Resource, ...], observed: Observed, settings: Settings
) -> Iterator[Exported]:
    again = declared_again(every)
    readable = {one.identity for one in again}
    letters = dead_letters(again)
    for resource in sorted(chosen, key=_order):
        identity = resource.identity
        if identity not in readable:
            raise ConfigurationError(f"{identity} was applied by another version of mqops: export it with that one")
        is_known = identity in observed.applied and resource.managed_by != REBUILT
        comment = "" if is_known or identity.kind == "Tenant" else _ONLY_ON_REDIS
        yield Exported(identity, manifest_text(resource, letters, settings, comment))


def _order(resource: Resource) -> tuple[str, int, str]:
    identity = resource.identity
    return _tenant_of(identity), KINDS[identity.kind].order, identity.name


def _tenant_of(identity: Identity) -> str:
    return identity.tenant or identity.name
