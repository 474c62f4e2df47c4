"""What `mqops up` started, on disk: for other commands in the same directory, and for the next start after a crash."""

import os
import signal
from collections.abc import Mapping
from pathlib import Path

import msgspec
import psutil

from mqops.embedded.directory import StateDirectory
from mqops.embedded.postgres import find_postmaster
from mqops.embedded.process import Started, find, find_left_behind, stop_all
from mqops.errors import ConfigurationError
from mqops.settings import settings_from


class Running(msgspec.Struct, frozen=True):
    """One `mqops up` and its processes."""

    run: str
    """Its name: a random one for each start."""
    up: Started
    environment: dict[str, str]
    """The variables that its processes' settings come from, embedded servers' addresses and credential included."""
    processes: tuple[Started, ...] = ()


def settings_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """The part of ``environment`` that settings are read from. Raises ``ConfigurationError`` as that does."""
    noted = _Noted(environment)
    settings_from(noted)
    return {name: noted[name] for name in sorted(noted.asked & noted.keys())}


class _Noted(dict[str, str]):
    """Notes what is asked for."""

    def __init__(self, values: Mapping[str, str]) -> None:
        super().__init__(values)
        self.asked: set[str] = set()

    def get(self, name: str, default: str | None = None) -> str | None:  # type: ignore[override]
        self.asked.add(name)
        return super().get(name, default)


def find_running(state_dir: Path) -> Running | None:
    """The `mqops up` that runs on ``state_dir`` now, if one does. Never raises: no record, or one that cannot be read,
    is no running one."""
    record = _read(state_dir / "run.json")
    return record if record is not None and find(record.up) is not None else None


def write_running(directory: StateDirectory, running: Running) -> None:
    """Put ``running`` on record; a reader sees the old one or the new one, whole."""
    unfinished = directory.run.with_suffix(".new")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(running)))
    unfinished.replace(directory.run)


def forget_running(directory: StateDirectory) -> None:
    """After a clean stop nothing is on record."""
    directory.run.unlink(missing_ok=True)


def find_leftovers(directory: StateDirectory) -> list[tuple[psutil.Process, int]]:
    """Processes of an earlier `mqops up` that was killed, each with the signal that stops it.

    Called with the directory's lock held, so no `mqops up` runs on it.
    """
    found: dict[int, tuple[psutil.Process, int]] = {}
    record = _read(directory.run)
    if record is not None:
        for started in record.processes:
            process = find(started)
            leftovers = [process] if process is not None else find_left_behind(started, record.run)
            found.update({leftover.pid: (leftover, started.stop_signal) for leftover in leftovers})
    postmaster = find_postmaster(directory)
    if postmaster is not None:
        found.setdefault(postmaster.pid, (postmaster, signal.SIGINT))
    return list(found.values())


def stop_leftovers(directory: StateDirectory, grace_seconds: float = 20.0) -> None:
    """See them gone. On Linux they are stopping already; elsewhere nobody has told them yet; twice does no harm.

    Raises ``ConfigurationError`` when one cannot be stopped.
    """
    # Again after the first: what a process left behind shows only when it is gone itself.
    for _ in range(3):
        leftovers = find_leftovers(directory)
        if not leftovers:
            return
        stop_all(leftovers, grace_seconds)
    named = ", ".join(str(process.pid) for process, _ in find_leftovers(directory))
    if named:
        raise ConfigurationError(f"processes of an earlier `mqops up` do not stop: {named}: end them first")


def _read(path: Path) -> Running | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Running)
    except (OSError, msgspec.MsgspecError):
        return None
