"""Writes ``mq_runtime``, over a connection that is opened when it is first needed and kept."""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from mqops.errors import BrokerNotAvailable
from mqops.override import State
from mqops.sql import queries

_ANSWER_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """An override as it is asked for; the database says since when."""

    state: State
    by: str
    reason: str
    until_ms: int | None


class RuntimeStore:
    """One process's way to write; lives in the loop."""

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self._queries = queries("runtime")
        self._connection: AsyncConnection[TupleRow] | None = None
        self._turn = asyncio.Lock()

    async def override(self, uid: str, wanted: Wanted) -> bool:
        """Put ``wanted`` in the place of whatever override there was; False when there is no such resource any more.
        Raises ``BrokerNotAvailable``."""
        values = {"uid": uid, "state": wanted.state, "by": wanted.by, "reason": wanted.reason}
        return bool(await self._execute("override", {**values, "until_ms": wanted.until_ms}))

    async def lift(self, uid: str) -> None:
        """End the override that there may be. Raises ``BrokerNotAvailable``."""
        await self._execute("lift", {"uid": uid})

    async def note_consumed(self, latest_ms: Mapping[str, int]) -> None:
        """By uid, when a subscription last had something done. Raises ``BrokerNotAvailable``."""
        await self._execute("consumed", {"uids": list(latest_ms), "ms": list(latest_ms.values())})

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(psycopg.Error, OSError):
                await connection.close()

    async def _execute(self, name: str, values: Mapping[str, Any]) -> int:
        """How many rows it wrote."""
        try:
            async with self._turn, asyncio.timeout(_ANSWER_SECONDS):
                if self._connection is None or self._connection.closed:
                    self._connection = await AsyncConnection.connect(
                        self._database_url, autocommit=True, connect_timeout=5, application_name="mqops runtime"
                    )
                return (await self._connection.execute(self._queries[name].encode(), values)).rowcount
        except (psycopg.Error, OSError, TimeoutError) as error:
            await self.close()
            raise BrokerNotAvailable("PostgreSQL does not answer: try again", retry_after_seconds=1) from error
