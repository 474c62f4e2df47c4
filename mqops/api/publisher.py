"""Publishing for HTTP: messages made ready, handed to the engine, and published anew where the catalog had moved on.

An outcome says exactly what happened to its message; what an answer makes of the outcomes is in ``publish_answer``.
"""

import asyncio
import time
from collections.abc import Sequence

from mqops.access import Caller
from mqops.api.directory import Directory
from mqops.api.message_body import MessageBody
from mqops.api.partitioning import Partitioner
from mqops.api.publication import NO_CONTEXT, Context, Publication, Publishing, outdated_of
from mqops.api.unheard import Unheard
from mqops.catalog import CatalogFeed, TopicEntry
from mqops.codec.envelope import content_digest, encode_envelope
from mqops.codec.payload import JSON
from mqops.errors import InvalidRequest, MqopsError, PayloadTooLarge
from mqops.message import Envelope, NewMessage, new_message_id
from mqops.streams import Doubt, NotStored, Outcome, Reason, Streams, Unknown, When

CATCH_UP_SECONDS = 1.0
_BETWEEN_LOOKS_SECONDS = 0.1
MAX_ENVELOPE_BYTES = 32_768
"""Of headers and what little stands beside them."""


class Publisher:
    """Publishes what callers may publish."""

    def __init__(self, streams: Streams, feed: CatalogFeed, directory: Directory, unheard: Unheard) -> None:
        self._streams = streams
        self._feed = feed
        self._directory = directory
        self._partitioner = Partitioner()
        self._plain_envelopes: dict[str, bytes] = {}
        self._unheard = unheard

    def begin(self, caller: Caller, publication: Publication) -> Publishing:
        """Send the messages. Raises ``NotFound``, ``Forbidden``, ``InvalidRequest``, ``PayloadTooLarge``: then nothing
        is stored."""
        topic = self._directory.publishable(caller, publication.kind, publication.name)
        pending = self._prepare(caller, topic, publication, range(len(publication.messages)))
        publishing = Publishing(caller, topic, publication, self._send(pending, publication))
        return publishing if publication.options.acks else self._unheard.leave(publishing, pending, self.catch_up)

    async def finish(self, publishing: Publishing) -> list[Outcome]:
        """The outcomes. Raises as ``catch_up``."""
        outcomes: list[Outcome] = await publishing.sent
        return await self.catch_up(publishing, outcomes) if publishing.is_outdated(outcomes) else outcomes

    async def catch_up(self, publishing: Publishing, outcomes: list[Outcome]) -> list[Outcome]:
        """The server knows a newer form of the topic than this process: look it up, and publish what was refused."""
        caller, topic, publication = publishing.caller, publishing.topic, publishing.publication
        deadline = time.monotonic() + CATCH_UP_SECONDS
        while (left := deadline - time.monotonic()) > 0:
            outdated = outdated_of(outcomes)
            try:
                async with asyncio.timeout(left):
                    await self._feed.refresh()
                known, topic = topic, self._directory.publishable(caller, publication.kind, publication.name)
            except TimeoutError:
                break
            except MqopsError:
                if len(outdated) < len(outcomes):
                    break  # some are stored: their publisher has to hear of them
                raise
            if topic is known:
                if outcomes[outdated[0]] == NotStored(Reason.GONE):
                    break  # declared, and not there: only the reconciler can help
                await asyncio.sleep(_BETWEEN_LOOKS_SECONDS)
                continue
            again = await self._send(self._prepare(caller, topic, publication, outdated), publication)
            outcomes = outcomes.copy()
            for index, outcome in zip(outdated, again, strict=True):
                outcomes[index] = outcome
            if not outdated_of(again):
                break
        return outcomes

    def _send(self, messages: list[NewMessage], publication: Publication) -> "asyncio.Future[list[Outcome]]":
        options, when = publication.options, publication.when
        sent: asyncio.Future[list[Outcome]]
        if when is not None:
            sent = asyncio.ensure_future(self._streams.schedule(messages, when, synced=options.acks == "all"))
        elif options.acks == "all":
            sent = asyncio.ensure_future(self._streams.publish_synced(messages))
        else:
            sent = self._streams.publish(messages)
        if options.timeout_ms is None or options.acks == 0:
            return sent
        return asyncio.ensure_future(_within(options.timeout_ms, sent, messages))

    def _prepare(
        self, caller: Caller, topic: TopicEntry, publication: Publication, indexes: Sequence[int]
    ) -> list[NewMessage]:
        limit = topic.spec.max_message_size
        partitions, window_ms = topic.spec.partitions, topic.spec.idempotency_window
        prepared = []
        for index in indexes:
            message = publication.messages[index]
            payload = message.data
            if limit is not None and len(payload) > limit:
                raise PayloadTooLarge(
                    f"messages[{index}].payload has {len(payload)} bytes, the topic takes {limit}", limitBytes=limit
                )
            is_keyed = publication.idempotency_key or message.idempotency_key is not None
            token = _token(caller.producer, message, publication, index) if is_keyed else ""
            is_only_one = partitions == 1 and message.partition is None
            partition = 0 if is_only_one else self._partition(partitions, message, token, index)
            envelope = self._envelope(caller.producer, message, publication.context)
            if len(envelope) > MAX_ENVELOPE_BYTES:
                raise InvalidRequest(f"messages[{index}].headers have more than {MAX_ENVELOPE_BYTES} bytes together")
            prepared.append(
                NewMessage(
                    bucket=topic.bucket,
                    topic=topic.uid,
                    generation=topic.generation,
                    partition=partition,
                    id=new_message_id(partition),
                    key=message.key or "",
                    envelope=envelope,
                    payload=payload,
                    dedup=token,
                    window_ms=window_ms,
                    expires=message.expires,
                    digest=_digest(caller.producer, message, publication.when) if token else b"",
                )
            )
        return prepared

    def _partition(self, partitions: int, message: MessageBody, token: str, index: int) -> int:
        try:
            return self._partitioner.choose(partitions, message.partition, message.key, token)
        except InvalidRequest as error:
            raise InvalidRequest(f"messages[{index}].{error.message}") from error

    def _envelope(self, producer: str, message: MessageBody, context: Context) -> bytes:
        if (
            message.headers
            or message.timestamp is not None
            or message.correlation_id is not None
            or message.content_type is not None
            or context is not NO_CONTEXT
        ):
            traceparent, tracestate, correlation_id = context
            return encode_envelope(
                Envelope(
                    message.headers or {},
                    message.content_type or JSON,
                    producer,
                    message.timestamp_ms,
                    traceparent,
                    tracestate,
                    message.correlation_id or correlation_id,
                )
            )
        plain = self._plain_envelopes.get(producer)
        if plain is None:
            if len(self._plain_envelopes) >= 10_000:
                self._plain_envelopes.clear()
            plain = self._plain_envelopes[producer] = encode_envelope(Envelope(producer=producer))
        return plain


async def _within(timeout_ms: int, sent: "asyncio.Future[list[Outcome]]", messages: list[NewMessage]) -> list[Outcome]:
    try:
        # Shielded: a caller that waits no longer changes nothing for the messages on their way.
        return await asyncio.wait_for(asyncio.shield(sent), timeout_ms / 1000)
    except TimeoutError:
        late = f"no answer from the Redis server within {timeout_ms} ms"
        return [Unknown(message.id, late, Doubt.LATE) for message in messages]


def _token(producer: str, message: MessageBody, publication: Publication, index: int) -> str:
    """A message's own idempotency key, or its place under that of the request. A line's end is in no key, so the two
    cannot be taken for each other."""
    if message.idempotency_key is not None:
        return f"{producer}\n{message.idempotency_key}"
    return f"{producer}:{publication.idempotency_key}:{publication.first + index}"


def _digest(producer: str, message: MessageBody, when: When | None) -> bytes:
    """The same for a repeated message, whatever the try is part of."""
    envelope = Envelope(message.headers or {}, message.content_type or JSON, producer, message.timestamp_ms)
    return content_digest(message.key or "", envelope, message.data, str(when) if when else "")
