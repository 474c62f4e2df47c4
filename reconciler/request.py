"""What is asked of the pipeline, and what it answers: plain data."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from mqops.errors import ConfigurationError
from mqops.settings import Settings
from reconciler.manifests.check import Checked
from reconciler.oversight import UNATTENDED, Oversight
from reconciler.planning.document import PlanDocument
from reconciler.planning.guard import NOTHING_ALLOWED, Allowances
from reconciler.planning.holds import Hold
from reconciler.planning.plan import Plan
from reconciler.planning.render import as_json, held_json
from reconciler.planning.scope import EVERYTHING, Scope
from reconciler.state import Observed
from reconciler.stores.history import Author
from reconciler.stores.instance import Instance

LOCK_TIMEOUT_SECONDS = 10.0
"""How long an apply waits for another to finish, unless it is told otherwise."""


class NotThere(ConfigurationError):
    """What the plan was to be about is not there."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be planned."""

    checked: Checked
    settings: Settings
    take_over: tuple[str, ...] = ()
    """Sources that are no more: see ``plan``."""
    scope: Scope = EVERYTHING
    allowed: Allowances = NOTHING_ALLOWED
    """What the guards let through."""

    @property
    def owners(self) -> set[str]:
        """The sources that it is about."""
        return {*self.checked.sources, *self.take_over}


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan, and what it was made from."""

    request: Request
    observed: Observed
    plan: Plan
    instance: Instance | None
    """What the stores were stamped with when they were met; ``None`` when nothing was applied to them yet."""
    holds: tuple[Hold, ...] = ()
    """What keeps sources among the manifests' from being reconciled, by their names."""
    held_back: int = 0
    """How many resources of those are declared otherwise than they are applied, within what is planned."""
    warnings: tuple[str, ...] = ()
    """What else whoever applies this has to know of the stores."""
    is_recovering: bool = False
    """Whether the catalog was lost, and nothing was applied to it since."""
    renewed: frozenset[str] = frozenset()
    """Sources that are reconciled from these manifests for the first time: an apply notes it, and ends their pins."""

    @property
    def is_pending(self) -> bool:
        """Whether what is applied is not what the manifests declare, be it only that a held source keeps it so."""
        return not self.plan.is_empty or self.held_back > 0

    @property
    def document(self) -> PlanDocument:
        """The plan for programs."""
        return as_json(self.plan, held_json(self.holds), self.held_back)


class HasPlan(Protocol):
    """What was found to be done, from manifests or from an earlier revision."""

    @property
    def plan(self) -> Plan: ...


Found = TypeVar("Found", bound=HasPlan)


@dataclass(frozen=True, slots=True)
class Execution(Generic[Found]):
    """How what was found is carried out."""

    author: Author
    select: Callable[[Found], Plan] = lambda found: found.plan
    """What to do of it: by default all that it does not refuse."""
    lock_timeout_seconds: float = LOCK_TIMEOUT_SECONDS
    oversight: Oversight = UNATTENDED
