"""Changes one resource that no source owns, as the management API does: the same checks, plan, locks and history as an
apply of manifests, over the resource's tenant alone, so that it costs what the tenant has and not what all have.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from mqops.errors import BrokerNotAvailable, Conflict
from mqops.model import Identity
from mqops.settings import Settings
from reconciler.apply import Report, apply
from reconciler.manifests.authority import EVERYTHING
from reconciler.manifests.problem import Problem
from reconciler.manifests.single import declared_again, judge, manifest_of
from reconciler.manifests.validate import Declared
from reconciler.noting import with_report
from reconciler.pipeline import require_same_installation
from reconciler.planning.conditions import Pass
from reconciler.planning.guard import NOTHING_ALLOWED, Allowances, guard
from reconciler.planning.plan import Plan
from reconciler.planning.single import is_refused, plan_single
from reconciler.state import API, NO_SOURCES, Applied, Observed
from reconciler.stores import Stores, conditions, lock, translated
from reconciler.stores.cost import read_costs
from reconciler.stores.history import Author
from reconciler.stores.observe import observe_tenant
from reconciler.stores.store import read_foreign_digests

_LOCK_SECONDS = 10.0
_ATTEMPTS = 5


class Invalid(Exception):
    """The resource is wrong in itself, or beside the others."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__(str(problems[0]))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Edit:
    """What to do to one resource."""

    identity: Identity
    body: Mapping[str, Any] | None
    """``labels``, ``annotations`` and ``spec``; ``None`` to delete it."""
    admit: Callable[[Applied | None], None]
    """Raises when the resource, as it is when the change is made, is not to be changed so."""
    is_dry: bool = False
    """Whether only to say what would be done."""
    allowed: Allowances = NOTHING_ALLOWED
    """What the guards let through."""


@dataclass(frozen=True, slots=True)
class Edited:
    """What was done, or would be."""

    plan: Plan
    observed: Observed
    report: Report | None
    """``None`` when nothing was done: nothing differed, it was a dry run, or it is refused."""
    is_refused: bool


def edit(wanted: Edit, settings: Settings, stores: Stores, author: Author) -> Edited:
    """Carries ``wanted`` out, one at a time. Raises ``Invalid``, whatever ``wanted.admit`` raises, ``Conflict`` when
    others change the catalog all the time, and like ``plan_manifests``."""
    require_same_installation(settings, stores)
    if wanted.is_dry:
        return _planned(wanted, settings, stores)
    with lock.hold(stores.database, {API}, author, _LOCK_SECONDS):
        for attempt in range(1, _ATTEMPTS + 1):
            found = _planned(wanted, settings, stores)
            if found.is_refused or found.plan.is_empty:
                return found
            try:
                report = apply(found.plan, found.observed, stores, author)
            except Conflict:  # an apply of manifests came between
                if attempt == _ATTEMPTS:
                    raise
                continue
            with suppress(BrokerNotAvailable):  # it is applied
                made = Pass(found.observed, found.plan, NO_SOURCES, is_whole=False)
                conditions.note(stores.database, with_report(made, report))
            return Edited(found.plan, found.observed, report, is_refused=False)
    raise AssertionError("the last attempt returns or raises")


def _planned(wanted: Edit, settings: Settings, stores: Stores) -> Edited:
    identity = wanted.identity
    tenant = identity.tenant or identity.name
    observed = observe_tenant(stores, tenant)
    wanted.admit(observed.applied.get(identity))
    others = declared_again(row.resource for row in observed.applied.values())
    declared: Declared | None = None
    if wanted.body is not None:
        with translated():
            foreign = read_foreign_digests(stores.database, tenant) if identity.kind == "Credential" else frozenset()
        judged = judge(manifest_of(identity, dict(wanted.body)), others, foreign)
        if not isinstance(judged, Declared):
            raise Invalid(judged)
        declared = judged
    of_tenant = [one for one in others if one.identity.tenant == tenant or not one.identity.tenant]
    found = plan_single(identity, declared, of_tenant, observed, settings)
    costs = read_costs(stores, observed, found.changes)
    found = guard(found, observed, dict.fromkeys(NO_SOURCES, EVERYTHING), costs, wanted.allowed)
    return Edited(found, observed, None, is_refused(found, identity))
