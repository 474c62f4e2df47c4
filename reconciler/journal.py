"""What an apply did, a line a change, for logs. No field's value is among it, and so no secret."""

from collections.abc import Iterator
from dataclasses import dataclass

from reconciler.apply import Report
from reconciler.planning.change import Change
from reconciler.planning.plan import Plan
from reconciler.stores.history import Author


@dataclass(frozen=True, slots=True)
class Line:
    """One change, and what came of it."""

    action: str
    outcome: str
    """As ``apply.Outcome`` has them."""
    resource: str
    """Like ``Topic acme/orders``."""
    reason: str
    """The change's reason code; empty of what an earlier delete had left on Redis."""
    source: str
    """Whose it is."""
    revision: int | None
    """That it is part of; ``None`` when nothing was committed."""
    actor: str
    trigger: str
    commit: str
    """Empty when the manifests are of none."""
    duration_ms: int
    """Of the apply that it was made in: changes are made many at a time."""
    message: str
    """Why it is not done; empty when it is."""

    @property
    def fields(self) -> dict[str, str | int]:
        """By the names that logs give them; what is empty is left out."""
        told = {
            "action": self.action,
            "outcome": self.outcome,
            "resource": self.resource,
            "reason": self.reason,
            "source": self.source,
            "revision": self.revision,
            "actor": self.actor,
            "trigger": self.trigger,
            "commit": self.commit,
            "durationMs": self.duration_ms,
            "error": self.message,
        }
        return {name: value for name, value in told.items() if value not in ("", None)}


def journal(report: Report, plan: Plan, author: Author) -> Iterator[Line]:
    """A line for each result of ``report``, which is of ``plan``."""
    changes: dict[object, Change] = {change.identity: change for change in plan.changes}
    commit = "" if author.commit is None else str(author.commit)
    for result in report.results:
        change = changes.get(result.identity)
        yield Line(
            action=result.action.value,
            outcome=result.outcome.value,
            resource=str(result.identity),
            reason="" if change is None else change.reason.value,
            source="" if change is None else change.resource.managed_by,
            revision=report.revision,
            actor=author.actor,
            trigger=author.trigger,
            commit=commit,
            duration_ms=int(report.seconds * 1000),
            message=result.message,
        )
