"""Manifests, read and checked as of their commit: what every plan begins with. Problems are raised, all at once."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg

from mqops.errors import ConfigurationError
from mqops.model import Identity
from mqops.settings import Settings
from reconciler.manifests.check import Checked, Lookup, check, check_file
from reconciler.manifests.earlier import Earlier
from reconciler.manifests.problem import Problem
from reconciler.provenance import read_commit, read_trees
from reconciler.state import Applied, Commit
from reconciler.stores import translated
from reconciler.stores.store import read_named


class ManifestsRejected(ConfigurationError):
    """The manifests are wrong, and nothing was done. The message has a line for each problem."""

    def __init__(self, directory: Path, problems: Sequence[Problem]) -> None:
        count = "a problem" if len(problems) == 1 else f"{len(problems)} problems"
        lines = [problem.render(directory) for problem in sorted(problems)]
        super().__init__("\n".join((f"{count} in the manifests, nothing was changed:", *lines)))
        self.problems = tuple(problems)


def check_manifests(
    directory: Path, settings: Settings, earlier: Earlier | None = None, lookup: Lookup | None = None
) -> Checked:
    """Reads and checks the manifests, as ``check`` does. Raises ``ManifestsRejected`` with every problem they have."""
    # Asked first: what is committed meanwhile is then applied as of the earlier commit, and no pin ends too early.
    commit = read_commit(directory)
    checked = check(directory, settings, earlier, lookup)
    if checked.problems:
        raise ManifestsRejected(directory, checked.problems)
    return with_commit(checked, commit, directory)


def with_commit(checked: Checked, commit: Commit | None, directory: Path) -> Checked:
    """``checked`` as of ``commit``, which was asked for before it was read from ``directory``."""
    trees = read_trees(directory, commit, {name: spec.path for name, spec in checked.sources.items()})
    contents = {name: replace(content, tree=trees.get(name, "")) for name, content in checked.contents.items()}
    return replace(checked, commit=commit, contents=contents, directory=None if commit is None else directory)


def check_given(path: Path, data: bytes, settings: Settings, lookup: Lookup | None = None) -> Checked:
    """The same for manifests that were read from one file, or from what ``path`` stands for; of no commit."""
    checked = check_file(path.name, data, settings, lookup)
    if checked.problems:
        raise ManifestsRejected(path.parent, checked.problems)
    return checked


def applied_in(database: "psycopg.Connection[Any]") -> Lookup:
    """Looks there for what manifests name and do not declare. Raises ``BrokerNotAvailable`` when it is away, and
    ``ConfigurationError`` when it is not migrated."""

    def look_up(identities: Collection[Identity]) -> Collection[Applied]:
        with translated():
            return read_named(database, identities)

    return look_up
