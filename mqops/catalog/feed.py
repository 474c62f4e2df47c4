"""Keeps the catalog true to PostgreSQL: asks for the revision twice a second, and for what changed when it rose. So it
does with the overrides of operators, which are not of any revision.

PostgreSQL away changes nothing but freshness: the last view stays, and a process that starts meanwhile takes the
snapshot on disk. One task does all the asking, so whoever wants a fresh view (``refresh``) shares its next look.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from sys import intern
from typing import NamedTuple

import psycopg
from psycopg import AsyncConnection, AsyncCursor
from psycopg.rows import TupleRow

from mqops.catalog.entries import Row
from mqops.catalog.index import Catalog
from mqops.catalog.patch import News, patch
from mqops.catalog.snapshot import Snapshot, overrides_digest, read_header, read_snapshot, write_snapshot
from mqops.errors import ConfigurationError
from mqops.override import Override
from mqops.sql import queries

log = logging.getLogger(__name__)

POLL_SECONDS = 0.5
_ANSWER_SECONDS = 5.0
_LOAD_SECONDS = 60.0
"""The revision, or a load of all that changed, that takes longer has failed."""
_BACK_OFF_SECONDS = (0.5, 0.5, 1.0, 2.0)
_CLOSEST_LOOKS_SECONDS = 0.02
_SNAPSHOT_SECONDS = 2.0
"""Between two snapshots, and before the first after a change, so that a burst of applies is one."""
_ROWS_AT_ONCE = 500

_AWAY = (psycopg.Error, OSError, TimeoutError)


class _NothingToFollow(ConfigurationError):
    """The database answers, and has no catalog, or none that is as whole as the one it had."""


class _Instance(NamedTuple):
    """What the database says of its catalog."""

    installation: str
    environment: str
    revision: int
    made: str
    """When, which tells it from an earlier one of the installation."""
    is_recovering: bool
    """The earlier one is lost, and nothing was applied since."""
    overrides: str
    """What tells those that are in force from others."""


@dataclass(frozen=True, slots=True)
class FeedHealth:
    """How fresh the catalog is."""

    revision: int
    age_seconds: float
    """Since PostgreSQL was last asked with success; infinite when it never was."""
    error: str | None
    """Why the last look failed; None when it did not."""


class CatalogFeed:
    """Follows the catalog of one installation. ``current`` is the view to use, never to keep."""

    def __init__(self, database_url: str, environment: str, snapshot_path: Path) -> None:
        self._database_url = database_url
        self._snapshot_path = snapshot_path
        self._queries = queries("catalog")
        self.current = Catalog(installation="", environment=environment)
        self._made = ""
        """When the catalog was made that ``current`` was read from; empty when that is not known."""
        self._overrides_seen = ""
        """What told the overrides of ``current`` from others when they were read."""
        self._connection: AsyncConnection[TupleRow] | None = None
        self._looked_at: float | None = None
        self._error: str | None = None
        self._listeners: list[Callable[[Catalog], None]] = []
        self._waiting: list[asyncio.Future[None]] = []
        self._wake = asyncio.Event()
        self._unsaved = asyncio.Event()
        self._is_saved_other = False
        """Whether what is on disk may be of an earlier catalog, though its revision is the same."""
        self._tasks: list[asyncio.Task[None]] = []

    def on_change(self, callback: Callable[[Catalog], None]) -> None:
        """Have ``callback`` called with each new view, after it has become ``current``."""
        self._listeners.append(callback)

    async def start(self) -> None:
        """Load the catalog, from PostgreSQL or else from the snapshot, and begin to follow. A database that lost its
        catalog has less than the snapshot. Raises ``ConfigurationError`` when neither can be had, and when the database
        is another environment's."""
        try:
            await self._look()
        except (*_AWAY, _NothingToFollow) as error:
            await self._disconnect()
            self._failed(error)
            await self._load_snapshot(error)
        except BaseException:
            await self._disconnect()
            raise
        self._tasks = [
            asyncio.create_task(self._follow(), name="catalog feed"),
            asyncio.create_task(self._save(), name="catalog snapshot"),
        ]

    async def stop(self) -> None:
        """Stop following; a view that is not on disk yet is written there."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        await self._disconnect()
        if self._unsaved.is_set():
            await self._save_once()

    async def refresh(self, min_revision: int | None = None) -> Catalog:
        """The view after a look at the database that begins now; at once when ``min_revision`` is reached already.
        With PostgreSQL away it is the view there is. Takes as long as the look takes: bound it."""
        if min_revision is None or self.current.revision < min_revision:
            looked: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(looked)
            self._wake.set()
            await looked
        return self.current

    def health(self) -> FeedHealth:
        age = time.monotonic() - self._looked_at if self._looked_at is not None else float("inf")
        return FeedHealth(self.current.revision, age, self._error)

    # Following

    async def _follow(self) -> None:
        failures = 0
        while True:
            delay = POLL_SECONDS if failures == 0 else _BACK_OFF_SECONDS[min(failures, len(_BACK_OFF_SECONDS)) - 1]
            # Not `wait_for`: until Python 3.12 it loses a cancellation that comes with what it waits for.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._wake.wait()
            await asyncio.sleep(_CLOSEST_LOOKS_SECONDS)
            self._wake.clear()
            waiting, self._waiting = self._waiting, []
            try:
                await self._look()
                failures = 0
            except (*_AWAY, ConfigurationError) as error:
                failures += 1
                self._failed(error)
                await self._disconnect()
            except Exception as error:  # the feed must outlive whatever a row can do to it
                failures += 1
                log.exception("the catalog could not be taken in")
                self._failed(error)
            for looked in waiting:
                if not looked.done():
                    looked.set_result(None)

    def _failed(self, error: BaseException) -> None:
        words = " ".join(str(error).split()) or type(error).__name__
        if self._error is None:
            log.warning(
                "catalog: PostgreSQL cannot be followed, going on with revision %d: %s", self.current.revision, words
            )
        self._error = words

    async def _look(self) -> None:
        """One look: the revision, and what changed when it is not ours."""
        async with asyncio.timeout(_ANSWER_SECONDS):
            connection = await self._connect()
            there = await self._instance(connection)
        self._check_instance(there)
        await self._check_wholeness(there)
        if there.revision != self.current.revision or there.made != self._made:
            async with asyncio.timeout(_LOAD_SECONDS):
                await self._load(connection)
        elif there.overrides != self._overrides_seen:
            async with asyncio.timeout(_LOAD_SECONDS):
                await self._load_overrides(connection, there.overrides)
        if self._error is not None:
            log.info("catalog: PostgreSQL is followed again, revision %d", self.current.revision)
        self._looked_at, self._error = time.monotonic(), None

    async def _instance(self, connection: AsyncConnection[TupleRow]) -> _Instance:
        try:
            row = await (await connection.execute(self._query("instance"))).fetchone()
        except psycopg.errors.UndefinedTable as error:
            raise _NothingToFollow("the database has no mqops tables: run `mqops migrate`") from error
        if row is None:
            raise _NothingToFollow("the database belongs to no installation yet: run `mqops apply`")
        return _Instance(*row)

    def _check_instance(self, there: _Instance) -> None:
        if there.environment != self.current.environment:
            raise ConfigurationError(
                f"the database belongs to environment {there.environment!r}, this process to "
                f"{self.current.environment!r}: set MQOPS_ENVIRONMENT, or DATABASE_URL to the right database"
            )
        if self.current.installation not in ("", there.installation):
            raise ConfigurationError(
                f"the database belongs to installation {there.installation}, this process to "
                f"{self.current.installation}: set DATABASE_URL to the right database, or start afresh"
            )

    async def _check_wholeness(self, there: _Instance) -> None:
        """Raises ``_NothingToFollow`` for a catalog that was made anew and is not applied to yet, where the one of
        before is known: requests shall not be refused meanwhile."""
        if not there.is_recovering or there.made == self._made:
            return
        known = self.current.installation
        if not known:
            header = await asyncio.to_thread(read_header, self._snapshot_path)
            known = "" if header is None else header.installation
        if known == there.installation:
            raise _NothingToFollow("the database lost its catalog: run `mqops rebuild`, and `mqops apply`")

    async def _load(self, connection: AsyncConnection[TupleRow]) -> None:
        """Take in what changed; everything, when what is known does not add up to what is there."""
        async with connection.transaction():
            await connection.execute(self._query("one_view"))
            there = await self._instance(connection)
            revision = there.revision
            empty = Catalog(installation=there.installation, environment=self.current.environment)
            overrides = await self._read_overrides(connection)
            is_later = 0 < self.current.revision < revision and there.made == self._made
            base = self.current if is_later else empty
            catalog = await self._changed_since(connection, base, revision, overrides)
            count = await (await connection.execute(self._query("count"))).fetchone()
            if base is not empty and count != (len(catalog.rows),):
                catalog = await self._changed_since(connection, empty, revision, overrides)
        self._swap(catalog)
        self._is_saved_other = self._is_saved_other or there.made != self._made
        self._made, self._overrides_seen = there.made, there.overrides
        self._unsaved.set()

    async def _load_overrides(self, connection: AsyncConnection[TupleRow], seen: str) -> None:
        """What was overridden since ``seen`` is read too, and once more with the next look."""
        news = News(overrides=await self._read_overrides(connection))
        self._swap(await _patched(self.current, news, self.current.revision))
        self._overrides_seen = seen
        self._unsaved.set()

    async def _read_overrides(self, connection: AsyncConnection[TupleRow]) -> dict[str, Override]:
        rows = await (await connection.execute(queries("runtime")["overrides"].encode())).fetchall()
        return {uid: Override(*values) for uid, *values in rows}

    async def _changed_since(
        self, connection: AsyncConnection[TupleRow], base: Catalog, revision: int, overrides: dict[str, Override]
    ) -> Catalog:
        known = {"known": base.revision}
        deleted: list[str] = []
        if base.revision:
            deleted = [uid for (uid,) in await (await connection.execute(self._query("deleted"), known)).fetchall()]
        rows = await _read_rows(await connection.execute(self._query("changed"), known))
        return await _patched(base, News(deleted, rows, overrides), revision)

    def _swap(self, catalog: Catalog) -> None:
        self.current = catalog
        for listener in self._listeners:
            listener(catalog)

    def _query(self, name: str) -> bytes:
        return self._queries[name].encode()

    async def _connect(self) -> AsyncConnection[TupleRow]:
        if self._connection is None or self._connection.closed:
            self._connection = await AsyncConnection.connect(
                self._database_url, autocommit=True, connect_timeout=5, application_name="mqops catalog"
            )
        return self._connection

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(*_AWAY):
                await connection.close()

    # The snapshot

    async def _load_snapshot(self, cause: BaseException) -> None:
        snapshot = await asyncio.to_thread(read_snapshot, self._snapshot_path, self.current.environment)
        if snapshot is None and isinstance(cause, _NothingToFollow):
            raise cause
        if snapshot is None:
            raise ConfigurationError(
                f"PostgreSQL cannot be reached ({self._error}), and there is no catalog snapshot at "
                f"{self._snapshot_path} to start from: start the database, or correct DATABASE_URL"
            )
        empty = Catalog(installation=snapshot.installation, environment=snapshot.environment)
        self._swap(await _patched(empty, News((), snapshot.rows, snapshot.overrides), snapshot.revision))
        log.warning("catalog: started from the snapshot of revision %d", snapshot.revision)

    async def _save(self) -> None:
        while True:
            await self._unsaved.wait()
            await asyncio.sleep(_SNAPSHOT_SECONDS)
            await self._save_once()

    async def _save_once(self) -> None:
        self._unsaved.clear()
        catalog = self.current
        header = await asyncio.to_thread(read_header, self._snapshot_path)
        known = (catalog.installation, catalog.revision, overrides_digest(catalog.overrides))
        is_saved = header is not None and (header.installation, header.revision, header.overrides) == known
        if is_saved and not self._is_saved_other:
            return
        self._is_saved_other = False
        rows = tuple(catalog.rows.values())
        snapshot = Snapshot(catalog.installation, catalog.environment, catalog.revision, rows, catalog.overrides)
        try:
            await asyncio.to_thread(write_snapshot, self._snapshot_path, snapshot)
        except OSError as error:
            log.warning("catalog: the snapshot %s could not be written: %s", self._snapshot_path, error)


async def _read_rows(cursor: AsyncCursor[TupleRow]) -> list[Row]:
    rows: list[Row] = []
    while slice_ := await cursor.fetchmany(_ROWS_AT_ONCE):
        for uid, kind, tenant, *rest, labels, annotations, managed_by, created_ms, updated_ms in slice_:
            few_differ = (intern(labels), intern(annotations), intern(managed_by))
            values = (uid, intern(kind), intern(tenant), *rest, *few_differ, created_ms, updated_ms)
            rows.append(Row(*values))
        await asyncio.sleep(0)
    return rows


async def _patched(base: Catalog, news: News, revision: int) -> Catalog:
    """Run a patch, letting others run at each of its pauses."""
    steps = patch(base, news, revision)
    while True:
        try:
            next(steps)
        except StopIteration as finished:
            catalog: Catalog = finished.value
            return catalog
        await asyncio.sleep(0)
