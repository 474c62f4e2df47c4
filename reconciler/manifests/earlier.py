"""What an earlier reading of the manifests came to, for whoever reads the same directory again and again.

A file whose bytes are as they were says what it said, and a declaration beside which nothing has changed that it
depends on amounts to what it did. Whoever holds an ``Earlier`` uses it with one directory and one set of settings.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from mqops.model import Identity
from reconciler.manifests.deadletters import DeadLetters
from reconciler.manifests.problem import Problem
from reconciler.manifests.source import Tree
from reconciler.manifests.validate import Declared
from reconciler.state import Resource


@dataclass(frozen=True, slots=True)
class FileContents:
    """What a file says, as far as it can be read."""

    sha256: str
    """Of its bytes, in hexadecimal."""
    declared: tuple[Declared, ...]
    rejected: frozenset[Identity]
    """What documents that are not valid were going to declare."""
    broken: tuple[str, ...]
    """Texts that could not be read: whatever they name, they may declare."""
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class _Completed:
    """A resource, and what it was made of."""

    parent: object
    """The declaration, or the resource, that it was made of: the very object."""
    beside: tuple[object, ...]
    """What else it depends on."""
    resource: Resource


JUDGED_BY: Mapping[str, tuple[str, ...]] = {
    "Topic": ("public",),
    "Queue": ("dead_letter",),
    "Subscription": ("topic", "handler", "dead_letter"),
}
"""Fields of specs by which the rules judge, of kinds that there are tens of thousands of: whatever else is changed in
those, they find the same. Of other kinds it may be any field."""


@dataclass(frozen=True, slots=True)
class Sound:
    """A tree that obeyed the rules, by itself, without anything that others have."""

    tree: Tree
    files: Mapping[str, FileContents]
    letters: DeadLetters

    def stands_for(self, tree: Tree, files: Mapping[str, FileContents]) -> bool:
        """Whether nothing has changed by which the rules judge, so that this tree obeys them as well."""
        if tree.problems or (tree.files, tree.folders) != (self.tree.files, self.tree.folders):
            return False
        return len(files) == len(self.files) and all(
            now is self.files[name] or (_is_readable(now) and _judged(now) == _judged(self.files[name]))
            for name, now in files.items()
        )


def _is_readable(file: FileContents) -> bool:
    return not (file.problems or file.rejected or file.broken)


def _judged(file: FileContents) -> list[tuple[object, ...]]:
    return [(one.identity, one.metadata, *_fields(one)) for one in file.declared]


def _fields(one: Declared) -> Iterator[object]:
    names = JUDGED_BY.get(one.identity.kind)
    if names is None:
        yield one.spec
    else:
        yield from (getattr(one.spec, name) for name in names)


@dataclass(slots=True)
class Earlier:
    """Grows and shrinks with what is read."""

    files: dict[str, FileContents] = field(default_factory=dict)
    """By name."""
    sound: Sound | None = None
    """The last tree that obeyed the rules by itself."""
    _completed: dict[Identity, _Completed] = field(default_factory=dict)

    def resource(
        self, identity: Identity, parent: object, beside: tuple[object, ...], make: Callable[[], Resource]
    ) -> Resource:
        """The resource that ``parent`` and what stands ``beside`` it amount to: as it was, or made now."""
        known = self._completed.get(identity)
        if known is not None and known.parent is parent and known.beside == beside:
            return known.resource
        resource = make()
        self._completed[identity] = _Completed(parent, beside, resource)
        return resource

    def forget_all_but(self, identities: set[Identity]) -> None:
        """What is not declared any more is not needed any more."""
        for gone in self._completed.keys() - identities:
            del self._completed[gone]
