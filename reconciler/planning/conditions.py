"""What a pass of the reconciler found of resources, in the terms of their conditions. Pure.

Most resources are as declared, and nothing is noted of them: a pass over forty thousand that finds nothing compares
nothing and writes nothing.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from mqops.model import Identity
from mqops.status import Reason, Status
from reconciler.planning.beside import suspended_text
from reconciler.planning.change import Action, Change, FieldChange
from reconciler.planning.holds import Hold, Suspension
from reconciler.planning.plan import Plan
from reconciler.planning.refusals import Obstacle, Refusal
from reconciler.state import Observed

_MOST_FIELDS = 3
_READY = (Reason.APPLIED, Reason.SUSPENDED, Reason.PINNED)


@dataclass(frozen=True, slots=True)
class Finding:
    """What is to be said of one resource."""

    reason: Reason
    message: str
    is_awaited: bool = False
    """Whether it is put right without anybody acting."""

    @property
    def is_ready(self) -> bool:
        return self.reason in _READY

    @property
    def is_stalled(self) -> bool:
        """Whether a person has to act."""
        return not self.is_ready and not self.is_awaited


AS_APPLIED = Finding(Reason.APPLIED, "")


@dataclass(frozen=True, slots=True)
class Undone:
    """A change that an apply did not make."""

    message: str
    is_failed: bool
    """Rather than left out, or stopped before."""


@dataclass(frozen=True, slots=True)
class Pass:
    """What a pass found, and what came of it."""

    observed: Observed
    plan: Plan
    """All of it, whatever of it is done."""
    sources: Collection[str]
    """Those that the plan is for."""
    holds: Collection[Hold] = ()
    reported: Collection[Identity] = ()
    """Changes that are only reported, because the source does not heal itself."""
    done: Collection[Identity] = ()
    undone: Mapping[Identity, Undone] | None = None
    """``None`` before anything is done."""
    is_whole: bool = True
    """Whether the plan has all there is to do with the sources."""


def findings(found: Pass) -> dict[str, Finding]:
    """By uid, what there is to say of everything that is not simply as applied."""
    said = dict(_held(found))
    said.update(_suspended(found))
    said.update(_drifted(found, said))
    for change in found.plan.changes:
        finding, uid = _of_change(change, found), _uid(change)
        if finding is not None and uid is not None:
            said[uid] = finding
    for refusal in found.plan.refused:
        uid = _uid(refusal.change)
        if uid is not None:
            said[uid] = _of_refusal(refusal)
    return said


def passed_over(found: Pass) -> set[str]:
    """Uids of what was neither done nor found to be otherwise: what is noted of them stays."""
    return {
        uid
        for change in found.plan.changes
        if change.identity not in found.done and _of_change(change, found) is None and (uid := _uid(change)) is not None
    }


def changed(noted: Mapping[str, Status], found: Pass) -> Iterator[tuple[str, Finding, int]]:
    """What is to be noted otherwise than it is ``noted``: uid, finding and observed generation."""
    said = findings(found)
    if not said and not noted:
        return
    generations = _generations(found)
    for uid, finding in said.items():
        if uid in generations and not _says(noted.get(uid), finding, generations[uid]):
            yield uid, finding, generations[uid]
    stays, covered = {*said, *passed_over(found)}, _covered(found)
    for uid, status in noted.items():
        if uid not in stays and uid in covered and not _says(status, AS_APPLIED, generations[uid]):
            yield uid, AS_APPLIED, generations[uid]


def _uid(change: Change) -> str | None:
    """Of what is there, also where another takes its place."""
    return change.uid if change.before is None else change.before.uid


def _generations(found: Pass) -> dict[str, int]:
    """By uid, of everything that there is now."""
    generations = {row.uid: row.generation for row in found.observed.applied.values()}
    for change in found.plan.changes:
        if change.uid in generations and change.identity in found.done:
            generations[change.uid] = change.generation
    return generations


def _says(status: Status | None, finding: Finding, generation: int) -> bool:
    return status is not None and (
        (status.reason, status.message, status.observed_generation) == (finding.reason, finding.message, generation)
        and (status.is_ready, status.is_reconciling) == (finding.is_ready, finding.is_awaited)
    )


def _covered(found: Pass) -> set[str]:
    if found.is_whole:
        return {row.uid for row in found.observed.applied.values() if row.resource.managed_by in found.sources}
    return {change.before.uid for change in found.plan.changes if change.before is not None}


def _held(found: Pass) -> Iterator[tuple[str, Finding]]:
    """What stays as it is applied."""
    holds = {hold.source: hold for hold in found.holds}
    if not holds or not found.is_whole:
        return
    for row in found.observed.applied.values():
        hold = holds.get(row.resource.managed_by)
        if hold is not None:
            yield row.uid, Finding(Reason.SUSPENDED if isinstance(hold, Suspension) else Reason.PINNED, hold.kept)


def _suspended(found: Pass) -> Iterator[tuple[str, Finding]]:
    """Single resources that are left alone; their drift is among what is refused."""
    if not found.observed.suspended or not found.is_whole:
        return
    for row in found.observed.applied.values():
        suspended = found.observed.suspended.get(row.uid)
        if suspended is not None and row.resource.managed_by in found.sources:
            yield row.uid, Finding(Reason.SUSPENDED, suspended_text(suspended))


def _drifted(found: Pass, held: Mapping[str, Finding]) -> Iterator[tuple[str, Finding]]:
    """What was changed outside: by rows, too, and what no repair puts right."""
    changing = {change.identity for change in found.plan.changes}
    for one in found.plan.drift:
        if one.identity in found.done and not one.message:
            continue
        because = f"; {held[one.uid].message}" if one.uid in held else ""
        is_left = found.undone is not None or one.identity in found.reported or one.identity not in changing
        message = f"{one.message or _told(one.reason, one.fields)}{because}"
        yield one.uid, Finding(Reason.DRIFTED, message, is_awaited=not is_left and not one.message)


def _of_change(change: Change, found: Pass) -> Finding | None:
    """``None`` when nothing follows: it is done, or will be, or was not asked for."""
    if change.identity in found.done:
        return None
    undone = None if found.undone is None else found.undone.get(change.identity)
    if undone is not None:
        return Finding(Reason.FAILED if undone.is_failed else Reason.WAITING, undone.message, is_awaited=True)
    if change.action is not Action.REPAIR and change.identity not in found.reported:
        return None
    is_awaited = found.undone is None and change.identity not in found.reported
    return Finding(Reason.DRIFTED, _told(change.reason, change.fields), is_awaited)


def _of_refusal(refusal: Refusal) -> Finding:
    change = refusal.change
    if refusal.obstacle is Obstacle.SUSPENDED:
        reason = Reason.DRIFTED if change.action is Action.REPAIR else Reason.SUSPENDED
    else:
        reason = Reason.WAITING if refusal.obstacle is Obstacle.DEPENDS_ON_REFUSED else Reason.REFUSED
    return Finding(reason, refusal.message)


def _told(reason: str, fields: Collection[FieldChange]) -> str:
    """Like ``group missing: live.partitions[0].group``."""
    paths = [field.path for field in fields]
    more = f" and {len(paths) - _MOST_FIELDS} more" if len(paths) > _MOST_FIELDS else ""
    shown = ", ".join(paths[:_MOST_FIELDS])
    return f"{reason.replace('_', ' ')}{f': {shown}{more}' if shown else ''}"
