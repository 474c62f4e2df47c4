"""What applying manifests would do that somebody else has: whoever plans over HTTP has them, and not the stores.

A whole tree is planned as if it stood here. The manifests of one Source are planned beside all that is applied, within
what the Source may declare. A tenant's principal plans what of a Source is the tenant's, and sees nothing else.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from mqops.errors import InvalidRequest, NotFound
from mqops.model import Identity, SourceSpec
from mqops.settings import Settings
from reconciler.garbage import without_garbage_collection
from reconciler.manifests.authority import DEFAULT_SOURCE, EVERYTHING
from reconciler.manifests.check import Checked, check_files
from reconciler.manifests.part import Part, check_part
from reconciler.manifests.single import declared_again
from reconciler.pipeline import holds_of, plan_manifests, plan_observed, require_same_installation, require_targets
from reconciler.planning import scope as scopes
from reconciler.planning.guard import NOTHING_ALLOWED, Allowances
from reconciler.planning.notices import notices
from reconciler.planning.part import is_part_of, part_of
from reconciler.planning.scope import Scope
from reconciler.planning.view import is_of, seen_by, unowned
from reconciler.reading import ManifestsRejected, applied_in
from reconciler.request import Planned, Request
from reconciler.state import Applied
from reconciler.stores import Stores, drift, sources, translated
from reconciler.stores.observe import observe, observe_rows, observe_tenant
from reconciler.stores.store import read_foreign_digests, read_tenant_rows


@dataclass(frozen=True, slots=True)
class Proposal:
    """What is to be planned."""

    files: Mapping[str, bytes]
    """By their names in the directory of manifests."""
    source: str | None = None
    """Whose manifests they are; ``None`` for the whole tree, or the one Source of a tenant."""
    tenant: str | None = None
    """Whose principal asks; ``None`` for whoever may see everything."""
    take_over: tuple[str, ...] = ()
    scope: Scope = scopes.EVERYTHING
    allowed: Allowances = NOTHING_ALLOWED


def propose(proposal: Proposal, settings: Settings, stores: Stores) -> Planned:
    """What applying the manifests would do. Changes nothing.

    Raises ``ManifestsRejected``; ``NotFound`` for a Source that there is not, or that may declare nothing of the
    tenant; ``InvalidRequest`` when the Source has to be named; and like ``plan_manifests``.
    """
    if proposal.source is None and proposal.tenant is None:
        checked = check_files(proposal.files, settings, applied_in(stores.database))
        _require_fit(checked)
        return plan_manifests(Request(checked, settings, proposal.take_over, proposal.scope, proposal.allowed), stores)
    stamp = require_same_installation(settings, stores)
    source, spec = _source_of(proposal, sources.read_declared(stores.database))
    with without_garbage_collection():
        part = _part(proposal, source, spec, stores)
        checked = check_part(proposal.files, part, settings)
        _require_fit(checked)
        tenant = proposal.tenant
        observed = observe(stores) if tenant is None else unowned(tenant, observe_tenant(stores, tenant))
        resources = part_of(checked.resources, source, observed.applied)
        request = Request(replace(checked, resources=resources), settings, (), proposal.scope, proposal.allowed)
        known = {*observed.applied, *(resource.identity for resource in resources)}
        require_targets(proposal.scope, {one for one in known if _is_seen(one, proposal)})
        holds = holds_of(request, sources.read_states(stores.database))
        found, held_back = plan_observed(request, observed, holds, stores)
    found = replace(found, drift=drift.since(found.drift, stores.database))
    if proposal.tenant is not None:
        found = seen_by(proposal.tenant, found, observed)
    warnings = notices(resources, observed.applied, proposal.allowed.unprotected)
    return Planned(request, observed, found, stamp, holds, held_back, warnings)


def _require_fit(checked: Checked) -> None:
    if checked.problems:
        raise ManifestsRejected(Path(), checked.problems)


def _source_of(proposal: Proposal, declared: Mapping[str, SourceSpec]) -> tuple[str, SourceSpec]:
    """The Source to plan for, and what it may declare here."""
    known = declared or {DEFAULT_SOURCE: EVERYTHING}
    tenant = proposal.tenant
    if tenant is not None:
        known = {name: spec for name, spec in known.items() if spec.tenants is None or tenant in spec.tenants}
    if proposal.source is not None:
        if proposal.source not in known:
            raise NotFound(f"there is no source {proposal.source!r}")
        return proposal.source, known[proposal.source]
    if len(known) != 1:
        names = ", ".join(sorted(known))
        told = f"name the source that is meant: {names}" if known else f"no source may declare anything of {tenant}"
        raise InvalidRequest(told)
    return next(iter(known.items()))


def _part(proposal: Proposal, source: str, spec: SourceSpec, stores: Stores) -> Part:
    tenant, digests = proposal.tenant, frozenset[str]()
    if tenant is None:
        applied = observe_rows(stores).applied
    else:
        with translated():
            applied = read_tenant_rows(stores.database, tenant)[0].applied
            digests = read_foreign_digests(stores.database, tenant)
    rows = [row for row in applied.values() if not _is_given(row, proposal, source) and _is_known(row, proposal)]
    owners = {row.resource.identity: row.resource.managed_by for row in rows}
    return Part(source, spec, tenant, declared_again(row.resource for row in rows), owners, digests)


def _is_given(row: Applied, proposal: Proposal, source: str) -> bool:
    """Whether the manifests that are given are those that declare it, or have it no more."""
    return is_part_of(source, row) and _is_seen(row.resource.identity, proposal)


def _is_seen(identity: Identity, proposal: Proposal) -> bool:
    return proposal.tenant is None or is_of(proposal.tenant, identity)


def _is_known(row: Applied, proposal: Proposal) -> bool:
    """Whether manifests may name it: what the tenant has, and public topics."""
    identity, spec = row.resource.identity, row.resource.spec
    return _is_seen(identity, proposal) or (identity.kind == "Topic" and bool(spec["public"]))
