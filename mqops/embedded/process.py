"""One process that `mqops up` starts: its program, starting, stopping, and finding it again after a crash.

A process is taken for ours only when its id, the time it was started and its command line are all as recorded:
process ids are used again, and nothing of somebody else's may be killed.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import psutil

from mqops.embedded import launch
from mqops.errors import ConfigurationError

RUN_VARIABLE = "MQOPS_RUN"
"""In the environment of every process of one `mqops up`: tells its children's children from anybody else's."""

_POLL_SECONDS = 0.05
_HURRIED_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Program:
    """How to start a process, and how to stop it."""

    name: str
    command: tuple[str, ...]
    mark: str
    """A part of the command line that no other program's has."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """What differs from this process's own environment."""
    stop_signal: signal.Signals = signal.SIGTERM
    hurry_signal: signal.Signals = signal.SIGKILL
    """For a process that has no time left."""
    grace_seconds: float = 20.0
    """How long it may take to stop."""
    unprivileged: bool = False
    """Whether it must not run as root."""


class Started(msgspec.Struct, frozen=True):
    """A process on record: enough to know it again, and to stop it, after `mqops up` was killed."""

    name: str
    pid: int
    created_at: float
    mark: str
    stop_signal: int


class Process:
    """A running program, in a process group of its own so that a terminal's Ctrl-C does not reach it.

    Start it from the main thread: the system ties its life to the thread that started it.
    """

    def __init__(self, program: Program, popen: "subprocess.Popen[bytes]") -> None:
        self.program = program
        self._popen = popen
        self.started_at = time.monotonic()

    @classmethod
    def start(cls, program: Program, log: Path) -> "Process":
        """Start ``program``, its output appended to ``log``."""
        arguments = launch_command(program.command, program.stop_signal, unprivileged=program.unprivileged)
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        try:
            popen = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                env={**os.environ, **program.environment},
                process_group=0,
            )
        finally:
            os.close(descriptor)
        return cls(program, popen)

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative for the signal that ended it."""
        return self._popen.poll()

    def record(self) -> Started:
        """What the next start needs to know about it."""
        try:
            created_at = psutil.Process(self.pid).create_time()
        except psutil.NoSuchProcess:
            created_at = 0.0
        return Started(self.program.name, self.pid, created_at, self.program.mark, int(self.program.stop_signal))

    def stop(self, is_hurried: Callable[[], bool] | None = None) -> None:
        """Ask it to stop and wait; when its grace is over, or a second after ``is_hurried`` answers true, make it."""
        if self.exit_code is None:
            self._popen.send_signal(self.program.stop_signal)
            self._wait(self.program.grace_seconds, is_hurried or _not_hurried)
        if self.exit_code is None:
            self._popen.send_signal(self.program.hurry_signal)
            self._wait(3.0, _not_hurried)
        self.kill_group()
        self._popen.wait()

    def kill_group(self) -> None:
        """Kill it and whatever it started and left behind in its process group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def _wait(self, seconds: float, is_hurried: Callable[[], bool]) -> None:
        deadline = time.monotonic() + seconds
        while self.exit_code is None and time.monotonic() < deadline:
            if is_hurried():
                deadline = min(deadline, time.monotonic() + _HURRIED_SECONDS)
                is_hurried = _not_hurried
            time.sleep(_POLL_SECONDS)


def _not_hurried() -> bool:
    return False


def launch_command(
    command: tuple[str, ...], death_signal: signal.Signals, *, unprivileged: bool = False
) -> tuple[str, ...]:
    """``command`` behind the launcher that ties it to this process. Raises ``ConfigurationError`` where this user is
    root and cannot be anything less."""
    options = ("--unprivileged",) if unprivileged and os.geteuid() == 0 else ()
    if options:
        _require_capabilities()
    # Isolated and without site-packages: nothing of the environment changes it, and it starts in milliseconds.
    python = (sys.executable, "-I", "-S", str(Path(launch.__file__).resolve()))
    return (*python, *options, str(os.getpid()), str(int(death_signal)), *command)


def find(started: Started) -> psutil.Process | None:
    """The process on record, when it still runs and is the same one."""
    try:
        process = psutil.Process(started.pid)
        # Two seconds: the system derives the time from its idea of when it booted, which follows clock corrections.
        is_same = abs(process.create_time() - started.created_at) < 2.0 and started.mark in " ".join(process.cmdline())
        return process if is_same and is_running(process) else None
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None


def find_left_behind(started: Started, run: str) -> list[psutil.Process]:
    """Processes of ``started``'s group that outlived it, and that belong to the `mqops up` called ``run``."""
    left = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if os.getpgid(process.pid) == started.pid and process.environ().get(RUN_VARIABLE) == run:
                left.append(process)
    return left


def stop_all(processes: list[tuple[psutil.Process, int]], grace_seconds: float) -> None:
    """Send each its signal, wait for all, kill what is left."""
    for process, number in processes:
        _send(process, number)
    deadline = time.monotonic() + grace_seconds
    while any(is_running(process) for process, _ in processes):
        if time.monotonic() > deadline:
            for process, _ in processes:
                _send(process, signal.SIGKILL)
            break
        time.sleep(_POLL_SECONDS)


def _send(process: psutil.Process, number: int) -> None:
    # psutil looks at the time it was started once more before it sends.
    with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        process.send_signal(number)


def is_running(process: psutil.Process) -> bool:
    """Whether it is there and not only waiting for its parent to notice its end."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


_REQUIRED_CAPABILITIES = {"CHOWN": 0, "DAC_OVERRIDE": 1, "KILL": 5, "SETGID": 6, "SETUID": 7, "SETPCAP": 8}
"""To become another user, own its files beforehand, and stop it afterwards; numbers as in capabilities(7)."""


def _require_capabilities() -> None:
    if sys.platform != "linux":
        raise ConfigurationError(
            "the embedded PostgreSQL does not run as root: run as another user, or set DATABASE_URL"
        )
    status = Path("/proc/self/status").read_text("ascii")
    effective = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapEff:"))
    missing = [name for name, bit in _REQUIRED_CAPABILITIES.items() if not effective >> bit & 1]
    if missing:
        raise ConfigurationError(
            "the embedded PostgreSQL does not run as root, and this root cannot become another user (it lacks "
            f"{', '.join(missing)}): run as a user that is not root, or set DATABASE_URL"
        )
