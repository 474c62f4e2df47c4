"""Notes what a pass found of the resources, for everybody who asks how they fare: their conditions, and drift."""

from collections.abc import Collection, Iterable
from dataclasses import replace

from mqops.model import Identity
from reconciler.apply import Outcome, Report
from reconciler.planning.change import Change
from reconciler.planning.conditions import Pass, Undone
from reconciler.request import Planned
from reconciler.state import NO_SOURCES
from reconciler.stores import Stores, conditions, drift


def note_pass(planned: Planned, stores: Stores, report: Report | None = None, reported: Iterable[Change] = ()) -> None:
    """Notes of the resources what ``planned`` found of them, and what came of it: in their conditions, and what was
    changed outside and is not put right. ``report`` is ``None`` before anything is done; ``reported`` is only reported.
    Raises ``BrokerNotAvailable``."""
    checked = planned.request.checked
    found = Pass(
        planned.observed,
        planned.plan,
        {*NO_SOURCES, *checked.sources},  # nobody else watches over what no source has
        planned.holds,
        frozenset(change.identity for change in reported),
        is_whole=planned.request.scope.is_whole,
    )
    conditions.note(stores.database, found if report is None else with_report(found, report))
    _note_drift(planned, stores, () if report is None else [change.identity for change in report.done])


def _note_drift(planned: Planned, stores: Stores, put_right: Collection[Identity]) -> None:
    """What a limited plan has not looked at stays as it is noted."""
    scope = planned.request.scope
    if not scope.targets and not scope.labels:
        left = [one for one in planned.plan.drift if one.identity not in put_right or one.message]
        drift.note(stores.database, left, {*NO_SOURCES, *planned.request.owners})


def with_report(found: Pass, report: Report) -> Pass:
    """``found``, and what came of it."""
    undone = (*report.failed, *report.not_done)
    return replace(
        found,
        done=frozenset(change.identity for change in report.done),
        undone={it.identity: Undone(it.message, it.outcome is Outcome.FAILED) for it in undone},
    )
