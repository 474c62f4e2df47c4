"""``GET …/stream``: messages as they come, as server-sent events, for as long as the client stays.

Each is leased as if it were pulled, and settled over ``…/ack`` and the like. ``maxUnacked`` is how many may be out at a
time, 1 to 1000. With ``forMs`` the stream ends by itself after that long. Format: HTML Living Standard, section 9.2.
Who asks for a WebSocket has a ``conversation`` instead.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import falcon.asgi
import msgspec

from mqops.access import Access, Caller
from mqops.api.consume import Consumer, Find
from mqops.api.conversation import Conversation
from mqops.api.edge import Request, Response, caller_of
from mqops.api.errors import body_of
from mqops.api.pull import FindSubscription, find_pullable, handed_out
from mqops.api.puller import Puller
from mqops.api.settle import Settling
from mqops.api.waiting import WaitingRoom
from mqops.api.window import Window, Windows
from mqops.catalog import SubscriptionEntry
from mqops.errors import InvalidRequest, MqopsError

MAX_UNACKED = 1_000
DEFAULT_UNACKED = 100
MAX_FOR_MS = 86_400_000
QUIET_SECONDS = 15.0
"""After so long without a message a comment is sent, since proxies end what is silent."""
RECONNECT_MS = 1_000
"""How long a browser waits before it comes back."""


@dataclass(frozen=True, slots=True)
class Streaming:
    """What streams are made over."""

    access: Access
    find: FindSubscription
    puller: Puller
    room: WaitingRoom
    windows: Windows
    settling: Settling


@dataclass(frozen=True, slots=True)
class Terms:
    """What a client asks of its stream."""

    max_unacked: int
    seconds: float | None

    @classmethod
    def of(cls, req: Request) -> "Terms":
        """Raises ``InvalidRequest``."""
        unknown = set(req.params) - {"maxUnacked", "forMs"}
        if unknown:
            raise InvalidRequest(f"unknown parameter: {', '.join(sorted(unknown))}")
        max_unacked = req.get_param_as_int("maxUnacked", default=DEFAULT_UNACKED)
        if not 1 <= max_unacked <= MAX_UNACKED:
            raise InvalidRequest(f"maxUnacked is from 1 to {MAX_UNACKED}")
        for_ms = req.get_param_as_int("forMs")
        if for_ms is not None and not 1 <= for_ms <= MAX_FOR_MS:
            raise InvalidRequest(f"forMs is from 1 to {MAX_FOR_MS}")
        return cls(max_unacked, None if for_ms is None else for_ms / 1000)


class Stream:
    """Messages of what ``streaming`` finds, one after the other."""

    def __init__(self, streaming: Streaming) -> None:
        self._streaming = streaming

    async def on_websocket(self, req: Request, ws: falcon.asgi.WebSocket, name: str) -> None:
        streaming = self._streaming
        caller, terms, find = self._begin(req, name)

        def find_settled() -> SubscriptionEntry:
            return streaming.find(caller_of(streaming.access, req), name)

        conversation = Conversation(ws, streaming.settling, find_settled)
        consumer = Consumer(find, streaming.puller, streaming.room, conversation.listen)
        conversation.window = Window(streaming.windows, find(), terms.max_unacked)
        await ws.accept()
        with consumer, conversation.window:
            if terms.seconds is not None:
                consumer.end_after(terms.seconds)
            await conversation.speak(caller, consumer, streaming.puller)

    async def on_get(self, req: Request, resp: Response, name: str) -> None:
        streaming = self._streaming
        caller, terms, find = self._begin(req, name)
        consumer = Consumer(find, streaming.puller, streaming.room, req.gone)
        window = Window(streaming.windows, find(), terms.max_unacked)

        async def events() -> AsyncIterator[bytes]:
            yield b"retry: %d\n\n" % RECONNECT_MS
            with consumer, window:
                if terms.seconds is not None:
                    consumer.end_after(terms.seconds)
                async for event in _events(consumer, window, caller):
                    yield event

        resp.content_type = "text/event-stream"
        resp.set_header("cache-control", "no-store")
        resp.stream = events()

    def _begin(self, req: Request, name: str) -> tuple[Caller, Terms, Find]:
        """Who asks for what; and what finds it, again and again."""
        streaming = self._streaming
        caller = caller_of(streaming.access, req)
        return caller, Terms.of(req), lambda: find_pullable(streaming.access, streaming.find, req, name)


async def _events(consumer: Consumer, window: Window, caller: Caller) -> AsyncIterator[bytes]:
    """What is sent, until it is over."""
    while True:
        taking = asyncio.ensure_future(window.take(consumer))
        try:
            while not (await asyncio.wait({taking}, timeout=QUIET_SECONDS))[0]:
                yield b": quiet\n\n"
            messages = handed_out(caller, taking.result())
        except MqopsError as error:
            yield _event("error", body_of(error))
            return
        finally:
            taking.cancel()
        if not messages:
            return
        yield b"".join(b"id: %b\n%b" % (message.id.encode(), _event("message", message)) for message in messages)


def _event(kind: str, data: Any) -> bytes:
    # A payload is as it was published, on several lines if it was.
    lines = msgspec.json.encode(data).splitlines()
    return b"event: %b\n%b\n\n" % (kind.encode(), b"\n".join(b"data: " + line for line in lines))
