"""Which dead letters come next: of a long look through a topic, or of some that were named."""

from collections.abc import Sequence
from dataclasses import replace

from mqops.api.deadletters.query import Cursor, letter_id
from mqops.catalog import TopicEntry
from mqops.errors import NotFound
from mqops.message import Position, partition_of_id
from mqops.streams import LetterBox, Letters, Sought, StoredMessage

LOOK_LETTERS = 100


class Scan:
    """A look for what is ``sought`` in ``topic``, from its beginning or from a cursor: partition after partition, the
    oldest of each first."""

    missing: Sequence[tuple[str, NotFound]] = ()

    def __init__(
        self,
        letters: Letters,
        topic: TopicEntry,
        sought: Sought,
        cursor: Cursor | None,
        *,
        with_bodies: bool = True,
    ) -> None:
        self._letters = letters
        self._topic = topic
        self._sought = sought
        self._with_bodies = with_bodies
        self._until_ms = None if cursor is None else cursor.until_ms
        self._partition = 0 if cursor is None else cursor.partition
        self._after: Position | None = None if cursor is None else cursor.after

    @property
    def is_over(self) -> bool:
        return self._partition >= self._topic.spec.partitions

    @property
    def cursor(self) -> str | None:
        """Where it goes on; None at the end."""
        return None if self.is_over else str(Cursor(self._until_ms or 0, self._partition, self._after))

    async def next(self, most: int) -> tuple[LetterBox, list[StoredMessage]]:
        """What the next entries of one partition have, and which partition that is; maybe nothing. Raises
        ``BrokerNotAvailable``."""
        box = LetterBox(self._topic.bucket, self._topic.uid, self._partition)
        limits = [limit for limit in (self._sought.until_ms, self._until_ms) if limit is not None]
        wanted = replace(self._sought, until_ms=min(limits, default=None))
        most = min(most, LOOK_LETTERS)
        found = await self._letters.look(box, wanted, self._after, most, with_bodies=self._with_bodies)
        if self._until_ms is None:
            self._until_ms = found.now_ms + 1
        self._after = found.after
        if found.after is None:
            self._partition += 1
        return box, found.letters


class Chosen:
    """Those of ``ids`` that are there and are sought; the others are ``missing``."""

    cursor = None

    def __init__(self, letters: Letters, topic: TopicEntry, sought: Sought, ids: Sequence[str]) -> None:
        self._letters = letters
        self._topic = topic
        self._sought = sought
        self._ids = list(reversed(dict.fromkeys(ids)))
        self.missing: list[tuple[str, NotFound]] = []

    @property
    def is_over(self) -> bool:
        return not self._ids

    async def next(self, most: int) -> tuple[LetterBox, list[StoredMessage]]:
        """The next one, and the partition that it is in; nothing when it is missing. Raises
        ``BrokerNotAvailable``."""
        text = self._ids.pop()
        asked = letter_id(text)
        box = LetterBox(self._topic.bucket, self._topic.uid, 0 if asked is None else partition_of_id(asked))
        is_possible = asked is not None and box.partition < self._topic.spec.partitions
        letter = await self._letters.find(box, asked) if asked is not None and is_possible else None
        if letter is None or not self._is_sought(letter):
            self.missing.append((text, NotFound(f"there is no dead letter {text!r}")))
            return box, []
        return box, [letter]

    def _is_sought(self, letter: StoredMessage) -> bool:
        """Whether it failed for whom the path names."""
        info, failed = letter.dead_letter, self._sought.subscriptions
        return info is not None and (not failed or not failed.isdisjoint((info.subscription, info.subscription_uid)))
