"""Which resources a caller sees, and finding one of them, in the catalog as it is now."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from mqops.access import Caller
from mqops.catalog import Catalog, Row
from mqops.errors import NotFound, QueueNotFound, SubscriptionNotFound, TopicNotFound
from mqops.model import SYSTEM_TENANT, Identity, Kind, Role

READERS: frozenset[Role] = frozenset({"viewer", "planner", "deployer", "admin"})

_NOT_FOUND: Mapping[str, type[NotFound]] = {
    "Topic": TopicNotFound,
    "Queue": QueueNotFound,
    "Subscription": SubscriptionNotFound,
}

Named = Mapping[str, Row]
"""By name."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A row, and the catalog that it was found in."""

    row: Row
    catalog: Catalog


class Inventory:
    """The catalog's rows by kind and tenant, sorted out once for each catalog."""

    def __init__(self, catalog: Callable[[], Catalog]) -> None:
        self._catalog = catalog
        self._sorted_out: Catalog | None = None
        self._rows: dict[tuple[str, str], dict[str, Row]] = {}

    def all(self, caller: Caller, kind: Kind) -> tuple[Catalog, Collection[Row]]:
        """Everything of ``kind`` that ``caller`` sees, and the catalog it is of. Raises ``Forbidden``."""
        caller.require_one_of(READERS)
        catalog = self._catalog()
        return catalog, self._visible(catalog, caller, kind).values()

    def one(self, caller: Caller, kind: Kind, name_or_uid: str) -> Seen:
        """What is called so. Raises ``Forbidden``, and ``NotFound`` for what the caller does not see."""
        caller.require_one_of(READERS)
        catalog = self._catalog()
        visible = self._visible(catalog, caller, kind)
        row = visible.get(name_or_uid)
        if row is None:
            by_uid = catalog.rows.get(name_or_uid)
            row = None if by_uid is None or by_uid.kind != kind.name else visible.get(by_uid.name)
            if row is not by_uid or row is None:
                raise not_found(kind, name_or_uid)
        return Seen(row, catalog)

    def _visible(self, catalog: Catalog, caller: Caller, kind: Kind) -> Named:
        """Of the kinds without a tenant, principals of ``system`` see all while they act in it; others see the tenant
        that they act in."""
        rows = self._by_kind_and_tenant(catalog).get((kind.name, caller.tenant if kind.has_tenant else ""), {})
        if kind.has_tenant or caller.tenant == SYSTEM_TENANT:
            return rows
        return {name: row for name, row in rows.items() if is_own(caller, row)}

    def _by_kind_and_tenant(self, catalog: Catalog) -> Mapping[tuple[str, str], Named]:
        if self._sorted_out is not catalog:
            rows: dict[tuple[str, str], dict[str, Row]] = {}
            for row in catalog.rows.values():
                rows.setdefault((row.kind, row.tenant), {})[row.name] = row
            self._rows, self._sorted_out = rows, catalog
        return self._rows


def is_own(caller: Caller, row: Row) -> bool:
    """Whether ``row``, of a kind without a tenant, is the tenant that ``caller`` acts in."""
    return row.kind == "Tenant" and row.name == caller.tenant


def not_found(kind: Kind, name_or_uid: str) -> NotFound:
    """The same for what is not there and for what the caller does not see."""
    return _NOT_FOUND.get(kind.name, NotFound)(f"there is no {kind.name.lower()} {name_or_uid!r}")


def identity_of(row: Row) -> Identity:
    """What ``row`` is called."""
    return Identity(row.kind, row.tenant, row.name)
