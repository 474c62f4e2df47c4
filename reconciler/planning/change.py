"""One difference between what is desired and what is there, as plain data that tests compare whole.

A change says what happens to which resource and why; whether it may happen is decided elsewhere (``refusals``), how it
is done too (``apply``).
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from mqops.model import Identity
from reconciler.state import Applied, Cost, Origin, Resource


class Action(StrEnum):
    """What happens to a resource."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    REPAIR = "repair"
    """It is as declared, but what it needs in PostgreSQL or Redis was destroyed or altered by someone else."""
    RENAME = "rename"
    """It gets another name, and keeps its uid with everything under it. Fields may change along."""
    ADOPT = "adopt"
    """It is there and no source's, and becomes that of the source which declares it, with everything under it. Fields
    may change along."""
    HANDOVER = "handover"
    """Another source declares it than before, and gets it with everything under it. Fields may change along."""
    REPLACE = "replace"
    """Another takes its place under a new uid, and it goes with all it holds: some of it cannot change in place."""

    @property
    def verb(self) -> str:
        """As a sentence has it, after *to* or *cannot*."""
        return "hand over" if self is Action.HANDOVER else self.value


class Reason(StrEnum):
    """Why it happens. Drift and its repairs name the worst thing found; their fields list all of it."""

    DECLARED = "declared"
    STRAY_FOUND = "stray_found"
    """Redis holds streams or groups of just this resource that no row claims; where it is declared, they are taken
    up."""
    MADE_OVER_API = "made_over_api"
    """Declared, and made over the management API before."""
    REBUILT_FOUND = "rebuilt_found"
    """Declared, and found again on Redis by a rebuild before."""
    CHANGED = "changed"
    HANDED_OVER = "handed_over"
    """Declared by another source than before."""
    RENAMED = "renamed"
    """``renamedFrom`` says so, of itself or of what it goes along with."""
    TOPIC_REPLACED = "topic_replaced"
    """The topic that a subscription reads is replaced: where it stood means nothing in the new one."""
    PARENT_REPLACED = "parent_replaced"
    """What brought it along is replaced. It stays as it is, with all it holds, and belongs to the new one."""
    REMOVED = "removed"
    ROW_MISSING = "row_missing"
    """The history knows it as existing, but its row is gone: it comes back under the same uid."""
    ROW_MALFORMED = "row_malformed"
    """Its row was written by hand, and cannot be read any more."""
    ROW_EDITED = "row_edited"
    """Its row is not as the history recorded it last: it was written by hand."""
    ROW_ADDED = "row_added"
    """It has a row that the history knows nothing of: someone added it by hand."""
    SERVER_FLUSHED = "server_flushed"
    META_MISSING = "meta_missing"
    STREAM_MISSING = "stream_missing"
    STREAM_RENAMED = "stream_renamed"
    """A stream is gone, and stands under another key: it is taken back with all it holds."""
    GROUP_MISSING = "group_missing"
    STREAM_TRUNCATED = "stream_truncated"
    """Messages that were not handled yet were removed from its stream: they are counted as lost."""
    GROUP_MOVED = "group_moved"
    """Its consumer group does not stand where it has read to: it is set back there, so that nothing is skipped and
    nothing read twice."""
    META_DIFFERS = "meta_differs"
    GROUP_FOREIGN = "group_foreign"
    """Its stream has a consumer group that no subscription claims."""


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field before and after. ``None`` stands for absent.

    ``path`` begins with ``spec``, ``metadata``, ``managedBy``, ``impliedBy``, or ``live`` for what Redis holds.
    """

    path: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Change:
    """What happens to one resource."""

    action: Action
    reason: Reason
    resource: Resource
    """As it will be; of a delete, as it was."""
    before: Applied | None
    """As the catalog has it; ``None`` for what has no row: a create, a repair of a missing row, an adoption of what
    only Redis holds. Of a replace, what goes: of the other kind, where a topic becomes a queue or a queue a topic."""
    uid: str | None
    """``None`` when it is to be given a new one."""
    generation: int
    """As it will be; it rises with every change of the spec."""
    fields: tuple[FieldChange, ...] = ()
    cost: Cost | None = None
    """Of what goes: what goes with it, where Redis holds something of it."""
    forced_by: tuple[str, ...] = ()
    """The paths of what cannot change in place. Something else than a replace that has any is not made."""

    @property
    def identity(self) -> Identity:
        return self.resource.identity

    @property
    def renamed_from(self) -> Identity | None:
        """Of a rename, the name that it is applied under."""
        if self.action is not Action.RENAME or self.before is None:
            return None
        return self.before.resource.identity

    @property
    def gone(self) -> Applied | None:
        """What goes with all it holds: of a delete and of a replace."""
        return self.before if self.action in (Action.DELETE, Action.REPLACE) else None

    @property
    def origin(self) -> Origin:
        """Where it is declared; of a delete, where it was."""
        return self.resource.origin
