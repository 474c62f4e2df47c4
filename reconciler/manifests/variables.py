"""``${NAME}`` and ``${NAME:-default}`` in a manifest's texts. Pure: the values come in as an argument.

Only the names of ``MANIFEST_VARIABLES`` mean something, so no manifest can read what else is in the environment.
``$${`` stands for the characters ``${``.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from mqops.nearest import nearest
from mqops.settings import MANIFEST_VARIABLES
from reconciler.manifests.places import Path

_REFERENCE = re.compile(r"\$\$\{|\$\{([^}]*)\}|\$\{")


class Unresolved(NamedTuple):
    """A reference that stands for nothing."""

    path: Path
    message: str
    suggestion: str


def filled_in(value: Any, variables: Mapping[str, str], path: Path, unresolved: list[Unresolved]) -> Any:
    """``value`` with the references in its texts replaced; those that stand for nothing are left as they are and
    added to ``unresolved``. ``path`` is where ``value`` stands."""
    if isinstance(value, dict):
        return {key: filled_in(item, variables, (*path, key), unresolved) for key, item in value.items()}
    if isinstance(value, list):
        return [filled_in(item, variables, (*path, index), unresolved) for index, item in enumerate(value)]
    if not isinstance(value, str) or "${" not in value:
        return value

    def replaced(match: re.Match[str]) -> str:
        if match[0] == "$${":
            return "${"
        if match[1] is None:
            unresolved.append(Unresolved(path, "${ without a closing }; for these two characters write $${", ""))
            return match[0]
        name, separator, default = match[1].partition(":-")
        found = variables.get(name)
        if found is not None or (separator and name in MANIFEST_VARIABLES):
            return found or default
        unresolved.append(_unresolved(name, path))
        return match[0]

    return _REFERENCE.sub(replaced, value)


def _unresolved(name: str, path: Path) -> Unresolved:
    if name in MANIFEST_VARIABLES:
        return Unresolved(path, f"${{{name}}} is not set: set it, or write ${{{name}:-default}}", "")
    known = ", ".join(sorted(MANIFEST_VARIABLES))
    near = nearest(name, MANIFEST_VARIABLES)
    message = f"${{{name}}} is not a variable of manifests; there are {known}"
    return Unresolved(path, message, f"${{{near}}}" if near else "")
