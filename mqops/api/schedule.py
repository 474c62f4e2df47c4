"""``POST …/publish/delayed`` and ``…/publish/scheduled``: messages for later; and what waits, listed, shown, cancelled
and given another time under ``…/topics/{name}/scheduled`` and ``…/queues/{name}/scheduled``.
"""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from msgspec import UNSET, Raw, Struct, UnsetType

from mqops.access import Access
from mqops.api.directory import Directory
from mqops.api.edge import Request, Response, caller_of, read_body, write_json
from mqops.api.management.page import DEFAULT_LIMIT, MAX_LIMIT, refuse_unknown
from mqops.api.publication import Publication
from mqops.api.publish import context_of, idempotency_key_of
from mqops.api.publish_body import messages_of, options_of
from mqops.api.publisher import Publisher
from mqops.api.schedule_answer import answer_schedule
from mqops.api.schedule_body import DelayedBody, ScheduledBody, read_reschedule_body
from mqops.api.timestamps import format_ms
from mqops.catalog import CatalogFeed, TopicEntry
from mqops.codec.payload import is_json, payload_as_json
from mqops.errors import InvalidRequest, MessageNotFound
from mqops.message import format_id
from mqops.streams import ScheduledMessage, Streams
from mqops.streams.schedule import PLACE_BYTES


class PublishLater:
    """Publishing that is not done at once. ``read`` reads the body that says when."""

    def __init__(
        self,
        read: Callable[[bytes], DelayedBody | ScheduledBody],
        access: Access,
        publisher: Publisher,
        feed: CatalogFeed,
    ) -> None:
        self._read = read
        self._access = access
        self._publisher = publisher
        self._feed = feed

    async def on_post(self, req: Request, resp: Response) -> None:
        caller = caller_of(self._access, req)
        refuse_unknown(req.params, ())
        body = self._read(await read_body(req))
        publication = Publication(
            *body.target,
            messages_of(body),
            idempotency_key_of(req.raw_headers),
            context_of(req.raw_headers),
            options_of(body.options),
            when=body.when,
        )
        outcomes = await self._publisher.finish(self._publisher.begin(caller, publication))
        answer = answer_schedule(outcomes, self._feed.current)
        resp.status, resp.data = answer.status, answer.body


class ScheduledJson(Struct, rename="camel", kw_only=True):
    """A message that waits for its time."""

    id: str
    topic: str
    key: str | UnsetType
    headers: dict[str, str]
    payload: Raw
    payload_encoding: str | UnsetType
    content_type: str
    partition: int
    scheduled_at: str
    timestamp: str | UnsetType
    producer: str
    correlation_id: str | UnsetType
    ttl_ms: int | UnsetType
    """From when it goes where it belongs."""
    expires_at: str | UnsetType


class Scheduled:
    """What waits in the topic or queue of the path; ``kind`` says which of both it is."""

    def __init__(self, kind: str, access: Access, directory: Directory, streams: Streams) -> None:
        self._kind = kind
        self._access = access
        self._directory = directory
        self.scheduler = streams.scheduler

    def readable(self, req: Request, name: str) -> TopicEntry:
        """The topic or queue, for who may read its messages. Raises ``NotFound`` or ``Forbidden``."""
        return self._directory.readable(caller_of(self._access, req), self._kind, name)

    def publishable(self, req: Request, name: str) -> TopicEntry:
        """The topic or queue, for who may publish to it. Raises ``NotFound`` or ``Forbidden``."""
        return self._directory.publishable(caller_of(self._access, req), self._kind, name)


class ScheduledList:
    """All of them, page by page."""

    def __init__(self, scheduled: Scheduled) -> None:
        self._scheduled = scheduled

    async def on_get(self, req: Request, resp: Response, name: str) -> None:
        topic = self._scheduled.readable(req, name)
        limit, after = _parameters(req)
        page = await self._scheduled.scheduler.page(topic.bucket, topic.uid, limit, after)
        last = page.messages[-1] if page.messages and page.more else None
        body: dict[str, Any] = {
            "messages": [_json(topic, message) for message in page.messages],
            "total": page.total,
            "cursor": f"{last.due_ms}.{last.place.hex()}" if last else None,
        }
        write_json(resp, body)


class ScheduledMember:
    """One of them."""

    def __init__(self, scheduled: Scheduled) -> None:
        self._scheduled = scheduled

    async def on_get(self, req: Request, resp: Response, name: str, id: str) -> None:
        topic = self._scheduled.readable(req, name)
        refuse_unknown(req.params, ())
        found = await self._scheduled.scheduler.find(topic.bucket, topic.uid, id_of(id))
        if found is None:
            raise absent(id)
        write_json(resp, _json(topic, found))

    async def on_delete(self, req: Request, resp: Response, name: str, id: str) -> None:
        topic = self._scheduled.publishable(req, name)
        refuse_unknown(req.params, ())
        if not await self._scheduled.scheduler.cancel(topic.bucket, topic.uid, id_of(id)):
            raise absent(id)
        write_json(resp, {"cancelled": id})

    async def on_patch(self, req: Request, resp: Response, name: str, id: str) -> None:
        topic = self._scheduled.publishable(req, name)
        refuse_unknown(req.params, ())
        when = read_reschedule_body(await read_body(req)).when
        due_ms = await self._scheduled.scheduler.reschedule(topic.bucket, topic.uid, id_of(id), when)
        if due_ms is None:
            raise absent(id)
        write_json(resp, {"id": id, "scheduledAt": format_ms(due_ms)})


def id_of(text: str) -> bytes:
    """The id that ``text`` is. Raises ``MessageNotFound`` for what is no id: nothing is called that."""
    try:
        message_id = UUID(text).bytes
    except ValueError as error:
        raise absent(text) from error
    if format_id(message_id) != text:
        raise absent(text)
    return message_id


def absent(text: str) -> MessageNotFound:
    """The error for a message that does not wait."""
    return MessageNotFound(f"no message {text!r} waits there: it is stored already, was cancelled or never was")


def _parameters(req: Request) -> tuple[int, tuple[int, bytes] | None]:
    refuse_unknown(req.params, ("limit", "cursor"))
    limit = req.get_param_as_int("limit", default=DEFAULT_LIMIT)
    if not 1 <= limit <= MAX_LIMIT:
        raise InvalidRequest(f"limit is from 1 to {MAX_LIMIT}")
    cursor = req.get_param("cursor", default="")
    if not cursor:
        return limit, None
    due_ms, _, place = cursor.partition(".")
    try:
        after = int(due_ms), bytes.fromhex(place)
    except ValueError as error:
        raise InvalidRequest("cursor is that of an earlier answer") from error
    if len(after[1]) != PLACE_BYTES or not 0 <= after[0] < 10**15:
        raise InvalidRequest("cursor is that of an earlier answer")
    return limit, after


def _json(topic: TopicEntry, message: ScheduledMessage) -> ScheduledJson:
    envelope, expires = message.envelope, message.expires
    is_relative = expires.startswith("+")
    return ScheduledJson(
        id=format_id(message.id),
        topic=topic.name,
        key=message.key or UNSET,
        headers=envelope.headers,
        payload=Raw(payload_as_json(envelope.content_type, message.payload)),
        payload_encoding=UNSET if is_json(envelope.content_type) else "base64",
        content_type=envelope.content_type,
        partition=message.partition,
        scheduled_at=format_ms(message.due_ms),
        timestamp=format_ms(envelope.timestamp) if envelope.timestamp is not None else UNSET,
        producer=envelope.producer,
        correlation_id=envelope.correlation_id or UNSET,
        ttl_ms=int(expires) if is_relative else UNSET,
        expires_at=format_ms(int(expires)) if expires and not is_relative else UNSET,
    )
