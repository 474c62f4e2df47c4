"""Which commit a directory of manifests is of, asked of the `git` program. Never fails: what cannot be told is left
out. Only reads, takes no lock of the repository, and looks at nothing outside of the directory.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from reconciler.state import Commit

_PATIENCE_SECONDS = 10.0

# Set by git for its hooks; they would lead to the repository that the hook is of, whatever the directory is.
_OF_HOOKS = frozenset({"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR"})


def read_commit(directory: Path, name: str = ".") -> Commit | None:
    """The latest commit that touched ``directory``, or what is called ``name`` there; ``None`` when it is in no
    checkout, no commit has anything of it, or there is no git that would tell."""
    commit_id = _ask(directory, "log", "-1", "--format=%H", "--", name)
    if not commit_id:
        return None
    status = _ask(directory, "status", "--porcelain=v2", "--branch", "--untracked-files=normal", "--", name)
    lines = (status or "").splitlines()
    about = dict(line[2:].split(" ", 1) for line in lines if line.startswith("# branch."))
    return Commit(
        branch="" if about.get("branch.head") == "(detached)" else about.get("branch.head", ""),
        id=commit_id.strip(),
        is_dirty=any(not line.startswith("#") for line in lines),
        head=about.get("branch.oid", commit_id.strip()),
    )


def read_trees(directory: Path, commit: Commit | None, folders: Mapping[str, str]) -> dict[str, str]:
    """What git calls the content that ``commit`` has of each of the ``folders`` below ``directory``, by the same keys;
    those that it has nothing of are missing."""
    if commit is None:
        return {}
    names = "".join(f"{commit.head}:./{folder.rstrip('/').removeprefix('.')}\n" for folder in folders.values())
    answers = (_ask(directory, "cat-file", "--batch-check=%(objectname) %(objecttype)", given=names) or "").splitlines()
    found = zip(folders, (answer.split(" ") for answer in answers), strict=False)
    return {key: words[0] for key, words in found if words[-1] == "tree"}


def follows_on(directory: Path, commit: Commit) -> bool:
    """Whether what is checked out at ``directory`` is ``commit``, or came after it. Of a clone without its history, and
    where git does not tell, it is taken to."""
    if _ask(directory, "rev-parse", "--is-shallow-repository") != "false\n":
        return True
    return _ask(directory, "merge-base", "--is-ancestor", commit.id, "HEAD") is not None


def _ask(directory: Path, *question: str, given: str = "") -> str | None:
    """What git answers; ``None`` when it does not."""
    git = shutil.which("git")
    if git is None:
        return None
    environment = {name: value for name, value in os.environ.items() if name not in _OF_HOOKS}
    try:
        done = subprocess.run(
            (git, "-C", str(directory), *question),
            input=given,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE_SECONDS,
            env={**environment, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"},
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout if done.returncode == 0 else None
