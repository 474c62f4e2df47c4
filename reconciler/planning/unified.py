"""A plan as a unified diff: each resource's YAML as it is applied, and as the manifests have it. Pure.

Lines carry no colour of their own, as in ``render``: each says what it is about.
"""

import difflib
from collections.abc import Iterator
from typing import Any

import yaml

from mqops.model import API_VERSION
from reconciler.manifests.problem import printable
from reconciler.planning.change import Action, Change
from reconciler.planning.fields import in_model_order
from reconciler.planning.placement import Leftover
from reconciler.planning.plan import Plan
from reconciler.planning.wording import place_text
from reconciler.state import Resource

Line = tuple[str, str]
"""What a line is about (``header``, ``hunk``, ``added``, ``removed`` or ``plain``), and its text."""

_NOTHING = "/dev/null"
_ABOUT = {"@": "hunk", "+": "added", "-": "removed"}


def diff_lines(plan: Plan, directory: str = "") -> Iterator[Line]:
    """What the plan changes, line by line. ``directory`` is what the manifests' file names are relative to, as the
    user called it. What is refused is not in it."""
    for change in plan.changes:
        yield from _change_lines(change, directory)
    for leftover in plan.leftovers:
        yield from _unified(_leftover_yaml(leftover), [], f"applied: {leftover.identity}, deleted before", _NOTHING)


def _change_lines(change: Change, directory: str) -> Iterator[Line]:
    place = place_text(change.origin, directory)
    wanted = _document(change.resource)
    if change.before is None:
        yield from _unified([], _yaml(wanted), _NOTHING, place)
        return
    applied = f"applied: {change.before.resource.identity}"
    if change.action is Action.DELETE:
        yield from _unified(_yaml(wanted), [], applied, _NOTHING)
        return
    found = _ordered(_document(change.before.resource), wanted)
    sides = enumerate((found, wanted))
    before, after = ({**document, **_live(change, side), **_uid(change, side)} for side, document in sides)
    yield from _unified(_yaml(before), _yaml(after), applied, place)


def _ordered(value: Any, like: Any) -> Any:
    """``value`` with the keys of its mappings in the order that ``like`` has them: PostgreSQL keeps none, and an order
    is no difference."""
    if not isinstance(value, dict) or not isinstance(like, dict):
        return value
    keys = (*(key for key in like if key in value), *(key for key in value if key not in like))
    return {key: _ordered(value[key], like.get(key)) for key in keys}


def _live(change: Change, side: int) -> dict[str, Any]:
    """Of a repair, what differs on Redis: it is in no manifest."""
    values = {it.path: (it.before, it.after)[side] for it in change.fields if it.path.startswith("live.")}
    live = {path.removeprefix("live."): value for path, value in values.items() if value is not None}
    return {"live": live} if live else {}


def _uid(change: Change, side: int) -> dict[str, Any]:
    """Of a replace, that it is another one, though it may read the same."""
    return (
        {} if change.action is not Action.REPLACE else {"uid": (change.before and change.before.uid, "a new one")[side]}
    )


def _document(resource: Resource) -> dict[str, Any]:
    """The resource as ``mqops get -o yaml`` shows it, with its owner in place of its status."""
    tenant = {"tenant": resource.identity.tenant} if resource.identity.tenant else {}
    implied = {} if resource.implied_by is None else {"impliedBy": str(resource.implied_by)}
    return {
        "apiVersion": API_VERSION,
        "kind": resource.identity.kind,
        "metadata": {
            **tenant,
            "name": resource.identity.name,
            "labels": dict(resource.labels),
            "annotations": dict(resource.annotations),
        },
        "spec": in_model_order(resource),
        "managedBy": resource.managed_by,
        **implied,
    }


def _leftover_yaml(leftover: Leftover) -> list[str]:
    return _yaml({"kind": leftover.identity.kind, "live": {"uid": leftover.uid}})


def _yaml(document: dict[str, Any]) -> list[str]:
    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=1_000_000)
    return text.splitlines()


def _unified(before: list[str], after: list[str], old: str, new: str) -> Iterator[Line]:
    for number, line in enumerate(difflib.unified_diff(before, after, old, new, lineterm="")):
        yield ("header" if number < 2 else _ABOUT.get(line[:1], "plain")), printable(line)
