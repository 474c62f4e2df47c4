"""How a command looks on while it applies: shows how far it is, and stops between changes when somebody interrupts."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from rich import progress
from rich.console import Console
from rich.status import Status

from mqops.cli.progress import is_drawn_on

if TYPE_CHECKING:
    from reconciler.oversight import Progress

_BETWEEN_LINES_SECONDS = 5.0
"""Where there is no terminal to draw on, a line as often as this: an apply that takes no longer says nothing."""

_STOPPING = b"\nstopping after what is under way; interrupt again to abort at once\n"
_SHOW_CURSOR = b"\x1b[?25h"


class UnderWay:
    """The oversight of an apply that a person, or a script, waits for. The first SIGINT or SIGTERM stops it between
    changes; a second one ends the process at once, which the next apply recovers from. ``working`` is what was shown
    until then."""

    def __init__(self, working: Status) -> None:
        self._working = working
        self._console = Console(stderr=True)
        self._bar: progress.Progress | None = None
        self._task = progress.TaskID(0)
        self._told_at = time.monotonic()
        self._is_stopped = False

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """From here on a signal no longer ends the process."""
        self._working.stop()
        self._told_at = time.monotonic()
        former = {number: signal.signal(number, self._on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            if is_drawn_on(self._console):
                with _bar(self._console) as self._bar:
                    self._task = self._bar.add_task("applying", total=None)
                    yield
            else:
                yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)

    def advanced(self, progress: "Progress") -> None:
        """Shows it, on a terminal each time, elsewhere now and then."""
        about = "" if progress.upcoming is None else f" {progress.upcoming}"
        if self._bar is not None:
            text = f"{progress.stage.value}{about}"
            self._bar.update(self._task, description=text, completed=progress.done, total=progress.total)
        elif time.monotonic() - self._told_at >= _BETWEEN_LINES_SECONDS:
            self._told_at = time.monotonic()
            print(f"{progress.stage.value}{about}: {progress.done:,} of {progress.total:,} done", file=sys.stderr)

    def is_stopped(self) -> bool:
        return self._is_stopped

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if not self._is_stopped:
            self._is_stopped = True
            os.write(sys.stderr.fileno(), _STOPPING)  # whatever was interrupted may be printing itself
            return
        if self._bar is not None:
            os.write(sys.stderr.fileno(), _SHOW_CURSOR)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)


def _bar(console: Console) -> progress.Progress:
    return progress.Progress(
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeElapsedColumn(),
        console=console,
        transient=True,
    )
