"""Rows of the catalog as what is applied: each as the history recorded it last, whatever someone wrote into it since.

So nothing that is written by hand can pose as something applied: not an owner, not a protection taken away, not a name.
"""

import json
import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from pydantic import ValidationError

from mqops.model import KINDS, Identity, completed
from mqops.override import Override
from reconciler.planning.renames import place
from reconciler.state import Applied, Editor, Lost, Origin, Resource, RowEdit, Suspended

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Rows:
    """The catalog at one revision, as the history recorded it: see ``Observed``."""

    applied: Mapping[Identity, Applied]
    lost: Mapping[Identity, Lost]
    revision: int
    overrides: Mapping[str, Override] = field(default_factory=dict)
    suspended: Mapping[str, Suspended] = field(default_factory=dict)
    edits: Mapping[str, RowEdit] = field(default_factory=dict)
    editors: Mapping[str, Editor] = field(default_factory=dict)
    mark: object = field(default=None, compare=False)
    """What tells whether anything was written since; ``None`` when it was not asked for."""


Beside = tuple[Mapping[str, Override], Mapping[str, Suspended]]
"""What is known of resources beside their rows, by uid."""


def rows_of(
    rows: Iterable[Row], edited: Iterable[Row], lost: Iterable[Row], revision: Row | None, beside: Beside
) -> Rows:
    """From the answers of the queries ``all``, ``edited`` and ``lost`` of resources.sql."""
    edited, lost, rows = tuple(edited), tuple(lost), list(rows)
    names = {row[0]: Identity(*map(sys.intern, row[1:4])) for row in (*lost, *rows)}
    names.update((row[0], Identity(*row[1:4])) for row in edited if row[1] is not None)
    different = {row[0]: row for row in edited}
    found: dict[Identity, Applied] = {}
    edits: dict[str, RowEdit] = {}
    added: list[Applied] = []
    decode = _Decoder()
    rows.reverse()
    while rows:  # each is let go as soon as it is read: together they are as large as what they come to
        row = rows.pop()
        if row[0] not in different:
            applied = _applied(row, names[row[0]], names, decode)
            found[applied.resource.identity] = applied
            continue
        recorded = _recorded(different[row[0]], names, _place_of(row))
        edit = _edit(row, names, is_recorded=recorded is not None)
        edits[edit.uid] = edit
        if recorded is not None:
            found[recorded.resource.identity] = recorded
        elif edit.resource is not None:
            added.append(Applied(edit.uid, edit.resource, edit.generation, row[13]))
    gone = _lost(lost, names, {place(identity) for identity in found})
    for applied in added:
        identity = applied.resource.identity
        if identity not in found and identity not in gone:
            found[identity] = applied
    editors = {row[0]: Editor(row[6], row[7]) for row in (*edited, *lost) if row[6] is not None}
    return Rows(found, gone, revision[0] if revision else 0, *beside, edits, editors)


class _Decoder:
    """Reads JSON. Thousands of resources have the very same spec: they share it."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], Mapping[str, Any]] = {}

    def spec(self, kind: str, text: str) -> Mapping[str, Any]:
        found = self._known.get((kind, text))
        if found is None:
            found = self._known[kind, text] = completed(kind, msgspec.json.decode(text))
        return found

    def texts(self, text: str) -> Mapping[str, str]:
        """Labels or annotations."""
        found = self._known.get(("", text))
        if found is None:
            found = self._known["", text] = msgspec.json.decode(text)
        return found


def _applied(row: Row, identity: Identity, names: Mapping[str, Identity], decode: _Decoder) -> Applied:
    uid, _, _, _, labels, annotations, spec, generation, managed_by, implied_by, *rest = row
    file, line, renamed_from, revision = rest
    resource = Resource(
        identity=identity,
        spec=decode.spec(identity.kind, spec),
        labels=decode.texts(labels),
        annotations=decode.texts(annotations),
        managed_by=sys.intern(managed_by),
        origin=Origin(sys.intern(file), line),
        implied_by=None if implied_by is None else names.get(implied_by),
        renamed_from=renamed_from,
    )
    return Applied(uid, resource, generation, revision)


Place = tuple[Origin, str | None, int]


def _place_of(row: Row) -> Place:
    """What is noted in rows without being recorded: where the manifest stands, what it said last, and when the row was
    written."""
    return Origin(row[10], row[11]), row[12], row[13]


def _recorded(row: Row, names: Mapping[str, Identity], noted: Place | None = None) -> Applied | None:
    """As the history has it; ``None`` when it has nothing, or something that this version cannot read."""
    uid, kind, tenant, name, after, implied_by = row[:6]
    if after is None:
        return None
    state = json.loads(after)
    origin, renamed_from, revision = noted or (Origin(state.get("file", ""), state.get("line", 0)), None, 0)
    identity = Identity(kind, tenant, name)
    if _problem(identity, state["spec"]):
        return None
    resource = Resource(
        identity=identity,
        spec=completed(kind, state["spec"]),
        labels=state["labels"],
        annotations=state["annotations"],
        managed_by=state["managedBy"],
        origin=origin,
        implied_by=None if implied_by is None else names.get(implied_by),
        renamed_from=renamed_from,
    )
    return Applied(uid, resource, state["generation"], revision)


def _edit(row: Row, names: Mapping[str, Identity], *, is_recorded: bool) -> RowEdit:
    identity, generation = Identity(*row[1:4]), row[7]
    problem = _problem(identity, json.loads(row[6])) or _problem_of_texts(labels=row[4], annotations=row[5])
    resource = None if problem else _applied(row, identity, names, _Decoder()).resource
    return RowEdit(row[0], identity, resource, generation, problem, is_recorded)


def _problem(identity: Identity, spec: Any) -> str:
    """Why a row with this spec is no resource; empty when it is one."""
    kind = KINDS.get(identity.kind)
    if kind is None:
        return f"there is no kind {identity.kind!r}"
    if not isinstance(spec, dict):
        return "its spec is no mapping"
    try:
        kind.spec.model_validate(completed(identity.kind, spec))
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(map(str, ("spec", *first["loc"])))
        return f"{path}: {first['msg']}"
    return ""


def _problem_of_texts(**columns: str) -> str:
    for name, text in columns.items():
        found = json.loads(text)
        if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
            return f"its {name} are no mapping of texts"
    return ""


def _lost(rows: Iterable[Row], names: Mapping[str, Identity], taken: Collection[Identity]) -> dict[Identity, Lost]:
    """By name, the latest of each; not those whose name something else has by now."""
    found: dict[Identity, Lost] = {}
    for row in rows:
        identity = Identity(*row[1:4])
        if place(identity) not in taken:
            found[identity] = Lost(row[0], json.loads(row[4]).get("generation", 1), _recorded(row, names))
    return found
