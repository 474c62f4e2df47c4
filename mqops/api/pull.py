"""``POST …/pull``: messages handed out under a lease, each with the ackId that settles it."""

from collections.abc import Callable
from typing import Annotated

import msgspec

from mqops.access import Access, Caller
from mqops.api.ack_id import HandOut, format_ack_id
from mqops.api.directory import require_pullable
from mqops.api.edge import Request, Response, caller_of, decode, read_body, write_json
from mqops.api.message_json import MessageJson, message_json, topic_as_seen_by
from mqops.api.puller import MAX_MESSAGES, Puller
from mqops.api.timestamps import format_ms, now_ms
from mqops.catalog import SubscriptionEntry
from mqops.errors import InvalidRequest
from mqops.message import Delivery

FindSubscription = Callable[[Caller, str], SubscriptionEntry]

_LEASE_MS = 30_000
"""Only where a subscription was applied without its defaults."""


class PullBody(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    max_messages: Annotated[int, msgspec.Meta(extra_json_schema={"minimum": 1, "maximum": MAX_MESSAGES})] | None = None


_decoder = msgspec.json.Decoder(PullBody)


class Pull:
    """Pulling from what ``find`` finds. ``batch_size`` is how many come when the request does not say."""

    def __init__(self, access: Access, find: FindSubscription, puller: Puller, batch_size: int) -> None:
        self._access = access
        self._find = find
        self._puller = puller
        self._batch_size = batch_size

    async def on_post(self, req: Request, resp: Response, name: str) -> None:
        caller = caller_of(self._access, req.raw_headers)
        wanted = self._wanted(await read_body(req))
        subscription = self._find(caller, name)
        require_pullable(subscription)
        lease_ms = subscription.spec.ack_deadline or _LEASE_MS
        lease_until = format_ms(now_ms() + lease_ms)
        deliveries = await self._puller.pull(subscription, wanted, lease_ms)
        topic = topic_as_seen_by(caller.tenant, subscription.topic)
        write_json(resp, {"messages": [_json(subscription, topic, delivery, lease_until) for delivery in deliveries]})

    def _wanted(self, data: bytes) -> int:
        body = decode(_decoder, data) if data.strip() else PullBody()
        if body.max_messages is None:
            return self._batch_size
        if not 1 <= body.max_messages <= MAX_MESSAGES:
            raise InvalidRequest(f"maxMessages is from 1 to {MAX_MESSAGES}")
        return body.max_messages


def _json(subscription: SubscriptionEntry, topic: str, delivery: Delivery, lease_until: str) -> MessageJson:
    hand_out = HandOut(delivery.partition, delivery.position, delivery.token, delivery.attempt)
    return message_json(
        topic,
        delivery,
        ack_id=format_ack_id(subscription.uid, hand_out),
        attempt=delivery.attempt,
        lease_until=lease_until,
    )
