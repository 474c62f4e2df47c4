"""What was noted of resources: read in one statement, and only what differs written, in one."""

import json
from collections.abc import Iterable
from typing import Any

from psycopg import Connection

from mqops.sql import queries
from mqops.status import Status
from reconciler.planning.conditions import Finding, Pass, changed
from reconciler.stores import translated


def read_noted(connection: Connection[Any]) -> dict[str, Status]:
    """By uid, of everything that was ever something else than as applied. Raises ``BrokerNotAvailable``."""
    with translated():
        rows = connection.execute(queries("conditions")["all"]).fetchall()
    return {uid: Status(*values) for uid, *values in rows}


def note(connection: Connection[Any], found: Pass) -> None:
    """Notes what a pass found, where that is not noted already. Raises ``BrokerNotAvailable``."""
    entries = list(changed(read_noted(connection), found))
    if entries:
        with translated():
            connection.execute(queries("conditions")["note"], {"found": json.dumps(list(_rows(entries)))})


def _rows(entries: Iterable[tuple[str, Finding, int]]) -> Iterable[dict[str, Any]]:
    for uid, finding, generation in entries:
        yield {
            "uid": uid,
            "reason": finding.reason.value,
            "message": finding.message,
            "observed_generation": generation,
            "ready": finding.is_ready,
            "reconciling": finding.is_awaited,
            "stalled": finding.is_stalled,
        }
