"""What a plan must not do without being told to: delete what is protected, lose messages, delete a great part of what a
source has, take over what was made over the API. Pure. What is replaced goes like what is deleted.

A guard stops single changes and what depends on them; the rest of the plan goes on. Each says the option that goes
through. Structural refusals (``refusals``) come first: they have no way through.
"""

from collections.abc import Collection, Container, Iterable, Mapping
from dataclasses import dataclass, replace

from mqops.model import PROTECT, Identity, SourceSpec
from reconciler.planning.change import Action, Change
from reconciler.planning.plan import Plan
from reconciler.planning.refusals import Obstacle, Refusal, with_dependents
from reconciler.state import API, Cost, Observed


@dataclass(frozen=True, slots=True)
class Allowances:
    """What whoever asks for the plan has said may be done."""

    data_loss: bool = False
    """Unfinished messages may be lost."""
    mass_delete: frozenset[int] = frozenset()
    """Numbers of deletes that were told as too many for a source, and are meant."""
    unprotected: frozenset[Identity] = frozenset()
    """What may be deleted or replaced although it is protected."""
    adopt: bool = False
    """What was made over the management API may become a source's that declares it."""


NOTHING_ALLOWED = Allowances()


def guard(
    found: Plan,
    observed: Observed,
    sources: Mapping[str, SourceSpec],
    costs: Mapping[str, Cost],
    allowed: Allowances = NOTHING_ALLOWED,
) -> Plan:
    """``found`` with what deletes and replaces cost, and without what is neither harmless nor allowed. ``costs`` are by
    uid; ``sources`` are those that the plan was made for."""
    changes = tuple(_with_cost(change, costs) for change in found.changes)
    going = [change for change in changes if change.gone is not None]
    stopped: dict[Identity, Refusal] = {}
    for refusal in (
        *_protected(going, allowed),
        *_of_active_tenants([change for change in going if change.action is Action.DELETE]),
        *_too_many(going, observed, sources, allowed),
        *_losing_messages(going, allowed),
        *_unadopted(changes, sources, allowed),
    ):
        stopped.setdefault(refusal.change.identity, refusal)
    if stopped:
        stopped = with_dependents(changes, stopped, observed)
    return replace(
        found,
        changes=tuple(change for change in changes if change.identity not in stopped),
        refused=(*found.refused, *(stopped[change.identity] for change in changes if change.identity in stopped)),
    )


def is_protected(change: Change) -> bool:
    """Whether what is there says so: the block that said it may be gone from the manifests."""
    return change.before is not None and change.before.resource.annotations.get(PROTECT) == "true"


def _with_cost(change: Change, costs: Mapping[str, Cost]) -> Change:
    cost = None if change.gone is None else costs.get(change.gone.uid)
    return change if cost is None else replace(change, cost=cost)


def _going(change: Change) -> Identity:
    """What goes: of a replace perhaps of another kind than what comes."""
    return change.identity if change.gone is None else change.gone.resource.identity


def _protected(going: Iterable[Change], allowed: Allowances) -> Iterable[Refusal]:
    for change in going:
        if is_protected(change) and not _is_unprotected(change, allowed):
            is_replace = change.action is Action.REPLACE
            way = "put back what it was" if is_replace else "put its manifest back"
            message = (
                f"{_going(change)} is protected (annotation {PROTECT}): {way}; or, to {change.action} it, "
                f"pass --unprotect {_word(_going(change))}"
            )
            yield Refusal(change, Obstacle.PROTECTED, message)


def _is_unprotected(change: Change, allowed: Allowances) -> bool:
    return _going(change) in allowed.unprotected


def _of_active_tenants(deletes: Collection[Change]) -> Iterable[Refusal]:
    """A tenant goes in two steps, and what it has goes with it in the second."""
    active = {
        change.identity.name
        for change in deletes
        if change.identity.kind == "Tenant"
        and change.resource.spec["state"] == "active"
        and any(other.identity.tenant == change.identity.name for other in deletes)
    }
    for change in deletes:
        name = change.identity.tenant or change.identity.name
        if name in active and (change.identity.kind == "Tenant" or change.identity.tenant):
            message = (
                f"Tenant {name} is deleted in two steps: apply it with state: closing first, which refuses publishing "
                "while what is there is handled; then remove it"
            )
            yield Refusal(change, Obstacle.TENANT_ACTIVE, message)


def _too_many(
    going: Collection[Change], observed: Observed, sources: Mapping[str, SourceSpec], allowed: Allowances
) -> Iterable[Refusal]:
    lost = (gone.applied for gone in observed.lost.values() if gone.applied is not None)
    there = (row.resource.managed_by for row in (*observed.applied.values(), *lost))
    owned = {**dict.fromkeys(sources, 0), **_by_source(there)}
    counts = _by_source(_owner(change, sources) for change in going if not _is_kept(change, allowed))
    verb = "deleted or replaced" if any(change.action is Action.REPLACE for change in going) else "deleted"
    for change in going:
        source = _owner(change, sources)
        count, limit = counts.get(source, 0), sources[source].max_deletes
        if count <= limit.resources or count * 100 <= limit.percent * owned[source] or count in allowed.mass_delete:
            continue
        message = (
            f"{count} of the {owned[source]} resources of source {source!r} would be {verb}, and it allows "
            f"{limit.resources} or {limit.percent} % at once (maxDeletes): if they are meant, pass "
            f"--allow-mass-delete {count}"
        )
        yield Refusal(change, Obstacle.MASS_DELETE, message)


def _is_kept(change: Change, allowed: Allowances) -> bool:
    return is_protected(change) and not _is_unprotected(change, allowed)


def _owner(change: Change, sources: Container[str]) -> str:
    """The source that what goes is counted for: the one that has it or, of what was no source's, that gets it."""
    owner = change.resource.managed_by if change.gone is None else change.gone.resource.managed_by
    return owner if owner in sources else change.resource.managed_by


def _losing_messages(going: Iterable[Change], allowed: Allowances) -> Iterable[Refusal]:
    for change in going:
        if change.cost is not None and change.cost.unfinished and not allowed.data_loss:
            message = (
                f"{_counted(change.cost.unfinished)} in {_going(change)} would be lost: have them handled first; "
                "or pass --allow-data-loss"
            )
            yield Refusal(change, Obstacle.DATA_LOSS, message)


def _unadopted(changes: Iterable[Change], sources: Mapping[str, SourceSpec], allowed: Allowances) -> Iterable[Refusal]:
    """What a rebuild found needs no allowance: that its manifests are applied again is what it waits for."""
    if allowed.adopt or API in sources:
        return
    for change in changes:
        owner = None if change.before is None else change.before.resource.managed_by
        if change.before is not None and owner == API != change.resource.managed_by:
            kept = "" if change.action is Action.REPLACE else ", with its messages and positions"
            message = (
                f"{change.renamed_from or change.before.resource.identity} was made over the management API: pass "
                f"--adopt to give it to source {change.resource.managed_by!r}{kept}; or remove it from the manifests"
            )
            yield Refusal(change, Obstacle.MADE_OVER_API, message)


def _by_source(owners: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for owner in owners:
        counts[owner] = counts.get(owner, 0) + 1
    return counts


def _counted(messages: int) -> str:
    return "1 unfinished message" if messages == 1 else f"{messages} unfinished messages"


def _word(identity: Identity) -> str:
    """As options take it."""
    return "/".join(part for part in identity if part)


def grown(approved: Cost | None, now: Cost) -> str:
    """What would be lost by now beyond what was ``approved``; empty when it is no more than that."""
    known = (0, 0) if approved is None else (approved.messages, approved.unfinished)
    found = [
        f"{number} {word}, not {then}"
        for word, then, number in zip(("messages", "unfinished"), known, (now.messages, now.unfinished), strict=True)
        if number > then
    ]
    return ", ".join(found)
