"""The manifests of one Source, or what they have of one tenant, checked beside what is applied of all else. Pure.

Whoever hands them over may not have the rest of the tree, nor be allowed to see it: what is found is about the files
that are given, and names nothing that stands neither in them nor in ``beside``.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from mqops.model import Identity, SourceSpec
from mqops.settings import Settings
from reconciler.garbage import without_garbage_collection
from reconciler.manifests import authority as sources
from reconciler.manifests.authority import SOURCES_FILE, Authority, authority_alone
from reconciler.manifests.check import Checked, Contents, Digest, contents_of, read_contents, told
from reconciler.manifests.desired import desired
from reconciler.manifests.finding import Finding, located
from reconciler.manifests.problem import Problem, Rule
from reconciler.manifests.rules import RULES, Declarations
from reconciler.manifests.single import claimed
from reconciler.manifests.source import ManifestFile, given
from reconciler.manifests.validate import Declared
from reconciler.state import Resource


@dataclass(frozen=True, slots=True)
class Part:
    """What is to be checked beside what."""

    source: str
    spec: SourceSpec
    tenant: str | None
    """The only one that is to be declared here; ``None`` for all that the Source may."""
    beside: Collection[Declared]
    """What is applied, and is not this part's to declare. Its documents say where it stands."""
    owners: Mapping[Identity, str]
    """Of all that is beside."""
    foreign_digests: Collection[str] = ()
    """Of keys whose credentials are not beside."""


def check_part(files: Mapping[str, bytes], part: Part, settings: Settings) -> Checked:
    """Like ``check_files``. The resources are all that is desired, those of what is beside too: who brings along what
    both need can change with either."""
    with without_garbage_collection():
        tree = given(files)
        contents = read_contents(tree, settings.manifest_variables)
        authority = authority_alone(part.source, part.spec)
        waiting = _waiting(contents, part)
        problems = [*tree.problems, *contents.problems, *_outside(authority, tree.files)]
        problems += located(_findings(contents, part, authority, waiting))
        ready = [one for one in contents.declared if one.identity not in waiting]
        resources = () if problems else _desired(ready, part, settings)
    digests = {name: Digest(part.source, found) for name, found in contents.hashes.items()}
    return Checked(
        resources=resources,
        problems=tuple(sorted(set(problems))),
        sources=authority.sources,
        declared=len(contents.declared),
        files=len(tree.files),
        digests=digests,
        contents=contents_of(digests, authority.sources),
        waiting=told(waiting, contents.declared),
    )


def _beside(declared: Collection[Declared], part: Part) -> list[Declared]:
    """What is beside, but for what these manifests declare themselves."""
    own = {one.identity for one in declared}
    return [one for one in part.beside if one.identity not in own]


def _waiting(contents: Contents, part: Part) -> Mapping[Identity, str]:
    """Subscriptions on topics of tenants that are declared elsewhere and are not there yet, and what each waits for."""
    others = _beside(contents.declared, part)
    return Declarations(contents.declared, contents.rejected, contents.broken, contents.is_complete, others).waiting


def _outside(authority: Authority, files: Collection[ManifestFile]) -> Iterator[Problem]:
    (name, spec), *_ = authority.sources.items()
    for file in files:
        if authority.source_of(file.name) is None:
            message = f"lies outside of {spec.path}, the folder of Source {name}: leave it out"
            yield Problem(file.name, 0, 0, "", message, Rule.SOURCE)


def _findings(contents: Contents, part: Part, authority: Authority, waiting: Collection[Identity]) -> Iterator[Finding]:
    own = {id(one.document): one.identity in waiting for one in contents.declared}
    for one in contents.declared:
        if one.identity.kind == "Source":
            message = f"Sources are declared in {SOURCES_FILE}, which is no part of a Source: leave it out"
            yield Finding(one.document, ("kind",), message, Rule.SOURCE)
        yield from claimed(one, part.foreign_digests)
    if part.tenant is None:
        yield from sources.unauthorized(authority, contents.declared)
    else:
        yield from _of_others(contents.declared, part.tenant)
    every = [*_beside(contents.declared, part), *contents.declared]
    declarations = Declarations(every, contents.rejected, contents.broken, contents.is_complete)
    for rule in RULES:
        for finding in rule(declarations):
            is_waiting = own.get(id(finding.document))
            if is_waiting is False or (is_waiting and finding.path != ("spec", "topic")):
                yield finding


def _of_others(declared: Collection[Declared], tenant: str) -> Iterator[Finding]:
    """What a tenant's principal does not plan: the things of others, and its tenant's name."""
    for one in declared:
        field, named = ("tenant", one.identity.tenant) if one.identity.tenant else ("name", one.identity.name)
        if one.identity.kind != "Source" and named != tenant:
            message = f"principals of {tenant} plan what is {tenant}'s, nothing of {named}"
            yield Finding(one.document, ("metadata", field), message, Rule.SOURCE)
        elif one.identity.kind == "Tenant" and one.renamed_from is not None:
            message = "a tenant is renamed by principals of the tenant system"
            yield Finding(one.document, ("metadata", "renamedFrom"), message, Rule.SOURCE)


def _desired(declared: Collection[Declared], part: Part, settings: Settings) -> tuple[Resource, ...]:
    own = {id(one.document) for one in declared}

    def owner(one: Declared) -> str:
        return part.source if id(one.document) in own else part.owners[one.identity]

    return desired([*_beside(declared, part), *declared], owner, settings)
