"""Settling what was handed out: done, to be tried again, or dead. Settles of one turn of the loop share a call.

Every step checks in the script that the caller's token is the current one; a stale one changes nothing.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from mqops.errors import BrokerNotAvailable
from mqops.keys import Keyspace
from mqops.message import new_message_id
from mqops.streams.connection import Argument, Connection, ConnectionLost, NotSent, ReplyError
from mqops.streams.fetch import PULL_CONSUMER
from mqops.streams.lane import Claim, Lane
from mqops.streams.scripts import ACK, DEAD_LETTER, EXTEND, PURGE, RETRY

CALL_ENTRIES = 100
DEAD_LETTER_DETAIL_CHARACTERS = 4096


@dataclass(slots=True)
class _Acks:
    """Acks of a lane that wait for the end of this turn of the loop."""

    claims: list[Claim] = field(default_factory=list)
    futures: list[asyncio.Future[bool]] = field(default_factory=list)


class Settler:
    """Settles over one connection of its own."""

    def __init__(self, connection: Connection, keys: Keyspace, bell: str) -> None:
        self._connection = connection
        self._keys = keys
        self._bell = bell
        self._acks: dict[Lane, _Acks] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._on_done: list[Callable[[str], None]] = []

    async def ack(self, lane: Lane, claims: Sequence[Claim]) -> list[bool]:
        """Done with these. False: lost, the message is somebody else's or settled. Raises ``BrokerNotAvailable``."""
        loop = asyncio.get_running_loop()
        if not self._acks:
            loop.call_soon(self._flush)
        acks = self._acks.setdefault(lane, _Acks())
        futures = [loop.create_future() for _ in claims]
        acks.claims.extend(claims)
        acks.futures.extend(futures)
        return list(await asyncio.gather(*futures))

    async def retry(
        self, lane: Lane, claims: Sequence[Claim], delays_ms: Sequence[int], *, counts: bool = True
    ) -> list[bool]:
        """Give these back, to be handed out again after a delay each. ``counts`` false: nothing was tried, so the
        attempt is not used up. False: lost. Raises ``BrokerNotAvailable``."""
        arguments: list[Argument] = [self._bell, lane.subscription, lane.partition]
        for claim, delay_ms in zip(claims, delays_ms, strict=True):
            arguments += (str(claim.position), claim.token, delay_ms, 1 if counts else 0)
        reply = await self._call(self._connection.run(RETRY, self._keys.epoch(lane.bucket), *arguments))
        return [result == 1 for result in reply]

    async def extend(self, lane: Lane, claims: Sequence[Claim], lease_ms: int) -> list[bool]:
        """Lease these for ``lease_ms`` from now on. Only what was pulled: the lease of a push worker's is its own.
        False: lost. Raises ``BrokerNotAvailable``."""
        arguments: list[Argument] = [lane.subscription, lane.partition, PULL_CONSUMER, lease_ms]
        for claim in claims:
            arguments += (str(claim.position), claim.token)
        reply = await self._call(self._connection.run(EXTEND, self._keys.epoch(lane.bucket), *arguments))
        return [result == 1 for result in reply]

    async def dead_letter(self, lane: Lane, claims: Sequence[Claim], reason: str, detail: str) -> list[bool]:
        """Move these to the dead-letter topic. False: lost. Raises ``BrokerNotAvailable``, also when the dead-letter
        topic cannot take them: then nothing has changed."""
        arguments: list[Argument] = [
            self._bell,
            lane.subscription,
            lane.partition,
            reason,
            detail[:DEAD_LETTER_DETAIL_CHARACTERS].encode("utf-8", "replace"),
        ]
        for claim in claims:
            arguments += (str(claim.position), claim.token, new_message_id(lane.partition))
        reply = await self._call(self._connection.run(DEAD_LETTER, self._keys.epoch(lane.bucket), *arguments))
        if -1 in reply:
            raise BrokerNotAvailable("the dead-letter topic is away; the reconciler restores it", retry_after_seconds=1)
        return [result == 1 for result in reply]

    async def purge(self, lane: Lane) -> int:
        """Be done with everything unfinished, whoever holds it; how many that were. Raises ``BrokerNotAvailable``, also
        when the lane is not there: then nothing has changed."""
        arguments = (lane.subscription, lane.partition)
        purged: int = await self._call(self._connection.run(PURGE, self._keys.epoch(lane.bucket), *arguments))
        if purged < 0:
            raise BrokerNotAvailable("the subscription is away; the reconciler restores it", retry_after_seconds=1)
        return purged

    def on_done(self, callback: Callable[[str], None]) -> None:
        """``callback`` is told the uid of a subscription that had messages acknowledged: once a call, however many."""
        self._on_done.append(callback)

    def _flush(self) -> None:
        waiting, self._acks = self._acks, {}
        for lane, acks in waiting.items():
            for start in range(0, len(acks.claims), CALL_ENTRIES):
                end = start + CALL_ENTRIES
                task = asyncio.create_task(self._send_acks(lane, acks.claims[start:end], acks.futures[start:end]))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _send_acks(self, lane: Lane, claims: list[Claim], futures: list[asyncio.Future[bool]]) -> None:
        arguments: list[Argument] = [lane.subscription, lane.partition]
        for claim in claims:
            arguments += (str(claim.position), claim.token)
        try:
            reply = await self._call(self._connection.run(ACK, self._keys.epoch(lane.bucket), *arguments))
        except BrokerNotAvailable as error:
            for future in futures:
                if not future.done():
                    future.set_exception(error)
            return
        for future, result in zip(futures, reply, strict=True):
            if not future.done():
                future.set_result(result == 1)
        if 1 in reply:
            for callback in self._on_done:
                callback(lane.subscription)

    async def _call(self, reply: Any) -> Any:
        try:
            return await reply
        except (NotSent, ConnectionLost, ReplyError) as error:
            raise BrokerNotAvailable(str(error), retry_after_seconds=1) from error
