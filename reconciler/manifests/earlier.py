"""What an earlier reading of the manifests came to, for whoever reads the same directory again and again.

A file whose bytes are as they were says what it said, and a declaration beside which nothing has changed that it
depends on amounts to what it did. Whoever holds an ``Earlier`` uses it with one directory and one set of settings.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from mqops.model import Identity
from reconciler.manifests.problem import Problem
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


@dataclass(slots=True)
class Earlier:
    """Grows and shrinks with what is read."""

    files: dict[str, FileContents] = field(default_factory=dict)
    """By name."""
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
