"""A request that goes on where the last one ended, until there is nothing left: with how far it is, and a way out."""

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console

from mqops.cli.progress import is_drawn_on
from mqops.errors import BrokerNotAvailable

if TYPE_CHECKING:
    from mqops.cli.remote import Remote

AWAY_SECONDS = 30.0
"""How long a server may be away once something was done."""
_LINE_SECONDS = 10.0
"""Between two lines about how far it is, where there is no terminal."""
INTERRUPTED = 130


@dataclass(slots=True)
class Worked:
    """What became of it."""

    count: int = 0
    skipped: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class LongRequest:
    """A request to ``path``, whose answer counts in its field ``done`` and has ``skipped`` and ``cursor``. It can be
    repeated without doing anything twice."""

    remote: "Remote"
    path: str
    body: Mapping[str, Any]
    done: str
    at_once: int
    """How many one request takes."""

    def work_off(self, most: int | None) -> Worked:
        """All there are, or up to ``most``. Raises ``BrokerNotAvailable`` when the server stays away, ``Refused`` for
        every other error, ``typer.Exit`` at Ctrl-C."""
        worked, console = Worked(), Console(stderr=True)
        with console.status("") as status:
            said_at = time.monotonic()
            cursor: str | None = None
            try:
                while most is None or worked.count < most:
                    answer = self._ask(cursor, None if most is None else most - worked.count, worked)
                    worked.count += answer[self.done]
                    worked.skipped += answer["skipped"]
                    cursor = answer["cursor"]
                    if cursor is None:
                        break
                    status.update(self._so_far(worked))
                    if not is_drawn_on(console) and time.monotonic() - said_at >= _LINE_SECONDS:
                        print(self._so_far(worked), file=sys.stderr, flush=True)
                        said_at = time.monotonic()
            except KeyboardInterrupt:
                print(f"stopped: {self._so_far(worked)}; the same command does the rest", file=sys.stderr)
                raise typer.Exit(INTERRUPTED) from None
        return worked

    def _so_far(self, worked: Worked) -> str:
        skipped = f", {len(worked.skipped):,} skipped" if worked.skipped else ""
        return f"{worked.count:,} {self.done}{skipped} so far"

    def _ask(self, cursor: str | None, left: int | None, worked: Worked) -> Any:
        body = {**self.body, "max": self.at_once if left is None else min(left, self.at_once)}
        if cursor is not None:
            body["cursor"] = cursor
        deadline = time.monotonic() + AWAY_SECONDS
        while True:
            try:
                return self.remote.call("POST", self.path, body)
            except BrokerNotAvailable:
                # At the start it is a mistake to be told; later it is an outage to be waited out.
                if cursor is None or worked.count == 0 or time.monotonic() >= deadline:
                    raise
                time.sleep(1.0)
