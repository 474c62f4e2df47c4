"""Dead letters where they lie: looked for, put back into the lane that failed, sent elsewhere, removed.

A redrive is two steps, because the dead-letter topic lives in the subscriber's bucket, and what the message came from
may live in another tenant's: first the message is put where it is to go, under its letter's id as a token; then the
letter is removed. Whoever is killed in between leaves a letter, and whoever redrives that again puts nothing anywhere a
second time. A token is remembered for longer than any letter is kept until the letter is removed; then for a while, for
those that read the letter before.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mqops.errors import BrokerNotAvailable
from mqops.keys import Keyspace
from mqops.message import NewMessage, Position
from mqops.streams.connection import Argument, Connection, ConnectionLost, NotSent, ReplyError
from mqops.streams.fetch import Fetcher, StoredMessage, stored_message
from mqops.streams.lane import Lane
from mqops.streams.outcome import Outcome
from mqops.streams.publish import Publisher
from mqops.streams.scripts import LETTERS, REDRIVE, REMOVE_LETTERS

REMEMBERED_MS = 4_000 * 86_400_000
"""How long a token is remembered when its letter stays: longer than any topic's retention can be."""
REMOVED_MS = 600_000
"""And when its letter is gone: whoever has read it redrives it sooner than that, or not at all."""


@dataclass(frozen=True, slots=True)
class Sought:
    """Which dead letters are meant; empty is any."""

    reason: str = ""
    topic: str = ""
    """Where they come from: ``tenant/name``."""
    subscriptions: frozenset[str] = frozenset()
    """Which have failed: ``tenant/name`` as it was then, and uids."""
    key: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    """When they failed; the last moment is not included."""


@dataclass(frozen=True, slots=True)
class LetterBox:
    """A partition that has dead letters."""

    bucket: int
    topic: str
    partition: int


@dataclass(frozen=True, slots=True)
class Returning:
    """A message on its way back into a lane."""

    letter: StoredMessage
    """What is redriven."""
    offset: int
    """What it is handed out with; 0 where the original's means nothing."""
    id: bytes
    key: str
    envelope: bytes
    payload: bytes


@dataclass(frozen=True, slots=True)
class Found:
    """A look at the next entries of a partition."""

    letters: list[StoredMessage]
    after: Position | None
    """Where to go on; None at the end."""
    now_ms: int
    """By the server's clock."""


class Letters:
    """Works over one connection of its own: bodies go both ways, and a redrive must not delay anybody else."""

    def __init__(self, connection: Connection, keys: Keyspace, installation: str) -> None:
        self._connection = connection
        self._keys = keys
        self._bell = keys.bell(installation)
        self._fetcher = Fetcher(connection, keys, installation)
        self._publisher = Publisher(connection, keys, installation)

    async def look(
        self, box: LetterBox, sought: Sought, after: Position | None, most: int, *, with_bodies: bool = True
    ) -> Found:
        """Up to ``most`` letters among the next entries after ``after``; none may be found although there are some
        further on. Raises ``BrokerNotAvailable``."""
        first = f"{max(0, sought.since_ms)}-0" if sought.since_ms is not None else "-"
        start = first if after is None else f"({after}"
        end = "+" if sought.until_ms is None else f"({max(0, sought.until_ms)}-0"
        key = "" if sought.key is None else f"={sought.key}"
        arguments: list[Argument] = [box.topic, box.partition, start, end, most, int(with_bodies)]
        arguments += (sought.reason, sought.topic, key, *sought.subscriptions)
        now_ms, last, *entries = await self._call(LETTERS, box.bucket, arguments)
        letters = [stored_message(box.partition, entry_id, fields) for entry_id, fields in entries]
        return Found(letters, Position.parse(last.decode()) if last else None, int(now_ms))

    async def find(self, box: LetterBox, letter_id: bytes) -> StoredMessage | None:
        """The letter with this id, if it is there. Raises ``BrokerNotAvailable``."""
        found = await self._fetcher.find(box.bucket, box.topic, box.partition, letter_id)
        return found if found is not None and found.record else None

    async def put_back(self, lane: Lane, messages: Sequence[Returning]) -> bool:
        """Have the lane hand these out again, each once however often this is called. False: the lane is not there,
        and nothing has changed. Raises ``BrokerNotAvailable``; the call can be repeated."""
        arguments: list[Argument] = [self._bell, lane.subscription, lane.partition, REMEMBERED_MS]
        for message in messages:
            arguments += (token_of(message.letter), message.offset, message.id, message.key)
            arguments += (message.envelope, message.payload, message.letter.record)
        reply = await self._call(REDRIVE, lane.bucket, arguments)
        return bool(reply != [-1])

    async def send(self, messages: Sequence[NewMessage]) -> list[Outcome]:
        """Publish these, as ``Publisher.publish``; each has the token of a letter, which holds ``REMEMBERED_MS``."""
        return await self._publisher.publish(messages)

    async def remove(self, box: LetterBox, letters: Sequence[StoredMessage], counter: str) -> list[bool]:
        """Remove these as ``redriven`` or ``discarded``. False: it was not there any more. Raises
        ``BrokerNotAvailable``."""
        arguments: list[Argument] = [box.topic, box.partition, counter, *(str(letter.position) for letter in letters)]
        return [result == 1 for result in await self._call(REMOVE_LETTERS, box.bucket, arguments)]

    async def let_go(self, lane: Lane, letters: Sequence[StoredMessage]) -> None:
        """Letters that were put back are removed: their tokens are not needed for long. Raises
        ``BrokerNotAvailable``."""
        seconds, _ = await _answered(self._connection.call("TIME"))
        now_ms = int(seconds) * 1000
        key = self._keys.redriven(lane.bucket, lane.subscription, lane.partition)
        scores = [part for letter in letters for part in (now_ms + REMOVED_MS, token_of(letter))]
        await _answered(self._connection.call("ZADD", key, "XX", *scores))

    async def let_go_of_sent(self, messages: Sequence[NewMessage]) -> None:
        """The same for letters that were sent elsewhere. Raises ``BrokerNotAvailable``."""
        for message in messages:
            key = self._keys.dedup(message.bucket, message.topic, message.dedup)
            await _answered(self._connection.call("PEXPIRE", key, REMOVED_MS))

    async def _call(self, script: Any, bucket: int, arguments: Sequence[Argument]) -> Any:
        return await _answered(self._connection.run(script, self._keys.epoch(bucket), *arguments))


def token_of(letter: StoredMessage) -> str:
    """What makes a second redrive of the same letter nothing."""
    return f"letter:{letter.id.hex()}"


async def _answered(reply: Any) -> Any:
    try:
        return await reply
    except (NotSent, ConnectionLost, ReplyError) as error:
        raise BrokerNotAvailable(str(error), retry_after_seconds=1) from error
