"""What the reconciler noted of resources, asked for when somebody looks: it changes without a revision, and no message
waits for it."""

import asyncio
import contextlib
from collections.abc import Collection, Mapping

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from mqops.catalog.feed import CatalogFeed
from mqops.sql import queries
from mqops.status import Status

_ANSWER_SECONDS = 2.0


class Statuses:
    """One process's way to ask, over a connection that is opened when it is first needed and kept. While the catalog's
    ``feed`` finds PostgreSQL away nothing is asked."""

    def __init__(self, database_url: str, feed: CatalogFeed) -> None:
        self._database_url = database_url
        self._feed = feed
        self._query = queries("conditions")["of"].encode()
        self._connection: AsyncConnection[TupleRow] | None = None
        self._turn = asyncio.Lock()

    async def read(self, uids: Collection[str]) -> Mapping[str, Status] | None:
        """By uid, of those of which something was noted; None when that cannot be had."""
        if self._feed.health().error is not None:
            return None
        try:
            async with asyncio.timeout(_ANSWER_SECONDS), self._turn:
                return await self._ask(uids)
        except TimeoutError:
            return None

    async def _ask(self, uids: Collection[str]) -> Mapping[str, Status] | None:
        """In its turn. A connection whose answer nobody waits for any more is of no use to the next."""
        is_answered = False
        try:
            if self._connection is None or self._connection.closed:
                self._connection = await AsyncConnection.connect(
                    self._database_url, autocommit=True, connect_timeout=5, application_name="mqops statuses"
                )
            rows = await (await self._connection.execute(self._query, {"uids": list(uids)})).fetchall()
            is_answered = True
        except (psycopg.Error, OSError):
            return None
        finally:
            if not is_answered:
                await self.close()
        return {uid: Status(*values) for uid, *values in rows}

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(psycopg.Error, OSError):
                await connection.close()
