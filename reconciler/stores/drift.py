"""What reconcilers know to have been changed outside, kept in PostgreSQL for as long as it has not been put right."""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from psycopg import Connection

from mqops.model import Identity
from mqops.sql import queries
from reconciler.planning.change import FieldChange, Reason
from reconciler.planning.drifted import NOBODY, Drifted
from reconciler.stores import translated


def read_drift(connection: Connection[Any]) -> dict[str, Drifted]:
    """All that is known, by uid, as it was last seen. Raises ``BrokerNotAvailable``; ``ConfigurationError`` when the
    database is not migrated."""
    with translated():
        rows = connection.execute(queries("drift")["all"]).fetchall()
    return {row[3]: _drifted(row) for row in rows}


def since(found: Iterable[Drifted], connection: Connection[Any]) -> tuple[Drifted, ...]:
    """``found``, each with when it was first seen, where that was noted before. Raises like ``read_drift``."""
    found = tuple(found)
    if not found:
        return ()
    known = {(one.identity, one.uid): one.first_seen_at for one in read_drift(connection).values()}
    return tuple(replace(one, first_seen_at=known.get((one.identity, one.uid))) for one in found)


def note(connection: Connection[Any], found: Collection[Drifted], owners: Collection[str] | None) -> None:
    """Notes what was found when all that ``owners`` have, or all there is, was looked at: what is new, what has come
    to it, and what is no more. Raises like ``read_drift``."""
    sql, told = queries("drift"), json.dumps([_row(one) for one in found], ensure_ascii=False)
    with translated(), connection.transaction():
        connection.execute(sql["forget"], {"found": told, "owners": None if owners is None else [NOBODY, *owners]})
        if found:
            connection.execute(sql["note"], {"found": told})


def _row(one: Drifted) -> dict[str, Any]:
    return {
        "kind": one.identity.kind,
        "tenant": one.identity.tenant,
        "name": one.identity.name,
        "uid": one.uid,
        "managed_by": one.managed_by,
        "reason": one.reason.value,
        "fields": [{"path": field.path, "before": field.before, "after": field.after} for field in one.fields],
        "message": one.message,
        "changed_by": one.changed_by,
        "changed_at": None if one.changed_at is None else one.changed_at.isoformat(),
    }


def _drifted(row: tuple[Any, ...]) -> Drifted:
    kind, tenant, name, uid, managed_by, reason, fields, message, changed_by, changed_at, first_seen_at = row
    return Drifted(
        Identity(kind, tenant, name),
        uid,
        managed_by,
        Reason(reason),
        tuple(map(_field, json.loads(fields))),
        message,
        changed_by,
        changed_at,
        first_seen_at,
    )


def _field(field: Mapping[str, Any]) -> FieldChange:
    return FieldChange(field["path"], field["before"], field["after"])
