"""Which Source governs which files, and what it may declare. Pure.

The operator's ``sources.yaml``, at the top of the directory, declares the Sources; each governs the folder it names.
No folder has a say in its own rights, nothing is governed twice, and nothing is silently left out. Without
``sources.yaml`` the whole directory is one Source that may declare anything.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from mqops.model import SourceSpec
from reconciler.manifests.finding import Finding
from reconciler.manifests.problem import Problem, Rule
from reconciler.manifests.source import ManifestFile, parents
from reconciler.manifests.validate import Declared
from reconciler.state import API, REBUILT

SOURCES_FILE = "sources.yaml"
DEFAULT_SOURCE = "default"

_RESERVED = {
    API: "is what the management API's own things belong to",
    REBUILT: "is what a rebuild found again belongs to",
}

EVERYTHING = SourceSpec.model_construct(path=".", tenants=None, prune=True, self_heal=True)
"""What may do all: the one Source that there is without any declared, one that is taken over, the API."""


@dataclass(frozen=True, slots=True)
class Authority:
    """The Sources of a directory."""

    sources: Mapping[str, SourceSpec]
    folders: Mapping[str, str] | None
    """Folder → the name of its Source; ``None`` when one Source governs everything."""
    _known: dict[str, str | None] = field(default_factory=dict, init=False, repr=False, compare=False)

    def source_of(self, name: str) -> str | None:
        """The Source that governs the file ``name``; ``None`` when none does."""
        if self.folders is None:
            return DEFAULT_SOURCE
        # Looked up again and again, for each of the thousands of things that a file may declare.
        if name not in self._known:
            folders = self.folders
            self._known[name] = next((folders[folder] for folder in parents(name) if folder in folders), None)
        return self._known[name]


def authority_of(declared: Iterable[Declared], files: Iterable[ManifestFile]) -> Authority:
    """The Sources that ``sources.yaml`` declares, or the one that is there without it."""
    if all(file.name != SOURCES_FILE for file in files):
        return Authority({DEFAULT_SOURCE: EVERYTHING}, None)
    specs = {source.identity.name: _spec(source) for source in _sources(declared)}
    return Authority(specs, {_folder(spec): name for name, spec in specs.items()})


def authority_alone(name: str, spec: SourceSpec) -> Authority:
    """That of one Source, whatever others there may be."""
    return Authority({name: spec}, None if name == DEFAULT_SOURCE else {_folder(spec): name})


def _sources(declared: Iterable[Declared]) -> list[Declared]:
    return [one for one in declared if one.identity.kind == "Source" and one.document.file == SOURCES_FILE]


def _spec(source: Declared) -> SourceSpec:
    return cast(SourceSpec, source.spec)


def _folder(spec: SourceSpec) -> str:
    return spec.path.rstrip("/")


def misplaced(declared: Iterable[Declared]) -> Iterator[Finding]:
    """Sources outside of ``sources.yaml``, and other things in it."""
    for one in declared:
        is_source, is_bootstrap = one.identity.kind == "Source", one.document.file == SOURCES_FILE
        if is_source and not is_bootstrap:
            message = f"Sources are declared in {SOURCES_FILE} beside the folders, not inside them"
            yield Finding(one.document, ("kind",), message, Rule.SOURCE)
        elif is_bootstrap and not is_source:
            message = f"only Sources are declared in {SOURCES_FILE}: move this into the folder of one"
            yield Finding(one.document, ("kind",), message, Rule.SOURCE)


def unusable(declared: Iterable[Declared], folders: Iterable[str], files: Iterable[ManifestFile]) -> Iterator[Finding]:
    """Sources with a reserved name, without a folder or manifests, or in the way of each other."""
    folders = set(folders)
    filled = {folder for file in files for folder in parents(file.name)}
    seen: dict[str, Declared] = {}
    for source in _sources(declared):
        folder = _folder(_spec(source))
        if source.identity.name in _RESERVED:
            message = f"{source.identity.name} {_RESERVED[source.identity.name]}: choose another name"
            yield Finding(source.document, ("metadata", "name"), message, Rule.SOURCE)
        if folder not in folders:
            message = f"there is no folder {folder} beside {SOURCES_FILE}"
            yield Finding(source.document, ("spec", "path"), message, Rule.SOURCE, name=folder, candidates=folders)
        elif folder not in filled:
            yield Finding(source.document, ("spec", "path"), f"no manifests are in {folder}", Rule.SOURCE)
        for other, its in seen.items():
            if folder == other or folder in parents(other) or other in parents(folder):
                message = f"overlaps with {other} of {its.identity} (line {its.document.line})"
                yield Finding(source.document, ("spec", "path"), message, Rule.SOURCE)
        seen.setdefault(folder, source)


def ungoverned(authority: Authority, files: Sequence[ManifestFile]) -> Iterator[Problem]:
    """Files that no Source governs, or that one Source's folder has a link to and another's holds."""
    for file in files:
        if file.name == SOURCES_FILE and authority.source_of(file.home) is None:
            continue
        source = authority.source_of(file.name)
        if source is None:
            message = f"no Source governs this file: declare one for its folder in {SOURCES_FILE}"
            yield Problem(file.name, 0, 0, "", message, Rule.SOURCE)
        elif authority.source_of(file.home) != source:
            message = f"a symbolic link to {file.home}, which is not Source {source}'s"
            yield Problem(file.name, 0, 0, "", message, Rule.SOURCE)


def unauthorized(authority: Authority, declared: Iterable[Declared]) -> Iterator[Finding]:
    """What a Source declares of tenants that are not its own."""
    allowed = {name: set(spec.tenants) for name, spec in authority.sources.items() if spec.tenants is not None}
    for one in declared:
        source = authority.source_of(one.document.file)
        if source is None or source not in allowed or one.identity.kind == "Source":
            continue
        tenant = one.identity.tenant or one.identity.name
        if tenant not in allowed[source]:
            field = "tenant" if one.identity.tenant else "name"
            names = ", ".join(sorted(allowed[source]))
            message = f"Source {source} may declare things of {names}, not of {tenant}: {SOURCES_FILE} says which"
            yield Finding(one.document, ("metadata", field), message, Rule.SOURCE)
        elif one.identity.kind == "Tenant" and one.renamed_from not in (None, *allowed[source]):
            message = (
                f"Source {source} may not take over Tenant {one.renamed_from}: let {SOURCES_FILE} give it both names "
                "until it is renamed"
            )
            yield Finding(one.document, ("metadata", "renamedFrom"), message, Rule.SOURCE)


def taken(authority: Authority, declared: Sequence[Declared]) -> Iterator[Finding]:
    """What is renamed from something that another Source declares: it would take its messages away."""
    owners = {one.identity: authority.source_of(one.document.file) for one in declared}
    for one in declared:
        owner = None if one.former is None else owners.get(one.former)
        if owner is not None and owner != authority.source_of(one.document.file):
            message = f"{one.former} is declared by Source {owner}: it has to give the name up first"
            yield Finding(one.document, ("metadata", "renamedFrom"), message, Rule.SOURCE)
