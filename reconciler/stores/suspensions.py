"""Single resources that are left alone, and making them so. Written under the apply lock of the resource's owner."""

from collections.abc import Mapping
from typing import Any

from psycopg import Connection

from mqops.sql import queries
from reconciler.state import Suspended
from reconciler.stores import translated
from reconciler.stores.history import Author, record_revision


def read_suspended(connection: Connection[Any]) -> dict[str, Suspended]:
    """By uid. Raises ``BrokerNotAvailable``."""
    with translated():
        rows = connection.execute(queries("suspensions")["all"]).fetchall()
    return {uid: Suspended(*values) for uid, *values in rows}


def suspend(connection: Connection[Any], uid: str, reason: str, author: Author, owner: str) -> None:
    """Suspends the resource, and records that with the author's note. Raises ``BrokerNotAvailable``."""
    _act(connection, "suspend", {"uid": uid, "actor": author.actor, "reason": reason}, author, owner)


def resume(connection: Connection[Any], uid: str, author: Author, owner: str) -> None:
    """Ends that, and records it. Raises ``BrokerNotAvailable``."""
    _act(connection, "resume", {"uid": uid}, author, owner)


def _act(connection: Connection[Any], query: str, values: Mapping[str, Any], author: Author, owner: str) -> None:
    resources = queries("resources")
    with translated(), connection.transaction():
        connection.execute(resources["lock"])
        (revision,) = connection.execute(resources["advance"]).fetchone() or (0,)
        connection.execute(queries("suspensions")[query], values)
        record_revision(connection, revision, author, {}, [owner])
