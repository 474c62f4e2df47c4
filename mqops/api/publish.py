"""``POST …/publish``: one message or many, to a topic or queue. The hot path.

``Publish`` is what happens, whichever way a request comes in: through the route table (``PublishRoute``) or straight
from the protocol (``direct``).
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from mqops.access import Access
from mqops.api.cloud_events import BINARY, events_of
from mqops.api.edge import Headers, Request, Response, header_of, read_body, sender_of
from mqops.api.errors import Answer
from mqops.api.management.page import refuse_unknown
from mqops.api.message_body import MessageBody, check_token
from mqops.api.publication import NO_CONTEXT, Context, Publication, Publishing
from mqops.api.publish_answer import answer_publish
from mqops.api.publish_body import OptionsBody, messages_of, options_of, read_naming_body, read_topic_body
from mqops.api.publisher import Publisher
from mqops.api.raw_message import raw_message, raw_options
from mqops.catalog import CatalogFeed
from mqops.streams import Outcome

IDEMPOTENCY_KEY = b"idempotency-key"
TRACEPARENT = b"traceparent"
CORRELATION_ID = b"x-correlation-id"
_CONTEXT = (TRACEPARENT, CORRELATION_ID)
CONTENT_TYPE = b"content-type"
_DESCRIBES = frozenset({b"", b"application/json", b"application/x-www-form-urlencoded"})
"""Bodies of these types describe messages, of any other they are one. The last is what curl says by itself."""
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
"""W3C Trace Context, section 3.2: what does not look like it is not there."""
_TRACESTATE = re.compile(r"[\x20-\x7e]{1,512}")
"""As much of it as section 3.3.1.5 asks to be carried on."""


class Target(NamedTuple):
    """What a path names to publish to."""

    kind: str
    """``Topic`` or ``Queue``."""
    name: str


BODY_NAMES_IT = Target("", "")
"""Of a path that leaves it to the body."""


class Publish:
    """From a request to its answer."""

    def __init__(self, access: Access, publisher: Publisher, feed: CatalogFeed) -> None:
        self._access = access
        self._publisher = publisher
        self._feed = feed

    def begin(self, headers: Headers, target: Target, data: bytes, host: str) -> Publishing:
        """Send the messages of a request from ``host`` to ``target``. Raises as ``Publisher.begin``, and for a request
        that is not as it should be; then nothing is stored."""
        caller = sender_of(self._access, headers, host)
        target, messages, options = _read(headers, target, data)
        publication = Publication(
            target.kind,
            target.name,
            messages,
            idempotency_key_of(headers),
            context_of(headers),
            options_of(options),
        )
        return self._publisher.begin(caller, publication)

    async def finish(self, publishing: Publishing) -> list[Outcome]:
        """See ``Publisher.finish``."""
        return await self._publisher.finish(publishing)

    async def catch_up(self, publishing: Publishing, outcomes: list[Outcome]) -> list[Outcome]:
        """See ``Publisher.catch_up``."""
        return await self._publisher.catch_up(publishing, outcomes)

    def answer(self, outcomes: list[Outcome]) -> Answer:
        """Raises the error of the first message when none was stored."""
        return answer_publish(outcomes, self._feed.current)


class PublishRoute:
    """Publishing to the topic or queue of the path (``kind`` says which), or without ``kind`` of the body."""

    def __init__(self, publish: Publish, kind: str | None = None) -> None:
        self._publish = publish
        self._kind = kind

    async def on_post(self, req: Request, resp: Response, name: str = "") -> None:
        refuse_unknown(req.params, ())
        target = Target(self._kind, name) if self._kind is not None else BODY_NAMES_IT
        publishing = self._publish.begin(req.raw_headers, target, await read_body(req), req.host)
        answer = self._publish.answer(await self._publish.finish(publishing))
        resp.status, resp.data = answer.status, answer.body


def _read(headers: Headers, target: Target, data: bytes) -> tuple[Target, Sequence[MessageBody], OptionsBody | None]:
    """Where to, what, and how."""
    if target is BODY_NAMES_IT:
        naming = read_naming_body(data)
        return Target(*naming.target), messages_of(naming), naming.options
    said = headers.get(CONTENT_TYPE)
    content_type = said if said in _DESCRIBES else _bare(said)
    if content_type in _DESCRIBES and headers.keys().isdisjoint(BINARY):
        body = read_topic_body(data)
        return target, messages_of(body), body.options
    messages = events_of(headers, content_type, data) or [raw_message(headers, data)]
    return target, messages, raw_options(headers)


@lru_cache(maxsize=1_000)
def _bare(content_type: bytes | None) -> bytes:
    """Without its parameters."""
    return (content_type or b"").partition(b";")[0].strip().lower()


def idempotency_key_of(headers: Headers) -> str:
    """Empty without one. Raises ``InvalidRequest`` for one that is not as it should be."""
    text = header_of(headers, IDEMPOTENCY_KEY) if IDEMPOTENCY_KEY in headers else None
    return "" if text is None else check_token(text, "Idempotency-Key")


def context_of(headers: Headers) -> Context:
    """What a request is part of. Raises ``InvalidRequest`` for a correlation id that is not as it should be; a trace
    context that is malformed is not there."""
    if headers.keys().isdisjoint(_CONTEXT):
        return NO_CONTEXT
    traceparent, tracestate = header_of(headers, TRACEPARENT), header_of(headers, b"tracestate")
    if traceparent is None or not _TRACEPARENT.fullmatch(traceparent):
        traceparent = tracestate = None
    if tracestate is not None and not _TRACESTATE.fullmatch(tracestate):
        tracestate = None
    correlation_id = header_of(headers, CORRELATION_ID)
    if correlation_id is not None:
        check_token(correlation_id, "X-Correlation-Id")
    return Context(traceparent, tracestate, correlation_id)
