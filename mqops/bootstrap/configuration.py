"""Lets the management API change what is declared: its wishes become edits of the reconciler."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mqops.api.management.configuration import Granted, Planned, Proposal, Wish
from mqops.bootstrap.control import open_stores
from mqops.errors import (
    BrokerNotAvailable,
    ConfigurationError,
    Conflict,
    InvalidManifests,
    InvalidRequest,
    ManagedBySource,
    NotFound,
    PreconditionFailed,
    Refused,
)
from mqops.model import Identity
from mqops.settings import Settings
from reconciler.edit import Edit, Edited, Invalid, edit
from reconciler.manifests.problem import Problem
from reconciler.planning.change import Change
from reconciler.planning.document import HoldDocument
from reconciler.planning.guard import Allowances
from reconciler.planning.holds import Hold
from reconciler.planning.markdown import markdown
from reconciler.planning.plan import Plan
from reconciler.planning.refusals import Refusal
from reconciler.planning.render import as_json, text_lines
from reconciler.planning.scope import Scope
from reconciler.planning.view import without_digests
from reconciler.proposal import Proposal as Proposed
from reconciler.proposal import propose
from reconciler.reading import ManifestsRejected
from reconciler.request import NotThere
from reconciler.state import NO_SOURCES, Applied
from reconciler.stores.history import Author


@dataclass(frozen=True, slots=True)
class ReconciledConfiguration:
    """Changes what is declared through the reconciler; opens the stores anew for each change."""

    settings: Settings

    def change(self, wish: Wish) -> Granted:
        """See ``mqops.api.management.configuration.Configuration``."""
        unprotected = frozenset({wish.identity} if wish.may_unprotect else ())
        allowed = Allowances(data_loss=wish.may_lose, unprotected=unprotected)
        wanted = Edit(wish.identity, wish.body, _admission(wish), wish.is_dry, allowed)
        try:
            with open_stores(self.settings) as stores:
                edited = edit(wanted, self.settings, stores, Author(wish.actor, "api"))
        except Invalid as error:
            problems = [_problem_json(problem) for problem in error.problems]
            first = problems[0]
            message = f"{first['path']}: {first['message']}" if first["path"] else first["message"]
            raise InvalidRequest(message, problems=problems) from error
        except ConfigurationError as error:
            raise BrokerNotAvailable(str(error)) from error
        if not wish.is_dry:
            _require_done(wish, edited)
        report = edited.report
        destroyed = tuple(_destroyed(report.done)) if report is not None else ()
        return Granted(as_json(edited.plan), None if report is None else report.revision, destroyed)

    def plan(self, proposal: Proposal) -> Planned:
        """See ``mqops.api.management.configuration.Configuration``."""
        try:
            with open_stores(self.settings) as stores:
                planned = propose(_manifests(proposal), self.settings, stores)
        except ManifestsRejected as error:
            problems = [problem.as_json() for problem in error.problems]
            raise InvalidManifests(_counted(error.problems), problems=problems) from error
        except NotThere as error:
            raise InvalidRequest(str(error)) from error
        except ConfigurationError as error:
            raise BrokerNotAvailable(str(error)) from error
        found = without_digests(planned.plan)
        held = [_hold_json(hold, proposal.tenant) for hold in planned.holds]
        document = as_json(found, held, planned.held_back)
        return Planned(document, held, planned.held_back, planned.warnings, _shown(found, held, proposal))


def _shown(found: Plan, held: Sequence[HoldDocument], proposal: Proposal) -> dict[str, Any]:
    if proposal.show == "text":
        lines = text_lines(found, proposal.directory)
        return {"text": [{"about": about, "line": line} for about, line in lines]}
    if proposal.show == "markdown":
        return {"markdown": markdown(found, proposal.directory, [hold["message"] for hold in held])}
    return {}


def _manifests(proposal: Proposal) -> Proposed:
    unprotected = frozenset(proposal.unprotected)
    return Proposed(
        files={name: text.encode("utf-8", "surrogatepass") for name, text in proposal.files.items()},
        source=proposal.source,
        tenant=proposal.tenant,
        take_over=tuple(proposal.take_over),
        scope=Scope(frozenset(proposal.targets), proposal.labels, proposal.is_refresh_only),
        allowed=Allowances(proposal.may_lose, frozenset(proposal.mass_deletes), unprotected, proposal.adopts),
    )


def _counted(problems: Sequence[Problem]) -> str:
    count = "a problem" if len(problems) == 1 else f"{len(problems)} problems"
    return f"{count} in the manifests: {problems[0]}"


def _hold_json(hold: Hold, tenant: str | None) -> HoldDocument:
    """Who holds a source and why is not told to tenants: it may be about others."""
    message = str(hold) if tenant is None else f"source {hold.source!r} is held: nothing of it is reconciled"
    return {"source": hold.source, "message": message}


def _admission(wish: Wish) -> Callable[[Applied | None], None]:
    def admit(applied: Applied | None) -> None:
        if wish.is_new:
            if applied is not None:
                raise Conflict(f"{wish.identity} exists already")
            return
        if applied is None:
            raise NotFound(f"there is no {wish.identity.kind.lower()} {wish.identity.name!r}")
        state = f"{applied.uid}.{applied.generation}.{applied.revision}"
        if wish.states is not None and state not in wish.states:
            raise PreconditionFailed(f"{wish.identity} has changed since: look at it again")
        _require_free(wish, applied)

    return admit


def _require_free(wish: Wish, applied: Applied) -> None:
    """A source's things are the source's to change; what was brought along goes with what brought it."""
    resource = applied.resource
    if resource.managed_by not in NO_SOURCES:
        where = f" at {resource.origin}" if resource.origin.file else ""
        raise ManagedBySource(
            f"{wish.identity} is declared{where} by source {resource.managed_by!r}: change it there",
            managedBy=resource.managed_by,
            file=resource.origin.file,
            line=resource.origin.line,
        )
    parent = resource.implied_by
    if parent is not None and (wish.body is None or parent.kind == "Queue"):
        raise Conflict(f"{wish.identity} belongs to {parent}: change that")


def _require_done(wish: Wish, edited: Edited) -> None:
    if edited.is_refused:
        # What was asked for comes first: the others are refused because of it.
        found = sorted(edited.plan.refused, key=lambda refusal: refusal.change.identity != wish.identity)
        refused = [_refusal_json(refusal, wish.identity) for refusal in found]
        raise Refused(refused[0]["message"], refused=refused)
    failed = () if edited.report is None else edited.report.failed
    if failed:
        told = "; ".join(f"{failure.action} of {failure.identity}: {failure.message}" for failure in failed)
        raise BrokerNotAvailable(f"not all could be done: {told}", retry_after_seconds=1)


_AS_PARAMETERS = (
    (r"pass --allow-data-loss", "pass ?allowDataLoss=true"),
    (r"pass --unprotect \S+", "pass ?unprotect=true"),
)


def _refusal_json(refusal: Refusal, wanted: Identity) -> dict[str, str]:
    """With the ways through as a request takes them: it unprotects what it is about, and nothing else."""
    message = refusal.message
    if refusal.change.identity != wanted:
        message = re.sub(r"or, to \w+ it, pass --unprotect \S+", 'or apply it as "false" first', message)
    for option, parameter in _AS_PARAMETERS:
        message = re.sub(option, parameter, message)
    return {
        "resource": str(refusal.change.identity),
        "obstacle": refusal.obstacle.value,
        "message": message,
    }


_PATHS = {"metadata.name": "name", "metadata.labels": "labels", "metadata.annotations": "annotations"}


def _problem_json(problem: Problem) -> dict[str, Any]:
    """With paths as the request's body has them."""
    path = problem.path
    for manifest, body in _PATHS.items():
        if path == manifest or path.startswith((f"{manifest}.", f"{manifest}[")):
            path = body + path.removeprefix(manifest)
    return {
        "path": path,
        "rule": str(problem.rule),
        "message": problem.message,
        "suggestion": problem.suggestion or None,
    }


def _destroyed(changes: Iterable[Change]) -> Iterator[dict[str, Any]]:
    """What went, and what with it: by the same numbers as the guards go by."""
    for change in changes:
        gone, cost = change.gone, change.cost
        if gone is not None:
            lost = {} if cost is None else {"messages": cost.messages, "unfinished": cost.unfinished}
            kind, _, name = gone.resource.identity
            yield {"kind": kind, "name": name, "id": gone.uid, **lost}
