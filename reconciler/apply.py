"""Carries a plan out: Redis made ready, then the catalog, then what was deleted destroyed.

1. Streams, groups and settings on Redis, for all that is created, updated or repaired. What is being deleted is closed,
   and stays, opened again, when messages have come in that nobody has agreed to lose.
2. One transaction in PostgreSQL: rows and history. From here on the data plane knows.
3. What was deleted is destroyed on Redis.

Killed anywhere, the next run finishes: (1) repeats harmlessly and reuses the uids that Redis tells; a delete that was
only closed is found as a difference, and one that was only committed as a leftover. A step that fails takes its
resource out, and whatever depends on it; the rest goes on.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from uuid import uuid4

from mqops.model import Identity
from reconciler.planning import target
from reconciler.planning.change import Action, Change
from reconciler.planning.dependents import dependents
from reconciler.planning.plan import Plan
from reconciler.planning.target import Step, Target, target_of
from reconciler.state import Observed
from reconciler.stores import Stores, provision, translated
from reconciler.stores.cost import read_costs
from reconciler.stores.history import Author
from reconciler.stores.provision import Progress
from reconciler.stores.store import Batch, commit, note_moved

DONE = {
    Action.CREATE: "created",
    Action.UPDATE: "updated",
    Action.DELETE: "deleted",
    Action.REPAIR: "repaired",
    Action.RENAME: "renamed",
    Action.ADOPT: "adopted",
    Action.HANDOVER: "handed over",
}
"""What to say of changes that were made."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A change that could not be made."""

    identity: Identity
    action: Action
    message: str


@dataclass(frozen=True, slots=True)
class Report:
    """How an apply went."""

    revision: int | None
    """The catalog's new one; ``None`` when nothing of it changed."""
    done: tuple[Change, ...]
    failed: tuple[Failure, ...]

    @property
    def summary(self) -> str:
        """In one line, like ``Applied revision 7: 3 created, 1 updated.``"""
        counts = counts_text({**Counter(change.action.value for change in self.done), "failed": len(self.failed)})
        if self.revision is None:
            return f"Nothing applied: {counts}." if counts else "No changes."
        return f"Applied revision {self.revision}: {counts}."


def counts_text(summary: Mapping[str, int]) -> str:
    """Numbers of changes by action, and of those that ``failed``, like ``3 created, 1 failed``; empty for none."""
    words = {**{action.value: DONE[action] for action in Action}, "failed": "failed"}
    return ", ".join(f"{number} {word}" for action, word in words.items() if (number := summary.get(action, 0)))


@dataclass(slots=True)
class _Run:
    """One apply under way."""

    plan: Plan
    observed: Observed
    stores: Stores
    target: Target
    progress: Progress
    out: dict[Identity, str] = field(default_factory=dict)
    """What is left out so far, and why."""
    unsettled: set[int] = field(default_factory=set)
    """Buckets in which something could not be prepared."""

    def remaining(self) -> tuple[Change, ...]:
        return tuple(change for change in self.plan.changes if change.identity not in self.out)

    def steps(self, make: Callable[[Collection[Change], Target], Iterable[Step]]) -> None:
        """Runs the steps that ``make`` finds for what remains, and takes out what failed with its dependents."""
        steps = list(make(self.remaining(), self.target))
        outcomes = provision.run(self.stores.redis, self.stores.keys, steps, self.progress)
        for step, error in zip(steps, outcomes, strict=True):
            if error is not None:
                self.out.setdefault(step.owner, error)
                self.unsettled.add(step.bucket)
        self._leave_out_dependents()

    def keep_what_filled_up(self) -> None:
        """Takes out deletes that were harmless when they were planned, and would lose messages by now. What goes is
        closed already, so nothing more comes in; what stays is opened again."""
        deletes = [change for change in self.remaining() if change.action is Action.DELETE]
        costs = read_costs(self.stores, self.observed, [change for change in deletes if change.cost is not None])
        for change in deletes:
            cost = costs.get(change.uid or "")
            if change.cost is not None and cost is not None and cost.unfinished and not change.cost.unfinished:
                self.out[change.identity] = (
                    f"it held nothing unfinished when the plan was made, and {cost.unfinished} by now: plan again"
                )
        self._leave_out_dependents()
        kept = [_as_repair(change) for change in deletes if change.identity in self.out]
        steps = [*target.topic_steps(kept, self.target), *target.subscription_steps(kept, self.target)]
        provision.run(self.stores.redis, self.stores.keys, steps, self.progress)

    def _leave_out_dependents(self) -> None:
        if self.out:
            for identity, left in dependents(self.plan.changes, self.out, self.observed).items():
                self.out[identity] = f"left out: {left.message}"


def apply(
    plan: Plan, observed: Observed, stores: Stores, author: Author, progress: Progress = lambda _: None
) -> Report:
    """Makes the changes of ``plan``, which was made against ``observed``. Whoever calls holds the sources' locks.

    Raises ``BrokerNotAvailable`` when a store goes away, and ``Conflict`` when the catalog moved on; the next run
    converges from wherever this one stopped.
    """
    run = _Run(plan, observed, stores, target_of(plan.changes, observed, lambda: str(uuid4())), progress)
    run.steps(target.topic_steps)
    run.steps(target.subscription_steps)
    run.steps(lambda changes, aim: _settled(target.bucket_steps(changes, aim), run.unsettled))
    run.steps(target.close_steps)
    run.keep_what_filled_up()
    done = run.remaining()
    failed = [(change, run.out[change.identity]) for change in plan.changes if change.identity in run.out]
    revision = None
    with translated():
        if done:
            batch = Batch(done, failed, run.target.placement.uids, plan.revision)
            revision = commit(stores.database, batch, author)
        note_moved(stores.database, plan.moved)
    failures = [Failure(change.identity, change.action, message) for change, message in failed]
    failures.extend(_destroy(run, done))
    return Report(revision, done, tuple(failures))


def _as_repair(delete: Change) -> Change:
    """Of a delete that is not made: what puts back its settings on Redis."""
    generation = 1 if delete.before is None else delete.before.generation
    return replace(delete, action=Action.REPAIR, generation=generation)


def _settled(steps: Iterable[Step], unsettled: Collection[int]) -> Iterable[Step]:
    """A bucket opens for publishing when all in it is prepared: else messages would pass a subscription by."""
    return (step for step in steps if step.bucket not in unsettled)


def _destroy(run: _Run, done: Collection[Change]) -> Iterable[Failure]:
    steps = list(target.remove_steps(done, run.plan.leftovers, run.target))
    outcomes = provision.run(run.stores.redis, run.stores.keys, steps, run.progress)
    for step, error in zip(steps, outcomes, strict=True):
        if error is not None:
            yield Failure(step.owner, Action.DELETE, f"deleted, but not yet from Redis: {error}")
