"""The values that pass through the pipeline: what was declared, what is desired, what is there.

Plain frozen data; no step of the pipeline hands another anything else.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mqops.keys import Keyspace
from mqops.model import Identity
from mqops.override import Override

API = "api"
"""Owns what the management API declares."""
REBUILT = "rebuilt"
"""Owns what was found again on Redis after PostgreSQL was lost, until something declares it."""
NO_SOURCES = (API, REBUILT)
"""Owners that no manifests can have: whoever declares what they have adopts it."""

_SHA256_DIGITS = 64
_SHORT_DIGITS = 10


@dataclass(frozen=True, slots=True)
class Origin:
    """Where in the manifests something stands. ``file`` is relative to the directory that was loaded; it is empty for
    what the management API declared."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.file else "the management API"


@dataclass(frozen=True, slots=True)
class Commit:
    """The commit that manifests are of."""

    branch: str
    """Empty when none is checked out."""
    id: str
    """In hexadecimal: of the latest commit that touched the manifests."""
    is_dirty: bool
    """Whether the files have changes that are not committed."""
    head: str = field(default="", compare=False)
    """The id of what is checked out: that commit, or one after it."""

    def __str__(self) -> str:
        """Like ``main@sha1:1f0c…``, with ``+changes`` when it is dirty."""
        return self._text(self.id)

    @property
    def short(self) -> str:
        """The same with the beginning of the id, for people."""
        return self._text(self.id[:_SHORT_DIGITS])

    def _text(self, digits: str) -> str:
        algorithm = "sha256" if len(self.id) == _SHA256_DIGITS else "sha1"
        branch = f"{self.branch}@" if self.branch else ""
        return f"{branch}{algorithm}:{digits}{'+changes' if self.is_dirty else ''}"


@dataclass(frozen=True, slots=True)
class Content:
    """What tells the manifests of one source from others: equal when nothing in them differs."""

    tree: str
    """What git calls their committed content, in hexadecimal; empty when they are not in git."""
    digest: str
    """SHA-256 of the files' names and content, in hexadecimal; empty when it is not known."""

    def is_newer_than(self, then: "Content") -> bool:
        """Whether it is another and, where both are in git, that is committed. What is not known of ``then`` cannot
        tell; and to commit what was there already makes nothing newer."""
        is_committed = self.tree != then.tree or not self.tree
        return bool(then.digest) and self.digest != then.digest and is_committed


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource as it should be, complete: defaults are filled in, so two of them compare field by field."""

    identity: Identity
    spec: Mapping[str, Any]
    """JSON form of the kind's spec (camelCase, durations as text), every field present."""
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    managed_by: str
    """The Source's name, or one of ``NO_SOURCES``."""
    origin: Origin
    """Of an implied resource: where its parent stands."""
    implied_by: Identity | None = None
    """The resource that brought this one along: a queue its subscription, a subscription its dead-letter topic."""
    references: tuple[Identity, ...] = ()
    """What must be there before this can be: its tenant, handler, topic, dead-letter topic."""
    renamed_from: str | None = None
    """What its manifest says it was called. Where it is applied under its name, this says nothing any more."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A subscription whose topic is another source's, and not there yet."""

    identity: Identity
    origin: Origin
    message: str
    """What it waits for."""


@dataclass(frozen=True, slots=True)
class Applied:
    """A row of the catalog: a resource as it was last applied."""

    uid: str
    resource: Resource
    generation: int
    revision: int


@dataclass(frozen=True, slots=True)
class LiveTopic:
    """What Redis has of a topic: its meta hash, and per partition the groups of its stream."""

    uid: str
    bucket: int
    meta: Mapping[str, str]
    """Empty when the hash is gone."""
    groups: Mapping[int, Mapping[str, str]]
    """Partition → subscription uid → last delivered id; a partition whose stream is gone is missing."""
    readers: Mapping[str, str] = field(default_factory=dict)
    """Subscription uid → ``own`` or ``foreign``: who the engine believes to be reading."""


@dataclass(frozen=True, slots=True)
class LiveSubscription:
    """What Redis has of a subscription beside its groups."""

    uid: str
    bucket: int
    meta: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Cost:
    """What a topic, queue or subscription holds, and its deletion would take along."""

    messages: int
    """Stored, finished or not; of a subscription none are its own."""
    unfinished: int
    """Not yet handled by every subscription: undelivered, leased or waiting to be tried again. A topic's messages that
    nobody subscribes to, and dead letters, are unfinished as long as they are there; so is what waits for its time."""
    in_flight: int
    """Leased to consumers right now."""
    readers: int
    """Subscriptions that read it; of a subscription none."""
    scheduled: int = 0
    """How many of the unfinished wait for their time; of a subscription none."""


@dataclass(frozen=True, slots=True)
class Lost:
    """What the history knows as existing though its row is gone: someone deleted it by hand."""

    uid: str
    generation: int
    applied: Applied | None = None
    """As it was recorded last; ``None`` when that is of a form that this version does not know."""


@dataclass(frozen=True, slots=True)
class RowEdit:
    """A row that is not as the history recorded it: someone wrote it by hand. What was recorded stands in its place
    as what is applied."""

    uid: str
    identity: Identity
    """As the row says."""
    resource: Resource | None
    """As the row says; ``None`` when that is no resource."""
    generation: int
    problem: str = ""
    """Why it is none."""
    is_recorded: bool = True
    """Whether the history knows the resource at all; otherwise the whole row was written by hand."""


@dataclass(frozen=True, slots=True)
class Editor:
    """What PostgreSQL knows of who wrote or deleted a row past the reconciler."""

    name: str
    """The role, with program and address where it has them, like ``ann (psql, 10.1.2.3)``."""
    at: datetime


Partition = tuple[str, int]
"""A topic's uid, and a partition of it."""

Lane = tuple[str, int, str]
"""A topic's uid, a partition of it, and the uid of a subscription that reads it."""


@dataclass(frozen=True, slots=True)
class Suspended:
    """Somebody wants nothing of one resource to be reconciled."""

    by: str
    since: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything that exists, read in bulk: one SELECT and one pipelined read of Redis."""

    applied: Mapping[Identity, Applied]
    topics: Mapping[str, LiveTopic] = field(default_factory=dict)
    """By uid; those that no row claims too."""
    subscriptions: Mapping[str, LiveSubscription] = field(default_factory=dict)
    """By uid; those that no row claims too."""
    index: Mapping[str, int] = field(default_factory=dict)
    """Uid → bucket, of all that the server lists."""
    lost: Mapping[Identity, Lost] = field(default_factory=dict)
    """Without those whose name another row has."""
    epochs: frozenset[int] = frozenset()
    """Buckets that are prepared on this Redis server."""
    revision: int = 0
    """The catalog's."""
    keys: Keyspace = field(default_factory=Keyspace)
    """How this installation names its keys: a subscription's meta names those of its dead-letter topic."""
    overrides: Mapping[str, Override] = field(default_factory=dict)
    """By uid: operators' words about subscriptions that are in force."""
    suspended: Mapping[str, Suspended] = field(default_factory=dict)
    """By uid: single resources that are left alone."""
    edits: Mapping[str, RowEdit] = field(default_factory=dict)
    """By uid: rows that someone wrote by hand. Those that the history knows stand in ``applied`` as it recorded them;
    of the others those that can be read, and have a name of their own."""
    editors: Mapping[str, Editor] = field(default_factory=dict)
    """By uid: who wrote or deleted rows by hand, as far as that is known."""
    missing: Mapping[Lane, int] = field(default_factory=dict)
    """Entries that a lane has not handled, and its stream has no more: someone trimmed or deleted them."""
    foreign: Mapping[Lane, int] = field(default_factory=dict)
    """Groups in our streams that no subscription claims, in the place of the subscription; and how many entries each
    has pending."""
    misplaced: Mapping[Partition, str] = field(default_factory=dict)
    """Partitions whose stream was found under another key."""
    worked_out: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    """What follows from this alone, kept by who worked it out: it is asked for several times in a plan."""
