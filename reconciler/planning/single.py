"""The plan of changing one resource that no source owns, and nothing else but what it brings along. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from mqops.model import Identity
from mqops.settings import Settings
from reconciler.manifests.authority import EVERYTHING
from reconciler.manifests.desired import desired
from reconciler.manifests.validate import Declared
from reconciler.planning.change import Action, Change
from reconciler.planning.plan import Plan, plan
from reconciler.planning.refusals import Obstacle
from reconciler.planning.view import discreet
from reconciler.state import API, NO_SOURCES, REBUILT, Applied, Observed, Origin, Resource

_NOWHERE = Origin("", 0)


def plan_single(
    target: Identity, declared: Declared | None, others: Iterable[Declared], observed: Observed, settings: Settings
) -> Plan:
    """What makes ``target`` as ``declared``, or away with it when that is ``None``. ``others`` is all else that is
    declared of its tenant, whoever owns it; it stays as it is applied."""
    wanted = _wanted(target, declared, others, observed.applied, settings)
    found = plan(wanted.values(), observed, {}, dict.fromkeys(NO_SOURCES, EVERYTHING))
    return replace(
        found,
        changes=tuple(change for change in found.changes if _belongs(change, target, wanted, observed)),
        refused=tuple(
            discreet(refusal, target.tenant)
            for refusal in found.refused
            if _belongs(refusal.change, target, wanted, observed)
        ),
        leftovers=(),
        moved=(),
        unclaimed=(),
        drift=(),
        others=0,
        beside=found.beside.of_tenant(target.tenant or target.name),
    )


def is_refused(found: Plan, target: Identity) -> bool:
    """Whether ``target`` cannot be changed as asked. That what it brought along stays, since others need it too, is no
    obstacle."""
    return any(
        refusal.change.identity == target or refusal.obstacle is not Obstacle.STILL_NEEDED for refusal in found.refused
    )


def _wanted(
    target: Identity,
    declared: Declared | None,
    others: Iterable[Declared],
    applied: Mapping[Identity, Applied],
    settings: Settings,
) -> dict[Identity, Resource]:
    """All that shall be the API's, and what a rebuild found. What is not the target's is taken as it is applied, so
    that a default that changed meanwhile changes nothing here."""
    every = [one for one in others if one.identity != target]
    if declared is not None:
        every.append(declared)
    owners = {identity: row.resource.managed_by for identity, row in applied.items()}
    spelled_out = desired(every, lambda one: API if one is declared else owners.get(one.identity, ""), settings)
    fresh = {resource.identity: resource for resource in spelled_out if resource.managed_by == API}
    before = {identity: row.resource for identity, row in applied.items()}
    wanted: dict[Identity, Resource] = {}
    for identity, row in applied.items():
        if row.resource.managed_by == REBUILT:
            stays = target not in (identity, *_parents(identity, before))
        else:
            stays = row.resource.managed_by == API and row.resource.implied_by is None and identity != target
        if stays:
            wanted[identity] = row.resource
    for identity, resource in fresh.items():
        there = before.get(identity)
        if there is not None and there.managed_by not in NO_SOURCES and identity != target:
            continue  # brought along by what a source owns already
        if there is None or target in (identity, *_parents(identity, fresh)):
            wanted[identity] = replace(resource, origin=_NOWHERE)
        else:
            wanted[identity] = replace(there, implied_by=resource.implied_by)
    return wanted


def _parents(identity: Identity, known: Mapping[Identity, Resource]) -> Iterable[Identity]:
    resource = known.get(identity)
    while resource is not None and resource.implied_by is not None:
        yield resource.implied_by
        resource = known.get(resource.implied_by)


def _belongs(change: Change, target: Identity, wanted: Mapping[Identity, Resource], observed: Observed) -> bool:
    """Repairs of other things, and what lost its row, are left to whoever watches over them."""
    if change.action is not Action.REPAIR and change.identity not in observed.lost:
        return True
    before = {identity: row.resource for identity, row in observed.applied.items()}
    return target in (change.identity, *_parents(change.identity, wanted), *_parents(change.identity, before))
