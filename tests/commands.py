"""``mqops`` as a subprocess: how to start it, in which environment and folder."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MQOPS = (sys.executable, "-m", "mqops.cli")

_SETTINGS = ("MQOPS_", "REDIS_", "DATABASE_")


def environment(**settings: str) -> dict[str, str]:
    """``settings`` in this process's environment, without the settings there: whoever runs the tests may have some."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_SETTINGS)}
    return {**inherited, **settings}


Done = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Desk:
    """A folder to run `mqops` in, and the stores that it finds there."""

    folder: Path
    stores: dict[str, str]

    def run(self, *arguments: str, **changed: str) -> Done:
        settings = environment(**{**self.stores, **changed})
        return subprocess.run(
            [*MQOPS, *arguments],
            cwd=self.folder,
            env=settings,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def succeed(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
        return done.stdout

    @contextlib.contextmanager
    def running(self, *arguments: str) -> "Iterator[subprocess.Popen[str]]":
        """A command that stays, told to stop at the end; what it says is in ``<command>.log``."""
        with self.log(arguments[0]).open("a") as log:
            started = subprocess.Popen(
                [*MQOPS, *arguments],
                cwd=self.folder,
                env=environment(**self.stores),
                stdout=log,
                stderr=log,
                text=True,
            )
            try:
                yield started
            finally:
                started.terminate()
                started.wait(30)

    def log(self, command: str) -> Path:
        return self.folder / f"{command}.log"

    def edit(self, old: str, new: str, file: str = "acme/orders.yaml") -> None:
        path = self.folder / "manifests" / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
