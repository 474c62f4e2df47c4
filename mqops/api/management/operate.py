"""``POST /queues/{id}/purge`` and ``POST /subscriptions/{id}/pause`` and ``…/resume``: acting on what is declared."""

import asyncio
import logging
from collections.abc import Sequence

import msgspec

from mqops.access import Access
from mqops.api.edge import Request, Response, caller_of, read_body, write_json
from mqops.api.management.configuration import Wish
from mqops.api.management.inventory import Inventory, identity_of
from mqops.api.management.page import refuse_unknown
from mqops.api.management.read import write_seen
from mqops.api.management.write import WRITERS, Writing, actor_of, expected_states
from mqops.catalog import Row
from mqops.errors import ConsumerFailed, InvalidRequest, PreconditionFailed
from mqops.model import KINDS
from mqops.streams import Lane, Streams

log = logging.getLogger(__name__)

_QUEUE, _SUBSCRIPTION = KINDS["Queue"], KINDS["Subscription"]
_ATTEMPTS = 5


class Purge:
    """Emptying a queue, whoever owns it: messages are not configuration."""

    def __init__(self, access: Access, inventory: Inventory, streams: Streams) -> None:
        self._access = access
        self._inventory = inventory
        self._streams = streams

    async def on_post(self, req: Request, resp: Response, name: str) -> None:
        caller = caller_of(self._access, req.raw_headers)
        caller.require_one_of(WRITERS)
        await _require_bare(req)
        seen = await self._inventory.find(caller, _QUEUE, name)
        reader = seen.catalog.queue_subscription(seen.row.uid)
        if reader is None:
            raise ConsumerFailed(f"queue {seen.row.name!r} is not ready to be read yet", retry_after_seconds=1)
        topic = reader.topic
        lanes = (Lane(topic.bucket, reader.uid, topic.uid, number) for number in range(topic.spec.partitions))
        purged = sum(await asyncio.gather(*(self._streams.purge(lane) for lane in lanes)))
        log.info("%s purged %d messages of %s", actor_of(caller), purged, identity_of(seen.row))
        write_json(resp, {"purged": purged})


class SetState:
    """Pausing or resuming a subscription: a change of its ``state``, through a plan like any other."""

    def __init__(self, state: str, access: Access, inventory: Inventory, writing: Writing) -> None:
        self._state = state
        self._access = access
        self._inventory = inventory
        self._writing = writing

    async def on_post(self, req: Request, resp: Response, name: str) -> None:
        caller = caller_of(self._access, req.raw_headers)
        caller.require_one_of(WRITERS)
        await _require_bare(req)
        states = expected_states(req)
        for attempt in range(1, _ATTEMPTS + 1):
            row = (await self._inventory.find(caller, _SUBSCRIPTION, name)).row
            try:
                await self._writing.make(self._wish(row, states, actor_of(caller)))
                break
            except PreconditionFailed:
                if states is not None or attempt == _ATTEMPTS:
                    raise
                await self._inventory.look_again()
        write_seen(resp, self._inventory.one(caller, _SUBSCRIPTION, row.name))

    def _wish(self, row: Row, states: Sequence[str] | None, actor: str) -> Wish:
        """Of what the body repeats nothing may have changed meanwhile: so it is bound to the state that was seen."""
        body = {
            "labels": msgspec.json.decode(row.labels),
            "annotations": msgspec.json.decode(row.annotations),
            "spec": {**msgspec.json.decode(row.spec), "state": self._state},
        }
        return Wish(identity_of(row), body, actor, states=states or [f"{row.uid}.{row.generation}.{row.revision}"])


async def _require_bare(req: Request) -> None:
    """Raises ``InvalidRequest`` for a request that says anything."""
    refuse_unknown(req.params, ())
    if (await read_body(req)).strip() not in (b"", b"{}"):
        raise InvalidRequest("this takes no body")
