"""The reconciler's front as one step: a directory of manifests into what is desired, or everything wrong with it."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

from mqops.model import Identity, SourceSpec
from mqops.settings import Settings
from reconciler.garbage import without_garbage_collection
from reconciler.manifests import authority as sources
from reconciler.manifests.authority import Authority, authority_of
from reconciler.manifests.deadletters import DeadLetters
from reconciler.manifests.desired import desired
from reconciler.manifests.earlier import Earlier, FileContents, Sound
from reconciler.manifests.finding import Finding, located
from reconciler.manifests.load import load
from reconciler.manifests.problem import Problem
from reconciler.manifests.rules import RULES, Declarations
from reconciler.manifests.single import declared_again
from reconciler.manifests.source import Tree, alone, find, given, read
from reconciler.manifests.validate import Declared, Rejected, validate
from reconciler.state import Applied, Commit, Content, Resource, Waiting


@dataclass(frozen=True, slots=True)
class Checked:
    """A directory of manifests after all checks."""

    resources: tuple[Resource, ...]
    """What is desired, in the order of applying; empty when there are problems, so that none is applied by half."""
    problems: tuple[Problem, ...]
    """All of them, over all files, by place."""
    sources: Mapping[str, SourceSpec]
    """The Sources by name; without a ``sources.yaml`` the one called ``default``."""
    declared: int
    """How many resources the manifests declare, those not counted that others imply."""
    files: int
    """How many manifest files there are."""
    digests: Mapping[str, "Digest"] = field(default_factory=dict)
    """What each file held when it was read, by its name."""
    contents: Mapping[str, Content] = field(default_factory=dict)
    """Of each source. Whoever asks git fills in their trees, and the commit: see ``provenance``."""
    commit: Commit | None = None
    directory: Path | None = None
    """The checkout that the commit was read from; ``None`` with it."""
    waiting: tuple[Waiting, ...] = ()
    """Subscriptions that are not among the resources: what they read is not there yet."""
    relies_on_others: bool = False
    """Whether anything in it names what others own, so that it may come to something else when that changes."""


Lookup = Callable[[Collection[Identity]], Collection[Applied] | None]
"""What is applied of these, with the subscriptions and queues whose dead letters go there; ``None`` when that cannot be
asked at the moment."""


@dataclass(frozen=True, slots=True)
class Digest:
    """What a file held."""

    source: str
    """The Source that governs it; empty for the file that declares the Sources."""
    sha256: str
    """Of its bytes, in hexadecimal."""


@dataclass(slots=True)
class Contents:
    """What the files say, as far as they can be read."""

    declared: list[Declared] = field(default_factory=list)
    rejected: set[Identity] = field(default_factory=set)
    broken: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    is_complete: bool = True
    hashes: dict[str, str] = field(default_factory=dict)

    def take(self, name: str, found: FileContents) -> None:
        """Add what the file ``name`` says."""
        self.hashes[name] = found.sha256
        self.declared += found.declared
        self.rejected |= found.rejected
        self.broken += found.broken
        self.problems += found.problems


def check(directory: Path, settings: Settings, earlier: Earlier | None = None, lookup: Lookup | None = None) -> Checked:
    """Reads every manifest below ``directory`` and checks it by itself and with the others. With what came of an
    ``earlier`` reading, what has not changed since is not worked out anew. With a ``lookup`` it may name what others
    have applied, and a subscription waits for a topic of a tenant that is declared elsewhere.

    Raises nothing for anything that the directory may hold; what is wrong is in ``problems``.
    """
    with without_garbage_collection():
        return _check(find(directory), settings, Earlier() if earlier is None else earlier, lookup)


def check_file(name: str, data: bytes, settings: Settings, lookup: Lookup | None = None) -> Checked:
    """The same for manifests that are given as one file, called ``name`` in what is said of it: it is all that there
    is, of the one Source ``default``."""
    with without_garbage_collection():
        return _check(alone(name, data), settings, Earlier(), lookup)


def check_files(files: Mapping[str, bytes], settings: Settings, lookup: Lookup | None = None) -> Checked:
    """The same for manifests that somebody else has read, by their names in the directory."""
    with without_garbage_collection():
        return _check(given(files), settings, Earlier(), lookup)


def _check(tree: Tree, settings: Settings, earlier: Earlier, lookup: Lookup | None) -> Checked:
    contents = read_contents(tree, settings.manifest_variables, earlier)
    authority = authority_of(contents.declared, tree.files)
    found = _judged(tree, contents, authority, earlier, lookup)
    waiting = found.waiting
    resources: tuple[Resource, ...] = ()
    owners = {file.name: authority.source_of(file.name) or "" for file in tree.files}
    if not found.problems:
        declared = [one for one in contents.declared if one.identity not in waiting] if waiting else contents.declared
        resources = desired(declared, lambda one: owners[one.document.file], settings, found.letters, earlier)
    digests = {name: Digest(owners[name], found) for name, found in contents.hashes.items()}
    return Checked(
        resources=resources,
        problems=tuple(sorted(set(found.problems))),
        sources=authority.sources,
        declared=len(contents.declared),
        files=len(tree.files),
        digests=digests,
        contents=contents_of(digests, authority.sources),
        waiting=told(waiting, contents.declared),
        relies_on_others=found.relies_on_others,
    )


@dataclass(frozen=True, slots=True)
class _Judged:
    """What the rules say of a tree."""

    problems: Sequence[Problem]
    letters: DeadLetters | None
    """Of what does not wait; ``None`` where there are problems."""
    waiting: Mapping[Identity, str] = field(default_factory=dict)
    relies_on_others: bool = False


def _judged(tree: Tree, contents: Contents, authority: Authority, earlier: Earlier, lookup: Lookup | None) -> _Judged:
    sound = earlier.sound
    if sound is not None and sound.stands_for(tree, earlier.files):
        return _Judged((), sound.letters)
    earlier.sound = None
    declarations = _declarations(contents, authority, lookup)
    found = located(findings(tree, declarations, authority))
    problems = [*tree.problems, *contents.problems, *_ungoverned(tree, contents, authority), *found]
    waiting, relies = declarations.waiting, bool(declarations.elsewhere)
    if problems:
        return _Judged(problems, None, waiting, relies)
    ready = [one for one in contents.declared if one.identity not in waiting] if waiting else contents.declared
    letters = replace(declarations, declared=ready).dead_letters if waiting else declarations.dead_letters
    if not relies:
        earlier.sound = Sound(tree, earlier.files, letters)
    return _Judged((), letters, waiting, relies)


def _declarations(contents: Contents, authority: Authority, lookup: Lookup | None) -> Declarations:
    """With what is applied of what they name and do not declare. What these sources own themselves does not count: it
    goes, or it would be declared."""
    found = Declarations(contents.declared, contents.rejected, contents.broken, contents.is_complete)
    applied = lookup(found.elsewhere) if lookup is not None and found.elsewhere else None
    if applied is None:
        return found
    others = [
        replace(row.resource, implied_by=None) for row in applied if row.resource.managed_by not in authority.sources
    ]
    declared = {one.identity for one in contents.declared}
    return replace(found, beside=[one for one in declared_again(others) if one.identity not in declared])


def told(waiting: Mapping[Identity, str], declared: Iterable[Declared]) -> tuple[Waiting, ...]:
    """What of ``declared`` waits, for what, and where it stands."""
    return tuple(
        Waiting(one.identity, one.origin, waiting[one.identity]) for one in declared if one.identity in waiting
    )


def contents_of(digests: Mapping[str, Digest], names: Collection[str]) -> dict[str, Content]:
    """By source, what its files come to; ``sources.yaml`` is no source's."""
    sums = {name: sha256() for name in names}
    for file, digest in sorted(digests.items()):
        if digest.source in sums:
            name = sha256(file.encode("utf-8", "surrogateescape")).digest()
            sums[digest.source].update(name + bytes.fromhex(digest.sha256))
    return {name: Content("", found.hexdigest()) for name, found in sums.items()}


def read_contents(tree: Tree, variables: Mapping[str, str], earlier: Earlier | None = None) -> Contents:
    """Reads the files of ``tree``, and checks each document by itself."""
    contents = Contents(is_complete=tree.is_complete)
    earlier = Earlier() if earlier is None else earlier
    known, earlier.files = earlier.files, {}
    for file in tree.files:
        data = read(tree, file)
        if isinstance(data, Problem):
            contents.problems.append(data)
            contents.is_complete = False
            continue
        found = known.get(file.name)
        if found is None or found.sha256 != sha256(data).hexdigest():
            found = _file_contents(file.name, data, variables)
        earlier.files[file.name] = found
        contents.take(file.name, found)
    return contents


def _file_contents(name: str, data: bytes, variables: Mapping[str, str]) -> FileContents:
    loaded = load(name, data)
    declared: list[Declared] = []
    rejected: set[Identity] = set()
    broken, problems = [*loaded.broken], [*loaded.problems]
    for document in loaded.documents:
        result = validate(document, variables)
        if not isinstance(result, Rejected):
            declared.append(result)
            continue
        problems += result.problems
        if result.identity is None:
            broken.append(document.text)
        else:
            rejected.add(result.identity)
    digest = sha256(data).hexdigest()
    return FileContents(digest, tuple(declared), frozenset(rejected), tuple(broken), tuple(problems))


def findings(tree: Tree, declarations: Declarations, authority: Authority) -> Iterator[Finding]:
    """What all rules find. They may judge by what ``earlier.JUDGED_BY`` names, and no more."""
    declared = declarations.declared
    yield from sources.misplaced(declared)
    yield from sources.unusable(declared, tree.folders, tree.files)
    yield from sources.unauthorized(authority, declared)
    yield from sources.taken(authority, declared)
    for rule in RULES:
        yield from rule(declarations)


def _ungoverned(tree: Tree, contents: Contents, authority: Authority) -> Iterator[Problem]:
    """Nothing is said of files without a Source while it is unclear which Sources there are."""
    if all(problem.file != sources.SOURCES_FILE for problem in contents.problems):
        yield from sources.ungoverned(authority, tree.files)
