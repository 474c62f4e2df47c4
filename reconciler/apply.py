"""Carries a plan out: Redis made ready, then the catalog, then what went destroyed.

1. Streams, groups and settings on Redis, for all that is created, updated or repaired; closed, for what takes the place
   of another. What is to go is closed, and stays, opened again, when messages have come in that nobody has agreed to
   lose.
2. One transaction in PostgreSQL: rows and history. From here on the data plane knows.
3. What has taken the place of another is opened, even when this was told to stop.
4. What went is destroyed on Redis.

Killed anywhere, the next run finishes: (1) repeats harmlessly and reuses the uids that Redis tells; what was only
closed to go is found as a difference, and what the catalog does not have (any more, or not yet) and is closed, as a
leftover. What the catalog has and is still closed is opened by a repair. A step that fails takes its
resource out, and whatever depends on it; the rest goes on. So it is when whoever looks on stops it: what Redis is ready
for by then is committed, with its history, and the rest is not done.
"""

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from uuid import uuid4

from mqops.model import Identity
from reconciler.oversight import UNATTENDED, Oversight, Progress, Stage
from reconciler.planning import target
from reconciler.planning.change import Action, Change
from reconciler.planning.dependents import dependents
from reconciler.planning.placement import unplaced
from reconciler.planning.plan import Plan
from reconciler.planning.target import Step, Target, target_of
from reconciler.state import Observed
from reconciler.stores import Stores, lock, provision, translated
from reconciler.stores.cost import read_costs
from reconciler.stores.history import Author, Batch
from reconciler.stores.store import commit, note_moved

DONE = {
    Action.CREATE: "created",
    Action.UPDATE: "updated",
    Action.DELETE: "deleted",
    Action.REPAIR: "repaired",
    Action.RENAME: "renamed",
    Action.ADOPT: "adopted",
    Action.HANDOVER: "handed over",
    Action.REPLACE: "replaced",
}
"""What to say of changes that were made."""


class Outcome(StrEnum):
    """What became of a change."""

    DONE = "done"
    FAILED = "failed"
    LEFT_OUT = "left_out"
    """Something that it depends on failed."""
    NOT_DONE = "not_done"
    """The apply was stopped before it."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one change."""

    identity: Identity
    action: Action
    outcome: Outcome
    message: str = ""
    """Why it is not done."""


@dataclass(frozen=True, slots=True)
class Report:
    """How an apply went."""

    revision: int | None
    """The catalog's new one; ``None`` when nothing of it changed."""
    done: tuple[Change, ...]
    failed: tuple[Result, ...]
    """Those that were left out with them, too; and what is deleted, but could not be removed from Redis yet."""
    not_done: tuple[Result, ...] = ()
    """What it was stopped before."""
    seconds: float = 0.0
    """How long it took."""

    @property
    def results(self) -> Iterator[Result]:
        """Of every change; a delete that did not come to its end has two."""
        for change in self.done:
            yield Result(change.identity, change.action, Outcome.DONE)
        yield from self.failed
        yield from self.not_done

    @property
    def is_complete(self) -> bool:
        """Whether everything was done."""
        return not self.failed and not self.not_done

    @property
    def summary(self) -> str:
        """In one line, like ``Applied revision 7: 3 created, 1 updated.``"""
        done = Counter(change.action.value for change in self.done)
        counts = counts_text({**done, "failed": len(self.failed), "not_done": len(self.not_done)})
        if self.revision is None:
            return f"Nothing applied: {counts}." if counts else "No changes."
        return f"Applied revision {self.revision}: {counts}."


def counts_text(summary: Mapping[str, int]) -> str:
    """Numbers of changes by action, of those that ``failed``, and of those that were ``not_done``, like ``3 created,
    1 failed``; empty for none."""
    words = {**{action.value: DONE[action] for action in Action}, "failed": "failed", "not_done": "not done"}
    return ", ".join(f"{number} {word}" for action, word in words.items() if (number := summary.get(action, 0)))


@dataclass(frozen=True, slots=True)
class _Left:
    """Why a change is left out."""

    outcome: Outcome
    message: str


@dataclass(slots=True)
class _Run:
    """One apply under way."""

    plan: Plan
    observed: Observed
    stores: Stores
    target: Target
    oversight: Oversight
    out: dict[Identity, _Left] = field(default_factory=dict)
    """What is left out so far."""
    unsettled: set[int] = field(default_factory=set)
    """Buckets in which something could not be prepared."""
    prepared: set[Identity] = field(default_factory=set)
    """Changes for which something was made on Redis."""

    def remaining(self) -> tuple[Change, ...]:
        return tuple(change for change in self.plan.changes if change.identity not in self.out)

    def steps(self, stage: Stage, make: Callable[[Collection[Change], Target], Iterable[Step]]) -> None:
        """Runs the steps that ``make`` finds for what remains, and takes out what failed with its dependents."""
        steps = list(make(self.remaining(), self.target))
        outcomes = self.call(stage, steps)
        for step, error in zip(steps, outcomes, strict=False):
            self.prepared.add(step.owner)
            if error is not None:
                self._take_out(step, _Left(Outcome.FAILED, error))
        for step in steps[len(outcomes) :]:
            self._take_out(step, _Left(Outcome.NOT_DONE, "stopped before this was done"))
        self._leave_out_dependents()

    def call(self, stage: Stage, steps: Sequence[Step]) -> list[str | None]:
        """Makes the calls, or as many of them as are made before it is stopped."""

        def goes_on(made: int) -> bool:
            if self.oversight.is_stopped():
                return False
            lock.require_session(self.stores.database)
            self.oversight.advanced(Progress(stage, made, len(steps), steps[made].owner))
            return True

        return provision.run(self.stores.redis, self.stores.keys, steps, goes_on)

    def keep_what_filled_up(self) -> None:
        """Takes out what was harmless when it was planned, and would lose messages by now. What goes is closed
        already, so nothing more comes in; what stays is opened again."""
        going = [change for change in self.remaining() if change.gone is not None]
        costs = read_costs(self.stores, self.observed, [change for change in going if change.cost is not None])
        for change in going:
            cost = None if change.gone is None else costs.get(change.gone.uid)
            if change.cost is not None and cost is not None and cost.unfinished and not change.cost.unfinished:
                message = f"it held nothing unfinished when the plan was made, and {cost.unfinished} by now: plan again"
                self.out[change.identity] = _Left(Outcome.FAILED, message)
        self._leave_out_dependents()
        self._open_again()

    def _open_again(self) -> None:
        """Of what does not go after all, that which was closed; however often it is told to stop."""
        closed = [
            change.gone
            for change in self.plan.changes
            if change.gone is not None and change.identity in self.out and change.identity in self.prepared
        ]
        if not closed:
            return
        placement = target_of((), self.target.observed, _never).placement
        there = Target(self.target.observed, replace(placement, closing=self.target.placement.closing))
        self._call_all(list(target.reopening_steps(closed, there)))

    def _call_all(self, steps: Sequence[Step]) -> list[str | None]:
        """Makes the calls however often this is told to stop."""
        if steps:
            lock.require_session(self.stores.database)
        return provision.run(self.stores.redis, self.stores.keys, steps, lambda _: True)

    def commit(self, done: Collection[Change], author: Author) -> int | None:
        """Makes what is ``done`` known, and returns the catalog's new revision; ``None`` when nothing is."""
        failed = [change for change in self.plan.changes if self._outcome(change) in (Outcome.FAILED, Outcome.LEFT_OUT)]
        not_done = sum(left.outcome is Outcome.NOT_DONE for left in self.out.values())
        revision = None
        self.oversight.advanced(Progress(Stage.COMMITTING, 0, len(done), None))
        with translated():
            if done:
                told = [(change, self.out[change.identity].message) for change in failed]
                uids = self.target.placement.uids
                displaced = _displaced(done, uids, self.observed)
                batch = Batch(done, told, not_done, uids, self.plan.revision, displaced)
                revision = commit(self.stores.database, batch, author)
            note_moved(self.stores.database, self.plan.moved)
        return revision

    def open(self, done: Collection[Change]) -> Iterator[Result]:
        """Opens what has taken the place of another, and answers what is still closed."""
        steps = list(target.opening_steps(done, self.target))
        if steps:
            self.oversight.advanced(Progress(Stage.OPENING, 0, len(steps), None))
        for step, error in zip(steps, self._call_all(steps), strict=True):
            if error is not None:
                message = f"replaced, but not yet opened on Redis: {error}"
                yield Result(step.owner, Action.REPLACE, Outcome.FAILED, message)

    def abandon(self) -> None:
        """Removes what was prepared in vain, for what takes the place of nothing after all."""
        left_out = [change for change in self.plan.changes if change.identity in self.out]
        self._call_all(list(target.abandoning_steps(left_out, self.target)))

    def remove(self, done: Collection[Change]) -> Iterator[Result]:
        """Destroys what went, and answers what is still there."""
        steps = list(target.remove_steps(done, self.plan.leftovers, self.target))
        outcomes = self.call(Stage.REMOVING, steps)
        stopped = ["stopped before it was"] * (len(steps) - len(outcomes))
        for step, error in zip(steps, [*outcomes, *stopped], strict=True):
            if error is not None:
                message = f"deleted, but not yet from Redis: {error}"
                yield Result(step.owner, Action.DELETE, Outcome.FAILED, message)

    def left(self, *outcomes: Outcome) -> tuple[Result, ...]:
        """What is left out, and comes to one of ``outcomes``."""
        return tuple(
            Result(change.identity, change.action, left.outcome, left.message)
            for change in self.plan.changes
            if (left := self.out.get(change.identity)) is not None and left.outcome in outcomes
        )

    def _outcome(self, change: Change) -> Outcome:
        left = self.out.get(change.identity)
        return Outcome.DONE if left is None else left.outcome

    def _take_out(self, step: Step, left: _Left) -> None:
        self.out.setdefault(step.owner, left)
        self.unsettled.add(step.bucket)

    def _leave_out_dependents(self) -> None:
        """What depends on something that failed, and then what depends on something that it was stopped before."""
        failed = {identity for identity, left in self.out.items() if left.outcome is not Outcome.NOT_DONE}
        for outcome, out in ((Outcome.LEFT_OUT, failed), (Outcome.NOT_DONE, self.out)):
            if out:
                every = dependents(self.plan.changes, out, self.observed, is_under_way=True)
                for identity, found in every.items():
                    self.out.setdefault(identity, _Left(outcome, f"left out: {found.message}"))


def apply(plan: Plan, observed: Observed, stores: Stores, author: Author, oversight: Oversight = UNATTENDED) -> Report:
    """Makes the changes of ``plan``, which was made against ``observed``. Whoever calls holds the sources' locks.

    Raises ``BrokerNotAvailable`` when a store goes away, and ``Conflict`` when the catalog moved on, or the lock was
    taken away; the next run converges from wherever this one stopped.
    """
    started = time.monotonic()
    run = _Run(plan, observed, stores, target_of(plan.changes, observed, lambda: str(uuid4())), oversight)
    with oversight.under_way():
        run.steps(Stage.PREPARING, target.topic_steps)
        run.steps(Stage.PREPARING, target.subscription_steps)
        run.steps(Stage.PREPARING, lambda changes, aim: _settled(target.bucket_steps(changes, aim), run.unsettled))
        run.steps(Stage.CLOSING, target.close_steps)
        run.keep_what_filled_up()
        done = run.remaining()
        revision = run.commit(done, author)
        still_closed = tuple(run.open(done))
        run.abandon()
        remains = (*still_closed, *run.remove(done))
    failed = (*run.left(Outcome.FAILED, Outcome.LEFT_OUT), *remains)
    return Report(revision, done, failed, run.left(Outcome.NOT_DONE), time.monotonic() - started)


def _displaced(done: Collection[Change], uids: Mapping[Identity, str], observed: Observed) -> list[str]:
    """Rows that someone wrote by hand under names that are written now."""
    written = {change.identity: uids[change.identity] for change in done if change.action is not Action.DELETE}
    return [edit.uid for edit in unplaced(observed) if written.get(edit.identity, edit.uid) != edit.uid]


def _never() -> str:
    raise AssertionError("what is there has its uid")


def _settled(steps: Iterable[Step], unsettled: Collection[int]) -> Iterable[Step]:
    """A bucket opens for publishing when all in it is prepared: else messages would pass a subscription by."""
    return (step for step in steps if step.bucket not in unsettled)
