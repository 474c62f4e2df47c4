"""Where a dead letter goes, and getting it there.

To the subscription that failed, by itself: the message as it was, with its id, as if it had never been tried. Or, as a
new message, to a topic: back to its own for all its subscriptions (``republish``), or to another one. Both are
idempotent by the letter's id; the letter is removed when its message is where it should be (``mqops.streams.letters``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import msgspec

from mqops.access import Caller
from mqops.api.directory import Directory
from mqops.api.partitioning import partition_of_key
from mqops.api.publish_answer import error_of
from mqops.api.publisher import MAX_ENVELOPE_BYTES
from mqops.catalog import Catalog, TopicEntry
from mqops.codec.envelope import encode_envelope
from mqops.codec.payload import JSON
from mqops.errors import Conflict, ConsumerFailed, InvalidRequest, MqopsError, PayloadTooLarge
from mqops.message import DeadLetterInfo, NewMessage, new_message_id
from mqops.streams import (
    REMEMBERED_MS,
    Lane,
    LetterBox,
    Letters,
    NotStored,
    Returning,
    StoredMessage,
    Unknown,
    token_of,
)

_DIGEST = b"of a dead letter"
"""The same for every try: what was sent first under a letter's id is what was redriven."""


@dataclass(frozen=True, slots=True)
class Wish:
    """Where to, and what of the message is to be otherwise."""

    to_topic: str | None = None
    republish: bool = False
    payload: bytes | None = None
    headers: dict[str, str] | None = None

    @property
    def edits(self) -> bool:
        return self.payload is not None or self.headers is not None


@dataclass(frozen=True, slots=True)
class Skipped:
    """A letter that stays where it is, and why."""

    id: bytes
    error: MqopsError


@dataclass(frozen=True, slots=True)
class Redriven:
    """What became of some letters."""

    count: int
    skipped: list[Skipped]


class Redriver:
    """Redrives for one caller, in one state of the catalog."""

    def __init__(self, letters: Letters, directory: Directory, catalog: Catalog, caller: Caller, wish: Wish) -> None:
        self._letters = letters
        self._directory = directory
        self._catalog = catalog
        self._caller = caller
        self._wish = wish
        # What nobody may do with any letter is refused once, before the first.
        self._target = None if wish.to_topic is None else directory.publishable(caller, "Topic", wish.to_topic)
        if wish.republish:
            caller.require_role("publisher")

    async def redrive(self, box: LetterBox, letters: Sequence[StoredMessage], *, is_dry: bool) -> Redriven:
        """Redrive these, which were read a moment ago, or tell what that would do. Raises ``BrokerNotAvailable``;
        repeating it is safe."""
        skipped: list[Skipped] = []
        returning: dict[Lane, list[Returning]] = {}
        sending: list[tuple[StoredMessage, NewMessage]] = []
        for letter in letters:
            assert letter.dead_letter is not None
            try:
                if self._target is None and not self._wish.republish:
                    lane, message = self._back(letter, letter.dead_letter)
                    returning.setdefault(lane, []).append(message)
                else:
                    sending.append((letter, self._anew(letter, letter.dead_letter)))
            except MqopsError as error:
                skipped.append(Skipped(letter.id, error))
        if is_dry:
            return Redriven(len(letters) - len(skipped), skipped)
        count = 0
        for lane, messages in returning.items():
            count += await self._put_back(box, lane, messages, skipped)
        if sending:
            count += await self._send(box, sending, skipped)
        return Redriven(count, skipped)

    def _back(self, letter: StoredMessage, info: DeadLetterInfo) -> tuple[Lane, Returning]:
        """Raises ``MqopsError`` when it cannot go back."""
        reader = self._directory.failed(self._caller, info.subscription_uid, info.subscription)
        topic = reader.topic
        if topic.spec.state == "archived":
            raise Conflict(f"the topic of subscription {reader.name!r} is archived")
        partition, is_home = _partition(letter, info, topic)
        message_id = new_message_id(partition) if self._wish.edits else UUID(info.message_id).bytes
        envelope, payload = self._content(letter, topic)
        lane = Lane(topic.bucket, reader.uid, topic.uid, partition)
        offset = info.offset if is_home else 0
        return lane, Returning(letter, offset, message_id, letter.key, envelope, payload)

    def _anew(self, letter: StoredMessage, info: DeadLetterInfo) -> NewMessage:
        """Raises ``MqopsError`` when it cannot be published."""
        topic = self._target or self._directory.origin(self._caller, info.topic_uid, info.topic)
        partition, _ = _partition(letter, info, topic)
        envelope, payload = self._content(letter, topic)
        return NewMessage(
            bucket=topic.bucket,
            topic=topic.uid,
            generation=topic.generation,
            partition=partition,
            id=new_message_id(partition),
            key=letter.key,
            envelope=envelope,
            payload=payload,
            dedup=token_of(letter),
            digest=_DIGEST,
            window_ms=REMEMBERED_MS,
        )

    def _content(self, letter: StoredMessage, topic: TopicEntry) -> tuple[bytes, bytes]:
        """Envelope and payload. Raises ``PayloadTooLarge`` and ``InvalidRequest`` for what the topic would not take
        from a publisher."""
        envelope, payload = letter.envelope, letter.payload
        if self._wish.edits:
            envelope = msgspec.structs.replace(envelope, producer=self._caller.producer)
        if self._wish.headers is not None:
            envelope = msgspec.structs.replace(envelope, headers=self._wish.headers)
        if self._wish.payload is not None:
            envelope, payload = msgspec.structs.replace(envelope, content_type=JSON), self._wish.payload
        limit = topic.spec.max_message_size
        if limit is not None and len(payload) > limit and (self._wish.edits or self._target is not None):
            raise PayloadTooLarge(
                f"the payload has {len(payload)} bytes, topic {topic.name!r} takes {limit}", limitBytes=limit
            )
        encoded = encode_envelope(envelope)
        if self._wish.edits and len(encoded) > MAX_ENVELOPE_BYTES:
            raise InvalidRequest(f"headers have more than {MAX_ENVELOPE_BYTES} bytes together")
        return encoded, payload

    async def _put_back(self, box: LetterBox, lane: Lane, messages: list[Returning], skipped: list[Skipped]) -> int:
        letters = [message.letter for message in messages]
        if not await self._letters.put_back(lane, messages):
            error = ConsumerFailed("the subscription is being restored or deleted", retry_after_seconds=1)
            skipped += [Skipped(letter.id, error) for letter in letters]
            return 0
        removed = sum(await self._letters.remove(box, letters, "redriven"))
        await self._letters.let_go(lane, letters)
        return removed

    async def _send(
        self, box: LetterBox, sending: list[tuple[StoredMessage, NewMessage]], skipped: list[Skipped]
    ) -> int:
        outcomes = await self._letters.send([message for _, message in sending])
        sent = []
        for (letter, message), outcome in zip(sending, outcomes, strict=True):
            if isinstance(outcome, NotStored | Unknown):
                skipped.append(Skipped(letter.id, error_of(outcome, self._catalog)))
            else:
                sent.append((letter, message))
        if not sent:
            return 0
        removed = sum(await self._letters.remove(box, [letter for letter, _ in sent], "redriven"))
        await self._letters.let_go_of_sent([message for _, message in sent])
        return removed


def _partition(letter: StoredMessage, info: DeadLetterInfo, topic: TopicEntry) -> tuple[int, bool]:
    """The partition of ``topic`` to go to, and whether that is where it came from."""
    partitions = topic.spec.partitions
    if info.topic_uid == topic.uid and info.partition < partitions:
        return info.partition, True
    return (partition_of_key(letter.key, partitions) if letter.key else info.partition % partitions), False
