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


class SourceSpec(Strict):
    """A folder of manifests under one owner: it may declare what this allows, and prunes only what is its own."""

    path: Annotated[FolderPath, LIVE]
    """The folder, relative to the file that declares the Source and below that file's own; its parts may not begin with
    a dot."""
    tenants: Annotated[Annotated[tuple[Name, ...], Field(min_length=1)] | None, LIVE] = None
    """Tenants that the folder may declare, and declare things of; without it, any."""
    prune: Annotated[bool, LIVE] = True
    """Whether what is gone from the folder is deleted."""
    self_heal: Annotated[bool, LIVE] = True
    """Whether the watch loop puts back what was changed outside; otherwise it reports it."""
