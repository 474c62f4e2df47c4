"""Named SQL: each file holds queries under ``-- name:`` comments; Python asks for them by file and name."""

import re
from functools import cache
from importlib import resources


@cache
def queries(file: str) -> dict[str, str]:
    """The queries of ``<file>.sql``, by name. Raises ``FileNotFoundError`` for a file that is not there."""
    text = resources.files(__name__).joinpath(f"{file}.sql").read_text("utf-8")
    parts = re.split(r"^-- name: *(\w+).*$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], (body.strip() for body in parts[2::2]), strict=True))
