"""What of a plan its reader may see: a tenant's principals see what is the tenant's. Pure.

Whatever others have shows neither in changes nor in numbers nor in words. That others need something is all that its
owner may know.
"""

import re
from dataclasses import replace
from typing import Any

from mqops.model import KINDS, Identity
from reconciler.planning.change import Change, FieldChange
from reconciler.planning.plan import Plan
from reconciler.planning.refusals import Refusal
from reconciler.state import Observed, Resource

_DIGEST = "sha256"
_DIGITS = re.compile("[0-9A-Fa-f]{64}")
_NAMED = re.compile(
    rf"\b(?P<kind>{'|'.join(KINDS)}) (?P<tenant>[a-z0-9][a-z0-9._-]*)/[a-z0-9._-]*[a-z0-9_-](?: of source '[^']*')?"
)
"""How refusals name a resource of a tenant."""


def is_of(tenant: str, identity: Identity) -> bool:
    """Whether ``identity`` is the tenant, or the tenant's."""
    return identity.tenant == tenant or identity == Identity("Tenant", "", tenant)


def unowned(tenant: str, observed: Observed) -> Observed:
    """``observed``, where what is not the tenant's belongs to nobody that is known: no plan for the tenant changes it,
    and no guard counts it."""
    applied = {
        identity: row if is_of(tenant, identity) else replace(row, resource=replace(row.resource, managed_by=""))
        for identity, row in observed.applied.items()
    }
    return replace(observed, applied=applied, lost={one: it for one, it in observed.lost.items() if is_of(tenant, one)})


def seen_by(tenant: str, found: Plan, observed: Observed) -> Plan:
    """``found``, made from ``observed`` as ``unowned`` leaves it, as principals of ``tenant`` see it."""
    return replace(
        found,
        changes=tuple(change for change in found.changes if is_of(tenant, change.identity)),
        refused=tuple(discreet(refusal, tenant) for refusal in found.refused if is_of(tenant, refusal.change.identity)),
        leftovers=tuple(leftover for leftover in found.leftovers if is_of(tenant, leftover.identity)),
        moved=(),
        waiting=tuple(one for one in found.waiting if is_of(tenant, one.identity)),
        unclaimed=tuple(identity for identity in found.unclaimed if is_of(tenant, identity)),
        others=found.others - sum(not is_of(tenant, identity) for identity in observed.applied),
        outside=tuple(one for one in found.outside if is_of(tenant, one.identity)),
        # Who operates the platform's stores is not the tenant's to know.
        drift=tuple(replace(one, changed_by=None) for one in found.drift if is_of(tenant, one.identity)),
        beside=found.beside.of_tenant(tenant),
    )


def discreet(refusal: Refusal, tenant: str) -> Refusal:
    """Without the names of what other tenants have, nor of their sources. What is named need not be there."""
    if not tenant:
        return refusal

    def told(named: re.Match[str]) -> str:
        return named[0] if named["tenant"] == tenant else f"a {named['kind']} of another tenant"

    return replace(refusal, message=_NAMED.sub(told, refusal.message))


def without_digests(found: Plan) -> Plan:
    """``found`` for whoever may see credentials, and need not be able to compare keys with their digests."""
    return replace(
        found,
        changes=tuple(map(_undigested, found.changes)),
        refused=tuple(replace(refusal, change=_undigested(refusal.change)) for refusal in found.refused),
        drift=tuple(
            replace(one, fields=tuple(map(_told, one.fields))) if one.identity.kind == "Credential" else one
            for one in found.drift
        ),
    )


def _undigested(change: Change) -> Change:
    if change.identity.kind != "Credential":
        return change
    before = change.before
    return replace(
        change,
        resource=_keyless(change.resource),
        before=None if before is None else replace(before, resource=_keyless(before.resource)),
        fields=tuple(_told(field) for field in change.fields),
    )


def _keyless(resource: Resource) -> Resource:
    keys = [_without_digest(key) for key in resource.spec.get("keys", ())]
    return replace(resource, spec={**resource.spec, "keys": keys})


def _told(field: FieldChange) -> FieldChange:
    """That a digest changes is told, and not which it is."""
    hidden = _hidden if field.path.endswith(f".{_DIGEST}") else _without_digest
    return replace(field, before=hidden(field.before), after=hidden(field.after))


def _hidden(value: Any) -> Any:
    return None if value is None else "(digest)"


def _without_digest(value: Any) -> Any:
    if isinstance(value, str):  # of a row that cannot be read, what is wrong with it is told in its own words
        return _DIGITS.sub("(digest)", value)
    if isinstance(value, list | tuple):
        return [_without_digest(item) for item in value]
    return {name: item for name, item in value.items() if name != _DIGEST} if isinstance(value, dict) else value
