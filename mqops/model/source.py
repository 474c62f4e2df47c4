"""Source: which folder of manifests governs what. Declared by the operator, beside the folders, not inside them."""

from typing import Annotated

from pydantic import Field, StringConstraints

from mqops.model.metadata import Name, Strict, explained
from mqops.model.mutability import LIVE

_PATH_PATTERN = r"^[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*/?$"
_PATH_EXPLANATION = "the path of a folder below this file: names joined by /, none of which begins with a dot"
FolderPath = Annotated[
    str, StringConstraints(pattern=_PATH_PATTERN, max_length=1024), explained(_PATH_PATTERN, _PATH_EXPLANATION)
]


class DeleteLimit(Strict):
    """How much of a source one apply deletes: one of both may be exceeded, not both."""

    resources: Annotated[int, Field(ge=0, le=1_000_000), LIVE] = 10
    """So many are always allowed."""
    percent: Annotated[int, Field(ge=0, le=100), LIVE] = 30
    """So many of a hundred are always allowed."""


class SourceSpec(Strict):
    """A folder of manifests under one owner: it may declare what this allows, and prunes only what is its own."""

    path: Annotated[FolderPath, LIVE]
    """The folder, relative to the file that declares the Source and below that file's own; its parts may not begin with
    a dot."""
    tenants: Annotated[Annotated[tuple[Name, ...], Field(min_length=1)] | None, LIVE] = None
    """Tenants that the folder may declare, and declare things of; without it, any."""
    prune: Annotated[bool, LIVE] = True
    """Whether what is gone from the folder is deleted."""
    max_deletes: Annotated[DeleteLimit, LIVE] = DeleteLimit()
    """Beyond it, deletes are refused unless the very number is allowed with `--allow-mass-delete`."""
    self_heal: Annotated[bool, LIVE] = True
    """Whether the watch loop puts back what was changed outside; otherwise it reports it."""
