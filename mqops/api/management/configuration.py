"""What the management API needs of the reconciler, which it does not know: ``bootstrap`` brings the two together.

Changes are made in a thread, one at a time in a process: they wait for PostgreSQL and Redis, which the event loop must
not. Past a few that wait, a request is turned away before anything is done.
"""

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

from mqops.errors import BrokerNotAvailable
from mqops.model import Identity

MOST_WAITING = 20
_RETRY_SECONDS = 1.0


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
    """What was deleted: ``kind``, ``name``, ``id``; of subscriptions the messages that were ``unfinished``."""


class Configuration(Protocol):
    """Changes what is declared, through a plan."""

    def change(self, wish: Wish) -> Granted:
        """Carry out ``wish``. Blocks. Raises ``InvalidRequest`` with ``problems``, ``NotFound``, ``Conflict``,
        ``ManagedBySource``, ``ChangeRefused``, ``PreconditionFailed`` and ``BrokerNotAvailable``."""


class Changes:
    """Carries wishes out beside the event loop."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="management")
        self._waiting = 0

    async def make(self, wish: Wish) -> Granted:
        """Raises as ``Configuration.change``. A change that has begun is finished, whoever stopped waiting for it."""
        if self._waiting >= MOST_WAITING:
            message = f"{self._waiting} other changes wait already: try again"
            raise BrokerNotAvailable(message, retry_after_seconds=_RETRY_SECONDS)
        self._waiting += 1
        done = asyncio.get_running_loop().run_in_executor(self._thread, self._configuration.change, wish)
        done.add_done_callback(self._one_less)
        return await asyncio.shield(done)

    def _one_less(self, done: "asyncio.Future[Granted]") -> None:
        self._waiting -= 1
        if not done.cancelled():
            done.exception()  # whoever waited for it may be gone
