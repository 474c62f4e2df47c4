"""Receivers of webhooks for tests: real HTTP servers that keep a ledger of what reached them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Sink:
    """Where it listens, and what it received."""

    answer: Answer
    port: int = 0
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    """Headers (names in lower case) and body of each request, in the order of arrival."""
    peers: set[int] = field(default_factory=set)
    """The ports that connections came from: one a connection."""
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)

    def url(self, path: str = "/hook", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    async def received(self, count: int, seconds: float = 10) -> None:
        """Until ``count`` requests have arrived in all; raises ``TimeoutError`` when they do not."""
        async with asyncio.timeout(seconds):
            while len(self.requests) < count:
                self._arrived.clear()
                await self._arrived.wait()

    def note(self, headers: dict[str, str], body: bytes) -> None:
        self.requests.append((headers, body))
        self._arrived.set()

    @property
    def bodies(self) -> list[bytes]:
        return [body for _, body in self.requests]


async def ok(request: web.Request) -> web.Response:
    return web.Response(text="thanks")


def always(status: int, text: str = "", **headers: str) -> Answer:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=status, text=text, headers={k.replace("_", "-"): v for k, v in headers.items()})

    return answer


@asynccontextmanager
async def sink(answer: Answer = ok) -> AsyncIterator[Sink]:
    """A receiver on a free port of the loopback address."""
    ours = Sink(answer)

    async def receive(request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        assert request.transport is not None
        ours.peers.add(request.transport.get_extra_info("peername")[1])
        ours.note(headers, await request.read())
        return await ours.answer(request)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", receive)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    ours.port = runner.addresses[0][1]
    try:
        yield ours
    finally:
        await runner.cleanup()
