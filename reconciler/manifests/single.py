"""One resource that stands in no file, checked as if it stood among the manifests of all that is applied. Pure."""

from collections.abc import Collection, Iterable, Iterator
from typing import Any

from pydantic import ValidationError

from mqops.model import API_VERSION, KINDS, Identity, manifest_model
from reconciler.manifests.finding import Finding, located
from reconciler.manifests.parse import Document
from reconciler.manifests.problem import Problem, Rule
from reconciler.manifests.rules import RULES, Declarations
from reconciler.manifests.validate import Declared, Rejected, validate
from reconciler.state import Resource

_CLAIMED = "the same key is in use elsewhere: make a new one with `mqops credentials create`"


def manifest_of(identity: Identity, body: dict[str, Any]) -> dict[str, Any]:
    """The manifest that declares ``identity`` with ``body``: ``labels``, ``annotations`` and ``spec``."""
    labels, annotations = dict(body["labels"]), dict(body["annotations"])
    metadata: dict[str, Any] = {"name": identity.name, "labels": labels, "annotations": annotations}
    if KINDS[identity.kind].has_tenant:
        metadata["tenant"] = identity.tenant
    return {"apiVersion": API_VERSION, "kind": identity.kind, "metadata": metadata, "spec": body["spec"]}


def declared_again(resources: Iterable[Resource]) -> list[Declared]:
    """What is applied, as manifests would declare it; not what others imply, nor what this version cannot read."""
    found: list[Declared] = []
    for resource in resources:
        if resource.implied_by is None and resource.identity.kind in KINDS:
            declared = _declared(resource)
            if declared is not None:
                found.append(declared)
    return found


def judge(
    manifest: dict[str, Any], others: Collection[Declared], foreign_digests: Collection[str]
) -> Declared | tuple[Problem, ...]:
    """What ``manifest`` declares beside ``others``, or all that is wrong with it. ``foreign_digests`` are of keys that
    other tenants' credentials have."""
    declared = validate(_document(manifest), {})
    if isinstance(declared, Rejected):
        return declared.problems
    declarations = Declarations([*(one for one in others if one.identity != declared.identity), declared])
    found = [finding for rule in RULES for finding in rule(declarations)]
    found += claimed(declared, foreign_digests)
    problems = located(finding for finding in found if finding.document is declared.document)
    return tuple(sorted(problems)) or declared


def claimed(declared: Declared, foreign_digests: Collection[str]) -> Iterator[Finding]:
    """The keys of a credential that others have, without saying who."""
    if declared.identity.kind != "Credential":
        return
    spec: Any = declared.spec
    for index, key in enumerate(spec.keys):
        if key.sha256 in foreign_digests:
            yield Finding(declared.document, ("spec", "keys", index, "sha256"), _CLAIMED, Rule.CREDENTIAL)


def _document(value: Any) -> Document:
    """Without text: there are no places in it, and nothing is filled in from variables."""
    return Document("", 0, value, "", 0)


def _declared(resource: Resource) -> Declared | None:
    body = {"labels": resource.labels, "annotations": resource.annotations, "spec": resource.spec}
    try:
        manifest: Any = manifest_model(resource.identity.kind).model_validate(manifest_of(resource.identity, body))
    except ValidationError:
        return None
    document = Document(resource.origin.file, resource.origin.line, None, "", 0)
    return Declared(resource.identity, manifest.metadata, manifest.spec, document)
