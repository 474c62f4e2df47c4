"""A resource as answers show it: what was declared, who it belongs to, how it fares; and the tag of just this state.

Digests of keys are never shown: whoever may look at credentials need not be able to compare keys with them.
"""

import re
import zlib
from typing import Any

import msgspec

from mqops.api.management.inventory import Noted
from mqops.api.timestamps import format_ms, now_ms
from mqops.catalog import Catalog, Row
from mqops.override import Override
from mqops.status import conditions, unnoted

CREDENTIAL = "Credential"


def resource_json(row: Row, catalog: Catalog, noted: Noted) -> dict[str, Any]:
    """The body of an answer about ``row``."""
    return {
        "name": row.name,
        "labels": msgspec.json.decode(row.labels),
        "annotations": msgspec.json.decode(row.annotations),
        "spec": _spec(row, catalog),
        "id": row.uid,
        "generation": row.generation,
        "managedBy": row.managed_by,
        "impliedBy": _parent(row, catalog),
        "createdAt": format_ms(row.created_ms),
        "updatedAt": format_ms(row.updated_ms),
        "status": {"conditions": _conditions(row, catalog, noted), **_overridden(row, catalog)},
    }


def state_of(row: Row) -> str:
    """Which state of what is declared it is."""
    return f"{row.uid}.{row.generation}.{row.revision}"


def entity_tag(row: Row, catalog: Catalog, noted: Noted) -> str:
    """Changes whenever the body does."""
    unusable, override = catalog.unusable.get(row.uid), _override(row, catalog)
    rest = [unusable.reason] if unusable is not None else []
    if override is not None:
        rest.append(repr(override))
    if noted is None or row.uid in noted:
        rest.append(repr(noted and noted[row.uid]))
    return ".".join((state_of(row), *(f"{zlib.crc32(it.encode()):08x}" for it in rest)))


def without_digests(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    """``spec`` as it may be shown."""
    if kind != CREDENTIAL:
        return spec
    keys = spec.get("keys")
    shown = [{name: value for name, value in key.items() if name != "sha256"} for key in keys or () if _is_map(key)]
    return {**spec, "keys": shown}


def _is_map(value: Any) -> bool:
    return isinstance(value, dict)


def _spec(row: Row, catalog: Catalog) -> dict[str, Any]:
    """In the order of the kind's documentation, which PostgreSQL does not keep."""
    known = catalog.specs.get(row.uid)
    try:
        spec = msgspec.json.decode(row.spec) if known is None else known.model_dump(mode="json", by_alias=True)
    except msgspec.DecodeError:
        return {}
    return without_digests(row.kind, spec) if isinstance(spec, dict) else {}


def _override(row: Row, catalog: Catalog) -> Override | None:
    """The one that is in force."""
    override = catalog.overrides.get(row.uid)
    return override if override is not None and override.holds(now_ms()) else None


def _overridden(row: Row, catalog: Catalog) -> dict[str, Any]:
    override = _override(row, catalog)
    if override is None:
        return {}
    shown = {
        "state": override.state,
        "by": override.by,
        "reason": override.reason,
        "since": format_ms(override.since_ms),
        "until": None if override.until_ms is None else format_ms(override.until_ms),
    }
    return {"override": shown}


def _parent(row: Row, catalog: Catalog) -> dict[str, str] | None:
    parent = None if row.implied_by is None else catalog.rows.get(row.implied_by)
    return None if parent is None else {"kind": parent.kind, "name": parent.name}


def _conditions(row: Row, catalog: Catalog, noted: Noted) -> list[dict[str, Any]]:
    """As the reconciler noted them. That this process cannot make use of it goes before."""
    unusable = catalog.unusable.get(row.uid)
    if unusable is not None:
        # The reason may quote the spec, which credentials keep to themselves.
        message = "its spec cannot be used by this version" if row.kind == CREDENTIAL else unusable.reason
        return [_condition(row, "Ready", "False", ("Unusable", message))]
    if noted is None:
        away = ("Unobserved", "PostgreSQL does not answer: what the reconciler noted is not known")
        return [_condition(row, kind, "Unknown", away) for kind in ("Ready", "Reconciling", "Stalled")]
    status = noted.get(row.uid) or unnoted(row.generation, row.created_ms)
    message = _of_its_own(status.message, row.tenant or row.name)
    return [{**condition, "message": message} for condition in conditions(status)]


def _condition(row: Row, kind: str, status: str, why: tuple[str, str]) -> dict[str, Any]:
    reason, message = why
    told = {"reason": reason, "message": message, "observedGeneration": row.generation}
    return {"type": kind, "status": status, **told}


_TENANTS = re.compile(r"\b(?:Tenant ([a-z0-9][a-z0-9._-]*)|[A-Z][A-Za-z]+[ /]([a-z0-9][a-z0-9._-]*)/[a-z0-9])")
"""Where the reconciler names a resource: like ``Topic acme/orders``."""


def _of_its_own(message: str, tenant: str) -> str:
    """``message``, unless it names what belongs to another tenant, which nobody here need know of."""
    named = {name for found in _TENANTS.findall(message) for name in found if name}
    return message if named <= {tenant} else "it depends on something of another tenant"


def masked(plan: Any) -> Any:
    """A plan without digests of keys, wherever they stand in it."""
    if isinstance(plan, dict):
        shown = {name: masked(value) for name, value in plan.items() if name != "sha256"}
        if isinstance(shown.get("path"), str) and shown["path"].endswith(".sha256"):
            shown |= {name: "(digest)" for name in ("before", "after") if shown.get(name) is not None}
        return shown
    return [masked(value) for value in plan] if isinstance(plan, list | tuple) else plan
