"""Which commit a directory of manifests stands at, where git can tell."""

import re
import subprocess
from pathlib import Path

_PATIENCE_SECONDS = 5
_COMMIT = re.compile(r"[0-9a-f]{40,64}")


def commit_of(directory: Path) -> str | None:
    """The commit checked out at ``directory``; ``None`` outside of a repository, before its first commit, and
    without git. It does not say that the files are as committed."""
    try:
        done = subprocess.run(
            ["git", "-C", str(directory), "rev-parse", "--verify", "HEAD"],  # noqa: S607  # the git of who runs this
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    found = done.stdout.strip()
    return found if done.returncode == 0 and _COMMIT.fullmatch(found) else None
