"""One apply at a time for each source. The lock ends with the holder's session, however that ends.

PostgreSQL keeps the locks but not since when, nor for whom; the holder says both in its ``application_name``, where
operators look anyway: ``mqops apply ann@build-7 2026-03-01T12:30:00Z``.
"""

import re
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg import Connection

from mqops.errors import BrokerNotAvailable, ConfigurationError, Conflict
from mqops.sql import queries
from reconciler.stores import translated
from reconciler.stores.history import Author

_POLL_SECONDS = 0.1
_END_SECONDS = 5.0
"""How long a session may take to end that is told to."""
_NAME_BYTES = 63
"""What PostgreSQL keeps of an application_name."""
_TAKEN_AWAY = (
    "PostgreSQL ended this session, and its locks with it: `mqops force-unlock` took them away, or the server was "
    "stopped. Nothing more was done; run it again"
)


@contextmanager
def hold(
    connection: Connection[Any], sources: Collection[str], author: Author, timeout_seconds: float
) -> Iterator[None]:
    """Holds the locks of ``sources``, waiting up to ``timeout_seconds`` in all.

    Raises ``Conflict`` naming who holds one since when, and when the session is ended from outside, by which the locks
    are lost; and ``BrokerNotAvailable`` when the database goes away.
    """
    sql = queries("lock")
    deadline = time.monotonic() + timeout_seconds
    held: list[str] = []
    with translated():
        (former,) = connection.execute(sql["introduced"]).fetchone() or ("mqops",)
        connection.execute(sql["introduce"], {"name": _introduction(author, datetime.now(UTC))})
    try:
        # Always in one order: two applies that share several sources cannot wait for each other.
        for source in sorted(sources):
            _acquire(connection, source, deadline, timeout_seconds)
            held.append(source)
        yield
    except BrokerNotAvailable as error:
        if isinstance(error.__cause__, psycopg.errors.AdminShutdown):
            raise Conflict(_TAKEN_AWAY) from error
        raise
    finally:
        # With the database away the session, and with it the lock, is gone already.
        if not connection.closed:
            with suppress(BrokerNotAvailable), translated():
                for source in held:
                    connection.execute(sql["release"], {"source": source})
                connection.execute(sql["introduce"], {"name": former})


def require_session(connection: Connection[Any]) -> None:
    """That the session is still there, and with it the locks that it holds. Raises ``BrokerNotAvailable``."""
    with translated():
        connection.execute(queries("lock")["ping"])


@dataclass(frozen=True, slots=True)
class Holder:
    """A session that holds the lock of a source."""

    pid: int
    """Of PostgreSQL's process for it."""
    name: str
    """What it introduced itself as."""
    user: str
    """PostgreSQL's."""

    def __str__(self) -> str:
        match = re.fullmatch(r"(.*) (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)", self.name)
        who, since = (match[1], f", since {match[2]}") if match else (self.name, "")
        return f"{who}, database process {self.pid}{since}"


def find_holder(connection: Connection[Any], source: str) -> Holder | None:
    """Who holds the lock of ``source``. Raises ``BrokerNotAvailable``."""
    with translated():
        found = connection.execute(queries("lock")["holder"], {"source": source}).fetchone()
    return None if found is None else Holder(*found)


def end(connection: Connection[Any], source: str, holder: Holder) -> bool:
    """Ends the session of ``holder``, if it still holds the lock of ``source``; whether it is free of it then.

    Raises ``ConfigurationError`` when this user may not, and ``BrokerNotAvailable``.
    """
    with translated():
        try:
            connection.execute(
                queries("lock")["end"], {"source": source, "pid": holder.pid, "application_name": holder.name}
            )
        except psycopg.errors.InsufficientPrivilege as error:
            raise ConfigurationError(
                f"PostgreSQL does not let this user end database process {holder.pid}: end the process that it belongs "
                f"to; or, as {holder.user} or a superuser: SELECT pg_terminate_backend({holder.pid})"
            ) from error
    deadline = time.monotonic() + _END_SECONDS
    while find_holder(connection, source) == holder:
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _acquire(connection: Connection[Any], source: str, deadline: float, timeout_seconds: float) -> None:
    sql = queries("lock")
    while True:
        with translated():
            (is_ours,) = connection.execute(sql["try"], {"source": source}).fetchone() or (False,)
            if is_ours:
                return
        if time.monotonic() >= deadline:
            holder = find_holder(connection, source)
            raise Conflict(
                f"another apply of source {source!r} is under way{'' if holder is None else f' ({holder})'}: waited "
                f"{timeout_seconds:g} s; wait longer with --lock-timeout, end that process, or, where it is out of "
                f"reach, `mqops force-unlock {source}`"
            )
        time.sleep(_POLL_SECONDS)


def _introduction(author: Author, now: datetime) -> str:
    since = f" {now:%Y-%m-%dT%H:%M:%SZ}"
    who = f"mqops {author.trigger} {author.actor}".encode("ascii", "replace").decode()
    return who[: _NAME_BYTES - len(since)] + since
