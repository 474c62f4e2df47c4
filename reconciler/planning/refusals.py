"""Which changes may not be made, and the reason for each in words that say the way out. Pure.

A refused change is left out and the rest goes on. What depends on it is refused with it, and nothing is deleted that
something staying still needs, so that what is left of the plan holds together.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from mqops.model import Identity, SourceSpec
from reconciler.planning.beside import suspended_text, suspension_of, target_text
from reconciler.planning.change import Action, Change
from reconciler.planning.dependents import LeftOut, dependents
from reconciler.planning.live import partitions_of
from reconciler.planning.placement import STORED
from reconciler.planning.renames import Renames, moved_references, relative, renames_of
from reconciler.planning.replaces import other_kind
from reconciler.state import NO_SOURCES, Applied, Observed, Resource


class Obstacle(StrEnum):
    """What is in the way."""

    SUSPENDED = "suspended"
    PARTITIONS_SHRINK = "partitions_shrink"
    """It is put back, or taken up, with fewer partitions than it has."""
    TOPIC_FIXED = "topic_fixed"
    """A subscription goes on calling its topic by a name that another takes over."""
    KIND_FIXED = "kind_fixed"
    """The name is that of a queue, or a topic, which is renamed to it or stays."""
    RENAME_REPLACES = "rename_replaces"
    """It would be renamed, which keeps everything under it, and replaced, which keeps nothing."""
    OWNED_ELSEWHERE = "owned_elsewhere"
    SOURCE_EMPTIED = "source_emptied"
    STAYS_BEHIND = "stays_behind"
    """Its tenant is renamed without it, and another gets the tenant's name, under which it is declared."""
    STILL_NEEDED = "still_needed"
    DEPENDS_ON_REFUSED = "depends_on_refused"
    PROTECTED = "protected"
    MASS_DELETE = "mass_delete"
    DATA_LOSS = "data_loss"
    TENANT_ACTIVE = "tenant_active"
    MADE_OVER_API = "made_over_api"
    """It was made over the management API, and nobody has said that a source may have it."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A change that is not made."""

    change: Change
    obstacle: Obstacle
    message: str


@dataclass(frozen=True, slots=True)
class _Context:
    observed: Observed
    sources: Mapping[str, SourceSpec]
    renames: Renames
    seen: Observed
    """``observed`` under the names that everything will have."""
    wanted: frozenset[Identity]
    miscalled: Mapping[Identity, Identity]
    """What a new resource says it was called, of the other of the two kinds that share names → that resource."""
    declaring: frozenset[str]
    """Sources that declare something, or need not."""


def refuse(
    changes: Iterable[Change],
    desired: Iterable[Resource],
    observed: Observed,
    sources: Mapping[str, SourceSpec],
    taken: Collection[str] = (),
) -> tuple[Refusal, ...]:
    """Every change of ``changes`` that may not be made, in their order. Sources in ``taken`` may be left with nothing:
    that is what taking them over is for."""
    changes, desired = tuple(changes), tuple(desired)
    renames = renames_of(changes)
    seen = renames.seen(observed)
    context = _Context(
        observed,
        sources,
        renames,
        seen,
        frozenset(resource.identity for resource in desired),
        {other_kind(old): new for new, old in _said(desired) if new not in seen.applied},
        frozenset(resource.managed_by for resource in desired if resource.identity.kind != "Source").union(taken),
    )
    refused: dict[Identity, Refusal] = {}
    for change in changes:
        for rule in _RULES:
            found = rule(change, context)
            if found is not None:
                refused.setdefault(change.identity, Refusal(change, *found))
    refused = with_dependents(changes, refused, observed)
    return tuple(refused[change.identity] for change in changes if change.identity in refused)


def with_dependents(
    changes: Collection[Change], refused: Mapping[Identity, Refusal], observed: Observed
) -> dict[Identity, Refusal]:
    """``refused``, and what has to stay out with it."""
    every = dict(refused)
    for identity, left in dependents(changes, refused, observed).items():
        every[identity] = refusal_of(left)
    return every


def refusal_of(left: LeftOut) -> Refusal:
    """The refusal of what is left out because of another change."""
    return Refusal(left.change, Obstacle.STILL_NEEDED if left.is_needed else Obstacle.DEPENDS_ON_REFUSED, left.message)


Found = tuple[Obstacle, str] | None


def _suspended(change: Change, context: _Context) -> Found:
    """Also what a suspended resource brings along, or did."""
    will_be = Applied(change.uid or "", change.resource, change.generation, 0)
    found = None if change.before is None else suspension_of(change.before, context.observed)
    found = found or suspension_of(will_be, context.seen)
    if found is None:
        return None
    own = change.identity if change.before is None else change.before.resource.identity
    what = str(own) if found.identity == own else f"{change.identity} belongs to {found.identity}, which"
    way_out = f"`mqops resume {target_text(found.identity)}` ends that"
    return Obstacle.SUSPENDED, f"{what} is {suspended_text(found.suspended)}; {way_out}"


def _owned_elsewhere(change: Change, context: _Context) -> Found:
    owner = None if change.before is None else change.before.resource.managed_by
    is_free = owner in (None, change.resource.managed_by, *NO_SOURCES)  # whether it may be adopted: see ``guard``
    if is_free or owner in context.sources:
        return None
    named = change.identity if change.before is None else change.before.resource.identity
    message = (
        f"{named} belongs to source {owner!r}, which is not among those here: remove "
        f"it from one of the two; or, when {owner!r} is no more, pass --take-over {owner}"
    )
    return Obstacle.OWNED_ELSEWHERE, message


def _said(desired: Iterable[Resource]) -> Iterator[tuple[Identity, Identity]]:
    """Topics and queues that say what they were called, with that."""
    for resource in desired:
        if resource.identity.kind in STORED and resource.renamed_from is not None:
            yield resource.identity, resource.identity._replace(name=resource.renamed_from)


def _kind_kept(change: Change, context: _Context) -> Found:
    """A queue that says it was a topic, and the other way round. Both halves are refused, as of ``_kind_fixed``."""
    identity, name = change.identity, change.resource.renamed_from
    meant = [] if change.gone is None else [change.gone.resource.identity]
    if change.action is not Action.DELETE and identity.kind in STORED and name is not None:
        meant.append(other_kind(identity)._replace(name=name))
    for old in meant:
        new = context.miscalled.get(old)
        is_other = old in context.seen.applied and old not in context.wanted  # and is not renamed itself
        if new is None or not is_other or (identity != new and change.gone is None):
            continue
        message = (
            f"{old} cannot become {new}: a renamed resource keeps its kind. Leave renamedFrom out to have a new one, "
            f"and delete {old} in an apply of its own"
        )
        return Obstacle.KIND_FIXED, message
    return None


def _kind_fixed(change: Change, context: _Context) -> Found:
    """Where the new one is renamed to the name, or the old one stays; else it is a replace. Both halves are refused:
    the delete alone would lose the messages that the change was not meant to touch."""
    identity = change.identity
    if identity.kind not in STORED:
        return None
    other = other_kind(identity)
    if change.action is Action.DELETE:
        is_changing, old, new = other in context.wanted, identity, other
    else:
        is_new = change.before is None or change.action is Action.RENAME
        is_changing, old, new = is_new and other in context.seen.applied, other, identity
    if not is_changing:
        return None
    message = (
        f"{old} and {new} share their names: choose another name for the {new.kind}, or delete {old} in an apply of "
        "its own first"
    )
    return Obstacle.KIND_FIXED, message


def _partitions_shrink(change: Change, context: _Context) -> Found:
    """Of what is found again without a row. Of what has one, it is a replace."""
    if change.before is not None or change.identity.kind not in STORED:
        return None
    live = context.observed.topics.get(change.uid or "")
    there = partitions_of(live.meta) if live is not None else 0
    wanted = change.resource.spec["partitions"]
    if wanted >= there:
        return None
    message = (
        f"{change.identity} is found on Redis with {there} partitions, and {wanted} would lose what the others hold: "
        f"apply it with {there} first"
    )
    return Obstacle.PARTITIONS_SHRINK, message


def _topic_fixed(change: Change, context: _Context) -> Found:
    is_replaced = change.action in (Action.DELETE, Action.REPLACE) or change.forced_by
    if change.identity.kind != "Subscription" or is_replaced or change.before is None:
        return None
    rows, renames = context.observed.applied, context.renames
    then = moved_references(change.before.resource, change.resource, rows, renames).get("topic")
    if then is None:
        return None
    before, after = relative(then, change.identity.tenant), change.resource.spec["topic"]
    message = (
        f"{change.identity} reads what becomes {before!r}, and would read another topic without anyone having said so: "
        f"read {before!r} here; or, for {after!r}, change it in an apply of its own"
    )
    return Obstacle.TOPIC_FIXED, message


def _rename_replaces(change: Change, context: _Context) -> Found:
    if change.action is not Action.RENAME or not change.forced_by:
        return None
    what = ", ".join(path.removeprefix("spec.") for path in change.forced_by)
    message = (
        f"{change.renamed_from} would be renamed, which keeps all it has, and replaced for its {what}, which keeps "
        "nothing: do one of the two in an apply of its own"
    )
    return Obstacle.RENAME_REPLACES, message


def _stays_behind(change: Change, context: _Context) -> Found:
    old = change.renamed_from
    if old is None or old.kind != "Tenant" or old not in context.wanted:
        return None
    left = sorted(
        identity
        for identity in context.wanted
        if identity.tenant == old.name
        and identity in context.observed.applied
        and identity not in context.renames.current
    )
    if not left:
        return None
    name = change.identity.name
    message = (
        f"{left[0]} is declared of the new {old}, and applied of the one that becomes {name}: declare it of {name}, "
        f"or rename the tenant in an apply of its own first"
    )
    return Obstacle.STAYS_BEHIND, message


def _source_emptied(change: Change, context: _Context) -> Found:
    owner = change.resource.managed_by
    if change.action is not Action.DELETE or owner in context.declaring:
        return None
    message = (
        f"source {owner!r} declares nothing any more, and an empty folder never prunes: "
        f"put its manifests back, or keep at least one; to be rid of all it had, remove the Source and pass "
        f"--take-over {owner}"
    )
    return Obstacle.SOURCE_EMPTIED, message


_RULES: tuple[Callable[[Change, _Context], Found], ...] = (
    _suspended,
    _owned_elsewhere,
    _kind_fixed,
    _kind_kept,
    _rename_replaces,
    _partitions_shrink,
    _topic_fixed,
    _source_emptied,
    _stays_behind,
)
