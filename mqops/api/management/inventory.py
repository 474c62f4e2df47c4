"""Which resources a caller sees, and finding one of them, in the catalog as it is now."""

import asyncio
import contextlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from mqops.access import Caller
from mqops.catalog import Catalog, CatalogFeed, Row, Statuses
from mqops.errors import NotFound, QueueNotFound, SubscriptionNotFound, TopicNotFound
from mqops.model import SYSTEM_TENANT, Identity, Kind, Role
from mqops.status import Status

READERS: frozenset[Role] = frozenset({"viewer", "planner", "deployer", "admin"})

_NOT_FOUND: Mapping[str, type[NotFound]] = {
    "Topic": TopicNotFound,
    "Queue": QueueNotFound,
    "Subscription": SubscriptionNotFound,
}

_LOOK_SECONDS = 1.0
"""How long what is not found keeps whoever asks for it."""

Named = Mapping[str, Row]
"""By name."""

Noted = Mapping[str, Status] | None
"""What the reconciler noted, by uid, of what it noted something of; None when that cannot be had."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A row, and the catalog that it was found in."""

    row: Row
    catalog: Catalog


class Inventory:
    """The catalog's rows by kind and tenant, sorted out once for each catalog."""

    def __init__(self, feed: CatalogFeed, statuses: Statuses) -> None:
        self._feed = feed
        self._statuses = statuses
        self._sorted_out: Catalog | None = None
        self._rows: dict[tuple[str, str], dict[str, Row]] = {}

    def all(self, caller: Caller, kind: Kind) -> tuple[Catalog, Collection[Row]]:
        """Everything of ``kind`` that ``caller`` sees, and the catalog it is of. Raises ``Forbidden``."""
        caller.require_one_of(READERS)
        catalog = self._feed.current
        return catalog, self._visible(catalog, caller, kind).values()

    async def find(self, caller: Caller, kind: Kind, name_or_uid: str) -> Seen:
        """Like ``one``, and what another process made a moment ago is found, too."""
        with contextlib.suppress(NotFound):
            return self.one(caller, kind, name_or_uid)
        await self.look_again()
        return self.one(caller, kind, name_or_uid)

    async def noted(self, rows: Iterable[Row]) -> Noted:
        """What the reconciler noted of ``rows``."""
        return await self._statuses.read([row.uid for row in rows])

    async def look_again(self) -> None:
        """Have the catalog as new as it can be had at once."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_SECONDS):
                await self._feed.refresh()

    def one(self, caller: Caller, kind: Kind, name_or_uid: str) -> Seen:
        """What is called so. Raises ``Forbidden``, and ``NotFound`` for what the caller does not see."""
        caller.require_one_of(READERS)
        catalog = self._feed.current
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
