"""A plan as text for people, in Terraform's habits, and as JSON for programs. Pure.

Text carries no colour of its own: each line says what it is about, and the command line colours it on a terminal.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any

from mqops.model import Identity, defaults_of
from mqops.override import Override
from reconciler.manifests.problem import printable
from reconciler.planning.beside import moment, of_ms, override_text, suspended_text
from reconciler.planning.change import Action, Change
from reconciler.planning.document import (
    FORMAT_VERSION,
    ChangeDocument,
    CostDocument,
    HoldDocument,
    NameDocument,
    OverrideDocument,
    PlanDocument,
    ReplacedDocument,
    StateDocument,
)
from reconciler.planning.drift_shown import drift_json, drift_lines
from reconciler.planning.fields import leaves
from reconciler.planning.holds import Hold
from reconciler.planning.plan import Plan
from reconciler.planning.refusals import Obstacle, Refusal
from reconciler.planning.wording import REASONS, Line, field_text, place_text, value_text
from reconciler.state import REBUILT, Cost, Resource, Waiting

SYMBOLS = {
    Action.CREATE: "+",
    Action.UPDATE: "~",
    Action.DELETE: "-",
    Action.REPAIR: "±",
    Action.RENAME: ">",
    Action.ADOPT: "&",
    Action.HANDOVER: "»",
    Action.REPLACE: "-/+",
}
_ALWAYS_COUNTED = (Action.CREATE, Action.UPDATE, Action.DELETE, Action.REPAIR)
"""In a plan's last line; of the others only those that there are."""

_MOST_NAMED = 5
_OF_MANY = (Obstacle.SOURCE_EMPTIED, Obstacle.MASS_DELETE, Obstacle.TENANT_ACTIVE)


def text_lines(plan: Plan, directory: str = "") -> Iterator[Line]:
    """The plan line by line. ``directory`` is what the manifests' file names are relative to, as the user called it."""
    yield from drift_lines(plan.drift)
    if plan.drift:
        yield "plain", ""
    for change in plan.changes:
        yield from change_lines(change, directory)
    for leftover in plan.leftovers:
        yield "delete", f"  - remove {leftover.identity} from Redis: an interrupted apply left it there"
    yield from refusal_lines(plan.refused, directory)
    yield from waiting_lines(plan.waiting, directory)
    if plan.changes or plan.leftovers or plan.refused or plan.waiting:
        yield "plain", ""
    for heading, lines in beside_sections(plan):
        yield "plain", f"{heading}:"
        yield from (("plain", f"  {line}") for line in lines)
        yield "plain", ""
    for note in notes(plan):
        yield "plain", note
    yield "plain", footer(plan)


def text(plan: Plan, directory: str = "") -> str:
    """The plan as plain text."""
    return "".join(f"{line}\n" for _, line in text_lines(plan, directory))


def beside_sections(plan: Plan) -> Iterator[tuple[str, list[str]]]:
    """What no apply touches, with a heading each."""
    overrides, suspended = plan.beside.overrides, plan.beside.suspended
    if overrides:
        yield "Runtime overrides", [f"{it.identity} is {override_text(it.override)}" for it in overrides]
    if suspended:
        yield "Suspended resources", [f"{it.identity} is {suspended_text(it.suspended)}" for it in suspended]


def notes(plan: Plan) -> Iterator[str]:
    """What is not part of the plan, in a sentence each."""
    if plan.others:
        what = "1 resource of another owner is" if plan.others == 1 else f"{plan.others} resources of other owners are"
        yield f"{what} left alone."
    if plan.outside:
        named = _listed([f"{one.action} {one.identity}" for one in plan.outside])
        yield f"Left out, since the plan is limited: {named}."
    unclaimed = unclaimed_note(plan)
    if unclaimed is not None:
        yield unclaimed


def unclaimed_note(plan: Plan) -> str | None:
    """What nothing declares and no source owns, in a sentence with the ways out; ``None`` where there is no such."""
    if not plan.unclaimed:
        return None
    named = _listed(list(map(str, plan.unclaimed)))
    return (
        f"Nothing here declares what only Redis holds or a rebuild found: {named}. Write its manifests with `mqops "
        f"export`; or delete it with `mqops rebuild` and --take-over {REBUILT}."
    )


def _listed(names: Sequence[str]) -> str:
    more = f", and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more


def footer(plan: Plan, *, is_held: bool = False) -> str:
    """The last line: what would be done. Where a source ``is_held``, what is applied need not match its manifests."""
    is_quiet = plan.is_empty and not plan.refused and not plan.waiting
    if is_quiet and plan.outside:
        return "No changes within what the plan is limited to."
    if is_quiet and is_held:
        return "No changes while sources are held."
    if is_quiet:
        return "No changes. What is applied matches the manifests."
    told = [(action, plan.count(action)) for action in Action if plan.count(action) or action in _ALWAYS_COUNTED]
    counts = ", ".join(f"{number} to {action.verb}" for action, number in told)
    refused = f" {len(plan.refused)} refused." if plan.refused else ""
    waiting = f" {len(plan.waiting)} waiting." if plan.waiting else ""
    return f"Plan: {counts}.{refused}{waiting}"


def as_json(plan: Plan, held: Sequence[HoldDocument] = (), held_back: int = 0) -> PlanDocument:
    """The plan for programs, with what stays out of it since sources are ``held``: see ``held_json``."""
    return {
        "format_version": FORMAT_VERSION,
        "revision": plan.revision,
        "summary": {
            "create": plan.count(Action.CREATE),
            "update": plan.count(Action.UPDATE),
            "delete": plan.count(Action.DELETE),
            "repair": plan.count(Action.REPAIR),
            "rename": plan.count(Action.RENAME),
            "adopt": plan.count(Action.ADOPT),
            "handover": plan.count(Action.HANDOVER),
            "replace": plan.count(Action.REPLACE),
            "refused": len(plan.refused),
        },
        "resource_drift": [drift_json(one) for one in plan.drift],
        "resource_changes": [change_json(change) for change in plan.changes],
        "refused": [
            {**change_json(refusal.change), "obstacle": refusal.obstacle, "message": refusal.message}
            for refusal in plan.refused
        ],
        "leftovers": [{**_identity_json(leftover.identity), "uid": leftover.uid} for leftover in plan.leftovers],
        "waiting": [
            {
                **_identity_json(one.identity),
                "file": one.origin.file,
                "line": one.origin.line,
                "message": one.message,
            }
            for one in plan.waiting
        ],
        "unclaimed": [_identity_json(identity) for identity in plan.unclaimed],
        "others": plan.others,
        "outside": [{**_identity_json(one.identity), "action": one.action} for one in plan.outside],
        "runtime_overrides": [_override_json(it.identity, it.override) for it in plan.beside.overrides],
        "suspended": [
            {
                **_identity_json(it.identity),
                "by": it.suspended.by,
                "reason": it.suspended.reason,
                "since": moment(it.suspended.since),
            }
            for it in plan.beside.suspended
        ],
        "held": list(held),
        "held_back": held_back,
    }


def held_json(holds: Iterable[Hold]) -> list[HoldDocument]:
    """Which sources are held, and how."""
    return [{"source": hold.source, "message": str(hold)} for hold in holds]


def _override_json(identity: Identity, override: Override) -> OverrideDocument:
    return {
        **_identity_json(identity),
        "state": override.state,
        "by": override.by,
        "reason": override.reason,
        "since": moment(of_ms(override.since_ms)),
        "until": None if override.until_ms is None else moment(of_ms(override.until_ms)),
    }


def change_lines(change: Change, directory: str) -> Iterator[Line]:
    """One change of it: what happens, and each field below."""
    notes = [REASONS[change.reason]] if change.reason in REASONS else []
    if change.resource.implied_by is not None:
        notes.append(f"implied by {change.resource.implied_by}")
    if change.cost is not None:
        notes.append(_cost_text(change.cost))
    note = f" ({'; '.join(notes)})" if notes else ""
    what = f"  {SYMBOLS[change.action]} {change.action.verb} {named(change)}{note}"
    yield change.action.value, f"{what}{_place(change, directory)}"
    if change.action is Action.CREATE or (change.action is Action.ADOPT and change.before is None):
        for path, value in _told(change.resource):
            yield "field", f"      {path}: {value_text(value)}"
    for field in change.fields:
        forces = "  # forces the replacement" if field.path in change.forced_by else ""
        yield "field", f"      {field_text(field)}{forces}"


def _cost_text(cost: Cost) -> str:
    """What goes takes along."""
    counts = (
        *((cost.messages, "message"), (cost.unfinished, "unfinished")),
        *((cost.in_flight, "in flight"), (cost.scheduled, "scheduled")),
    )
    told = [f"{number} {word}{'s' if word == 'message' and number != 1 else ''}" for number, word in counts if number]
    holds = f"takes along {', '.join(told)}" if told else "holds nothing"
    return f"{holds}, read by {cost.readers}" if cost.readers else holds


def named(change: Change) -> str:
    """What it is about; of a rename both names."""
    if change.renamed_from is None:
        return str(change.identity)
    return f"{change.renamed_from} → {str(change.identity).removeprefix(f'{change.identity.kind} ')}"


def _place(change: Change, directory: str) -> str:
    """Behind what is said of it; nothing for what stands in no file."""
    if not change.origin.file:
        return ""
    place = printable(place_text(change.origin, directory))
    return f"  was {place}" if change.action is Action.DELETE else f"  {place}"


def _told(resource: Resource) -> Iterator[tuple[str, Any]]:
    """What is worth saying of a new resource: the values that its kind would not have anyway."""
    usual = _usual(resource.identity.kind)
    for path, value in leaves("spec", resource.spec):
        if value not in (None, "", [], {}) and usual.get(path) != value:
            yield path.removeprefix("spec."), value
    yield from leaves("labels", resource.labels)
    yield from leaves("annotations", resource.annotations)


@cache
def _usual(kind: str) -> dict[str, Any]:
    """The default of each field of a kind that has one, as manifests would write it, by path."""
    return dict(leaves("spec", defaults_of(kind)))


def refusal_lines(refused: tuple[Refusal, ...], directory: str) -> Iterator[Line]:
    """One paragraph a refusal; what is refused to a whole source or tenant is told once."""
    together: dict[str, int] = {}
    for refusal in refused:
        if refusal.obstacle in _OF_MANY:
            together[refusal.message] = together.get(refusal.message, 0) + 1
    for message, count in together.items():
        what = "1 delete is" if count == 1 else f"{count} deletes are"
        yield "refused", f"  ! {what} refused: {message}"
    for refusal in refused:
        if refusal.obstacle not in _OF_MANY:
            change = refusal.change
            yield "refused", f"  ! cannot {change.action.verb} {named(change)}{_place(change, directory)}"
            yield "refused", f"      {refusal.message}"


def waiting_lines(waiting: tuple[Waiting, ...], directory: str) -> Iterator[Line]:
    """A paragraph each."""
    for one in waiting:
        yield "waiting", f"  … {one.identity} waits  {printable(place_text(one.origin, directory))}"
        yield "waiting", f"      {one.message}"


def change_json(change: Change) -> ChangeDocument:
    """One change of it."""
    implied_by = change.resource.implied_by
    before = None if change.before is None else _resource_json(change.before.resource)
    return {
        **_identity_json(change.identity),
        "uid": change.uid,
        "managed_by": change.resource.managed_by,
        "implied_by": None if implied_by is None else str(implied_by),
        "file": change.origin.file,
        "line": change.origin.line,
        "reason": change.reason,
        "renamed_from": None if change.renamed_from is None else str(change.renamed_from),
        "replaces": _replaces_json(change),
        "forced_by": list(change.forced_by),
        "change": {
            "actions": [change.action],
            "before": before,
            "after": None if change.action is Action.DELETE else _resource_json(change.resource),
        },
        "cost": None if change.cost is None else _cost_json(change.cost),
        "fields": [{"path": f.path, "before": f.before, "after": f.after} for f in change.fields],
    }


def _replaces_json(change: Change) -> ReplacedDocument | None:
    if change.action is not Action.REPLACE or change.gone is None:
        return None
    return {**_identity_json(change.gone.resource.identity), "uid": change.gone.uid}


def _cost_json(cost: Cost) -> CostDocument:
    return {
        "messages": cost.messages,
        "unfinished": cost.unfinished,
        "in_flight": cost.in_flight,
        "readers": cost.readers,
        "scheduled": cost.scheduled,
    }


def _identity_json(identity: Identity) -> NameDocument:
    return {"kind": identity.kind, "tenant": identity.tenant, "name": identity.name}


def _resource_json(resource: Resource) -> StateDocument:
    return {
        "spec": dict(resource.spec),
        "labels": dict(resource.labels),
        "annotations": dict(resource.annotations),
    }
