"""``POST /queues/{id}/purge`` and ``POST /subscriptions/{id}/pause`` and ``…/resume``: acting on what is declared,
whoever declared it. None of it is a change of configuration.
"""

import asyncio
import logging
from datetime import datetime
from typing import Annotated

import msgspec

from mqops.access import Access, Caller
from mqops.api.edge import Request, Response, caller_of, decode, read_body, write_json
from mqops.api.management.inventory import Inventory, Seen, identity_of, not_found
from mqops.api.management.page import refuse_unknown
from mqops.api.management.read import write_seen
from mqops.api.management.resource_json import state_of
from mqops.api.management.write import WRITERS, actor_of, expected_states
from mqops.api.timestamps import now_ms
from mqops.catalog import CatalogFeed
from mqops.errors import ConsumerFailed, InvalidRequest, OutcomeUnknown, PreconditionFailed
from mqops.model import KINDS
from mqops.override import MAX_PAUSE_MS
from mqops.runtime import RuntimeStore, Wanted
from mqops.streams import Lane, Streams

log = logging.getLogger(__name__)

_QUEUE, _SUBSCRIPTION = KINDS["Queue"], KINDS["Subscription"]
_SEEN_SECONDS = 5.0
"""How long the catalog may take to show what was done."""
MAX_REASON_CHARACTERS = 1_000
_STORABLE = "^[^\\x00]*$"
"""PostgreSQL keeps any text but that with a NUL in it."""


class Purge:
    """Emptying a queue, whoever owns it: messages are not configuration."""

    def __init__(self, access: Access, inventory: Inventory, streams: Streams) -> None:
        self._access = access
        self._inventory = inventory
        self._streams = streams

    async def on_post(self, req: Request, resp: Response, name: str) -> None:
        caller = caller_of(self._access, req)
        caller.require_one_of(WRITERS)
        await _require_bare(req)
        seen = await self._inventory.find(caller, _QUEUE, name)
        reader = seen.catalog.queue_subscription(seen.row.uid)
        if reader is None:
            raise ConsumerFailed(f"queue {seen.row.name!r} is not ready to be read yet", retry_after_seconds=1)
        topic = reader.topic
        # First, as what becomes due meanwhile is in the lanes then.
        scheduled = await self._streams.scheduler.clear(topic.bucket, topic.uid)
        lanes = (Lane(topic.bucket, reader.uid, topic.uid, number) for number in range(topic.spec.partitions))
        purged = sum(await asyncio.gather(*(self._streams.purge(lane) for lane in lanes)))
        log.info(
            "%s purged %d messages of %s, and %d scheduled", actor_of(caller), purged, identity_of(seen.row), scheduled
        )
        write_json(resp, {"purged": purged, "scheduled": scheduled})


class PauseBody(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """Why, and until when; for good when neither time is given."""

    reason: Annotated[str, msgspec.Meta(max_length=MAX_REASON_CHARACTERS, pattern=_STORABLE)] = ""
    expires_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    for_ms: Annotated[int, msgspec.Meta(ge=1, le=MAX_PAUSE_MS)] | None = None

    def until_ms(self, now_ms: int) -> int | None:
        """Milliseconds since 1970. Raises ``InvalidRequest`` for what cannot be meant."""
        if self.expires_at is None:
            return None if self.for_ms is None else now_ms + self.for_ms
        if self.for_ms is not None:
            raise InvalidRequest("expiresAt and forMs both say until when: leave one out")
        until_ms = int(self.expires_at.timestamp() * 1000)
        if not now_ms < until_ms <= now_ms + MAX_PAUSE_MS:
            raise InvalidRequest("expiresAt is a time to come, within a year")
        return until_ms


_decoder = msgspec.json.Decoder(PauseBody)


class Overruling:
    """What pausing and resuming have in common: who may, and waiting until it is seen. Other processes see it with
    their next look at the catalog."""

    def __init__(self, access: Access, inventory: Inventory, feed: CatalogFeed, runtime: RuntimeStore) -> None:
        self._access = access
        self._inventory = inventory
        self._feed = feed
        self.runtime = runtime

    async def found(self, req: Request, name: str) -> tuple[Caller, Seen]:
        """Who asks, and the subscription. Raises ``Forbidden``, ``NotFound``, ``PreconditionFailed``."""
        caller = caller_of(self._access, req)
        caller.require_one_of(WRITERS)
        refuse_unknown(req.params, ())
        seen = await self._inventory.find(caller, _SUBSCRIPTION, name)
        states = expected_states(req)
        if states is not None and state_of(seen.row) not in states:
            raise PreconditionFailed(f"{identity_of(seen.row)} has changed since: look at it again")
        return caller, seen

    async def answer(self, caller: Caller, seen: Seen, resp: Response) -> None:
        """Once the catalog shows what was written. Raises ``OutcomeUnknown`` when that takes too long."""
        try:
            async with asyncio.timeout(_SEEN_SECONDS):
                await self._feed.refresh()
                while self._feed.health().error is not None:
                    await self._feed.refresh()
        except TimeoutError as error:
            raise OutcomeUnknown("it is done, and cannot be shown yet: look again") from error
        await write_seen(resp, self._inventory.one(caller, _SUBSCRIPTION, seen.row.uid), self._inventory)


class Pause:
    """Nothing of a subscription is handed out, until it is resumed or the time is up."""

    def __init__(self, overruling: Overruling) -> None:
        self._overruling = overruling

    async def on_post(self, req: Request, resp: Response, name: str) -> None:
        caller, seen = await self._overruling.found(req, name)
        data = await read_body(req)
        body = decode(_decoder, data) if data.strip() else PauseBody()
        wanted = Wanted("paused", actor_of(caller), body.reason, body.until_ms(now_ms()))
        if not await self._overruling.runtime.override(seen.row.uid, wanted):
            raise not_found(_SUBSCRIPTION, name)
        log.info("%s paused %s: %s", wanted.by, identity_of(seen.row), wanted.reason or "no reason given")
        await self._overruling.answer(caller, seen, resp)


class Resume:
    """A subscription goes on handing out: an override is lifted, or goes before a declared pause."""

    def __init__(self, overruling: Overruling) -> None:
        self._overruling = overruling

    async def on_post(self, req: Request, resp: Response, name: str) -> None:
        caller, seen = await self._overruling.found(req, name)
        if (await read_body(req)).strip() not in (b"", b"{}"):
            raise InvalidRequest("this takes no body")
        runtime, uid, actor = self._overruling.runtime, seen.row.uid, actor_of(caller)
        if msgspec.json.decode(seen.row.spec).get("state") != "paused":
            await runtime.lift(uid)
        elif not await runtime.override(uid, Wanted("active", actor, "", None)):
            raise not_found(_SUBSCRIPTION, name)
        log.info("%s resumed %s", actor, identity_of(seen.row))
        await self._overruling.answer(caller, seen, resp)


async def _require_bare(req: Request) -> None:
    """Raises ``InvalidRequest`` for a request that says anything."""
    refuse_unknown(req.params, ())
    if (await read_body(req)).strip() not in (b"", b"{}"):
        raise InvalidRequest("this takes no body")
