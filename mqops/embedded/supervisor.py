"""Keeps the processes of `mqops up` running, and stops them in the reverse of the order they were started in."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from mqops.embedded.directory import StateDirectory
from mqops.embedded.process import Process, Program, Started
from mqops.embedded.server import log_end

_STEADY_SECONDS = 60.0
"""A process that ran this long starts its failures anew."""


def back_off_seconds(failures: int) -> float:
    """How long to wait before the next start after ``failures`` in a row (at least 1): from half a second to 30."""
    return float(min(30.0, 0.5 * 2 ** (failures - 1)))


@dataclass(slots=True)
class _Watched:
    process: Process
    failures: int = 0
    start_at: float | None = None
    """When to start it again; None while it runs."""


class Supervisor:
    """Runs programs until told to stop.

    ``report`` is told what a person wants to know, a line or a few at a time; ``on_change`` gets all processes
    whenever one was started.
    """

    def __init__(
        self,
        directory: StateDirectory,
        report: Callable[[str], None],
        on_change: Callable[[tuple[Started, ...]], None],
    ) -> None:
        self._directory = directory
        self._report = report
        self._on_change = on_change
        self._watched: list[_Watched] = []

    def adopt(self, process: Process) -> None:
        """Watch a process that runs already, such as a server that had to be waited for."""
        self._watched.append(_Watched(process))
        self._changed()

    def start(self, program: Program) -> None:
        """Start ``program`` and watch it."""
        self.adopt(self._launch(program))

    def tick(self) -> None:
        """Look after all of them once: call it a few times a second."""
        now = time.monotonic()
        for watched in self._watched:
            if watched.start_at is None and watched.process.exit_code is not None:
                self._ended(watched, now)
            elif watched.start_at is not None and now >= watched.start_at:
                watched.process = self._launch(watched.process.program)
                watched.start_at = None
                self._changed()

    def stop(self, is_hurried: Callable[[], bool]) -> None:
        """Stop all, the last started first, each only when the one before is gone."""
        while self._watched:
            self._watched.pop().process.stop(is_hurried)

    def _launch(self, program: Program) -> Process:
        return Process.start(program, self._directory.log(program.name))

    def _ended(self, watched: _Watched, now: float) -> None:
        process, name = watched.process, watched.process.program.name
        # What it started dies with it; otherwise an old listener or worker would be in the new one's way.
        process.kill_group()
        lived = now - process.started_at
        watched.failures = 1 if lived > _STEADY_SECONDS else watched.failures + 1
        delay = back_off_seconds(watched.failures)
        watched.start_at = now + delay
        self._report(
            f"{name} ended unexpectedly ({_exit(process.exit_code)}); starting it again in {delay:g} s. "
            f"The end of {self._directory.log(name)}:\n{log_end(self._directory, name)}"
        )

    def _changed(self) -> None:
        self._on_change(tuple(watched.process.record() for watched in self._watched))


def _exit(code: int | None) -> str:
    return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
