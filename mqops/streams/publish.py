"""Publishing by group commit: the requests of a moment leave together, one script call a bucket.

While a call is under way the next one gathers what arrives; so under load calls grow, and an idle server answers the
first request at once. Each message has an outcome of its own, and nothing is ever sent twice.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from mqops.keys import Keyspace
from mqops.message import NewMessage, Position
from mqops.streams.connection import Argument, Connection, ConnectionLost, NotSent, ReplyError, ignore
from mqops.streams.outcome import NotStored, Outcome, Reason, Stored, Unknown
from mqops.streams.scripts import PUBLISH

CALL_MESSAGES = 500
CALL_BYTES = 1_048_576
IN_FLIGHT_BYTES = 32 * 1_048_576
DEDUP_WINDOW_MS = 600_000
CALLS_UNDER_WAY = 2
"""Calls a bucket has on their way at most: one runs in the server while the next one travels."""


@dataclass(slots=True)
class _Request:
    """Messages that were handed in together, and their outcomes as they come."""

    messages: Sequence[NewMessage]
    done: asyncio.Future[list[Outcome]]
    outcomes: list[Outcome | None]
    missing: int

    def settle(self, index: int, outcome: Outcome) -> None:
        self.outcomes[index] = outcome
        self.missing -= 1
        if self.missing == 0 and not self.done.done():
            self.done.set_result([outcome for outcome in self.outcomes if outcome is not None])


@dataclass(slots=True)
class _Queue:
    """What waits for a bucket, and how many calls are on their way there."""

    waiting: list[tuple[_Request, int]] = field(default_factory=list)
    under_way: int = 0


class Publisher:
    """Publishes over one connection."""

    def __init__(self, connection: Connection, keys: Keyspace, bell: str) -> None:
        self._connection = connection
        self._keys = keys
        self._bell = bell
        self._queues: dict[int, _Queue] = {}
        self._bytes = 0
        self._is_scheduled = False

    def publish(self, messages: Sequence[NewMessage]) -> asyncio.Future[list[Outcome]]:
        """Outcomes in the order of ``messages``, none of which may be missing. Faults are outcomes, not exceptions."""
        loop = asyncio.get_running_loop()
        request = _Request(messages, loop.create_future(), [None] * len(messages), len(messages))
        if not messages:
            request.done.set_result([])
            return request.done
        size_bytes = sum(message.size_bytes for message in messages)
        if self._bytes + size_bytes > IN_FLIGHT_BYTES:
            refusal = NotStored(Reason.OVERLOADED, "too much is on its way to the Redis server")
            request.done.set_result([refusal] * len(messages))
            return request.done
        for index, message in enumerate(messages):
            queue = self._queues.get(message.bucket)
            if queue is None:
                queue = self._queues[message.bucket] = _Queue()
            queue.waiting.append((request, index))
        self._bytes += size_bytes
        if not self._is_scheduled:
            self._is_scheduled = True
            loop.call_soon(self._flush)
        return request.done

    def _flush(self) -> None:
        self._is_scheduled = False
        for bucket, queue in self._queues.items():
            while queue.waiting and queue.under_way < CALLS_UNDER_WAY:
                self._send(bucket, queue, _take(queue.waiting))

    def _send(self, bucket: int, queue: _Queue, batch: list[tuple[_Request, int]]) -> None:
        arguments: list[Argument] = [self._keys.epoch(bucket), self._bell, DEDUP_WINDOW_MS]
        for request, index in batch:
            message = request.messages[index]
            digest = _digest(message) if message.dedup else b""
            arguments += (
                message.topic,
                message.generation,
                message.partition,
                message.id,
                message.key,
                message.envelope,
                message.payload,
                message.dedup,
                digest,
            )
        try:
            reply = self._connection.send("EVALSHA", PUBLISH.sha, 1, *arguments)
        except NotSent as error:
            self._finish(batch, NotStored(Reason.UNAVAILABLE, str(error)))
            return
        queue.under_way += 1
        reply.add_done_callback(lambda future: self._replied(bucket, queue, batch, future))

    def _replied(
        self, bucket: int, queue: _Queue, batch: list[tuple[_Request, int]], reply: asyncio.Future[Any]
    ) -> None:
        queue.under_way -= 1
        error = reply.exception()
        if error is None:
            self._read(batch, reply.result())
        elif isinstance(error, ReplyError) and str(error).startswith("NOSCRIPT"):
            self._reload(queue, batch)
        elif isinstance(error, ConnectionLost):
            for request, index in batch:
                self._settle(request, index, Unknown(request.messages[index].id, str(error)))
        else:
            # The server refused to run the script: nothing was written.
            self._finish(batch, NotStored(Reason.UNAVAILABLE, str(error)))
        if queue.waiting:
            self._flush()

    def _reload(self, queue: _Queue, batch: list[tuple[_Request, int]]) -> None:
        """The server forgot its scripts: nothing ran. Load it, and put the batch back in front."""
        queue.waiting[:0] = batch
        try:
            self._connection.send("SCRIPT", "LOAD", PUBLISH.source).add_done_callback(ignore)
        except NotSent:
            return

    def _read(self, batch: list[tuple[_Request, int]], reply: list[bytes]) -> None:
        if len(reply) != len(batch):
            self._finish(batch, NotStored(Reason.FLUSHED, "the Redis server has lost its data"))
            return
        for (request, index), line in zip(batch, reply, strict=True):
            self._settle(request, index, _outcome(request.messages[index], line))

    def _finish(self, batch: list[tuple[_Request, int]], outcome: Outcome) -> None:
        for request, index in batch:
            self._settle(request, index, outcome)

    def _settle(self, request: _Request, index: int, outcome: Outcome) -> None:
        self._bytes -= request.messages[index].size_bytes
        request.settle(index, outcome)


def _take(waiting: list[tuple[_Request, int]]) -> list[tuple[_Request, int]]:
    """Removes from ``waiting`` what fits into one call."""
    size_bytes = count = 0
    for request, index in waiting[:CALL_MESSAGES]:
        size_bytes += request.messages[index].size_bytes
        if count and size_bytes > CALL_BYTES:
            break
        count += 1
    batch = waiting[:count]
    del waiting[:count]
    return batch


def _digest(message: NewMessage) -> bytes:
    """What makes two publishes under one idempotency token the same: key, payload and envelope."""
    digest = blake2b(message.payload, digest_size=16)
    digest.update(message.envelope)
    digest.update(message.key.encode())
    return digest.digest()


def _outcome(message: NewMessage, line: bytes) -> Outcome:
    first = line[:1]
    if first == b"!":
        reason, _, detail = line[1:].decode().partition(" ")
        return NotStored(Reason(reason), detail)
    if first == b"=":
        partition, _, position = line[17:].decode().partition(" ")
        return Stored(line[1:17], int(partition), Position.parse(position), duplicate=True)
    milliseconds, _, offset = line.partition(b"-")
    return Stored(message.id, message.partition, Position(int(milliseconds), int(offset)))
