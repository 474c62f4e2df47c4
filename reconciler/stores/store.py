"""The catalog in PostgreSQL: read in one go, written in one transaction an apply."""

import json
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from psycopg import Connection

from mqops.errors import Refused
from mqops.model import Identity
from mqops.override import Override
from mqops.sql import queries
from reconciler.planning.change import Action, Change
from reconciler.planning.drift import OF_ROWS
from reconciler.planning.plan import Moved
from reconciler.state import Applied, Suspended
from reconciler.stores.history import Author, Batch, record
from reconciler.stores.rows import Beside, Rows, rows_of

_ROWS_AT_ONCE = 5_000


def read_rows(connection: Connection[Any], known: Rows | None = None) -> Rows:
    """Every row, and what the history knows of those that were written or deleted by hand. Where nothing of it has
    changed since ``known`` was read, that is returned."""
    sql = queries("resources")
    with connection.transaction():
        connection.execute(sql["one_view"])
        mark, beside = connection.execute(sql["mark"]).fetchone(), _read_beside(connection)
        if known is not None and (mark, *beside) == (known.mark, known.overrides, known.suspended):
            return known
        revision = connection.execute(sql["revision"]).fetchone()
        rows = connection.execute(sql["all"]).fetchall()
        edited = connection.execute(sql["edited"], {"uids": None}).fetchall()
        lost = connection.execute(sql["lost"], {"tenant": None}).fetchall()
    return replace(rows_of(rows, edited, lost, revision, beside), mark=mark)


def read_tenant_rows(connection: Connection[Any], tenant: str) -> tuple[Rows, frozenset[str]]:
    """What one tenant has, with what may refer to it or be referred to by it; and the uids of all other rows."""
    sql = queries("resources")
    with connection.transaction():
        connection.execute(sql["one_view"])
        revision = connection.execute(sql["revision"]).fetchone()
        rows = connection.execute(sql["of_tenant"], {"tenant": tenant}).fetchall()
        every = {uid for (uid,) in connection.execute(sql["uids"])}
        edited = connection.execute(sql["edited"], {"uids": [row[0] for row in rows]}).fetchall()
        lost = connection.execute(sql["lost"], {"tenant": tenant}).fetchall()
        beside = _read_beside(connection)
    return rows_of(rows, edited, lost, revision, beside), frozenset(every.difference(row[0] for row in rows))


def read_named(connection: Connection[Any], identities: Collection[Identity]) -> list[Applied]:
    """What is applied of ``identities``, with what sends its dead letters to those of them that are topics."""
    columns = dict(zip(("kinds", "tenants", "names"), map(list, zip(*identities, strict=True)), strict=True))
    found = connection.execute(queries("resources")["named"], columns).fetchall()
    return list(rows_of(found, (), (), None, ({}, {})).applied.values())


def read_foreign_digests(connection: Connection[Any], tenant: str) -> frozenset[str]:
    """The digests of all keys that credentials of other tenants have."""
    found = connection.execute(queries("resources")["foreign_digests"], {"tenant": tenant})
    return frozenset(digest for (digest,) in found)


def _read_beside(connection: Connection[Any]) -> Beside:
    overrides = connection.execute(queries("runtime")["overrides"])
    suspended = connection.execute(queries("suspensions")["all"])
    return {uid: Override(*values) for uid, *values in overrides}, {
        uid: Suspended(*values) for uid, *values in suspended
    }


def commit(connection: Connection[Any], batch: Batch, author: Author) -> int:
    """Makes the changes of the catalog, with their history, in one transaction, and returns its new revision.

    Raises ``Refused`` when the catalog has moved on meanwhile; then nothing is written.
    """
    sql = queries("resources")
    with connection.transaction():
        (current,) = connection.execute(sql["lock"]).fetchone() or (0,)
        if current != batch.revision:
            raise Refused(
                f"the catalog moved on from revision {batch.revision} to {current} since this plan was made: plan again"
            )
        (revision,) = connection.execute(sql["advance"]).fetchone() or (0,)
        connection.execute(sql["writing"])
        deleted = [change.gone.uid for change in batch.done if change.gone is not None]
        deleted.extend(batch.displaced)
        if deleted:
            connection.execute(sql["delete"], {"uids": deleted})
            # Afterwards: whoever notes something of a resource looks first whether it is being deleted.
            _hand_on_overrides(connection, batch)
            connection.execute(queries("runtime")["forget"], {"uids": deleted})
            connection.execute(queries("conditions")["forget"], {"uids": deleted})
        rows = [_row(change, batch.uids) for change in batch.done if _is_written(change)]
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            chunk = json.dumps(rows[start : start + _ROWS_AT_ONCE], ensure_ascii=False)
            connection.execute(sql["write"], {"revision": revision, "rows": chunk})
        connection.execute(sql["settled"], {"uids": [*deleted, *(row["uid"] for row in rows)]})
        record(connection, revision, author, batch)
    return int(revision)


def _hand_on_overrides(connection: Connection[Any], batch: Batch) -> None:
    """What an operator said of a resource holds for the one that takes its place."""
    replaces = [change for change in batch.done if change.action is Action.REPLACE]
    if replaces:
        gone = [change.gone.uid for change in replaces if change.gone is not None]
        taking = [batch.uids[change.identity] for change in replaces]
        connection.execute(queries("runtime")["hand_on"], {"gone": gone, "taking": taking})


def note_moved(connection: Connection[Any], moved: Collection[Moved]) -> None:
    """Notes where resources now stand in the manifests."""
    if moved:
        columns = {
            "uids": [one.uid for one in moved],
            "files": [one.origin.file for one in moved],
            "lines": [one.origin.line for one in moved],
            "former": [one.renamed_from for one in moved],
        }
        sql = queries("resources")
        with connection.transaction():
            connection.execute(sql["writing"])
            connection.execute(sql["move"], columns)


def read_ages(connection: Connection[Any]) -> dict[str, tuple[datetime, datetime]]:
    """By uid: when it was created, and when it last changed."""
    return {uid: (created, updated) for uid, created, updated in connection.execute(queries("resources")["ages"])}


def _is_written(change: Change) -> bool:
    """A repair of what only Redis had lost leaves the row alone."""
    if change.action is Action.REPAIR:
        return change.reason in OF_ROWS
    return change.action is not Action.DELETE


def _row(change: Change, uids: Mapping[Identity, str]) -> dict[str, Any]:
    resource, identity = change.resource, change.identity
    return {
        "uid": uids[identity],
        "kind": identity.kind,
        "tenant": identity.tenant,
        "name": identity.name,
        "labels": resource.labels,
        "annotations": resource.annotations,
        "spec": resource.spec,
        "generation": change.generation,
        "managed_by": resource.managed_by,
        "implied_by": None if resource.implied_by is None else uids[resource.implied_by],
        "file": resource.origin.file,
        "line": resource.origin.line,
        "renamed_from": resource.renamed_from,
    }
