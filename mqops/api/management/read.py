"""``GET /<plural>`` and ``GET /<plural>/{id}``, for every kind."""

from collections.abc import Mapping, Sequence
from typing import Any

from mqops.access import Access
from mqops.api.edge import Request, Response, caller_of, write_json
from mqops.api.management.inventory import Inventory, Seen
from mqops.api.management.page import query_of, refuse_unknown
from mqops.api.management.resource_json import entity_tag, resource_json
from mqops.model import Kind


class Collection:
    """All resources of a kind."""

    def __init__(self, kind: Kind, access: Access, inventory: Inventory) -> None:
        self._kind = kind
        self._access = access
        self._inventory = inventory

    async def on_get(self, req: Request, resp: Response) -> None:
        caller = caller_of(self._access, req)
        catalog, rows = self._inventory.all(caller, self._kind)
        page, cursor = query_of(req.params).page(rows)
        noted = await self._inventory.noted(page)
        write_json(resp, {"items": [resource_json(row, catalog, noted) for row in page], "cursor": cursor})


class Member:
    """One resource of a kind."""

    def __init__(self, kind: Kind, access: Access, inventory: Inventory) -> None:
        self._kind = kind
        self._access = access
        self._inventory = inventory

    async def on_get(self, req: Request, resp: Response, name: str) -> None:
        caller = caller_of(self._access, req)
        seen = await self._inventory.find(caller, self._kind, name)
        refuse_unknown(req.params, ())
        noted = await self._inventory.noted([seen.row])
        tag = entity_tag(seen.row, seen.catalog, noted)
        if req.if_none_match and any(known in ("*", tag) for known in req.if_none_match):
            resp.status = 304
            resp.etag = tag
            return
        resp.etag = tag
        write_json(resp, resource_json(seen.row, seen.catalog, noted))


async def write_seen(
    resp: Response, seen: Seen, inventory: Inventory, status: int = 200, destroyed: Sequence[Mapping[str, Any]] = ()
) -> None:
    """Answer with a resource and the tag of its state; and with what went when it was changed."""
    noted = await inventory.noted([seen.row])
    resp.etag = entity_tag(seen.row, seen.catalog, noted)
    gone = {"destroyed": destroyed} if destroyed else {}
    write_json(resp, {**resource_json(seen.row, seen.catalog, noted), **gone}, status)
