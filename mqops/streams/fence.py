"""Publishing that waits for the disk (``acks=all``): stored, and then behind a fence.

A fence is a write and a wait for it to be on disk, on a connection of its own: on the one that publishes, a waiting
WAITAOF holds up everybody. All who wait at a moment share one fence, and one is under way at a time. It speaks for
writes that were answered before it began, by the same run of the server: when its connection was lost in between, the
server may have been started again without them, and the outcome is unknown. A server without WAITAOF (before Redis 7.2)
has to run with ``appendfsync always``, where an answer says it all.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from enum import Enum

from mqops.errors import PublishFailed
from mqops.keys import Keyspace
from mqops.message import NewMessage
from mqops.streams.connection import Connection, ConnectionLost, NotSent, ReplyError
from mqops.streams.outcome import Doubt, NotStored, Outcome, Reason, Scheduled, Stored, Unknown

TIMEOUT_MS = 4_000
"""What a fence waits at most; less than it takes a connection to be given up on."""

_LATE = "it is written, and the Redis server did not say in time that it is on disk"


_WRITTEN = Stored | Scheduled

Send = Callable[[Sequence[NewMessage]], Awaitable[list[Outcome]]]
"""Writes messages, and answers when Redis has them."""


class _Way(Enum):
    """How a server can be asked whether a write is on disk."""

    WAITAOF = "it tells"
    ALWAYS = "it answers no sooner than that"


class Fence:
    """Publishes and waits for the disk. ``connection`` is used for nothing else."""

    def __init__(self, connection: Connection, keys: Keyspace) -> None:
        self._connection = connection
        self._key = keys.fence
        self._way: _Way | None = None
        self._run = 0
        self._waiting: list[asyncio.Future[bool]] = []
        self._passing: asyncio.Task[None] | None = None
        connection.on_up = self._forget

    def _forget(self) -> None:
        """Another connection: another server, for all that is known."""
        self._run += 1
        self._way = None

    async def publish(self, messages: Sequence[NewMessage], send: Send) -> list[Outcome]:
        """Outcomes in the order of ``messages``, as ``send`` has them: ``Stored`` and ``Scheduled`` are on disk. Raises
        ``PublishFailed`` when this server cannot tell; then nothing is stored."""
        try:
            if self._way is None:
                self._way = await self._find_way()
        except (NotSent, ConnectionLost) as error:
            return [NotStored(Reason.UNAVAILABLE, str(error))] * len(messages)
        run = self._run
        outcomes = await send(messages)
        if not any(isinstance(outcome, _WRITTEN) for outcome in outcomes):
            return outcomes
        if await self._pass() and run == self._run:
            return outcomes
        return [
            Unknown(outcome.id, _LATE, Doubt.UNSYNCED) if isinstance(outcome, _WRITTEN) else outcome
            for outcome in outcomes
        ]

    async def _find_way(self) -> _Way:
        try:
            await self._connection.call("WAITAOF", 1, 0, 1)
        except ReplyError as error:
            if not str(error).startswith("ERR unknown command"):
                raise PublishFailed(f"acks=all is more than the Redis server can promise: {error}") from error
        else:
            return _Way.WAITAOF
        if await self._syncs_always():
            return _Way.ALWAYS
        raise PublishFailed(
            "acks=all is more than the Redis server can promise: it has no WAITAOF (Redis 7.2 or later, or Valkey) "
            "and does not run with appendonly yes and appendfsync always"
        )

    async def _syncs_always(self) -> bool:
        try:
            found: list[bytes] = await self._connection.call("CONFIG", "GET", "append*")
        except ReplyError:
            return False
        settings = dict(zip(found[::2], found[1::2], strict=True))
        return settings.get(b"appendonly") == b"yes" and settings.get(b"appendfsync") == b"always"

    def _pass(self) -> "asyncio.Future[bool]":
        """Whether what was written before now is on disk."""
        passed: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append(passed)
        if self._passing is None:
            self._passing = asyncio.create_task(self._keep_passing(), name="fence")
        return passed

    async def _keep_passing(self) -> None:
        try:
            while self._waiting:
                waiting, self._waiting = self._waiting, []
                is_on_disk = await self._pass_once()
                for passed in waiting:
                    if not passed.done():
                        passed.set_result(is_on_disk)
        finally:
            self._passing = None

    async def _pass_once(self) -> bool:
        try:
            if self._way is _Way.ALWAYS:
                return await self._syncs_always()
            _, (on_disk, _) = await asyncio.gather(
                self._connection.send("INCR", self._key), self._connection.send("WAITAOF", 1, 0, TIMEOUT_MS)
            )
        except ReplyError:
            self._way = None  # what it could do, it cannot any more
            return False
        except (NotSent, ConnectionLost):
            return False
        return bool(on_disk >= 1)
