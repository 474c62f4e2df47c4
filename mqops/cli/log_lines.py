"""The lines of a log: as people read them, as logfmt, or as JSON, by ``MQOPS_LOG_FORMAT``."""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import typer

if TYPE_CHECKING:
    from reconciler.journal import Line

_BARE = re.compile(r"[^\s\"=\\]+")


class LogLines:
    """Writes them, each with the time."""

    def __init__(self, form: Literal["text", "logfmt", "json"], *, to_stderr: bool = False) -> None:
        self._form = form
        self._to_stderr = to_stderr

    @property
    def is_structured(self) -> bool:
        return self._form != "text"

    def say(self, text: str) -> None:
        """Something for people."""
        self._write(text, {})

    def change(self, line: "Line") -> None:
        """A change, and what came of it."""
        self._write("change", line.fields)

    def changes(self, lines: Iterable["Line"]) -> None:
        for line in lines:
            self.change(line)

    def _write(self, message: str, fields: Mapping[str, Any]) -> None:
        now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        if self._form == "text":
            line = f"{now} {message}"
        elif self._form == "json":
            line = json.dumps({"time": now, "msg": message, **fields}, ensure_ascii=False)
        else:
            told = {"time": now, "msg": message, **fields}
            line = " ".join(f"{name}={_logfmt(str(value))}" for name, value in told.items())
        typer.echo(line, err=self._to_stderr)


def _logfmt(value: str) -> str:
    return value if _BARE.fullmatch(value) else json.dumps(value, ensure_ascii=False)
