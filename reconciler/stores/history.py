"""What was changed, when and by whom: every apply leaves a revision, and every change of it a record."""

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection

from mqops.model import Identity
from mqops.sql import queries
from reconciler.planning.change import Action, Change
from reconciler.state import Commit, Resource
from reconciler.stores import translated

_RECORDS_AT_ONCE = 5_000


@dataclass(frozen=True, slots=True)
class Author:
    """Who applies, and what made them."""

    actor: str
    """Such as ``ann@build-7``."""
    trigger: str
    """``apply``, ``watch``, ``repair``, ``api``, ``rollback``, ``rebuild``, ``suspend`` or ``resume``."""
    commit: Commit | None = None
    """Of the manifests that are applied; ``None`` when they are of none."""
    note: str = ""
    """What else there is to say: what a rollback goes back to, why a source is suspended."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One change of one resource, as the history tells it."""

    revision: int
    action: str
    applied_at: datetime
    author: Author
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    error: str | None
    """Why it failed; ``None`` when it was applied."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What one apply writes."""

    done: Collection[Change]
    """What Redis is ready for."""
    failed: Collection[tuple[Change, str]]
    """What failed and was left out, and why: for the history alone."""
    not_done: int
    """How many changes it was stopped before."""
    uids: Mapping[Identity, str]
    """Of all that the changes name, parents included."""
    revision: int
    """The catalog's that the changes were found against."""
    displaced: Collection[str] = ()
    """Uids of rows written by hand that have the names of what is written."""


def record(connection: Connection[Any], revision: int, author: Author, batch: Batch) -> None:
    """Writes a revision down, within the caller's transaction."""
    sql = queries("history")
    counts = {**Counter(change.action.value for change in batch.done), "failed": len(batch.failed)}
    counts["not_done"] = batch.not_done
    summary = {what: number for what, number in counts.items() if number}
    touched = _touched([*batch.done, *(change for change, _ in batch.failed)])
    record_revision(connection, revision, author, summary, touched)
    records = list(_records(batch))
    for start in range(0, len(records), _RECORDS_AT_ONCE):
        chunk = json.dumps(records[start : start + _RECORDS_AT_ONCE], ensure_ascii=False)
        connection.execute(sql["record_changes"], {"revision": revision, "changes": chunk})


def record_revision(
    connection: Connection[Any], revision: int, author: Author, summary: Mapping[str, int], sources: Collection[str]
) -> None:
    """Writes down that something was done with ``sources``, and what in numbers, within the caller's transaction."""
    connection.execute(
        queries("history")["record_revision"],
        {
            "revision": revision,
            "actor": author.actor,
            "trigger": author.trigger,
            "summary": json.dumps(dict(summary)),
            "branch": "" if author.commit is None else author.commit.branch,
            "commit_id": "" if author.commit is None else author.commit.id,
            "is_dirty": author.commit is not None and author.commit.is_dirty,
            "sources": sorted(sources),
            "note": author.note,
        },
    )


def _touched(changes: Collection[Change]) -> set[str]:
    """The sources whose resources ``changes`` are of; of a handover both."""
    before = {change.before.resource.managed_by for change in changes if change.before is not None}
    return before.union(change.resource.managed_by for change in changes)


def changes_of(connection: Connection[Any], identity: Identity, limit: int) -> list[Entry]:
    """The latest changes of a resource, the latest first: those under its former names too, and those of earlier
    resources of its name that are no more. Raises ``BrokerNotAvailable``."""
    with translated():
        rows = connection.execute(
            queries("history")["of_resource"],
            {"kind": identity.kind, "tenant": identity.tenant, "name": identity.name, "limit": limit},
        ).fetchall()
    return [
        Entry(revision, action, at, Author(actor, trigger), _parsed(before), _parsed(after), error)
        for revision, action, at, actor, trigger, before, after, error in rows
    ]


def _records(batch: Batch) -> Iterator[dict[str, Any]]:
    uids = batch.uids
    outcomes = [*((change, None) for change in batch.done), *batch.failed]
    for sequence, (change, error) in enumerate(outcomes):
        before, parent = change.before, change.resource.implied_by
        is_replaced = change.action is Action.REPLACE and error is None
        uid = before.uid if before is not None and not is_replaced else uids[change.identity]
        yield {
            "sequence": sequence,
            "action": change.action.value,
            "uid": uid,
            "kind": change.identity.kind,
            "tenant": change.identity.tenant,
            "name": change.identity.name,
            "managed_by": change.resource.managed_by,
            "before": None if before is None else _state(before.resource, before.generation),
            "after": None if change.action is Action.DELETE else _state_after(change),
            "error": error,
            "reason": change.reason.value,
            "implied_by": None if parent is None else uids.get(parent),
            "replaced": before.uid if before is not None and is_replaced else None,
        }


def _state(resource: Resource, generation: int) -> dict[str, Any]:
    return {
        "spec": resource.spec,
        "labels": resource.labels,
        "annotations": resource.annotations,
        "managedBy": resource.managed_by,
        "file": resource.origin.file,
        "line": resource.origin.line,
        "generation": generation,
    }


def _state_after(change: Change) -> dict[str, Any]:
    """Of a repair, also what was put back: nothing else tells, since the configuration is the same. Of a rename, the
    name before. Of a replace, what went, and what could not change in place."""
    state = _state(change.resource, change.generation)
    if change.action is Action.REPAIR:
        fields = [{"path": field.path, "before": field.before, "after": field.after} for field in change.fields]
        state["repaired"] = {"reason": change.reason.value, "fields": fields}
    if change.renamed_from is not None:
        state["renamedFrom"] = str(change.renamed_from)
    if change.action is Action.REPLACE and change.gone is not None:
        state["replaced"] = {"resource": str(change.gone.resource.identity), "forcedBy": list(change.forced_by)}
    return state


def _parsed(text: str | None) -> Any:
    return None if text is None else json.loads(text)
