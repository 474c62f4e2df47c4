"""``POST …/pull``: messages handed out under a lease, each with the ackId that settles it. With ``waitMs`` it is a long
poll: with nothing to hand out, the answer comes with the first message, or when the time is up.
"""

from collections.abc import Callable
from typing import Annotated

import msgspec

from mqops.access import Access, Caller
from mqops.api.ack_id import HandOut, format_ack_id
from mqops.api.consume import Consumer
from mqops.api.directory import require_pullable
from mqops.api.edge import Request, Response, caller_of, decode, read_body, write_json
from mqops.api.management.page import refuse_unknown
from mqops.api.message_json import MessageJson, message_json, topic_as_seen_by
from mqops.api.puller import MAX_MESSAGES, Pulled, Puller
from mqops.api.timestamps import format_ms
from mqops.api.waiting import WaitingRoom
from mqops.catalog import SubscriptionEntry
from mqops.errors import InvalidRequest

FindSubscription = Callable[[Caller, str], SubscriptionEntry]

MAX_WAIT_MS = 30_000
"""Shorter than what proxies and clients have patience for, as they come."""


class PullBody(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    max_messages: Annotated[int, msgspec.Meta(extra_json_schema={"minimum": 1, "maximum": MAX_MESSAGES})] | None = None
    wait_ms: Annotated[int, msgspec.Meta(extra_json_schema={"minimum": 0, "maximum": MAX_WAIT_MS})] = 0


_decoder = msgspec.json.Decoder(PullBody)


class Pull:
    """Pulling from what ``find`` finds. ``batch_size`` is how many come when the request does not say."""

    def __init__(
        self, access: Access, find: FindSubscription, puller: Puller, room: WaitingRoom, batch_size: int
    ) -> None:
        self._access = access
        self._find = find
        self._puller = puller
        self._room = room
        self._batch_size = batch_size

    async def on_post(self, req: Request, resp: Response, name: str) -> None:
        caller = caller_of(self._access, req)
        refuse_unknown(req.params, ())
        body = self._body(await read_body(req))
        wanted = body.max_messages or self._batch_size
        if body.wait_ms:
            pulled = await self._wait(req, name, wanted, body.wait_ms / 1000)
        else:
            pulled = await self._puller.pull(find_pullable(self._access, self._find, req, name), wanted)
        write_json(resp, {"messages": handed_out(caller, pulled)})

    async def _wait(self, req: Request, name: str, wanted: int, seconds: float) -> Pulled:
        def find() -> SubscriptionEntry:
            return find_pullable(self._access, self._find, req, name)

        with Consumer(find, self._puller, self._room, req.gone) as consumer:
            consumer.end_after(seconds)
            return await consumer.take(wanted)

    def _body(self, data: bytes) -> PullBody:
        body = decode(_decoder, data) if data.strip() else PullBody()
        if body.max_messages is not None and not 1 <= body.max_messages <= MAX_MESSAGES:
            raise InvalidRequest(f"maxMessages is from 1 to {MAX_MESSAGES}")
        if not 0 <= body.wait_ms <= MAX_WAIT_MS:
            raise InvalidRequest(f"waitMs is from 0 to {MAX_WAIT_MS}")
        return body


def find_pullable(access: Access, find: FindSubscription, req: Request, name: str) -> SubscriptionEntry:
    """What ``req`` may pull from under ``name``, as things stand now. Raises what refuses it."""
    subscription = find(caller_of(access, req), name)
    require_pullable(subscription)
    return subscription


def handed_out(caller: Caller, pulled: Pulled) -> list[MessageJson]:
    """The messages as the consumer sees them."""
    subscription = pulled.subscription
    topic = topic_as_seen_by(caller.tenant, subscription.topic)
    lease_until = format_ms(pulled.lease_until_ms)
    return [
        message_json(
            topic,
            delivery,
            ack_id=format_ack_id(
                subscription.uid, HandOut(delivery.partition, delivery.position, delivery.token, delivery.attempt)
            ),
            attempt=delivery.attempt,
            lease_until=lease_until,
        )
        for delivery in pulled.deliveries
    ]
