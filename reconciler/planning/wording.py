"""Words that several ways of showing a plan have in common. Pure."""

import json
import re
from pathlib import PurePath
from typing import Any

from reconciler.manifests.problem import printable
from reconciler.planning.change import FieldChange, Reason
from reconciler.state import Origin

Line = tuple[str, str]
"""What a line is about (an action's value, ``drift``, ``refused``, ``field`` or ``plain``), and its text."""

REASONS = {
    Reason.STRAY_FOUND: "taking up what Redis already holds of it",
    Reason.MADE_OVER_API: "made over the API",
    Reason.REBUILT_FOUND: "found again by a rebuild",
    Reason.TOPIC_REPLACED: "its topic is replaced, and it begins anew",
    Reason.PARENT_REPLACED: "kept as it is, for the new one",
    Reason.ROW_MISSING: "its row in PostgreSQL is gone",
    Reason.ROW_MALFORMED: "its row in PostgreSQL cannot be read",
    Reason.ROW_EDITED: "its row in PostgreSQL was edited",
    Reason.ROW_ADDED: "its row in PostgreSQL was added by hand",
    Reason.SERVER_FLUSHED: "Redis was flushed",
    Reason.META_MISSING: "its settings on Redis are gone",
    Reason.STREAM_MISSING: "a stream is gone",
    Reason.STREAM_RENAMED: "a stream was renamed",
    Reason.GROUP_MISSING: "a consumer group is gone",
    Reason.STREAM_TRUNCATED: "messages it had not handled were removed",
    Reason.GROUP_MOVED: "a consumer group was moved",
    Reason.META_DIFFERS: "its settings on Redis were altered",
    Reason.GROUP_FOREIGN: "a stream has a consumer group of nobody's",
}
"""What to say beside the action; reasons that the action says already are not here."""

_PLAIN = re.compile(r"[\w./:@+-]+")


def place_text(origin: Origin, directory: str) -> str:
    """Where something is declared; its file as seen from where the user called ``directory`` so."""
    return f"{PurePath(directory, origin.file)}:{origin.line}" if origin.file else str(origin)


def value_text(value: Any) -> str:
    """A field's value in one line; whatever is not a plain word is quoted, so that no value can pose as another or
    move the cursor."""
    if value is None:
        return "none"
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value not in ("none", "true", "false"):
        return value
    return printable(json.dumps(value, ensure_ascii=False))


def field_text(field: FieldChange) -> str:
    """What a field was, and what it is."""
    path = field.path.removeprefix("spec.").removeprefix("metadata.")
    return f"{printable(path)}: {value_text(field.before)} → {value_text(field.after)}"
