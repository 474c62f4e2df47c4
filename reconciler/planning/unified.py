"""A plan as a unified diff: each resource's YAML as it is applied, and as the manifests have it. Pure.

Lines carry no colour of their own, as in ``render``: each says what it is about.
"""

import difflib
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any

import yaml

from mqops.model import API_VERSION
from reconciler.manifests.problem import printable
from reconciler.planning.change import Action, Change
from reconciler.planning.placement import Leftover
from reconciler.planning.plan import Plan
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
    place = printable(f"{PurePath(directory, change.origin.file)}:{change.origin.line}")
    is_new = change.before is None
    is_gone = change.action is Action.DELETE
    before = [] if change.before is None else _yaml(change.before.resource, _found(change, 0))
    after = [] if is_gone else _yaml(change.resource, {} if is_new else _found(change, 1))
    applied = f"applied: {change.identity}"
    yield from _unified(before, after, _NOTHING if is_new else applied, _NOTHING if is_gone else place)


def _found(change: Change, side: int) -> dict[str, Any]:
    """Of a repair, what differs on Redis: it is in no manifest."""
    live = {field.path: (field.before, field.after)[side] for field in change.fields if field.path.startswith("live")}
    return {"live": live} if live else {}


def _yaml(resource: Resource, more: dict[str, Any]) -> list[str]:
    """The resource as ``mqops get -o yaml`` shows it, with its owner in place of its status."""
    tenant = {"tenant": resource.identity.tenant} if resource.identity.tenant else {}
    implied = {} if resource.implied_by is None else {"impliedBy": str(resource.implied_by)}
    return _lines(
        {
            "apiVersion": API_VERSION,
            "kind": resource.identity.kind,
            "metadata": {
                **tenant,
                "name": resource.identity.name,
                "labels": dict(resource.labels),
                "annotations": dict(resource.annotations),
            },
            "spec": dict(resource.spec),
            "managedBy": resource.managed_by,
            **implied,
            **more,
        }
    )


def _leftover_yaml(leftover: Leftover) -> list[str]:
    return _lines({"kind": leftover.identity.kind, "live": {"uid": leftover.uid}})


def _lines(document: dict[str, Any]) -> list[str]:
    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=1_000_000)
    return text.splitlines()


def _unified(before: list[str], after: list[str], old: str, new: str) -> Iterator[Line]:
    for number, line in enumerate(difflib.unified_diff(before, after, old, new, lineterm="")):
        yield ("header" if number < 2 else _ABOUT.get(line[:1], "plain")), line
