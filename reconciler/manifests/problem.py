"""What is wrong with a manifest, and where: the one shape of every error of the reconciler's front."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePath
from typing import Any


class Rule(StrEnum):
    """What was broken; stable names, for programs that read the JSON."""

    FILE = "file"
    """It cannot be read, or does not belong there."""
    SYNTAX = "syntax"
    """It is not YAML as manifests use it."""
    DUPLICATE_KEY = "duplicate-key"
    LIMIT = "limit"
    """Too large, too deep, or growing without end through aliases."""
    KIND = "kind"
    """Unknown ``apiVersion`` or ``kind``."""
    FIELD = "field"
    """A field that does not exist, or one that is missing."""
    VALUE = "value"
    VARIABLE = "variable"
    SOURCE = "source"
    """Not this Source's to declare, or a Source that cannot be."""
    DUPLICATE = "duplicate"
    REFERENCE = "reference"
    """Something named that is not there."""
    DEAD_LETTER = "dead-letter"
    RENAME = "rename"
    CREDENTIAL = "credential"
    INTERNAL_API = "internal-api"
    """What publishes to a topic beside its own path."""
    SECRET = "secret"  # noqa: S105  # a rule's name


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing to mend. Problems sort by where they stand."""

    file: str
    """Relative to the directory that was loaded; empty for the directory itself."""
    line: int
    """From 1; 0 when it is about the file as a whole."""
    column: int
    """From 1; 0 when it is about the file as a whole."""
    path: str
    """The field, like ``spec.retry.maxAttempts`` or ``spec.keys[0].sha256``; may be empty."""
    message: str
    rule: Rule
    suggestion: str = ""
    """What was probably meant; empty when there is no telling."""

    def __str__(self) -> str:
        return self.render("")

    def render(self, directory: PurePath | str) -> str:
        """One line, its place first, in the form that editors and terminals make clickable.

        ``directory`` is what the manifests were loaded from, put before the file's name.
        """
        place = str(PurePath(directory, self.file)) if self.file or directory else ""
        if self.line:
            place = f"{place}:{self.line}:{self.column}"
        parts = [part for part in (place, self.path, self.message) if part]
        hint = f"; did you mean {self.suggestion}?" if self.suggestion else ""
        return printable(": ".join(parts) + hint)

    def as_json(self) -> dict[str, Any]:
        """The same as plain data."""
        return {
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "path": self.path,
            "rule": str(self.rule),
            "message": self.message,
            "suggestion": self.suggestion or None,
        }


def printable(text: str) -> str:
    """``text`` on one line, with nothing in it that could steer a terminal: manifests come from others."""
    return "".join(character if character.isprintable() else _escaped(character) for character in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")


def shortened(text: str, limit: int = 300) -> str:
    """``text``, cut where a report has no more room for it."""
    return text if len(text) <= limit else f"{text[:limit]}…"


def quoted(value: Any) -> str:
    """A value as a message shows it: text in quotes, long values cut."""
    if isinstance(value, str):
        return f'"{shortened(value, 60)}"'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, dict):
        return "a mapping"
    return "null" if value is None else str(value)
