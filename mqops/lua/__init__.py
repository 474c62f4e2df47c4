"""Loads Lua scripts: one command a file, its header naming KEYS, ARGV and what it returns.

``-- include: name`` in a script is replaced by ``name.lua`` of the folder beside this module: what several scripts
must do alike stands there once.
"""

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources


@dataclass(frozen=True, slots=True)
class Script:
    """A script ready for SCRIPT LOAD and EVALSHA."""

    name: str
    source: str
    sha: str


@cache
def load_script(package: str, name: str) -> Script:
    """The script ``name``.lua of ``package``, with its includes. Raises ``FileNotFoundError`` when there is none."""
    text = resources.files(package).joinpath(f"{name}.lua").read_text("utf-8")
    source = re.sub(
        r"^-- include: *(\w+)$",
        lambda match: resources.files(__name__).joinpath(f"{match[1]}.lua").read_text("utf-8"),
        text,
        flags=re.MULTILINE,
    )
    return Script(name, source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())
