"""A document into a declared resource: the model accepts it, or everything wrong with it is reported. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from pydantic import ValidationError

from mqops.model import KINDS, Identity, Strict, TenantlessMetadata, manifest_model
from mqops.nearest import nearest
from reconciler.manifests.load import places_of
from reconciler.manifests.parse import Document
from reconciler.manifests.places import spelled
from reconciler.manifests.problem import Problem, Rule, quoted
from reconciler.manifests.variables import Unresolved, filled_in
from reconciler.manifests.wording import problems_of
from reconciler.state import Origin


@dataclass(frozen=True, slots=True)
class Declared:
    """A resource as its manifest has it: valid in itself, defaults not yet filled in."""

    identity: Identity
    metadata: TenantlessMetadata
    spec: Strict
    document: Document
    """Where it stands; its ``value`` is no longer kept."""

    @property
    def origin(self) -> Origin:
        return Origin(self.document.file, self.document.line)

    @property
    def renamed_from(self) -> str | None:
        """What it says it was called."""
        return getattr(self.metadata, "renamed_from", None)

    @property
    def former(self) -> Identity | None:
        """The same as an identity, in the tenant it has now."""
        return None if self.renamed_from is None else self.identity._replace(name=self.renamed_from)


@dataclass(frozen=True, slots=True)
class Rejected:
    """A document that declares nothing as it is."""

    problems: tuple[Problem, ...]
    identity: Identity | None
    """What it was going to declare, if that can be told: others may refer to it."""


def validate(document: Document, variables: Mapping[str, str]) -> Declared | Rejected:
    """What ``document`` declares. ``variables`` are the values for ``${NAME}`` in its spec."""
    value = document.value
    kind = value.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        return Rejected((_unknown_kind(document, kind),), None)
    unresolved: list[Unresolved] = []
    if "${" in document.text and "spec" in value:
        value = {**value, "spec": filled_in(value["spec"], variables, ("spec",), unresolved)}
    try:
        manifest: Any = manifest_model(kind).model_validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        return _rejected(document, value, error, unresolved)
    if unresolved:
        return _rejected(document, value, None, unresolved)
    metadata = cast(TenantlessMetadata, manifest.metadata)
    identity = Identity(kind, getattr(metadata, "tenant", ""), metadata.name)
    place = Document(document.file, document.line, None, document.text, document.text_line)
    return Declared(identity, metadata, manifest.spec, place)


def _unknown_kind(document: Document, kind: Any) -> Problem:
    places = places_of(document)
    known = ", ".join(sorted(KINDS))
    if "kind" not in document.value:
        misspelt = nearest("kind", document.value)
        if misspelt:
            return Problem(
                document.file, *places.key((misspelt,)), misspelt, "there is no such field", Rule.FIELD, "kind"
            )
        message = f"is required: what this declares, one of {known}"
        return Problem(document.file, *places.start, "kind", message, Rule.KIND)
    line, column = places.value(("kind",))
    suggestion = nearest(kind, KINDS) if isinstance(kind, str) else ""
    message = f"{quoted(kind)} is not a kind: there are {known}"
    return Problem(document.file, line, column, "kind", message, Rule.KIND, suggestion)


def _rejected(document: Document, value: Any, error: ValidationError | None, unresolved: list[Unresolved]) -> Rejected:
    places = places_of(document)
    problems = [
        Problem(document.file, *places.value(path), spelled(path), message, Rule.VARIABLE, suggestion)
        for path, message, suggestion in unresolved
    ]
    if error is not None:
        spoiled = {problem.path for problem in problems}
        found = problems_of(error, document, value["kind"], places)
        problems += [problem for problem in found if problem.path not in spoiled]
    return Rejected(tuple(problems), _meant(value))


def _meant(value: Any) -> Identity | None:
    metadata = value.get("metadata")
    if not isinstance(metadata, dict):
        return None
    kind = KINDS[value["kind"]]
    name, tenant = metadata.get("name"), metadata.get("tenant", "") if kind.has_tenant else ""
    return Identity(kind.name, tenant, name) if isinstance(name, str) and isinstance(tenant, str) else None
