"""``POST /<plural>``, ``PUT`` and ``DELETE /<plural>/{id}``: changing what is declared, where no source owns it."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import falcon
import msgspec

from mqops.access import Access, Caller
from mqops.api.edge import Request, Response, caller_of, decode, read_body, write_json
from mqops.api.management.configuration import Changes, Granted, Wish
from mqops.api.management.inventory import Inventory, Seen, identity_of
from mqops.api.management.page import refuse_unknown, single
from mqops.api.management.read import Collection, Member, write_seen
from mqops.api.management.resource_json import masked
from mqops.catalog import CatalogFeed
from mqops.errors import Conflict, Forbidden, InvalidRequest, OutcomeUnknown, PreconditionFailed
from mqops.model import SYSTEM_TENANT, Identity, Kind, Role

WRITERS: frozenset[Role] = frozenset({"admin"})
PLANNERS: frozenset[Role] = frozenset({"admin", "deployer", "planner"})
"""Who may ask what a change would do."""

_SEEN_SECONDS = 5.0
"""How long the catalog may take to show a change that was made."""

_OTHER_OF_NAME = {"Topic": "Queue", "Queue": "Topic"}


class ResourceBody(msgspec.Struct, forbid_unknown_fields=True):
    """What is declared of a resource."""

    spec: dict[str, Any] = {}
    labels: dict[str, Any] = {}
    annotations: dict[str, Any] = {}
    name: str | msgspec.UnsetType = msgspec.UNSET


_decoder = msgspec.json.Decoder(ResourceBody)

GUARD_SWITCHES = ("allowDataLoss", "unprotect")
"""Parameters that let a change through that a guard would stop."""


class Asked(NamedTuple):
    """Who wants to change something, and what goes with it."""

    caller: Caller
    is_dry: bool
    may_lose: bool
    may_unprotect: bool


class Writing:
    """What all writing routes have in common: who may, making the change, and waiting until it is seen."""

    def __init__(self, access: Access, changes: Changes, feed: CatalogFeed) -> None:
        self._access = access
        self._changes = changes
        self._feed = feed

    def asked(self, req: Request, *switches: str) -> Asked:
        """Who wants to change something, and how: ``switches`` are the parameters that may be given beside dryRun.
        Raises ``Forbidden`` and ``InvalidRequest``."""
        caller = caller_of(self._access, req)
        refuse_unknown(req.params, ("dryRun", *switches))
        asked = Asked(caller, *(_switch(req, name) for name in ("dryRun", "allowDataLoss", "unprotect")))
        caller.require_one_of(PLANNERS if asked.is_dry else WRITERS)
        return asked

    async def make(self, wish: Wish) -> Granted:
        """Raises as ``Configuration.change``; and ``OutcomeUnknown`` when the change is made and cannot be seen."""
        granted = await self._changes.make(wish)
        if granted.revision is not None:
            try:
                async with asyncio.timeout(_SEEN_SECONDS):
                    while self._feed.current.revision < granted.revision:
                        await self._feed.refresh(granted.revision)
            except TimeoutError as error:
                message = f"the change is made, as revision {granted.revision}, and cannot be shown yet: look again"
                raise OutcomeUnknown(message) from error
        return granted

    def require_free_name(self, identity: Identity) -> None:
        """Raises ``Conflict`` for a topic with the name of a queue, and the other way round."""
        other = _OTHER_OF_NAME.get(identity.kind)
        found = self._feed.current.topic(identity.tenant, identity.name) if other else None
        if found is not None and found.kind == other:
            raise Conflict(f"the name {identity.name!r} is a {other.lower()}'s: topics and queues share their names")


def _switch(req: Request, name: str) -> bool:
    answer = single(req.params, name) or "false"
    if answer not in ("true", "false"):
        raise InvalidRequest(f"{name} is true or false")
    return answer == "true"


def _require_system(caller: Caller, kind: Kind) -> None:
    if not kind.has_tenant and caller.tenant != SYSTEM_TENANT:
        raise Forbidden(f"{kind.plural} are changed by principals of the tenant {SYSTEM_TENANT}")


def _wish(asked: Asked, identity: Identity, body: ResourceBody | None) -> Wish:
    wanted = None
    if body is not None:
        wanted = {"labels": body.labels, "annotations": body.annotations, "spec": body.spec}
    return Wish(
        identity,
        wanted,
        actor_of(asked.caller),
        is_dry=asked.is_dry,
        may_lose=asked.may_lose,
        may_unprotect=asked.may_unprotect,
    )


def actor_of(caller: Caller) -> str:
    """Who did it, as the history tells."""
    return f"{caller.home}/{caller.principal}"


class WritableCollection(Collection):
    """All resources of a kind, to which one can be added."""

    def __init__(self, kind: Kind, access: Access, inventory: Inventory, writing: Writing) -> None:
        super().__init__(kind, access, inventory)
        self._writing = writing

    async def on_post(self, req: Request, resp: Response) -> None:
        asked = self._writing.asked(req)
        caller = asked.caller
        body = decode(_decoder, await read_body(req))
        _require_system(caller, self._kind)
        if not isinstance(body.name, str):
            raise InvalidRequest("name is missing")
        identity = Identity(self._kind.name, caller.tenant if self._kind.has_tenant else "", body.name)
        self._writing.require_free_name(identity)
        granted = await self._writing.make(replace(_wish(asked, identity, body), is_new=True))
        if asked.is_dry:
            write_json(resp, masked(granted.plan))
            return
        seen = self._inventory.one(caller, self._kind, body.name)
        resp.location = f"{req.path.rstrip('/')}/{body.name}"
        await write_seen(resp, seen, self._inventory, 201)


class WritableMember(Member):
    """One resource of a kind, that can be changed and deleted."""

    def __init__(self, kind: Kind, access: Access, inventory: Inventory, writing: Writing) -> None:
        super().__init__(kind, access, inventory)
        self._writing = writing

    async def on_put(self, req: Request, resp: Response, name: str) -> None:
        asked = self._writing.asked(req, *GUARD_SWITCHES)
        body = decode(_decoder, await read_body(req))
        seen = await self._inventory.find(asked.caller, self._kind, name)
        if body.name not in (msgspec.UNSET, seen.row.name):
            raise InvalidRequest(f"name is {seen.row.name!r}: this does not rename; leave it out")
        granted = await self._change(req, asked, seen, body)
        if asked.is_dry:
            write_json(resp, masked(granted.plan))
        else:
            seen = self._inventory.one(asked.caller, self._kind, seen.row.name)
            await write_seen(resp, seen, self._inventory, destroyed=granted.destroyed)

    async def on_delete(self, req: Request, resp: Response, name: str) -> None:
        asked = self._writing.asked(req, *GUARD_SWITCHES)
        seen = await self._inventory.find(asked.caller, self._kind, name)
        granted = await self._change(req, asked, seen, None)
        write_json(resp, masked(granted.plan) if asked.is_dry else {"deleted": granted.destroyed})

    async def _change(self, req: Request, asked: Asked, seen: Seen, body: ResourceBody | None) -> Granted:
        _require_system(asked.caller, self._kind)
        wish = replace(_wish(asked, identity_of(seen.row), body), states=expected_states(req))
        return await self._writing.make(wish)


def expected_states(req: Request) -> Sequence[str] | None:
    """The states that ``If-Match`` names; ``None`` for any. Weak tags match nothing: RFC 9110, 13.1.1. What is changed
    is there, so that ``If-None-Match: *`` never holds."""
    if req.if_none_match is not None:
        if "*" in req.if_none_match:
            raise PreconditionFailed("it exists, and If-None-Match asks that it does not: POST creates")
        raise InvalidRequest("If-None-Match with tags is for reading: a change is made in a state with If-Match")
    known = req.if_match
    if known is None:
        return None
    if "*" in known:
        return None
    states = [".".join(tag.split(".")[:3]) for tag in known if isinstance(tag, falcon.ETag) and not tag.is_weak]
    if not states:
        raise PreconditionFailed("If-Match names no tag of a resource")
    return states
