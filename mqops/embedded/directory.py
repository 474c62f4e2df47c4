"""The state directory (`.mqops/`): where everything of an embedded installation lives, and whose it is.

Private (0700) because it holds a credential, secrets and the servers' data. Nothing above it is touched. Sockets stand
in a directory of their own, because the path of a Unix socket may have about a hundred bytes and a checkout's may
have more.
"""

import contextlib
import fcntl
import hashlib
import os
import pwd
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mqops.errors import ConfigurationError

SOCKET_PATH_BYTES = 103
"""What a socket's path may have on every system (Linux 107, macOS 103)."""

_LONGEST_SOCKET_NAME = "/.s.PGSQL.5432"


@dataclass(frozen=True, slots=True)
class StateDirectory:
    """Paths under one state directory. ``root`` is absolute and free of symbolic links."""

    root: Path

    @property
    def postgres(self) -> Path:
        """PostgreSQL's data; of the user that it runs as."""
        return self.root / "postgres"

    @property
    def valkey(self) -> Path:
        """Valkey's append-only files."""
        return self.root / "valkey"

    @property
    def logs(self) -> Path:
        """What each process writes, a file each."""
        return self.root / "logs"

    @property
    def credential(self) -> Path:
        """The development credential."""
        return self.root / "credential"

    @property
    def run(self) -> Path:
        """What the last `mqops up` started."""
        return self.root / "run.json"

    def log(self, name: str) -> Path:
        """The log of the process ``name``."""
        return self.logs / f"{name}.log"

    def sockets(self) -> Path:
        """The directory for sockets, made when it is not there: `run/` in here when its path is short and plain,
        otherwise one under the system's directory for temporary files, named after this directory and its user.

        Raises ``ConfigurationError`` when that name is taken by something that is not this user's private directory.
        """
        inside = self.root / "run"
        # libpq splits hosts at commas and URLs have their own ideas of the rest, so only plain paths are used in them.
        if _fits(inside) and re.fullmatch(r"[A-Za-z0-9/._-]+", str(inside)):
            make_private(inside)
            return inside
        name = f"mqops-{os.geteuid()}-{hashlib.sha256(os.fsencode(self.root)).hexdigest()[:12]}"
        parents = (Path(tempfile.gettempdir()), Path("/tmp"))  # noqa: S108 - made private and checked below
        outside = next(parent / name for parent in parents if _fits(parent / name))
        make_private(outside)
        return outside

    def remove_sockets(self) -> None:
        """After the last server stopped: nothing is left outside this directory."""
        with contextlib.suppress(OSError):  # not empty: a server that was killed left its own there, and will be back
            self.sockets().rmdir()


def open_state_directory(path: Path) -> StateDirectory:
    """The state directory at ``path``, made (with its parents) when it is not there.

    Raises ``ConfigurationError`` when it belongs to another user or cannot be written.
    """
    root = path.absolute()
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        if not root.exists():
            root.mkdir(mode=0o700)
        root = root.resolve(strict=True)
        owner = root.stat().st_uid
        if owner != os.geteuid():
            raise ConfigurationError(
                f"{root} belongs to user {_user(owner)}, and this is user {_user(os.geteuid())}: "
                "run as that user, remove it, or set MQOPS_STATE_DIR to another directory"
            )
        directory = StateDirectory(root)
        directory.logs.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"cannot use {root} as state directory ({error}): set MQOPS_STATE_DIR") from error
    return directory


def make_private(path: Path) -> None:
    """Make ``path`` a directory that only this user may enter; one that is there already must be just that.

    Raises ``ConfigurationError`` when it is something else: it could be somebody else's trap.
    """
    try:
        path.mkdir(mode=0o700)
    except FileExistsError as error:
        found = path.lstat()
        private = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077
        if not private:
            raise ConfigurationError(f"{path} is not a private directory of this user (0700): remove it") from error


@contextmanager
def held_lock(directory: StateDirectory) -> Iterator[None]:
    """Hold the directory's lock: one `mqops up` at a time. The system lets go of it when the process ends.

    Raises ``ConfigurationError`` naming the holder's process id.
    """
    path = directory.root / "lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(descriptor, 32).decode("ascii", "replace").strip() or "unknown"
            raise ConfigurationError(
                f"`mqops up` is already running on {directory.root}, as process {holder}: stop that one first, "
                "or set MQOPS_STATE_DIR (and PORT) for a second one"
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _fits(directory: Path) -> bool:
    return len(os.fsencode(directory)) + len(_LONGEST_SOCKET_NAME) <= SOCKET_PATH_BYTES


def _user(uid: int) -> str:
    try:
        return f"{pwd.getpwuid(uid).pw_name} ({uid})"
    except KeyError:
        return str(uid)
