"""What the embedded servers have in common: waiting for one to answer, and saying why it does not."""

import time
from collections.abc import Callable

from mqops.embedded.directory import StateDirectory
from mqops.embedded.process import Process
from mqops.errors import ConfigurationError

_START_SECONDS = 300.0
"""Recovery after a crash reads whole logs; a server that still reads is not dead."""


class ServerFailed(Exception):
    """The server answered in a way that waiting longer does not change."""


def wait_until_ready(process: Process, directory: StateDirectory, answers: Callable[[], bool]) -> Process:
    """``process``, once ``answers()`` is true. Stops it and raises ``ConfigurationError`` when that does not come."""
    name = process.program.name
    deadline = time.monotonic() + _START_SECONDS
    try:
        while not answers():
            if process.exit_code is not None:
                raise ServerFailed(f"it ended with exit code {process.exit_code}")
            if time.monotonic() > deadline:
                raise ServerFailed(f"it does not answer after {_START_SECONDS:.0f} s")
            time.sleep(0.03)
    except ServerFailed as error:
        process.stop()
        raise ConfigurationError(
            f"the embedded {name} did not start: {error}. The end of {directory.log(name)}:\n{log_end(directory, name)}"
        ) from error
    except BaseException:
        process.stop()
        raise
    return process


def log_end(directory: StateDirectory, name: str, lines: int = 8) -> str:
    """The last ``lines`` of a process's log, indented."""
    try:
        with directory.log(name).open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - 16_384))
            text = file.read().decode(errors="replace")
    except OSError:
        return "  (no log)"
    return "\n".join(f"  {line}" for line in text.splitlines()[-lines:]) or "  (empty)"
