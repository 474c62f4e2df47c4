"""What is known of each source beside its manifests: what it was last reconciled from, and whether it is held.

Read by everything that applies, and written under the source's apply lock: whoever holds that finds it true until the
apply is done.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection

from mqops.errors import ConfigurationError
from mqops.model import SourceSpec, completed
from mqops.nearest import nearest
from mqops.sql import queries
from reconciler.planning.holds import Hold, Pin, Suspension
from reconciler.state import Commit, Content
from reconciler.stores import translated
from reconciler.stores.history import Author, record_revision


@dataclass(frozen=True, slots=True)
class SourceState:
    """One source."""

    name: str
    commit: Commit | None
    """Of the manifests that it was last reconciled from; ``None`` outside git."""
    content: Content
    """Theirs."""
    reconciled_at: datetime | None
    """When they were first reconciled, not when it was last looked at."""
    suspension: Suspension | None
    pin: Pin | None

    def hold(self, content: Content) -> Hold | None:
        """What keeps manifests of this content from being applied; ``None`` when nothing does."""
        if self.suspension is not None:
            return self.suspension
        if self.pin is None or content.is_newer_than(self.pin.content):
            return None
        return self.pin


def read_states(connection: Connection[Any]) -> dict[str, SourceState]:
    """By name, of every source that was reconciled or held. Raises ``BrokerNotAvailable``."""
    with translated():
        rows = connection.execute(queries("sources")["all"]).fetchall()
    return {row[0]: _state(row) for row in rows}


def read_declared(connection: Connection[Any]) -> dict[str, SourceSpec]:
    """What each source that is applied may do. Empty where everything is of the one that needs no declaration. Raises
    ``BrokerNotAvailable``."""
    with translated():
        rows = connection.execute(queries("sources")["declared"]).fetchall()
    return {name: SourceSpec.model_validate(completed("Source", spec)) for name, spec in rows}


def read_owned(connection: Connection[Any]) -> dict[str, int]:
    """Every source that is known, and how many resources it owns. Raises ``BrokerNotAvailable``."""
    with translated():
        return dict(connection.execute(queries("sources")["owners"]).fetchall())


def require_known(connection: Connection[Any], names: Collection[str]) -> None:
    """Raises ``ConfigurationError`` for the first of ``names`` that is no source's; ``BrokerNotAvailable``."""
    known = read_owned(connection)
    for name in names:
        if name not in known:
            likely = nearest(name, known)
            hint = f"did you mean {likely}?" if likely else "`mqops get sources` lists what there is"
            raise ConfigurationError(f"there is no source {name!r}: {hint}")


def note_reconciled(connection: Connection[Any], contents: Mapping[str, Content], commit: Commit | None) -> None:
    """Notes which manifests are applied, by source, and of which commit. Their pins end with that."""
    with translated():
        connection.execute(
            queries("sources")["reconciled"],
            {
                "names": list(contents),
                "trees": [content.tree for content in contents.values()],
                "digests": [content.digest for content in contents.values()],
                "branch": "" if commit is None else commit.branch,
                "commit_id": "" if commit is None else commit.id,
                "is_dirty": commit is not None and commit.is_dirty,
            },
        )


def pin(connection: Connection[Any], names: Collection[str], actor: str, revision: int) -> None:
    """Pins ``names`` to ``revision``, for as long as their manifests are those that they were last reconciled from."""
    with translated():
        connection.execute(queries("sources")["pin"], {"names": sorted(names), "actor": actor, "revision": revision})


def suspend(connection: Connection[Any], name: str, author: Author) -> None:
    """Suspends the source for the reason in the author's note, and records that."""
    _act(connection, "suspend", name, author)


def resume(connection: Connection[Any], name: str, author: Author) -> None:
    """Ends the source's suspension and its pin, and records that."""
    _act(connection, "resume", name, author)


def _act(connection: Connection[Any], query: str, name: str, author: Author) -> None:
    resources = queries("resources")
    with translated(), connection.transaction():
        connection.execute(resources["lock"])
        (revision,) = connection.execute(resources["advance"]).fetchone() or (0,)
        connection.execute(queries("sources")[query], {"name": name, "actor": author.actor, "reason": author.note})
        record_revision(connection, revision, author, {}, [name])


def _state(row: tuple[Any, ...]) -> SourceState:
    name, branch, commit_id, is_dirty, tree, digest, reconciled_at = row[:7]
    suspended_at, suspended_by, reason, pinned_at, pinned_by, revision, pinned_tree, pinned_digest = row[7:]
    suspension = None if suspended_at is None else Suspension(name, suspended_by, suspended_at, reason or "")
    pinned = Content(pinned_tree or "", pinned_digest or "")
    return SourceState(
        name=name,
        commit=Commit(branch, commit_id, is_dirty) if commit_id else None,
        content=Content(tree, digest),
        reconciled_at=reconciled_at,
        suspension=suspension,
        pin=None if pinned_at is None else Pin(name, pinned_by, pinned_at, revision, pinned),
    )
