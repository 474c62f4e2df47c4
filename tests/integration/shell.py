"""`mqops` as a person or a script runs it, in a folder with a small tree of manifests."""

import gc
import io
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from mqops.cli import main

MANIFEST = """\
apiVersion: mqops/v1
kind: Tenant
metadata: {name: acme, labels: {tier: gold}}
spec: {}
---
apiVersion: mqops/v1
kind: Topic
metadata: {tenant: acme, name: orders}
spec: {partitions: 2}
---
apiVersion: mqops/v1
kind: Queue
metadata: {tenant: acme, name: jobs}
spec: {}
"""


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Shell:
    """Runs `mqops` in a folder with ``manifests/acme.yaml``; in this process, which is faster, where it can."""

    folder: Path
    captured: pytest.CaptureFixture[str]

    @property
    def manifest(self) -> Path:
        return self.folder / "manifests/acme.yaml"

    def run(self, *arguments: str, stdin: str = "") -> Done:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(sys, "argv", ["mqops", *arguments])
            patched.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
            try:
                main()
                code: object = 0
            except SystemExit as end:
                code = end.code
            finally:
                gc.unfreeze()  # a command leaves its garbage to the end of its process, and this one goes on
        assert isinstance(code, int)
        return Done(code, *self.captured.readouterr())

    def succeed(self, *arguments: str, stdin: str = "") -> str:
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "mqops.cli", *arguments]


def moved_to_a_source_that_heals_nothing(shell: Shell) -> Path:
    """The shell's manifest as that of a Source called shop, which reports drift and does not repair it; where it is
    now."""
    (shell.folder / "manifests/sources.yaml").write_text(
        "apiVersion: mqops/v1\nkind: Source\nmetadata: {name: shop}\nspec: {path: shop, selfHeal: false}\n"
    )
    (shell.folder / "manifests/shop").mkdir()
    return shell.manifest.rename(shell.folder / "manifests/shop/acme.yaml")
