"""The form of a plan as JSON: what ``render.as_json`` answers, and ``schemas/plan.schema.json`` describes.

``python -m reconciler.planning.document`` prints the schema. docs/plan-format.md explains it; tests hold the three
together. Fields are only added within a major ``format_version``.
"""

import json
from typing import Any, Literal

from pydantic import ConfigDict, TypeAdapter, with_config
from typing_extensions import TypedDict  # pydantic takes no other before Python 3.12

from reconciler.planning.change import Action, Reason
from reconciler.planning.refusals import Obstacle

FORMAT_VERSION: Literal["1.2"] = "1.2"

_STRICT = ConfigDict(extra="forbid", use_attribute_docstrings=True)


@with_config(_STRICT)
class NameDocument(TypedDict):
    """What a resource is called."""

    kind: str
    """Like `Topic`."""
    tenant: str
    """Empty for the kinds that belong to none."""
    name: str


@with_config(_STRICT)
class StateDocument(TypedDict):
    """What a manifest declares, with every default filled in."""

    spec: dict[str, Any]
    """As in a manifest of the kind."""
    labels: dict[str, str]
    annotations: dict[str, str]


@with_config(_STRICT)
class ActionDocument(TypedDict):
    """What happens, and between which states."""

    actions: list[Action]
    """One."""
    before: StateDocument | None
    """As the catalog has it; null when it has no row."""
    after: StateDocument | None
    """Null for a delete."""


@with_config(_STRICT)
class FieldDocument(TypedDict):
    """One field that changes."""

    path: str
    """Begins with `spec`, `metadata`, `managedBy`, `impliedBy`, or `live` for what Redis holds."""
    before: Any
    """Null when it is absent."""
    after: Any
    """Null when it is absent."""


@with_config(_STRICT)
class CostDocument(TypedDict):
    """What a delete or replace takes along."""

    messages: int
    """Stored, finished or not; of a subscription none are its own."""
    unfinished: int
    """Not yet handled by every subscription; what waits for its time among it."""
    in_flight: int
    """Leased to consumers at that moment."""
    readers: int
    """Subscriptions that read it; of a subscription none."""
    scheduled: int
    """How many of the unfinished wait for their time."""


class ReplacedDocument(NameDocument):
    """What goes, and another takes the place of: of the other kind, where a Topic becomes a Queue, or a Queue a
    Topic."""

    uid: str


class ChangeDocument(NameDocument):
    """What happens to one resource."""

    uid: str | None
    """Null when it is to be given a new one."""
    managed_by: str
    """The Source that it belongs to afterwards; of a delete, that it belonged to."""
    implied_by: str | None
    """The resource that brings it along, like `Queue acme/jobs`."""
    file: str
    """Where it is declared, relative to the directory of manifests; of a delete, where it was."""
    line: int
    """From 1."""
    reason: Reason
    """Why it happens."""
    renamed_from: str | None
    """Of a rename: what it is called until then, like `Topic acme/orders`."""
    replaces: ReplacedDocument | None
    """Of a replace: what goes. Its uid is not the one that the new one gets."""
    forced_by: list[str]
    """The paths of what cannot change in place: of a replace, and of a rename that is refused for it."""
    change: ActionDocument
    fields: list[FieldDocument]
    """Every field that differs; of a repair, what is wrong with what Redis holds; of an adoption of what only Redis
    has, what is otherwise there. Empty for creates and deletes."""
    cost: CostDocument | None
    """Of a delete or replace; null where Redis holds nothing of it."""


class RefusalDocument(ChangeDocument):
    """A change that is not made."""

    obstacle: Obstacle
    """What is in the way."""
    message: str
    """The same in words, with the way out."""


class DriftDocument(NameDocument):
    """A resource that was changed outside since it was applied."""

    uid: str
    managed_by: str
    """Who owns it; empty for what nobody claims."""
    reason: Reason
    """The worst of it."""
    fields: list[FieldDocument]
    """`before` is what was applied, `after` what was found. Beside the paths of changes there are `row` and
    `generation`."""
    message: str
    """What somebody has to do, where something of it is not repaired; else empty."""
    changed_by: str | None
    """Who did it; null when that is not known."""
    changed_at: str | None
    """When, in UTC (RFC 3339); null when that is not known."""
    first_seen_at: str | None
    """Since when a reconciler has known; null when none has noted it yet."""


class LeftoverDocument(NameDocument):
    """What an interrupted delete or replace left on Redis, and an apply removes."""

    uid: str


class OutsideDocument(NameDocument):
    """A change that there would be, and that the plan was limited not to make."""

    action: Action


class OverrideDocument(NameDocument):
    """A subscription that does what an operator says, whatever it declares. No apply touches that."""

    state: Literal["active", "paused"]
    """What it is by that."""
    by: str
    """Who said it, like `acme/ann`."""
    reason: str
    """Why; empty when it was not told."""
    since: str
    """RFC 3339, in UTC."""
    until: str | None
    """When it ends by itself; null when it does not."""


class SuspendedDocument(NameDocument):
    """A resource of which nothing is applied or repaired."""

    by: str
    reason: str
    """Why; empty when it was not told."""
    since: str
    """RFC 3339, in UTC."""


@with_config(_STRICT)
class HoldDocument(TypedDict):
    """A Source of which nothing is applied: it is suspended, or pinned by a rollback."""

    source: str
    message: str
    """How it is held, and the way out."""


class WaitingDocument(NameDocument):
    """A subscription that waits for a topic of another source."""

    file: str
    line: int
    message: str
    """What it waits for."""


@with_config(_STRICT)
class SummaryDocument(TypedDict):
    """Numbers of changes."""

    create: int
    update: int
    delete: int
    repair: int
    rename: int
    adopt: int
    handover: int
    replace: int
    refused: int


@with_config(_STRICT)
class PlanDocument(TypedDict):
    """What an apply would do, and what it would not."""

    format_version: Literal["1.2"]
    """Fields are only added within a major version."""
    revision: int
    """Of the catalog, when the plan was made."""
    summary: SummaryDocument
    resource_drift: list[DriftDocument]
    """What was changed outside, by kind, tenant and name."""
    resource_changes: list[ChangeDocument]
    """In the order in which they are made."""
    refused: list[RefusalDocument]
    leftovers: list[LeftoverDocument]
    waiting: list[WaitingDocument]
    """Subscriptions that are left as they are until what they read, which is another source's, is there."""
    unclaimed: list[NameDocument]
    """What nothing declares, and only Redis holds or a rebuild found: it is left alone."""
    others: int
    """How many resources belong to owners that are not loaded, and are left alone."""
    outside: list[OutsideDocument]
    """What is left out by `--target`, `--selector` or `--refresh-only`."""
    runtime_overrides: list[OverrideDocument]
    """Of resources of the owners that are loaded."""
    suspended: list[SuspendedDocument]
    """The same."""
    held: list[HoldDocument]
    """Sources that are suspended or pinned: what their manifests declare is not applied."""
    held_back: int
    """How many resources stay as they are applied for that, though declared otherwise."""


def schema() -> dict[str, Any]:
    """The JSON Schema of a plan."""
    found = TypeAdapter(PlanDocument).json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_tidied(found), "title": "Plan"}


def _tidied(node: Any) -> Any:
    """Without the titles that pydantic makes up, and with descriptions on one line."""
    if isinstance(node, list):
        return [_tidied(item) for item in node]
    if not isinstance(node, dict):
        return node
    tidy = {key: _tidied(value) for key, value in node.items() if key != "title" or not isinstance(value, str)}
    if isinstance(tidy.get("description"), str):
        tidy["description"] = " ".join(tidy["description"].split())
    return tidy


if __name__ == "__main__":
    print(json.dumps(schema(), indent=2, ensure_ascii=False))
