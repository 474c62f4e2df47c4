"""Reads a golden case: ``manifests/``, and ``observed.json`` with what is there when the plan is made.

``observed.json`` has the rows of the catalog as ``applied``, and as ``broken`` what someone did since then; everything
else is as an apply of those rows leaves it. Each entry of ``broken`` has one of these keys, naming a resource:

    {"row": R}                            its row was deleted by hand; the history still knows it
    {"forgotten": R}                      its row is gone, and the history too
    {"edited": R, "spec": {…}, "by": B, "at": T}
                                          fields of its row were written by hand, by B at T where these are given
    {"malformed": R, "problem": P}        its row was written by hand, and cannot be read
    {"added": R}                          its row was added by hand, and the history knows nothing of it
    {"unreadable": R, "problem": P}       a row that cannot be read was added by hand, of something not applied
    {"stream": R, "partition": N}         a stream was deleted
    {"group": R, "partition": N, "position": ID}
                                          a group was destroyed that had read up to ID
    {"moved": R, "partition": N, "position": ID, "to": ID}
                                          a group that had read up to ID was set elsewhere
    {"truncated": R, "partition": N, "missing": n}
                                          messages that a subscription had not handled were removed
    {"renamed": R, "partition": N, "key": K}
                                          a stream was renamed to K
    {"foreign": R, "partition": N, "group": G, "pending": n}
                                          someone made a group of their own in a stream
    {"meta": R, "set": {…}}               fields of its hash on Redis were written by hand
    {"meta": R}                           its hash on Redis was deleted
    {"leftover": R}                       an apply deleted it, and was killed before it had removed it from Redis
    {"flushed": true}                     FLUSHALL

``scope.json``, where there is one, says what the plan is limited to.
``allowed`` says what the guards let through: ``{"adopt": true}``.
``overrides`` says what operators want of subscriptions, and ``suspended`` which resources are left alone, each by
resource and with its fields in order.
``costs`` says what deletes would take along, by resource: ``{"messages": n, "unfinished": n, "in_flight": n, "readers":
n}``.
"""

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import declared

from mqops.model import Identity, completed
from mqops.override import Override
from mqops.settings import Settings
from reconciler.manifests.check import check
from reconciler.planning.guard import Allowances, guard
from reconciler.planning.plan import Plan, plan
from reconciler.planning.scope import EVERYTHING, Scope
from reconciler.planning.waiting import as_applied
from reconciler.state import Cost, Editor, Lost, Observed, Origin, Resource, RowEdit, Suspended

CASES = sorted(path.parent.name for path in Path(__file__).parent.glob("*/observed.json"))


def folder_of(case: str) -> Path:
    return Path(__file__).parent / case


def plan_of(case: str, scope: Scope | None = None) -> Plan:
    """The plan that the case's manifests and state give, limited to ``scope`` instead of to what the case says."""
    path = folder_of(case) / "observed.json"
    there = read_observed(path)
    checked = check(folder_of(case) / "manifests", Settings(), lookup=lambda _: there.applied.values())
    assert checked.problems == (), checked.problems
    desired = (*checked.resources, *as_applied(checked.waiting, checked.resources, there))
    limit = scope or _scope(folder_of(case) / "scope.json")
    found = replace(plan(desired, there, checked.sources, scope=limit), waiting=checked.waiting)
    return guard(found, there, checked.sources, _read_costs(path), _read_allowances(path))


def _scope(path: Path) -> Scope:
    if not path.exists():
        return EVERYTHING
    data = json.loads(path.read_text("utf-8"))
    return Scope(frozenset(map(_identity, data["targets"])), data["labels"], data["refreshOnly"])


def _read_allowances(path: Path) -> Allowances:
    return Allowances(**json.loads(path.read_text("utf-8")).get("allowed", {}))


def _read_costs(path: Path) -> dict[str, Cost]:
    """By uid; of what ``path`` says nothing about, nothing is held."""
    data = json.loads(path.read_text("utf-8"))
    return {declared.uid_of(_identity(word)): Cost(**cost) for word, cost in data.get("costs", {}).items()}


def read_observed(path: Path) -> Observed:
    """The state in ``path``."""
    data = json.loads(path.read_text("utf-8"))
    there = declared.observed(map(_resource, data["applied"]), data["revision"])
    for entry in data["broken"]:
        there = _broken(there, entry)
    overrides = {declared.uid_of(_identity(word)): Override(*it) for word, it in data.get("overrides", {}).items()}
    suspended = {
        declared.uid_of(_identity(word)): Suspended(by, datetime.fromisoformat(since), reason)
        for word, (by, since, reason) in data.get("suspended", {}).items()
    }
    return replace(there, overrides=overrides, suspended=suspended)


def _resource(row: dict[str, Any]) -> Resource:
    return Resource(
        identity=_identity(row["resource"]),
        spec=completed(_identity(row["resource"]).kind, row["spec"]),
        labels=row.get("labels", {}),
        annotations=row.get("annotations", {}),
        managed_by=row["managedBy"],
        origin=Origin(row["file"], row["line"]),
        implied_by=_identity(row["impliedBy"]) if "impliedBy" in row else None,
    )


def _identity(text: str) -> Identity:
    kind, _, full_name = text.partition(" ")
    tenant, _, name = full_name.rpartition("/")
    return Identity(kind, tenant, name)


def _broken(there: Observed, entry: dict[str, Any]) -> Observed:
    if "flushed" in entry:
        return replace(there, topics={}, subscriptions={}, index={}, epochs=frozenset())
    action = next(iter(entry))
    identity = _identity(entry[action])
    uid = declared.uid_of(identity)
    if action == "stream":
        return _without_stream(there, uid, entry["partition"])
    if action == "group":
        return _without_group(there, uid, entry["partition"], entry["position"])
    if action == "meta":
        return _with_meta(there, uid, entry.get("set"))
    if action in ("edited", "malformed", "added", "unreadable"):
        return _with_row_edit(there, identity, entry)
    if action in _STREAMS:
        return _STREAMS[action](there, uid, entry)
    assert action in ("row", "forgotten", "leftover"), f"unknown: {entry}"
    row = there.applied[identity]
    lost = {**there.lost, identity: Lost(uid, row.generation, row)} if action == "row" else there.lost
    applied = {other: row for other, row in there.applied.items() if other != identity}
    there = replace(there, applied=applied, lost=lost)
    return _with_meta(there, uid, {"closing": "1"}) if action == "leftover" else there


def _with_row_edit(there: Observed, identity: Identity, entry: dict[str, Any]) -> Observed:
    uid, row = declared.uid_of(identity), there.applied.get(identity)
    resource = None if row is None or "problem" in entry else row.resource
    if resource is not None:
        resource = replace(resource, spec={**resource.spec, **entry.get("spec", {})})
    is_recorded = not entry.keys() & {"added", "unreadable"}
    edit = RowEdit(uid, identity, resource, 1, entry.get("problem", ""), is_recorded)
    editors = {uid: Editor(entry["by"], datetime.fromisoformat(entry["at"]))} if "by" in entry else {}
    return replace(there, edits={**there.edits, uid: edit}, editors={**there.editors, **editors})


def _moved(there: Observed, uid: str, entry: dict[str, Any]) -> Observed:
    partition = entry["partition"]
    there = _with_meta(there, uid, {f"pos:{partition}": entry["position"]})
    topic = there.topics[there.subscriptions[uid].meta["topic"]]
    groups = {**topic.groups, partition: {**topic.groups[partition], uid: entry["to"]}}
    return replace(there, topics={**there.topics, topic.uid: replace(topic, groups=groups)})


def _truncated(there: Observed, uid: str, entry: dict[str, Any]) -> Observed:
    lane = (there.subscriptions[uid].meta["topic"], entry["partition"], uid)
    return replace(there, missing={**there.missing, lane: entry["missing"]})


def _misplaced(there: Observed, uid: str, entry: dict[str, Any]) -> Observed:
    there = _without_stream(there, uid, entry["partition"])
    return replace(there, misplaced={**there.misplaced, (uid, entry["partition"]): entry["key"]})


def _foreign(there: Observed, uid: str, entry: dict[str, Any]) -> Observed:
    place = (uid, entry["partition"], entry["group"])
    return replace(there, foreign={**there.foreign, place: entry["pending"]})


_STREAMS = {"moved": _moved, "truncated": _truncated, "renamed": _misplaced, "foreign": _foreign}


def _without_stream(there: Observed, uid: str, partition: int) -> Observed:
    live = there.topics[uid]
    groups = {number: found for number, found in live.groups.items() if number != partition}
    return replace(there, topics={**there.topics, uid: replace(live, groups=groups)})


def _without_group(there: Observed, uid: str, partition: int, position: str) -> Observed:
    there = _with_meta(there, uid, {f"pos:{partition}": position})
    topic = there.topics[there.subscriptions[uid].meta["topic"]]
    left = {group: at for group, at in topic.groups[partition].items() if group != uid}
    groups = {**topic.groups, partition: left}
    return replace(there, topics={**there.topics, topic.uid: replace(topic, groups=groups)})


def _with_meta(there: Observed, uid: str, fields: dict[str, str] | None) -> Observed:
    if uid in there.topics:
        topic = there.topics[uid]
        meta = {} if fields is None else {**topic.meta, **fields}
        return replace(there, topics={**there.topics, uid: replace(topic, meta=meta)})
    reader = there.subscriptions[uid]
    meta = {} if fields is None else {**reader.meta, **fields}
    return replace(there, subscriptions={**there.subscriptions, uid: replace(reader, meta=meta)})
