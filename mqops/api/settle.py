"""``POST …/ack``, ``…/nack`` and ``…/extend``: what becomes of pulled messages. Each ackId has a result of its own.

``acked`` · ``nacked``: comes again after the subscription's retry delay, or the request's · ``dead_lettered``: its
attempts are used up · ``dropped``: the same, where the subscription has no dead letters · ``extended``: leased for
longer, under the same ackId · ``lost``: the lease ended, the message is another's or settled · ``invalid``: not an
ackId of this subscription.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from mqops.access import Access
from mqops.api.ack_id import HandOut, parse_ack_id
from mqops.api.edge import Request, Response, caller_of, decode, read_body, write_json
from mqops.api.management.page import refuse_unknown
from mqops.api.pull import FindSubscription
from mqops.api.puller import lease_ms_of
from mqops.api.timestamps import format_ms, now_ms
from mqops.catalog import SubscriptionEntry
from mqops.errors import InvalidRequest
from mqops.handlers.retry import GiveUp, Retry, decide
from mqops.streams import Claim, Lane, Streams

MAX_ACK_IDS = 1_000
MAX_DELAY_MS = 7 * 86_400_000
MIN_LEASE_MS = 100
MAX_LEASE_MS = 86_400_000

Held = list[tuple[int, HandOut]]
"""Hand-outs of one partition, each with its place in the request."""


class SettleBody(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    ack_ids: Annotated[list[str], msgspec.Meta(min_length=1, max_length=MAX_ACK_IDS)]


class NackBody(SettleBody):
    delay_ms: Annotated[int, msgspec.Meta(extra_json_schema={"minimum": 0, "maximum": MAX_DELAY_MS})] | None = None


class ExtendBody(SettleBody):
    lease_ms: (
        Annotated[int, msgspec.Meta(extra_json_schema={"minimum": MIN_LEASE_MS, "maximum": MAX_LEASE_MS})] | None
    ) = None


class Result(msgspec.Struct, rename="camel"):
    """What became of one ackId."""

    ack_id: str
    status: str
    lease_until: str | UnsetType = UNSET


Step = Callable[[Lane, Held, list[Result]], Awaitable[None]]


class Settling:
    """Settles what consumers hold, partition by partition. Raises ``InvalidRequest`` and ``BrokerNotAvailable``."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams

    async def settle(self, subscription: SubscriptionEntry, body: SettleBody) -> list[Result]:
        """Do as ``body`` says; a result for each of its ackIds, in order."""
        _require_bounds(body)
        results = [Result(ack_id, "invalid") for ack_id in body.ack_ids]
        lanes: dict[int, Held] = {}
        for index, ack_id in enumerate(body.ack_ids):
            hand_out = parse_ack_id(subscription.uid, ack_id)
            if hand_out is not None:
                lanes.setdefault(hand_out.partition, []).append((index, hand_out))
        topic = subscription.topic
        step = self._step(subscription, body)
        steps = [
            step(Lane(topic.bucket, subscription.uid, topic.uid, partition), held, results)
            for partition, held in lanes.items()
        ]
        if len(steps) == 1:
            await steps[0]  # no task for what is the most frequent: one partition
        else:
            await asyncio.gather(*steps)
        return results

    def _step(self, subscription: SubscriptionEntry, body: SettleBody) -> Step:
        match body:
            case NackBody(delay_ms=delay_ms):
                return partial(self._nack, subscription, delay_ms)
            case ExtendBody(lease_ms=lease_ms):
                return partial(self._extend, lease_ms or lease_ms_of(subscription))
            case _:
                return self._ack

    async def _ack(self, lane: Lane, held: Held, results: list[Result]) -> None:
        await _note(held, self._streams.ack(lane, _claims(held)), "acked", results)

    async def _nack(
        self, subscription: SubscriptionEntry, own_delay_ms: int | None, lane: Lane, held: Held, results: list[Result]
    ) -> None:
        again: Held = []
        delays_ms: list[int] = []
        given_up: Held = []
        for index, hand_out in held:
            match decide(subscription.spec.retry, hand_out.attempt, random.random()):  # noqa: S311 (jitter, not a secret)
                case Retry(delay_ms):
                    again.append((index, hand_out))
                    delays_ms.append(delay_ms if own_delay_ms is None else own_delay_ms)
                case GiveUp():
                    given_up.append((index, hand_out))
        if again:
            await _note(again, self._streams.retry(lane, _claims(again), delays_ms), "nacked", results)
        if given_up:
            word = "dead_lettered" if subscription.spec.dead_letter is not None else "dropped"
            detail = "its consumer gave it back (nack) on the last attempt"
            buried = self._streams.dead_letter(lane, _claims(given_up), "retries_exhausted", detail)
            await _note(given_up, buried, word, results)

    async def _extend(self, lease_ms: int, lane: Lane, held: Held, results: list[Result]) -> None:
        lease_until = format_ms(now_ms() + lease_ms)
        await _note(held, self._streams.extend(lane, _claims(held), lease_ms), "extended", results)
        for index, _ in held:
            if results[index].status == "extended":
                results[index].lease_until = lease_until


class Settle:
    """The route of ``body``'s kind of settling."""

    def __init__(self, access: Access, find: FindSubscription, settling: Settling, body: type[SettleBody]) -> None:
        self._access = access
        self._find = find
        self._settling = settling
        self._decoder = msgspec.json.Decoder(body)

    async def on_post(self, req: Request, resp: Response, name: str) -> None:
        caller = caller_of(self._access, req)
        refuse_unknown(req.params, ())
        body = decode(self._decoder, await read_body(req))
        subscription = self._find(caller, name)
        write_json(resp, {"results": await self._settling.settle(subscription, body)})


def _require_bounds(body: SettleBody) -> None:
    match body:
        case NackBody(delay_ms=int(delay_ms)) if not 0 <= delay_ms <= MAX_DELAY_MS:
            raise InvalidRequest(f"delayMs is from 0 to {MAX_DELAY_MS}")
        case ExtendBody(lease_ms=int(lease_ms)) if not MIN_LEASE_MS <= lease_ms <= MAX_LEASE_MS:
            raise InvalidRequest(f"leaseMs is from {MIN_LEASE_MS} to {MAX_LEASE_MS}")


def _claims(held: Held) -> list[Claim]:
    return [Claim(hand_out.position, hand_out.token) for _, hand_out in held]


async def _note(held: Held, settled: Awaitable[Sequence[bool]], word: str, results: list[Result]) -> None:
    for (index, _), is_ours in zip(held, await settled, strict=True):
        results[index].status = word if is_ours else "lost"
