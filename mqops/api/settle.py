"""``POST …/ack`` and ``…/nack``: what became of pulled messages. Each ackId has a result of its own.

``acked`` · ``nacked``: comes again after the subscription's retry delay · ``dead_lettered``: its attempts are used up ·
``dropped``: the same, where the subscription has no dead letters · ``lost``: the lease ended, the message is another's
or settled · ``invalid``: not an ackId of this subscription.
"""

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Sequence
from typing import Annotated

import msgspec

from mqops.access import Access
from mqops.api.ack_id import HandOut, parse_ack_id
from mqops.api.edge import Request, Response, caller_of, decode, read_body, write_json
from mqops.api.pull import FindSubscription
from mqops.catalog import SubscriptionEntry
from mqops.handlers.retry import GiveUp, Retry, decide
from mqops.streams import Claim, Lane, Streams

MAX_ACK_IDS = 1_000

Held = list[tuple[int, HandOut]]
"""Hand-outs of one partition, each with its place in the request."""


class SettleBody(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    ack_ids: Annotated[list[str], msgspec.Meta(min_length=1, max_length=MAX_ACK_IDS)]


_decoder = msgspec.json.Decoder(SettleBody)


class Settle(ABC):
    """What ack and nack have in common: reading the request, and settling partition by partition."""

    def __init__(self, access: Access, find: FindSubscription, streams: Streams) -> None:
        self._access = access
        self._find = find
        self._streams = streams

    async def on_post(self, req: Request, resp: Response, name: str) -> None:
        caller = caller_of(self._access, req.raw_headers)
        ack_ids = decode(_decoder, await read_body(req)).ack_ids
        subscription = self._find(caller, name)
        statuses = ["invalid"] * len(ack_ids)
        lanes: dict[int, Held] = {}
        for index, ack_id in enumerate(ack_ids):
            hand_out = parse_ack_id(subscription.uid, ack_id)
            if hand_out is not None:
                lanes.setdefault(hand_out.partition, []).append((index, hand_out))
        topic = subscription.topic
        await asyncio.gather(
            *(
                self._settle(subscription, Lane(topic.bucket, subscription.uid, topic.uid, partition), held, statuses)
                for partition, held in lanes.items()
            )
        )
        results = [{"ackId": ack_id, "status": status} for ack_id, status in zip(ack_ids, statuses, strict=True)]
        write_json(resp, {"results": results})

    @abstractmethod
    async def _settle(self, subscription: SubscriptionEntry, lane: Lane, held: Held, statuses: list[str]) -> None:
        """Settle ``held``, writing what became of each to its place in ``statuses``."""


class Ack(Settle):
    """These are done."""

    async def _settle(self, subscription: SubscriptionEntry, lane: Lane, held: Held, statuses: list[str]) -> None:
        await _note(held, self._streams.ack(lane, _claims(held)), "acked", statuses)


class Nack(Settle):
    """These failed: they are tried again as the subscription says, or dead-lettered."""

    async def _settle(self, subscription: SubscriptionEntry, lane: Lane, held: Held, statuses: list[str]) -> None:
        again: Held = []
        delays_ms: list[int] = []
        given_up: Held = []
        for index, hand_out in held:
            match decide(subscription.spec.retry, hand_out.attempt, random.random()):  # noqa: S311 (jitter, not a secret)
                case Retry(delay_ms):
                    again.append((index, hand_out))
                    delays_ms.append(delay_ms)
                case GiveUp():
                    given_up.append((index, hand_out))
        if again:
            await _note(again, self._streams.retry(lane, _claims(again), delays_ms), "nacked", statuses)
        if given_up:
            word = "dead_lettered" if subscription.spec.dead_letter is not None else "dropped"
            detail = "its consumer gave it back (nack) on the last attempt"
            buried = self._streams.dead_letter(lane, _claims(given_up), "retries_exhausted", detail)
            await _note(given_up, buried, word, statuses)


def _claims(held: Held) -> list[Claim]:
    return [Claim(hand_out.position, hand_out.token) for _, hand_out in held]


async def _note(held: Held, settled: Awaitable[Sequence[bool]], word: str, statuses: list[str]) -> None:
    for (index, _), is_ours in zip(held, await settled, strict=True):
        statuses[index] = word if is_ours else "lost"
