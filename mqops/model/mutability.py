"""How a field may change once its resource is applied: an entry beside each field, and what the entries mean.

What is not live here is replaced; a test changes every field of every kind and compares the model with the plan.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic.fields import FieldInfo


class Way(StrEnum):
    """What a change takes."""

    LIVE = "live"
    REPLACE = "replace"
    FORBIDDEN = "forbidden"

    @property
    def meaning(self) -> str:
        return _MEANINGS[self]


_MEANINGS = {
    Way.LIVE: "applied without an interruption, and known to every process within a second or so",
    Way.REPLACE: "not in place: another takes its place, and it goes with all it holds, as far as the guards let it",
    Way.FORBIDDEN: "there is no other value",
}


@dataclass(frozen=True, slots=True)
class Mutability:
    """The entry of a field: stands among the arguments of its ``Annotated``."""

    way: Way
    fewer: Way | None = None
    """For a number: what making it smaller takes, where that is something else."""
    note: str = ""
    """What else a change brings, or the way out where there is no changing it."""

    def __str__(self) -> str:
        return self.way if self.fewer is None else f"more: {self.way}; fewer: {self.fewer}"

    def of(self, before: Any, after: Any) -> Way:
        """What changing ``before`` into ``after`` takes."""
        return self.way if self.fewer is None or after >= before else self.fewer


LIVE = Mutability(Way.LIVE)
ONLY_VALUE = Mutability(Way.FORBIDDEN)


def mutability_of(field: FieldInfo) -> Mutability:
    """The entry of ``field``. Raises ``LookupError`` for a field that has none, or two."""
    found = [entry for entry in field.metadata if isinstance(entry, Mutability)]
    if len(found) != 1:
        raise LookupError(f"{field.alias} has {len(found)} entries of how it may change: give it one")
    return found[0]
