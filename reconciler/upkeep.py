"""One look of the watching reconciler: whether the manifests or what is applied have changed, and what follows.

Between looks it remembers the last manifests that were good, so that a broken one changes nothing and drift is still
repaired; and what it has said, so that nothing is said twice while it lasts. Time and threads are ``loop``'s.
"""

import os
import time
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from pathlib import Path

from mqops.errors import ConfigurationError, MqopsError
from mqops.model import Identity
from mqops.settings import Settings
from reconciler.apply import DONE, Report
from reconciler.garbage import put_aside, without_garbage_collection
from reconciler.journal import Line, journal
from reconciler.manifests.check import Checked
from reconciler.manifests.earlier import Earlier
from reconciler.manifests.problem import printable
from reconciler.measures import Measures
from reconciler.noting import note_pass
from reconciler.oversight import Unattended
from reconciler.pipeline import Memory, apply_manifests, author_of, plan_manifests
from reconciler.planning.change import Action, Change
from reconciler.planning.drift_shown import what
from reconciler.planning.plan import Plan, hold_back
from reconciler.planning.refusals import Obstacle
from reconciler.planning.render import named, unclaimed_note
from reconciler.planning.wording import value_text
from reconciler.provenance import read_commit
from reconciler.reading import ManifestsRejected, applied_in, check_manifests, with_commit
from reconciler.request import LOCK_TIMEOUT_SECONDS, Execution, Planned, Request
from reconciler.state import Applied
from reconciler.stores import Stores

OpenStores = Callable[[], AbstractContextManager[Stores]]
Say = Callable[[str], None]

Fingerprint = frozenset[tuple[str, int, int, int]]


class Verdict(Enum):
    """What a look came to."""

    SETTLED = auto()
    STUCK = auto()
    """A person has to act: the manifests have problems, a change is refused, drift is not to be repaired."""
    UNFINISHED = auto()
    """Something failed that may work when tried again: a store that is away, a step that Redis refused."""


_NOTES = "notes"
"""What is told and keeps nothing from being done."""
_NAMED = 20
"""So many changes of an apply are named; a log is no place for thousands."""


@dataclass(slots=True)
class Upkeep:
    """Keeps what is applied true to one directory of manifests."""

    directory: Path
    settings: Settings
    open_stores: OpenStores
    say: Say
    log: Callable[[Line], None] | None = None
    """Where a line a change goes; without it, the first of them are said."""
    lock_timeout_seconds: float = LOCK_TIMEOUT_SECONDS
    measures: Measures = field(default_factory=Measures)
    is_stopped: Callable[[], bool] = lambda: False
    """Whether an apply shall end between changes, and leave the rest to the next run."""
    _earlier: Earlier = field(default_factory=Earlier)
    """What the manifests came to when they were last read: only what has changed is worked out anew."""
    _memory: Memory = field(default_factory=Memory)
    _seen: Fingerprint | None = None
    _good: Checked | None = None
    """The last manifests without a problem."""
    _is_declared_anew: bool = True
    """Whether the manifests have changed since everything in them was applied."""
    _told: dict[str, object] = field(default_factory=dict)
    _held: frozenset[str] = frozenset()
    """Sources that were held when last looked at."""
    _suspended: frozenset[Identity] = frozenset()
    """Resources that would have been changed then, and were not since they are suspended."""

    def look(self) -> Verdict:
        """Brings everything up to date as far as it goes, and says what was done and what cannot be."""
        started = time.monotonic()
        with without_garbage_collection():
            verdict = self._look()
            put_aside()
        self.measures.looked(verdict.name.lower(), time.monotonic() - started)
        return verdict

    def _look(self) -> Verdict:
        try:
            self._read_manifests()
            if self._good is None:
                return Verdict.STUCK
            with self.open_stores() as stores:
                is_finished = self._keep(self._good, stores)
        except (MqopsError, ConfigurationError) as error:
            self._tell("stores", f"not done: {error}")
            return Verdict.UNFINISHED
        if self._told.pop("stores", None) is not None:
            self.say("going on")
        if not is_finished:
            return Verdict.UNFINISHED
        return Verdict.STUCK if self._told.keys() - {_NOTES} else Verdict.SETTLED

    @property
    def is_refused(self) -> bool:
        """Whether the last look did all that could be done, and a refused change or a held source is what is left."""
        told = self._told.keys()
        return bool(told & {"refused", "sources"}) and not told & {"manifests", "stores", "failures"}

    def is_behind(self) -> bool:
        """Whether the manifests are others than those last found good."""
        return fingerprint(self.directory) != self._seen

    def _read_manifests(self) -> None:
        commit = read_commit(self.directory)
        seen = fingerprint(self.directory)
        if seen == self._seen and self._good is not None and not self._good.relies_on_others:
            # What was saved may have been committed since.
            self._good = with_commit(self._good, commit, self.directory)
            self._manifests_are_good()
            return
        try:
            checked = check_manifests(self.directory, self.settings, self._earlier, self._look_up)
        except ManifestsRejected as error:
            stays = "" if self._good is None else "; the last good state stays"
            lines = [problem.render(self.directory) for problem in error.problems]
            count = "a problem" if len(lines) == 1 else f"{len(lines)} problems"
            self._tell("manifests", f"{count} in the manifests{stays}", *lines)
            return
        self._manifests_are_good()
        is_same = seen == self._seen and self._good is not None and checked.waiting == self._good.waiting
        self._seen, self._good, self._is_declared_anew = seen, checked, self._is_declared_anew or not is_same

    def _look_up(self, identities: Collection[Identity]) -> Collection[Applied] | None:
        with self.open_stores() as stores:
            return applied_in(stores.database)(identities)

    def _manifests_are_good(self) -> None:
        if self._told.pop("manifests", None) is not None:
            self.say("the manifests are good again")

    def _keep(self, checked: Checked, stores: Stores) -> bool:
        """Whether all was done that this may do by itself."""
        request = Request(checked, self.settings)
        planned = plan_manifests(request, stores, self._memory)
        self._tell_holds(planned)
        self._tell_warnings(planned)
        self._see_suspended(planned.plan)
        done, held = self._select(planned)
        self._tell_held(held)
        self._tell_left(planned.plan)
        self._tell_refused(planned.plan)
        # Before anything is put right: should that not come to its end, it is known what is not as declared.
        note_pass(planned, stores, reported=held)
        self.measures.planned(planned, held)
        behind = {hold.source for hold in planned.holds}
        behind.update(change.resource.managed_by for change in (*held, *(it.change for it in planned.plan.refused)))
        if done.is_empty and not done.moved and not planned.renewed and not planned.is_recovering:
            self._is_declared_anew = False
            self._told.pop("failures", None)
            self.measures.settled(planned, behind, time.time())
            return True
        is_repair = bool(done.changes) and all(change.action is Action.REPAIR for change in done.changes)
        author = author_of("repair" if is_repair else "watch")
        applied, report = apply_manifests(
            request,
            stores,
            Execution(author, self._selected, self.lock_timeout_seconds, _Stoppable(self.is_stopped)),
            self._memory,
        )
        lines = list(journal(report, applied.plan, replace(author, commit=checked.commit)))
        self.measures.applied(lines)
        behind.update(line.source for line in lines if line.message)
        self.measures.settled(planned, behind, time.time())
        if self.log is not None:
            for line in lines:
                self.log(line)
        return self._tell_report(report)

    def _select(self, planned: Planned) -> tuple[Plan, tuple[Change, ...]]:
        sources = planned.request.checked.sources
        return hold_back(planned.plan, planned.observed, sources, is_declared_anew=self._is_declared_anew)

    def _selected(self, planned: Planned) -> Plan:
        return self._select(planned)[0]

    def _tell_report(self, report: Report) -> bool:
        if report.done:
            named = report.done[:_NAMED] if self.log is None else ()
            for change in named:
                self.say(f"{DONE[change.action]} {described(change)}")
            if len(report.done) > len(named) > 0:
                self.say(f"and {len(report.done) - len(named)} more")
            self.say(report.summary)
        if report.is_complete:
            self._told.pop("failures", None)
            self._is_declared_anew = False
            return True
        if report.not_done:
            self.say(f"stopped: {len(report.not_done)} changes are not done, and left to the next run")
        if not report.failed:
            return False
        lines = [f"cannot {failure.action.verb} {failure.identity}: {failure.message}" for failure in report.failed]
        self._tell("failures", f"{len(lines)} failed and will be tried again", *lines)
        return False

    def _tell_holds(self, planned: Planned) -> None:
        """What was held back is declared anew when it no longer is: it was never applied."""
        held = frozenset(hold.source for hold in planned.holds)
        if self._held - held:
            self._is_declared_anew = True
        for name in sorted(self._held - held):
            self.say(f"source {name!r} is reconciled again")
        self._held = held
        if not held:
            self._told.pop("sources", None)
            return
        lines = [f"not reconciled: {hold}" for hold in planned.holds]
        if planned.held_back:
            lines.append(f"{planned.held_back} resources stay as they are")
        self._tell("sources", *lines)

    def _see_suspended(self, found: Plan) -> None:
        """What was kept back is declared anew when it no longer is, as of sources."""
        suspended = frozenset(it.change.identity for it in found.refused if it.obstacle is Obstacle.SUSPENDED)
        if self._suspended - suspended:
            self._is_declared_anew = True
        self._suspended = suspended

    def _tell_warnings(self, planned: Planned) -> None:
        unclaimed = unclaimed_note(planned.plan)
        lines = [*planned.warnings, *([] if unclaimed is None else [unclaimed])]
        lines += [f"{one.identity} waits: {one.message}" for one in planned.plan.waiting]
        if lines:
            self._tell(_NOTES, *lines)
        else:
            self._told.pop(_NOTES, None)

    def _tell_held(self, held: tuple[Change, ...]) -> None:
        if held:
            lines = [f"not repaired, selfHeal is false: {described(change)}" for change in held]
            self._tell("held", f"drift in {len(held)} resources", *lines)
        elif self._told.pop("held", None) is not None:
            self.say("no drift any more")

    def _tell_left(self, found: Plan) -> None:
        """What was changed outside, and nobody but a person can put right."""
        left = [one for one in found.drift if one.message]
        if left:
            lines = [f"not repaired: {one.identity}: {what(one)}: {one.message}" for one in left]
            self._tell("left", *map(printable, lines))
        elif self._told.pop("left", None) is not None:
            self.say("nothing is left that has to be put right by hand")

    def _tell_refused(self, found: Plan) -> None:
        if found.refused:
            lines = [f"cannot {it.change.action.verb} {it.change.identity}: {it.message}" for it in found.refused]
            self._tell("refused", f"{len(lines)} refused", *lines)
        else:
            self._told.pop("refused", None)

    def _tell(self, about: str, *lines: str) -> None:
        """Says it, unless it was the last thing said about this."""
        if self._told.get(about) != lines:
            self._told[about] = lines
            for line in lines:
                self.say(line)


@dataclass(frozen=True, slots=True)
class _Stoppable(Unattended):
    """Nobody looks on, but it may be stopped."""

    asks: Callable[[], bool]

    def is_stopped(self) -> bool:
        return self.asks()


def fingerprint(directory: Path) -> Fingerprint:
    """What tells whether a manifest may have changed: names, sizes and times of change of all of them."""
    found = set()
    waiting = [str(directory)]
    while waiting:
        # What is gone since it was listed, or not for us to read, reading the manifests will tell of.
        with suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if not entry.name.startswith("."):
                        waiting.append(entry.path)
                elif entry.name.endswith((".yaml", ".yml")):
                    with suppress(OSError):
                        status = entry.stat()
                        found.add((entry.path, status.st_mtime_ns, status.st_size, status.st_ino))
    return frozenset(found)


def described(change: Change) -> str:
    """A change in one line."""
    fields = ", ".join(f"{it.path} {value_text(it.before)} → {value_text(it.after)}" for it in change.fields)
    reason = change.reason.value.replace("_", " ")
    return f"{named(change)}: {reason}{f' ({fields})' if fields else ''}"
