"""The order in which what has work is served: round robin over tenants, then over what each tenant has.

A tenant with a thousand busy subscriptions gets no more turns than one with a single one.
"""

from typing import Generic, TypeVar

T = TypeVar("T")


class Ring(Generic[T]):
    """Items in turn, each in it once at most."""

    def __init__(self) -> None:
        # Dictionaries serve as queues that know what is in them: their order is that of insertion.
        self._tenants: dict[str, dict[T, None]] = {}

    def add(self, tenant: str, item: T) -> None:
        """``item`` comes last among its tenant's; one that waits already keeps its place."""
        self._tenants.setdefault(tenant, {}).setdefault(item)

    def remove(self, tenant: str, item: T) -> None:
        """``item`` waits no longer, if it did."""
        items = self._tenants.get(tenant, {})
        items.pop(item, None)
        if not items:
            self._tenants.pop(tenant, None)

    def next(self) -> T | None:
        """Takes out the item whose turn it is; its tenant's next one comes after every other tenant's turn."""
        if not self._tenants:
            return None
        tenant = next(iter(self._tenants))
        items = self._tenants.pop(tenant)
        item = next(iter(items))
        del items[item]
        if items:
            self._tenants[tenant] = items
        return item
