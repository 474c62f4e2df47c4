"""Publishing without a web framework in between: the hot path, from the protocol's parser to the engine and back.

A request that is a plain publish (its path as it stands in the route table, a body of known and ordinary length, each
header once) is answered here: no ASGI scope, no task, no framework. All others go to the application, falcon, whose
route does the same through the same ``Publish``; which of both answered cannot be told from an answer. Measured under
the load of ``python -m benchmarks publish``, a web worker spends 25 µs a request here and 52 µs in the application.

A publisher repeats itself: all that differs from one of its requests to the next is the body. So a head (request line
and headers) that was parsed once is remembered as its bytes, and is not parsed again: the same bytes mean the same.
"""

import asyncio
import re
from functools import lru_cache
from typing import Any, NamedTuple

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from mqops.api.errors import Answer, answer_of
from mqops.api.joined_writes import JoinedWritesProtocol
from mqops.api.publish import BODY_NAMES_IT, Publish, Target
from mqops.streams import Outcome

MAX_BODY_BYTES = 65_536

_PATH = re.compile(r"/api/v1/mq/(?:(topics|queues)/([A-Za-z0-9._-]+)/)?publish")
_LONGEST_PATH = 512
_KINDS = {"topics": "Topic", "queues": "Queue"}
_SPECIAL = frozenset({b"expect", b"upgrade", b"transfer-encoding"})
"""Headers of requests that need more than an answer."""

_END_OF_HEAD = b"\r\n\r\n"
_REMEMBERED_HEADS = 2_000
_LONGEST_REMEMBERED = 2_048


class _Head(NamedTuple):
    """Of a plain publish: all that is told before its body."""

    target: Target
    headers: dict[bytes, bytes]
    length: int
    """Of the body."""
    keep_alive: bool


_known_heads: dict[bytes, _Head] = {}
"""What was parsed, by its bytes, of requests that may be followed by others. Nothing in it depends on a connection, or
on what the catalog says."""


def _remember(data: bytes, head: _Head) -> None:
    """``data`` began with a request's first byte; it is remembered when it was this request, and all of it."""
    end = data.find(_END_OF_HEAD) + len(_END_OF_HEAD)
    if end <= _LONGEST_REMEMBERED and head.keep_alive and len(data) == end + head.length:
        if len(_known_heads) >= _REMEMBERED_HEADS:
            _known_heads.clear()
        _known_heads[data[:end]] = head


class DirectProtocol(JoinedWritesProtocol):
    """HTTP/1.1 for an application that has ``direct_publish``, or has not."""

    cycle: Any
    """The latest request: an ``_Exchange``, or uvicorn's."""
    _is_between_requests = True
    """Whether the parser has seen all of what it saw the beginning of."""

    def data_received(self, data: bytes) -> None:
        if not self._is_between_requests or not self._is_free():
            super().data_received(data)
            return
        end = data.find(_END_OF_HEAD) + len(_END_OF_HEAD)
        head = _known_heads.get(data[:end])
        if head is not None and len(data) == end + head.length:
            self.cycle = exchange = _Exchange(self, self.app.direct_publish, head)
            exchange.body = data[end:]
            exchange.begin()
            return
        before = self.cycle
        super().data_received(data)
        after = self.cycle
        if after is not before and type(after) is _Exchange and self._is_between_requests:
            _remember(data, after.head)

    def _is_free(self) -> bool:
        """Whether a request that comes now is the only one, and its answer may be written at once."""
        return (self.cycle is None or self.cycle.response_complete) and not self.flow.write_paused

    def on_message_begin(self) -> None:
        self._is_between_requests = False
        self.url = b""
        self.expect_100_continue = False
        self.headers = []  # the scope is made for requests that the application gets

    def on_headers_complete(self) -> None:
        publish = getattr(self.app, "direct_publish", None)
        exchange = None if publish is None or not self._is_free() else self._exchange(publish)
        if exchange is None:
            url, headers, is_expecting = self.url, self.headers, self.expect_100_continue
            super().on_message_begin()
            self.url, self.expect_100_continue = url, is_expecting
            self.headers += headers
            super().on_headers_complete()
        else:
            self.cycle = exchange

    def on_body(self, body: bytes) -> None:
        if type(self.cycle) is _Exchange:
            self.cycle.body += body
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._is_between_requests = True
        if type(self.cycle) is _Exchange:
            self.cycle.begin()
        else:
            super().on_message_complete()

    def shutdown(self) -> None:
        # The server stops. It tells its connections and not the application, whose requests may be waiting.
        drain = getattr(self.app, "drain", None)
        if drain is not None:
            drain()
        super().shutdown()

    def _exchange(self, publish: Publish) -> "_Exchange | None":
        """The request that was just read, if it is a plain publish."""
        target = _target(self.url) if len(self.url) <= _LONGEST_PATH else None
        parser = self.parser
        if target is None or parser.get_method() != b"POST" or parser.get_http_version() != "1.1":
            return None
        headers = dict(self.headers)
        length = headers.get(b"content-length", b"")
        is_plain = len(headers) == len(self.headers) and headers.keys().isdisjoint(_SPECIAL)
        if not is_plain or not length.isdigit() or int(length) > MAX_BODY_BYTES:
            return None
        return _Exchange(self, publish, _Head(target, headers, int(length), parser.should_keep_alive()))

    def write_answer(self, answer: Answer, *, keep_alive: bool) -> None:
        """Write ``answer`` and be ready for the next request."""
        if self.transport.is_closing():
            return
        head = _heads.of(answer, self.server_state.default_headers)
        ending = b"" if keep_alive else b"connection: close\r\n"
        self.write_whole(b"%bcontent-length: %d\r\n%b\r\n%b" % (head, len(answer.body), ending, answer.body))
        if not keep_alive:
            self.transport.close()
        self.on_response_complete()


class _Heads:
    """What answers begin with, kept for as long as the date in it holds."""

    def __init__(self) -> None:
        self._default_headers: Any = None
        self._ok = b""

    def of(self, answer: Answer, default_headers: list[tuple[bytes, bytes]]) -> bytes:
        """Status and headers, but for those that say how long the body is and whether the connection ends."""
        if default_headers is not self._default_headers:
            self._default_headers = default_headers
            self._ok = _head(Answer(200, b""), default_headers)
        is_plain = answer.status == 200 and not answer.headers
        return self._ok if is_plain else _head(answer, default_headers)


def _head(answer: Answer, default_headers: list[tuple[bytes, bytes]]) -> bytes:
    own = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers.items()]
    headers = [*default_headers, (b"content-type", b"application/json"), *own]
    return STATUS_LINE[answer.status] + b"".join([b"%b: %b\r\n" % header for header in headers])


_heads = _Heads()


@lru_cache(maxsize=10_000)
def _target(url: bytes) -> Target | None:
    """What a path, as a request has it, names to publish to; None when it is no plain publish."""
    path = _PATH.fullmatch(url.decode("latin-1"))
    if path is None:
        return None
    kind, name = path.groups()
    return BODY_NAMES_IT if name is None else Target(_KINDS[kind], name)


class _Exchange:
    """A plain publish and its answer. Its public attributes are what uvicorn asks of a request under way."""

    __slots__ = (
        "_protocol", "_publish", "_publishing",
        "body", "disconnected", "head", "keep_alive", "message_event", "response_complete",
    )  # fmt: skip

    def __init__(self, protocol: DirectProtocol, publish: Publish, head: _Head) -> None:
        self._protocol = protocol
        self._publish = publish
        self.head = head
        self.body = b""
        self.keep_alive = head.keep_alive
        self.disconnected = False
        self.response_complete = False
        self.message_event = _nobody

    def begin(self) -> None:
        """The request is complete."""
        try:
            client = self._protocol.client
            host = client[0] if client else ""
            self._publishing = self._publish.begin(self.head.headers, self.head.target, self.body, host)
        except Exception as error:  # noqa: BLE001 - each becomes an answer
            self._answer(answer_of(error, "a publish"))
        else:
            self._publishing.sent.add_done_callback(self._sent)

    def _sent(self, sent: "asyncio.Future[list[Outcome]]") -> None:
        if not sent.cancelled() and sent.exception() is None and self._publishing.is_outdated(sent.result()):
            catching_up = asyncio.ensure_future(self._publish.catch_up(self._publishing, sent.result()))
            catching_up.add_done_callback(self._finish)
        else:
            self._finish(sent)

    def _finish(self, sent: "asyncio.Future[list[Outcome]]") -> None:
        if sent.cancelled():
            self._protocol.transport.close()  # as a request that is cancelled: an end, and no answer
            return
        try:
            answer = self._publish.answer(sent.result())
        except Exception as error:  # noqa: BLE001 - each becomes an answer
            answer = answer_of(error, "a publish")
        self._answer(answer)

    def _answer(self, answer: Answer) -> None:
        self.response_complete = True
        if not self.disconnected:
            self._protocol.write_answer(answer, keep_alive=self.keep_alive)


class _Nobody:
    """Stands for the event that uvicorn sets to wake a request: nobody waits here."""

    def set(self) -> None:
        """Nothing to be done."""


_nobody: Any = _Nobody()
