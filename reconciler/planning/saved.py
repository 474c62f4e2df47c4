"""A plan on paper: what was approved, and what it was made from, so that exactly that is done later, or nothing. Pure.

Nothing in the file is carried out. An apply reads everything anew, plans anew, and takes from that plan the changes
that the file has; so a file can only ever choose among what the manifests ask for. The checksum finds what was edited
by mistake, and is no signature.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from mqops.errors import ConfigurationError, Refused
from mqops.model import Identity
from reconciler.manifests.check import Checked
from reconciler.planning.document import PlanDocument
from reconciler.planning.fingerprint import fingerprints, touched
from reconciler.planning.guard import Allowances
from reconciler.planning.plan import Plan
from reconciler.planning.scope import Scope
from reconciler.state import Observed

SAVED_FORMAT = "1.0"


class RequestDocument(TypedDict):
    """What was asked for, so that it can be asked again."""

    directory: str | None
    """Of manifests, as the user called it; None when they were given as one file."""
    file: str | None
    """``-`` for the standard input."""
    targets: list[str]
    labels: dict[str, str]
    refresh_only: bool
    take_over: list[str]
    allow_data_loss: bool
    allow_mass_delete: list[int]
    unprotect: list[str]
    adopt: bool


class PlaceDocument(TypedDict):
    """Where the plan may be carried out."""

    installation: str | None
    """None when nothing was ever applied there."""
    environment: str


class ManifestsDocument(TypedDict):
    """The manifests that decide about what the plan touches."""

    commit: str | None
    sources: list[str]
    """Whose files count."""
    digests: dict[str, str]
    """SHA-256 by file."""


class SavedDocument(TypedDict):
    """A saved plan."""

    saved_format: str
    request: RequestDocument
    place: PlaceDocument
    manifests: ManifestsDocument
    live: dict[str, dict[str, Any]]
    """By resource: see ``fingerprint``."""
    plan: PlanDocument


@dataclass(frozen=True, slots=True)
class Basis:
    """What a plan was made from, or would be made from now."""

    checked: Checked
    observed: Observed
    place: PlaceDocument
    commit: str | None = None


def request_document(
    place: tuple[str | None, str | None], scope: Scope, take_over: tuple[str, ...], allowed: Allowances
) -> RequestDocument:
    """What was asked for, in writing. ``place`` has the directory and the file of ``RequestDocument``."""
    directory, file = place
    return {
        "directory": directory,
        "file": file,
        "targets": sorted(map(str, scope.targets)),
        "labels": dict(scope.labels),
        "refresh_only": scope.is_refresh_only,
        "take_over": list(take_over),
        "allow_data_loss": allowed.data_loss,
        "allow_mass_delete": sorted(allowed.mass_delete),
        "unprotect": sorted(map(str, allowed.unprotected)),
        "adopt": allowed.adopt,
    }


def scope_of(request: RequestDocument) -> Scope:
    """What the plan was limited to."""
    return Scope(frozenset(map(identity_of, request["targets"])), request["labels"], request["refresh_only"])


def allowances_of(request: RequestDocument) -> Allowances:
    """What the guards were told to let through."""
    unprotected = frozenset(map(identity_of, request["unprotect"]))
    numbers = frozenset(request["allow_mass_delete"])
    return Allowances(request["allow_data_loss"], numbers, unprotected, request["adopt"])


def write(found: Plan, basis: Basis, request: RequestDocument, plan: PlanDocument) -> str:
    """The text of the file; ``plan`` is what was ``found``, in writing."""
    owners = {change.resource.managed_by for change in found.changes}
    owners |= {change.before.resource.managed_by for change in found.changes if change.before is not None}
    sources = sorted(owners & {*basis.checked.sources})
    live = fingerprints(touched(found.changes, basis.observed), basis.observed)
    document: SavedDocument = {
        "saved_format": SAVED_FORMAT,
        "request": request,
        "place": basis.place,
        "manifests": {"commit": basis.commit, "sources": sources, "digests": digests_of(basis.checked, sources)},
        "live": {str(identity): dict(facts) for identity, facts in live.items()},
        "plan": plan,
    }
    whole = {"checksum": _checksum(document), **document}
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def read(name: str, text: str) -> SavedDocument:
    """The file called ``name``. Raises ``ConfigurationError`` when it is not a saved plan, and ``Refused`` when it is
    no longer the one that was saved."""
    not_one = f"{name} is not a saved plan: `mqops plan --out FILE` makes one; -f takes a file of manifests"
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(not_one) from error
    if not isinstance(found, dict) or "checksum" not in found or "saved_format" not in found:
        raise ConfigurationError(not_one)
    checksum = found.pop("checksum")
    if checksum != _checksum(found):
        raise Refused(f"{name} was edited since it was saved: plan again")
    if found["saved_format"] != SAVED_FORMAT:
        raise Refused(f"{name} was saved by another version of mqops: plan again")
    try:
        return TypeAdapter(SavedDocument).validate_python(found)
    except ValidationError as error:
        raise Refused(f"{name} was saved by another version of mqops: plan again") from error


def digests_of(checked: Checked, sources: list[str]) -> dict[str, str]:
    """Of the files of ``sources``, and of the one that declares them."""
    return {file: digest.sha256 for file, digest in sorted(checked.digests.items()) if digest.source in (*sources, "")}


def _checksum(document: Mapping[str, Any]) -> str:
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def plain(value: Mapping[str, Any]) -> dict[str, Any]:
    """``value`` as it is read back from a file: enums and tuples are text and lists."""
    plain: dict[str, Any] = json.loads(json.dumps(value))
    return plain


def name_of(entry: Mapping[str, Any]) -> Identity:
    """What an entry of a plan's JSON is about."""
    return Identity(entry["kind"], entry["tenant"], entry["name"])


def identity_of(text: str) -> Identity:
    """The inverse of ``str(identity)``."""
    kind, _, full_name = text.partition(" ")
    tenant, _, name = full_name.rpartition("/")
    return Identity(kind, tenant, name)
