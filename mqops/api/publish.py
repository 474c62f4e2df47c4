"""``POST …/publish``: one message or many, to a topic or queue. The hot path."""

import re

from mqops.access import Access, Caller
from mqops.api.edge import Request, Response, caller_of, read_body
from mqops.api.publish_answer import answer_publish
from mqops.api.publish_body import TopicBody, messages_of, read_naming_body, read_topic_body, timeout_ms_of
from mqops.api.publisher import Publication, Publisher
from mqops.catalog import CatalogFeed
from mqops.errors import InvalidRequest

_JSON = "application/json"
_IDEMPOTENCY_KEY = re.compile(r"[\x20-\x7e]{1,255}")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
"""W3C Trace Context, section 3.2: what does not look like it is not there."""


class Publish:
    """Publishing where the path, or the body, says. ``kind`` is ``Topic`` or ``Queue``; None: the body says."""

    def __init__(self, access: Access, publisher: Publisher, feed: CatalogFeed, kind: str | None = None) -> None:
        self._access = access
        self._publisher = publisher
        self._feed = feed
        self._kind = kind

    async def on_post(self, req: Request, resp: Response, name: str = "") -> None:
        caller = caller_of(self._access, req)
        data = await read_body(req)
        if self._kind is not None:
            await self._publish(caller, (self._kind, name), read_topic_body(data), req, resp)
        else:
            body = read_naming_body(data)
            await self._publish(caller, body.target, body, req, resp)

    async def _publish(
        self, caller: Caller, target: tuple[str, str], body: TopicBody, req: Request, resp: Response
    ) -> None:
        publication = Publication(
            *target,
            messages_of(body),
            _idempotency_key(req.get_header("Idempotency-Key")),
            _traceparent(req.get_header("Traceparent")),
            timeout_ms_of(body),
        )
        outcomes = await self._publisher.publish(caller, publication)
        resp.status, resp.data = answer_publish(outcomes, self._feed.current)
        resp.content_type = _JSON


def _idempotency_key(text: str | None) -> str:
    if text is None:
        return ""
    if not _IDEMPOTENCY_KEY.fullmatch(text):
        raise InvalidRequest("Idempotency-Key has 1 to 255 printable ASCII characters")
    return text


def _traceparent(text: str | None) -> str | None:
    return text if text is not None and _TRACEPARENT.fullmatch(text) else None
