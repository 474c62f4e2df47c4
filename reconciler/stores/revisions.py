"""The history read back: the revisions, what each changed, and what the catalog held at one of them."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection
from pydantic import ValidationError

from mqops.errors import ConfigurationError
from mqops.model import KINDS, Identity
from mqops.sql import queries
from reconciler.planning.change import Action, Change, FieldChange, Reason
from reconciler.planning.fields import field_changes
from reconciler.planning.saved import identity_of
from reconciler.state import Applied, Commit, Origin, Resource
from reconciler.stores import translated
from reconciler.stores.history import Author

_END = 2**63 - 1
"""No revision has this number, or a higher one: PostgreSQL counts no further."""


@dataclass(frozen=True, slots=True)
class Revision:
    """One apply, or another act that changed what is applied or reconciled."""

    number: int
    applied_at: datetime
    author: Author
    sources: tuple[str, ...]
    """Those with something changed or failed in it, or the one that was acted on."""
    summary: Mapping[str, int]
    """Number of changes by action; ``failed`` of those that failed, ``not_done`` of those that the apply was
    stopped before."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One change of a revision."""

    change: Change
    error: str | None
    """Why it failed; ``None`` when it was applied."""


def read_revisions(
    connection: Connection[Any], limit: int, before: int | None = None, source: str | None = None
) -> list[Revision]:
    """The latest first, at most ``limit``; only those ``before`` a revision, only those of a ``source``.

    Raises ``BrokerNotAvailable``."""
    with translated():
        rows = connection.execute(
            queries("history")["revisions"], {"limit": limit, "before": before, "source": source}
        ).fetchall()
    return [
        Revision(
            number,
            at,
            Author(actor, trigger, Commit(branch, commit_id, is_dirty) if commit_id else None, note),
            tuple(sources),
            json.loads(summary),
        )
        for number, at, actor, trigger, branch, commit_id, is_dirty, note, sources, summary in rows
    ]


def read_revision(connection: Connection[Any], number: int) -> Revision:
    """Raises ``ConfigurationError`` when there is none of this number, and ``BrokerNotAvailable``."""
    found = read_revisions(connection, 1, number + 1) if number < _END else []
    if not found or found[0].number != number:
        raise ConfigurationError(f"there is no revision {number}: `mqops history` lists what there is")
    return found[0]


def read_changes(connection: Connection[Any], number: int) -> list[Recorded]:
    """What a revision changed, and what it could not, in that order. Raises ``BrokerNotAvailable``."""
    with translated():
        rows = connection.execute(queries("history")["changes"], {"revision": number}).fetchall()
    return [_recorded(row, number) for row in rows]


def read_state(connection: Connection[Any], number: int) -> dict[str, Resource]:
    """What the catalog held at a revision by uid, in the order of kind, tenant and name.

    Raises ``BrokerNotAvailable``; ``ConfigurationError`` for a resource whose form this version does not know."""
    with translated():
        rows = connection.execute(queries("history")["state"], {"revision": number}).fetchall()
    names = {row[0]: Identity(*row[1:4]) for row in rows}
    return {row[0]: _past(names[row[0]], json.loads(row[4]), names.get(row[5]), number) for row in rows}


def _past(identity: Identity, state: Mapping[str, Any], parent: Identity | None, revision: int) -> Resource:
    """Complete by what this version has: of a field that came since, the default."""
    resource = _resource(identity, state, parent)
    try:
        spec = KINDS[identity.kind].spec.model_validate(resource.spec).model_dump(mode="json", by_alias=True)
    except (KeyError, ValidationError) as error:
        raise ConfigurationError(
            f"{identity} of revision {revision} is of a form that this version does not know: "
            "choose a later revision, or declare it in the manifests"
        ) from error
    return Resource(identity, spec, resource.labels, resource.annotations, resource.managed_by, resource.origin, parent)


def _recorded(row: tuple[Any, ...], number: int) -> Recorded:
    action, reason, uid, kind, tenant, name, before_text, after_text, error, replaced, *parent = row
    identity = Identity(kind, tenant, name)
    implied_by = None if parent[0] is None else Identity(*parent)
    before, after = (None if text is None else json.loads(text) for text in (before_text, after_text))
    former = _former(identity, after or {})
    was = None if before is None else _resource(former, before, implied_by)
    now = was if after is None else _resource(identity, after, implied_by)
    gone = replaced or uid
    assert now is not None, "a change has a state before or after it"
    change = Change(
        action=Action(action),
        reason=Reason(reason) if reason else _inferred(Action(action), was, after),
        resource=now,
        before=None if was is None or before is None else Applied(gone, was, before["generation"], number - 1),
        uid=uid,
        generation=0 if after is None else after["generation"],
        fields=tuple(_fields(was, now, after or {})),
        forced_by=tuple((after or {}).get("replaced", {}).get("forcedBy", ())),
    )
    return Recorded(change, error)


def _former(identity: Identity, after: Mapping[str, Any]) -> Identity:
    """What it was before: of another name when it was renamed, perhaps of another kind when it was replaced."""
    if "replaced" in after:
        return identity_of(after["replaced"]["resource"])
    return identity_of(after["renamedFrom"]) if "renamedFrom" in after else identity


def _resource(identity: Identity, state: Mapping[str, Any], parent: Identity | None) -> Resource:
    return Resource(
        identity=identity,
        spec=state["spec"],
        labels=state["labels"],
        annotations=state["annotations"],
        managed_by=state["managedBy"],
        origin=Origin(state["file"], state["line"]),
        implied_by=parent,
    )


def _inferred(action: Action, was: Resource | None, after: Mapping[str, Any] | None) -> Reason:
    """Of what was recorded before reasons were."""
    if action is Action.REPAIR and after is not None:
        return Reason(after["repaired"]["reason"])
    if action is Action.CREATE:
        return Reason.DECLARED
    if action is Action.DELETE:
        return Reason.REMOVED
    is_handover = was is not None and after is not None and was.managed_by != after["managedBy"]
    return Reason.HANDED_OVER if is_handover else Reason.CHANGED


def _fields(was: Resource | None, now: Resource, after: Mapping[str, Any]) -> Iterable[FieldChange]:
    if "repaired" in after:
        return [
            # Early versions recorded the paths alone.
            FieldChange(field, None, None)
            if isinstance(field, str)
            else FieldChange(field["path"], field["before"], field["after"])
            for field in after["repaired"]["fields"]
        ]
    if was is None:
        return ()
    kinds = (was.identity.kind, now.identity.kind)
    other_kind = () if kinds[0] == kinds[1] else (FieldChange("kind", *kinds),)
    return (*other_kind, *field_changes(was, now))
