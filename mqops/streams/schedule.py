"""Keeping messages until their time. The sweeper stores them in their partitions then (``scripts/sweep.lua``); until
then they can be listed, cancelled and given another time.
"""

import asyncio
import contextlib
import struct
import time
from collections.abc import Awaitable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mqops.codec.envelope import decode_envelope
from mqops.errors import BrokerNotAvailable
from mqops.keys import Keyspace
from mqops.lua import Script
from mqops.message import Envelope, NewMessage
from mqops.streams.connection import Argument, Connection, ConnectionLost, NotSent, ReplyError, ignore
from mqops.streams.outcome import NotStored, Outcome, Reason, Scheduled, Unknown
from mqops.streams.publish import CALL_BYTES, CALL_MESSAGES, IN_FLIGHT_BYTES, REFUSALS, WORTH_A_REPAIR
from mqops.streams.scripts import CANCEL, CLEAR_SCHEDULED, RESCHEDULE, SCHEDULE, SCHEDULED

LIST_BYTES = 1_048_576
"""Of bodies in one answer of the server, at most; the last one may go beyond."""

PLACE_BYTES = 22

_HEAD = struct.Struct(">HHIB")
"""What a body begins with, as ``promote.lua`` reads it: the partition, and how many bytes of key, envelope and
``NewMessage.expires`` follow. The rest is the payload."""


@dataclass(frozen=True, slots=True)
class When:
    """The time of a message."""

    is_delay: bool
    """Whether ``ms`` counts from when the server takes it, by its clock; else from 1970."""
    ms: int

    @property
    def arguments(self) -> tuple[str, int]:
        """As the scripts take it; and the same for two requests that want the same."""
        return "in" if self.is_delay else "at", self.ms


@dataclass(frozen=True, slots=True)
class ScheduledMessage:
    """A message that waits for its time."""

    place: bytes
    """Where it stands among those of the same time, to go on listing after it."""
    due_ms: int
    partition: int
    key: str
    envelope: Envelope
    payload: bytes
    expires: str
    """As ``NewMessage.expires``."""

    @property
    def id(self) -> bytes:
        """The message's."""
        return self.place[PLACE_BYTES - 16 :]


@dataclass(frozen=True, slots=True)
class Page:
    """Some of what waits in a topic. ``total``: all of it. ``more``: there are others after these."""

    messages: list[ScheduledMessage]
    total: int
    more: bool


class Scheduler:
    """What waits, in any topic. Messages go in over the connection of publishing, bodies come back over that of
    fetching: neither waits behind the other's."""

    def __init__(self, publishing: Connection, fetching: Connection, keys: Keyspace, installation: str) -> None:
        self._publishing = publishing
        self._fetching = fetching
        self._keys = keys
        self._bell = keys.bell(installation)
        self._repairs = keys.repairs(installation)
        self._asked_at = float("-inf")
        self._bytes = 0

    async def schedule(self, messages: Sequence[NewMessage], when: When) -> list[Outcome]:
        """Keep ``messages``, all of one topic, until their time. Outcomes in their order; faults are outcomes, not
        exceptions."""
        size_bytes = sum(_size_bytes(message) for message in messages)
        if self._bytes + size_bytes > IN_FLIGHT_BYTES:
            return [NotStored(Reason.OVERLOADED, "too much is on its way to the Redis server")] * len(messages)
        self._bytes += size_bytes
        try:
            kept = await asyncio.gather(*(self._keep(batch, when) for batch in _batches(messages)))
        finally:
            self._bytes -= size_bytes
        return [outcome for outcomes in kept for outcome in outcomes]

    async def _keep(self, batch: Sequence[NewMessage], when: When) -> list[Outcome]:
        first = batch[0]
        arguments: list[Argument] = [self._bell, first.topic, first.generation, *when.arguments]
        for message in batch:
            arguments += (message.id, message.partition, _body(message), message.dedup)
            if message.dedup:
                arguments += (message.digest, message.window_ms)
        try:
            reply = await self._publishing.run(SCHEDULE, self._keys.epoch(first.bucket), *arguments)
        except (NotSent, ReplyError) as error:
            if isinstance(error, NotSent) or str(error).startswith(REFUSALS):
                return [NotStored(Reason.UNAVAILABLE, str(error))] * len(batch)
            return [Unknown(message.id, str(error)) for message in batch]
        except ConnectionLost as error:
            return [Unknown(message.id, str(error)) for message in batch]
        if len(reply) != len(batch):
            reply = [b"!FLUSHED the Redis server has lost its data"] * len(batch)
        outcomes = [_outcome(message, line) for message, line in zip(batch, reply, strict=True)]
        if any(isinstance(outcome, NotStored) and outcome.reason in WORTH_A_REPAIR for outcome in outcomes):
            self._ask_for_repair(first.topic)
        return outcomes

    async def page(self, bucket: int, topic: str, count: int, after: tuple[int, bytes] | None) -> Page:
        """Up to ``count`` that wait in ``topic``, next ones first; those after ``after`` (time and place of the last
        one known), be that still there or not. Raises ``BrokerNotAvailable``."""
        return await self._look(bucket, topic, count, *(after or ()))

    async def find(self, bucket: int, topic: str, message_id: bytes) -> ScheduledMessage | None:
        """The one of this id, while it waits in ``topic``. Raises ``BrokerNotAvailable``."""
        page = await self._look(bucket, topic, 1, "one", message_id)
        return page.messages[0] if page.messages else None

    async def cancel(self, bucket: int, topic: str, message_id: bytes) -> bool:
        """Forget it; False when it does not wait in ``topic``. Raises ``BrokerNotAvailable``."""
        return bool(await self._run(bucket, CANCEL, topic, message_id))

    async def reschedule(self, bucket: int, topic: str, message_id: bytes, when: When) -> int | None:
        """Give it another time, and answer that (ms since 1970); None when it does not wait in ``topic``. Raises
        ``BrokerNotAvailable``."""
        due_ms = int(await self._run(bucket, RESCHEDULE, self._bell, topic, message_id, *when.arguments))
        return None if due_ms < 0 else due_ms

    async def clear(self, bucket: int, topic: str) -> int:
        """Forget all that waits in ``topic``; how many that were. Raises ``BrokerNotAvailable``."""
        return int(await self._run(bucket, CLEAR_SCHEDULED, topic))

    async def _look(self, bucket: int, topic: str, count: int, *place: Argument) -> Page:
        total, more, *entries = await _available(
            self._fetching.run(SCHEDULED, self._keys.epoch(bucket), topic, count, LIST_BYTES, *place)
        )
        return Page([_message(*entry) for entry in entries], total, bool(more))

    async def _run(self, bucket: int, script: Script, *arguments: Argument) -> Any:
        return await _available(self._publishing.run(script, self._keys.epoch(bucket), *arguments))

    def _ask_for_repair(self, uid: str) -> None:
        """Rings the reconciler, once a second at most."""
        now = time.monotonic()
        if now - self._asked_at >= 1.0:
            self._asked_at = now
            with contextlib.suppress(NotSent):
                self._publishing.send("PUBLISH", self._repairs, uid).add_done_callback(ignore)


async def _available(reply: Awaitable[Any]) -> Any:
    try:
        return await reply
    except (NotSent, ConnectionLost, ReplyError) as error:
        raise BrokerNotAvailable(str(error), retry_after_seconds=1) from error


def _batches(messages: Sequence[NewMessage]) -> Iterator[list[NewMessage]]:
    """What fits into one call each."""
    batch: list[NewMessage] = []
    size_bytes = 0
    for message in messages:
        size_bytes += _size_bytes(message)
        if batch and (size_bytes > CALL_BYTES or len(batch) == CALL_MESSAGES):
            yield batch
            batch, size_bytes = [], _size_bytes(message)
        batch.append(message)
    if batch:
        yield batch


def _size_bytes(message: NewMessage) -> int:
    return len(message.payload) + len(message.envelope)


def _outcome(message: NewMessage, line: bytes) -> Outcome:
    if line.startswith(b"!"):
        reason, _, detail = line[1:].decode().partition(" ")
        return NotStored(Reason(reason), detail)
    if line.startswith(b"="):
        partition, _, due_ms = line[17:].decode().partition(" ")
        return Scheduled(line[1:17], int(partition), int(due_ms), duplicate=True)
    return Scheduled(message.id, message.partition, int(line))


def _body(message: NewMessage) -> bytes:
    key, envelope, expires = message.key.encode(), message.envelope, message.expires.encode()
    head = _HEAD.pack(message.partition, len(key), len(envelope), len(expires))
    return b"".join((head, key, envelope, expires, message.payload))


def _message(place: bytes, due_ms: bytes, body: bytes) -> ScheduledMessage:
    partition, key_bytes, envelope_bytes, expires_bytes = _HEAD.unpack_from(body)
    envelope_at = _HEAD.size + key_bytes
    expires_at = envelope_at + envelope_bytes
    payload_at = expires_at + expires_bytes
    return ScheduledMessage(
        place,
        int(float(due_ms)),
        partition,
        body[_HEAD.size : envelope_at].decode(),
        decode_envelope(body[envelope_at:expires_at]),
        body[payload_at:],
        body[expires_at:payload_at].decode(),
    )
