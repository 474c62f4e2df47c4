"""What the management API needs of the reconciler, which it does not know: ``bootstrap`` brings the two together.

Changes are made in a thread, one at a time in a process: they wait for PostgreSQL and Redis, which the event loop must
not. Past a few that wait, a request is turned away before anything is done.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

from mqops.errors import BrokerNotAvailable
from mqops.model import Identity

MOST_WAITING = 20
MOST_PLANS = 4
"""Of whole manifests, in one process at a time: each keeps its files in memory while it waits."""
_RETRY_SECONDS = 1.0

_T = TypeVar("_T")

Show = Literal["text", "markdown"]


@dataclass(frozen=True, slots=True)
class Wish:
    """A change that is asked for."""

    identity: Identity
    body: Mapping[str, Any] | None
    """``labels``, ``annotations`` and ``spec``; ``None`` to delete it."""
    actor: str
    """Who asks, for the history: ``tenant/principal``."""
    is_new: bool = False
    """Whether it must not exist yet; otherwise it must."""
    states: Sequence[str] | None = None
    """States (``uid.generation.revision``) one of which it has to be in; ``None`` for any."""
    is_dry: bool = False
    """Whether only to say what would be done."""
    may_lose: bool = False
    """Whether unfinished messages may be lost."""
    may_unprotect: bool = False
    """Whether it may be deleted although it is protected."""


@dataclass(frozen=True, slots=True)
class Granted:
    """What was done about a wish, or would be."""

    plan: Mapping[str, Any]
    """As `mqops plan -o json` writes it."""
    revision: int | None
    """The catalog's new one; ``None`` when nothing was changed."""
    destroyed: Sequence[Mapping[str, Any]] = ()
    """What was deleted, and what was replaced by another: ``kind``, ``name``, ``id``; of topics, queues and
    subscriptions the ``messages`` that were stored with it, and how many were ``unfinished``."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """Manifests of which is asked what applying them would do."""

    files: Mapping[str, str]
    """By their names in the directory of manifests."""
    tenant: str | None
    """Whose principal asks; ``None`` for one that may see everything."""
    source: str | None = None
    """Whose manifests they are; ``None`` for the whole tree, or the one Source of a tenant."""
    targets: Sequence[Identity] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    is_refresh_only: bool = False
    take_over: Sequence[str] = ()
    may_lose: bool = False
    mass_deletes: Sequence[int] = ()
    unprotected: Sequence[Identity] = ()
    adopts: bool = False
    show: Show | None = None
    """How to put it into words, beside the plan itself."""
    directory: str = ""
    """What the files' names are relative to, in these words."""


@dataclass(frozen=True, slots=True)
class Planned:
    """What applying the manifests would do."""

    plan: Mapping[str, Any]
    """As `mqops plan -o json` writes it."""
    held: Sequence[Mapping[str, object]]
    """``source`` and ``message`` of each that is suspended or pinned."""
    held_back: int
    """How many resources stay as they are applied for that reason, though declared otherwise."""
    warnings: Sequence[str] = ()
    """What else there is to know of the stores; nothing for tenants."""
    shown: Mapping[str, Any] = field(default_factory=dict)
    """``text``: lines, each with ``about`` and ``line``; or ``markdown``. As it was asked for."""


class Configuration(Protocol):
    """Changes what is declared, through a plan; and tells what manifests would change."""

    def change(self, wish: Wish) -> Granted:
        """Carry out ``wish``. Blocks. Raises ``InvalidRequest`` with ``problems``, ``NotFound``, ``Conflict``,
        ``ManagedBySource``, ``Refused``, ``PreconditionFailed`` and ``BrokerNotAvailable``."""

    def plan(self, proposal: Proposal) -> Planned:
        """What ``proposal`` would do; nothing is changed. Blocks. Raises ``InvalidManifests`` with ``problems``,
        ``InvalidRequest``, ``NotFound``, ``Refused`` and ``BrokerNotAvailable``."""


class Changes:
    """Carries wishes out, and plans, beside the event loop."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="management")
        self._waiting = 0
        self._planning = 0

    async def make(self, wish: Wish) -> Granted:
        """Raises as ``Configuration.change``. A change that has begun is finished, whoever stopped waiting for it."""
        return await asyncio.shield(self._begin(lambda: self._configuration.change(wish)))

    async def plan(self, proposal: Proposal, written: Callable[[Planned], bytes]) -> bytes:
        """The plan as ``written``, which is done in the thread too: plans can be large. Raises as
        ``Configuration.plan``."""
        if self._planning >= MOST_PLANS:
            message = f"{self._planning} other plans are being made: try again"
            raise BrokerNotAvailable(message, retry_after_seconds=_RETRY_SECONDS)
        planned = self._begin(lambda: written(self._configuration.plan(proposal)))
        self._planning += 1
        planned.add_done_callback(self._one_plan_less)
        return await asyncio.shield(planned)

    def _begin(self, work: Callable[[], _T]) -> "asyncio.Future[_T]":
        if self._waiting >= MOST_WAITING:
            message = f"{self._waiting} other changes wait already: try again"
            raise BrokerNotAvailable(message, retry_after_seconds=_RETRY_SECONDS)
        self._waiting += 1
        done = asyncio.get_running_loop().run_in_executor(self._thread, work)
        done.add_done_callback(self._one_less)
        return done

    def _one_less(self, done: "asyncio.Future[Any]") -> None:
        self._waiting -= 1
        if not done.cancelled():
            done.exception()  # whoever waited for it may be gone

    def _one_plan_less(self, _: "asyncio.Future[Any]") -> None:
        self._planning -= 1
