"""The catalog in PostgreSQL: read in one go, written in one transaction an apply."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from psycopg import Connection

from mqops.errors import Refused
from mqops.model import Identity, completed
from mqops.override import Override
from mqops.sql import queries
from reconciler.planning.change import Action, Change
from reconciler.planning.plan import Moved
from reconciler.state import Applied, Lost, Origin, Resource, Suspended
from reconciler.stores.history import Author, Batch, record

_ROWS_AT_ONCE = 5_000


@dataclass(frozen=True, slots=True)
class Rows:
    """The catalog at one revision."""

    applied: Mapping[Identity, Applied]
    lost: Mapping[Identity, Lost]
    revision: int
    overrides: Mapping[str, Override]
    suspended: Mapping[str, Suspended]


def read_rows(connection: Connection[Any], wanted: Collection[Identity]) -> Rows:
    """Every row; and for those of ``wanted`` that have none, what the history knows of them."""
    sql = queries("resources")
    with connection.transaction():
        connection.execute(sql["one_view"])
        revision = connection.execute(sql["revision"]).fetchone()
        rows = connection.execute(sql["all"]).fetchall()
        present = {Identity(*row[1:4]) for row in rows}
        lost = _read_lost(connection, [identity for identity in wanted if identity not in present])
        beside = _read_beside(connection)
    return _rows(rows, lost, revision, beside)


def read_tenant_rows(
    connection: Connection[Any], tenant: str, wanted: Collection[Identity]
) -> tuple[Rows, frozenset[str]]:
    """What one tenant has, with what may refer to it or be referred to by it; and the uids of all other rows."""
    sql = queries("resources")
    with connection.transaction():
        connection.execute(sql["one_view"])
        revision = connection.execute(sql["revision"]).fetchone()
        rows = connection.execute(sql["of_tenant"], {"tenant": tenant}).fetchall()
        every = {uid for (uid,) in connection.execute(sql["uids"])}
        present = {Identity(*row[1:4]) for row in rows}
        lost = _read_lost(connection, [identity for identity in wanted if identity not in present])
        beside = _read_beside(connection)
    found = _rows(rows, lost, revision, beside)
    return found, frozenset(every.difference(row[0] for row in rows))


def read_foreign_digests(connection: Connection[Any], tenant: str) -> frozenset[str]:
    """The digests of all keys that credentials of other tenants have."""
    found = connection.execute(queries("resources")["foreign_digests"], {"tenant": tenant})
    return frozenset(digest for (digest,) in found)


Beside = tuple[Mapping[str, Override], Mapping[str, Suspended]]
"""What is known of resources beside their rows, by uid."""


def _read_beside(connection: Connection[Any]) -> Beside:
    overrides = connection.execute(queries("runtime")["overrides"])
    suspended = connection.execute(queries("suspensions")["all"])
    return {uid: Override(*values) for uid, *values in overrides}, {
        uid: Suspended(*values) for uid, *values in suspended
    }


def _rows(
    rows: Collection[tuple[Any, ...]],
    lost: Mapping[Identity, Lost],
    revision: tuple[Any, ...] | None,
    beside: Beside,
) -> Rows:
    names = {row[0]: Identity(*row[1:4]) for row in rows} | {entry.uid: identity for identity, entry in lost.items()}
    applied = (_applied(row, names) for row in rows)
    return Rows({row.resource.identity: row for row in applied}, lost, revision[0] if revision else 0, *beside)


def _read_lost(connection: Connection[Any], missing: Collection[Identity]) -> dict[Identity, Lost]:
    if not missing:
        return {}
    columns = zip(*missing, strict=True)
    found = connection.execute(
        queries("resources")["lost"], dict(zip(("kinds", "tenants", "names"), map(list, columns), strict=True))
    )
    return {
        Identity(kind, tenant, name): Lost(uid, generation)
        for kind, tenant, name, uid, generation, action in found
        if action != Action.DELETE
    }


def _applied(row: tuple[Any, ...], names: Mapping[str, Identity]) -> Applied:
    uid, kind, tenant, name, labels, annotations, spec, generation, managed_by, implied_by, *rest = row
    file, line, renamed_from, revision = rest
    resource = Resource(
        identity=Identity(kind, tenant, name),
        spec=completed(kind, msgspec.json.decode(spec)),
        labels=_decoded(labels),
        annotations=_decoded(annotations),
        managed_by=managed_by,
        origin=Origin(file, line),
        implied_by=None if implied_by is None else names.get(implied_by),
        renamed_from=renamed_from,
    )
    return Applied(uid, resource, generation, revision)


def _decoded(text: str) -> dict[str, str]:
    """Most have no labels: no need to read that out of JSON forty thousand times."""
    return {} if text == "{}" else msgspec.json.decode(text)


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
        deleted = [change.gone.uid for change in batch.done if change.gone is not None]
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
        connection.execute(queries("resources")["move"], columns)


def read_ages(connection: Connection[Any]) -> dict[str, tuple[datetime, datetime]]:
    """By uid: when it was created, and when it last changed."""
    return {uid: (created, updated) for uid, created, updated in connection.execute(queries("resources")["ages"])}


def _is_written(change: Change) -> bool:
    """A repair of what only Redis had lost leaves the row alone."""
    if change.action is Action.REPAIR:
        return change.before is None
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
