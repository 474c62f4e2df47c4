"""Publishing by group commit: the requests of a moment leave together, one script call a bucket.

While a call is under way the next one gathers what arrives; so under load calls grow, and an idle server answers the
first request at once. Each message has an outcome of its own, and nothing is ever sent twice.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import msgspec

from mqops.keys import Keyspace
from mqops.message import NewMessage, Position
from mqops.streams.connection import Argument, Connection, ConnectionLost, NotSent, ReplyError, ignore
from mqops.streams.outcome import NotStored, Outcome, Reason, Stored, Unknown
from mqops.streams.scripts import PUBLISH

log = logging.getLogger(__name__)

CALL_MESSAGES = 500
CALL_BYTES = 1_048_576
IN_FLIGHT_BYTES = 32 * 1_048_576
CALLS_UNDER_WAY = 3
"""Calls a bucket has on their way at most: one runs in the server while others travel, there or back."""

REFUSALS = (
    "OOM",
    "READONLY",
    "LOADING",
    "MISCONF",
    "NOAUTH",
    "NOPERM",
    "BUSY",
    "MASTERDOWN",
    "NOREPLICAS",
    "CLUSTERDOWN",
)
"""How a server says that it did not run a script at all."""


class _Request(msgspec.Struct):
    """Messages that were handed in together, and their outcomes as they come."""

    done: Any
    """The future of the outcomes."""
    outcomes: list[Any]
    missing: int
    size_bytes: int


WORTH_A_REPAIR = frozenset({Reason.FLUSHED, Reason.GONE, Reason.DAMAGED})

_Waiting = tuple[_Request, int, NewMessage]
"""A message, and where in which request its outcome belongs."""


@dataclass(slots=True)
class _Queue:
    """What waits for a bucket, and how many calls are on their way there."""

    waiting: list[_Waiting] = field(default_factory=list)
    under_way: int = 0


class Publisher:
    """Publishes over one connection."""

    def __init__(self, connection: Connection, keys: Keyspace, installation: str) -> None:
        self._connection = connection
        self._keys = keys
        self._bell = keys.bell(installation)
        self._repairs = keys.repairs(installation)
        self._asked_at = float("-inf")
        self._queues: dict[int, _Queue] = {}
        self._bytes = 0
        self._is_scheduled = False

    def publish(self, messages: Sequence[NewMessage]) -> asyncio.Future[list[Outcome]]:
        """Outcomes in the order of ``messages``, none of which may be missing. Faults are outcomes, not exceptions."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[list[Outcome]] = loop.create_future()
        size_bytes = sum([len(message.payload) + len(message.envelope) for message in messages])
        if self._bytes + size_bytes > IN_FLIGHT_BYTES:
            refusal = NotStored(Reason.OVERLOADED, "too much is on its way to the Redis server")
            done.set_result([refusal] * len(messages))
            return done
        if not messages:
            done.set_result([])
            return done
        request = _Request(done, [None] * len(messages), len(messages), size_bytes)
        self._bytes += size_bytes
        for index, message in enumerate(messages):
            queue = self._queues.get(message.bucket)
            if queue is None:
                queue = self._queues[message.bucket] = _Queue()
            queue.waiting.append((request, index, message))
        if not self._is_scheduled:
            self._is_scheduled = True
            loop.call_soon(self._flush)
        return done

    def _flush(self) -> None:
        self._is_scheduled = False
        for bucket, queue in self._queues.items():
            while queue.waiting and queue.under_way < CALLS_UNDER_WAY:
                self._send(bucket, queue, _take(queue.waiting))

    def _send(self, bucket: int, queue: _Queue, batch: list[_Waiting]) -> None:
        arguments = (self._keys.epoch(bucket), self._bell, *_runs(batch))
        try:
            reply = self._connection.send("EVALSHA", PUBLISH.sha, 1, *arguments)
        except NotSent as error:
            self._finish(batch, NotStored(Reason.UNAVAILABLE, str(error)))
            return
        queue.under_way += 1
        reply.add_done_callback(lambda future: self._replied(bucket, queue, batch, future))

    def _replied(self, bucket: int, queue: _Queue, batch: list[_Waiting], reply: asyncio.Future[Any]) -> None:
        queue.under_way -= 1
        error = reply.exception()
        if error is None:
            self._read(batch, reply.result())
        elif isinstance(error, ReplyError) and str(error).startswith("NOSCRIPT"):
            self._reload(queue, batch)
        elif isinstance(error, ConnectionLost):
            for request, index, message in batch:
                self._settle(request, index, Unknown(message.id, str(error)))
        elif str(error).startswith(REFUSALS):
            self._finish(batch, NotStored(Reason.UNAVAILABLE, str(error)))
        else:
            log.error("the publish script failed half way: %s", error)
            for request, index, message in batch:
                self._settle(request, index, Unknown(message.id, str(error)))
        if queue.waiting and not self._is_scheduled:
            # At the end of this turn: what arrived in it goes along.
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _reload(self, queue: _Queue, batch: list[_Waiting]) -> None:
        """The server forgot its scripts: nothing ran. Load it, and put the batch back in front."""
        queue.waiting[:0] = batch
        try:
            self._connection.send("SCRIPT", "LOAD", PUBLISH.source).add_done_callback(ignore)
        except NotSent:
            return

    def _read(self, batch: list[_Waiting], reply: list[bytes]) -> None:
        if len(reply) != len(batch):
            self._finish(batch, NotStored(Reason.FLUSHED, "the Redis server has lost its data"))
            self._ask_for_repair(batch[0][2].topic)
            return
        for (request, index, message), line in zip(batch, reply, strict=True):
            outcome = _outcome(message, line)
            self._settle(request, index, outcome)
            if type(outcome) is NotStored and outcome.reason in WORTH_A_REPAIR:
                self._ask_for_repair(message.topic)

    def _ask_for_repair(self, uid: str) -> None:
        """Rings the reconciler, once a second at most; when nobody hears it, it still looks regularly."""
        now = time.monotonic()
        if now - self._asked_at >= 1.0:
            self._asked_at = now
            with contextlib.suppress(NotSent):
                self._connection.send("PUBLISH", self._repairs, uid).add_done_callback(ignore)

    def _finish(self, batch: list[_Waiting], outcome: Outcome) -> None:
        for request, index, _ in batch:
            self._settle(request, index, outcome)

    def _settle(self, request: _Request, index: int, outcome: Outcome) -> None:
        request.outcomes[index] = outcome
        request.missing -= 1
        if request.missing == 0:
            self._bytes -= request.size_bytes
            if not request.done.done():
                request.done.set_result(request.outcomes)


def _take(waiting: list[_Waiting]) -> list[_Waiting]:
    """Removes from ``waiting`` what fits into one call."""
    size_bytes = count = 0
    for _, _, message in waiting[:CALL_MESSAGES]:
        size_bytes += len(message.payload) + len(message.envelope)
        if count and size_bytes > CALL_BYTES:
            break
        count += 1
    batch = waiting[:count]
    del waiting[:count]
    return batch


def _runs(batch: list[_Waiting]) -> list[Argument]:
    """The script's arguments for ``batch``: what consecutive messages to one partition have in common stands once."""
    arguments: list[Argument] = []
    for place, run in groupby([message for _, _, message in batch], _place):
        messages = list(run)
        arguments += (*place, len(messages))
        for message in messages:
            arguments += (message.id, message.key, message.envelope, message.payload, message.expires, message.dedup)
            if message.dedup:
                arguments += (message.digest, message.window_ms)
    return arguments


def _place(message: NewMessage) -> tuple[str, int, int]:
    return message.topic, message.generation, message.partition


def _outcome(message: NewMessage, line: bytes) -> Outcome:
    if line.startswith(b"!"):
        reason, _, detail = line[1:].decode().partition(" ")
        return NotStored(Reason(reason), detail)
    if line.startswith(b"="):
        partition, _, position = line[17:].decode().partition(" ")
        return Stored(line[1:17], int(partition), Position.parse(position), duplicate=True)
    milliseconds, _, offset = line.partition(b"-")
    return Stored(message.id, message.partition, Position(int(milliseconds), int(offset)))
