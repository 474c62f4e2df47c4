"""``acks=0``: publishers that do not wait, and what became of their messages all the same.

They are answered as soon as their messages are on their way. What is not stored is counted and logged, since nobody is
told of it.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

import msgspec

from mqops.api.publication import Publishing
from mqops.errors import MqopsError
from mqops.message import NewMessage
from mqops.streams import NotStored, Outcome, Sent, Unknown

log = logging.getLogger(__name__)

LOG_SECONDS = 10.0
"""Between two lines of the log at least."""

SETTLE_SECONDS = 5.0

CatchUp = Callable[[Publishing, list[Outcome]], Awaitable[list[Outcome]]]


class Unheard:
    """Counts, of one process."""

    def __init__(self) -> None:
        self.not_stored = 0
        self.unknown = 0
        self._logged_at = float("-inf")
        self._tasks: set[asyncio.Task[None]] = set()

    def leave(self, publishing: Publishing, messages: list[NewMessage], catch_up: CatchUp) -> Publishing:
        """``publishing`` goes on by itself; the answer is that ``messages`` were sent."""
        task = asyncio.create_task(self._see_to_it(publishing, catch_up))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        sent = asyncio.get_running_loop().create_future()
        sent.set_result([Sent(message.id, message.partition) for message in messages])
        return msgspec.structs.replace(publishing, sent=sent)

    async def settle(self) -> None:
        """Waits for what is on its way, for as long as a server takes at most to be heard of again."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=SETTLE_SECONDS)

    async def _see_to_it(self, publishing: Publishing, catch_up: CatchUp) -> None:
        outcomes: list[Outcome] = await publishing.sent
        if publishing.is_outdated(outcomes):
            try:
                outcomes = await catch_up(publishing, outcomes)
            except MqopsError as error:
                self._count(len(outcomes), 0, error.message)
                return
        refused = [outcome for outcome in outcomes if isinstance(outcome, NotStored)]
        doubtful = [outcome for outcome in outcomes if isinstance(outcome, Unknown)]
        if refused or doubtful:
            why = f"{refused[0].reason} {refused[0].detail}" if refused else doubtful[0].detail
            self._count(len(refused), len(doubtful), why)

    def _count(self, not_stored: int, unknown: int, why: str) -> None:
        self.not_stored += not_stored
        self.unknown += unknown
        now = time.monotonic()
        if now - self._logged_at >= LOG_SECONDS:
            self._logged_at = now
            log.warning(
                "published with acks=0 and not stored: %d, not known to be: %d (since the start); the latest: %s",
                self.not_stored,
                self.unknown,
                why.strip(),
            )
