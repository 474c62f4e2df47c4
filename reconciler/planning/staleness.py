"""What has moved since a plan was saved, in words; and, when nothing has, the changes to make. Pure.

An unrelated change does not count: other sources' files, other resources, positions and counters may move.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import PurePath
from typing import Any

from mqops.errors import Refused
from mqops.model import Identity
from reconciler.manifests.problem import printable
from reconciler.planning.change import Change
from reconciler.planning.dependents import dependents
from reconciler.planning.document import CostDocument, PlanDocument
from reconciler.planning.fields import leaves
from reconciler.planning.fingerprint import fingerprints
from reconciler.planning.guard import grown
from reconciler.planning.plan import Plan
from reconciler.planning.render import change_json
from reconciler.planning.saved import (
    Basis,
    PlaceDocument,
    SavedDocument,
    digests_of,
    identity_of,
    name_of,
    plain,
)
from reconciler.planning.wording import value_text
from reconciler.state import Cost, Observed

_MOST_FIELDS = 5


def select(saved: SavedDocument, found: Plan, basis: Basis) -> Plan:
    """Of ``found``, which was planned now, what was saved. Raises ``Refused`` with everything that has moved."""
    reasons = [*_place_moved(saved["place"], basis.place)]
    if not reasons:
        reasons = [*_manifests_moved(saved, basis), *_live_moved(saved["live"], basis.observed)]
    if not reasons:
        reasons = [*_changes_moved(saved["plan"], found), *_leftovers_moved(saved["plan"], found)]
    if not reasons:
        wanted, others = _parted(saved["plan"], found)
        reasons = [left.message for left in dependents(wanted, others, basis.observed).values()]
    if reasons:
        lines = "\n".join(f"  {reason}" for reason in reasons)
        raise Refused(
            f"the plan is stale, nothing was changed: plan again. What has moved since it was saved:\n{lines}"
        )
    refused = {name_of(entry) for entry in saved["plan"]["refused"]}
    leftovers = {entry["uid"] for entry in saved["plan"]["leftovers"]}
    return replace(
        found,
        changes=wanted,
        refused=tuple(refusal for refusal in found.refused if refusal.change.identity in refused),
        leftovers=tuple(leftover for leftover in found.leftovers if leftover.uid in leftovers),
        moved=(),
        outside=(),
    )


def _parted(plan: PlanDocument, found: Plan) -> tuple[tuple[Change, ...], set[Identity]]:
    """The changes that were saved, and what else there would be to do."""
    names = {name_of(entry) for entry in plan["resource_changes"]}
    wanted = tuple(change for change in found.changes if change.identity in names)
    return wanted, {change.identity for change in found.changes} - names


def _place_moved(saved: PlaceDocument, now: PlaceDocument) -> Iterator[str]:
    if saved != now:
        yield f"it was made for {_place_text(saved)}, and this is {_place_text(now)}"


def _place_text(place: PlaceDocument) -> str:
    installation = place["installation"]
    what = "stores that nothing was applied to" if installation is None else f"installation {installation}"
    return f"{what}, environment {place['environment']!r}"


def _manifests_moved(saved: SavedDocument, basis: Basis) -> Iterator[str]:
    manifests, directory = saved["manifests"], saved["request"]["directory"] or ""
    before, after = manifests["digests"], digests_of(basis.checked, manifests["sources"])
    found = {file: _what(before.get(file), after.get(file)) for file in sorted({*before, *after})}
    commits = ""
    if manifests["commit"] != basis.commit:
        commits = f" (commit {_short(manifests['commit'])}, now {_short(basis.commit)})"
    for file, what in found.items():
        if what:
            yield f"{printable(str(PurePath(directory, file)))} {what}{commits}"


def _what(before: str | None, after: str | None) -> str:
    if before == after:
        return ""
    if before is None:
        return "was added"
    return "was removed" if after is None else "was changed"


def _short(commit: str | None) -> str:
    return "none" if commit is None else commit[:12]


def _live_moved(saved: Mapping[str, Mapping[str, Any]], observed: Observed) -> Iterator[str]:
    now = fingerprints(map(identity_of, saved), observed)
    for name, before in saved.items():
        after: Mapping[str, Any] = plain(now[identity_of(name)])
        if before == after:
            continue
        if "managedBy" in before and "managedBy" not in after:
            yield f"{name} is gone from the catalog"
        elif "managedBy" in after and "managedBy" not in before:
            yield f"{name} is in the catalog by now"
        else:
            yield f"{name}: {_differences(before, after)}"


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    paths = [path for path in {**before, **after} if before.get(path) != after.get(path)]
    told = [f"{path} was {value_text(before.get(path))}, is {value_text(after.get(path))}" for path in paths]
    more = f"; and {len(told) - _MOST_FIELDS} more" if len(told) > _MOST_FIELDS else ""
    return "; ".join(told[:_MOST_FIELDS]) + more


def _changes_moved(plan: PlanDocument, found: Plan) -> Iterator[str]:
    changes = {change.identity: change for change in found.changes}
    refused = {refusal.change.identity: refusal for refusal in found.refused}
    for entry in plan["resource_changes"]:
        identity = name_of(entry)
        if identity in refused:
            yield f"{identity} is refused by now: {refused[identity].message}"
        elif identity not in changes:
            yield f"{identity} has nothing to {entry['change']['actions'][0].value} any more"
        else:
            before, after = _essence(dict(entry)), _essence(dict(change_json(changes[identity])))
            if before != after:
                yield (
                    f"{identity} would become something else, by the settings or variables that manifests are read "
                    f"with: {_differences(dict(leaves('plan', before)), dict(leaves('plan', after)))}"
                )
            elif grown := _grown_since(entry["cost"], changes[identity].cost):
                yield f"{identity} would take along more than it did: {grown}"


def _essence(entry: dict[str, Any]) -> dict[str, Any]:
    """A change without where it is declared, and what it costs."""
    return {key: value for key, value in plain(entry).items() if key not in ("file", "line", "cost")}


def _grown_since(before: CostDocument | None, after: Cost | None) -> str:
    return "" if after is None else grown(None if before is None else Cost(**before), after)


def _leftovers_moved(plan: PlanDocument, found: Plan) -> Iterator[str]:
    there = {leftover.uid for leftover in found.leftovers}
    for entry in plan["leftovers"]:
        if entry["uid"] not in there:
            yield f"what was left of {name_of(entry)} on Redis has been removed"
