"""How the command line is told a kind: in the singular or the plural, in any case, or by how its name begins."""

from typing import Annotated

import typer

from mqops.errors import ConfigurationError
from mqops.model import KINDS, Kind
from mqops.nearest import nearest


def complete_kind(incomplete: str) -> list[str]:
    """The kinds that a shell may complete ``incomplete`` to."""
    return [kind.plural for kind in KINDS.values() if kind.plural.startswith(incomplete.lower())]


KindArgument = Annotated[
    str, typer.Argument(metavar="KIND", help="Like topic or topics.", autocompletion=complete_kind)
]


def chosen_kind(text: str) -> Kind:
    """The kind called ``text``: ``topic``, ``Topic``, ``topics``, or the beginning of just one kind's name. Raises
    ``ConfigurationError`` with the nearest one when there is none."""
    kinds = list(KINDS.values())
    names = {spelling.lower(): kind for kind in kinds for spelling in (kind.name, kind.plural)}
    begun = [kind for kind in kinds if text and kind.plural.startswith(text.lower())]
    found = names.get(text.lower()) or (begun[0] if len(begun) == 1 else None)
    if found is None:
        likely = nearest(text, names)
        hint = f"did you mean {likely}?" if likely else f"there are {', '.join(kind.plural for kind in kinds)}"
        raise ConfigurationError(f"there is no kind {text!r}: {hint}")
    return found
