"""Follows the logs of the processes that `mqops up` runs, and keeps them from growing without end."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

MAX_LOG_BYTES = 10 * 1024 * 1024
MAX_LINES = 20
"""Shown at a time; a flood is counted, not shown."""

_TROUBLE = re.compile(r"\b(?:WARNING|ERROR|CRITICAL)\b|^(?:error|warning):|^Traceback", re.IGNORECASE)


def is_trouble(line: str) -> bool:
    """Whether a line of a log tells of something that went wrong."""
    return _TROUBLE.search(line) is not None


class LogFollower:
    """Reads what the process ``name`` adds to ``path`` from now on; ``shows`` picks the lines of interest."""

    def __init__(self, name: str, path: Path, shows: Callable[[str], bool]) -> None:
        self.name = name
        self._path = path
        self._shows = shows
        self._position = path.stat().st_size if path.exists() else 0

    def new_lines(self) -> list[str]:
        """Complete lines of interest since the last call, at most ``MAX_LINES`` and a note of the rest."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._position)
                added = file.read(1024 * 1024)
        except FileNotFoundError:
            return []
        complete = added[: added.rfind(b"\n") + 1]
        self._position += len(complete) or (len(added) if len(added) == 1024 * 1024 else 0)
        self._keep_short()
        lines = [line for line in complete.decode(errors="replace").splitlines() if self._shows(line)]
        more = len(lines) - MAX_LINES
        return [*lines[:MAX_LINES], *([f"… and {more} more lines in {self._path}"] if more > 0 else [])]

    def _keep_short(self) -> None:
        """The writer appends wherever the end is, so an emptied file is simply written from its start."""
        if self._position > MAX_LOG_BYTES:
            shutil.copyfile(self._path, self._path.with_suffix(".log.1"))
            self._path.open("wb").close()
            self._position = 0
