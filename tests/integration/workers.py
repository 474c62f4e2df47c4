"""Push workers for tests, in this process and in one of their own, and what they meet: slow receivers, a Redis server
that comes and goes."""

import asyncio
import contextlib
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from aiohttp import web
from commands import MQOPS, environment
from installation import following
from push_platform import PushPlatform
from sinks import Sink

from mqops.delivery.dispatch import Limits
from mqops.delivery.worker import Worker
from mqops.embedded.port import free_port
from mqops.handlers.http import HttpSender
from mqops.handlers.secrets import SecretStore
from mqops.handlers.targets import TargetPolicy
from mqops.streams import Sweeper
from mqops.streams.connection import Address

QUICK = {"initialDelay": "20ms", "maxDelay": "1s", "jitter": 0}
"""Retries that a test can wait for."""


class Running:
    """A worker at work in this process, and how to make it go."""

    def __init__(self, worker: Worker, drain_seconds: float) -> None:
        self.worker = worker
        self.stop = asyncio.Event()
        self.hurry = asyncio.Event()
        self.task = asyncio.create_task(worker.run(self.stop, self.hurry, drain_seconds))

    async def drained(self) -> None:
        self.stop.set()
        async with asyncio.timeout(20):
            await self.task


@contextlib.asynccontextmanager
async def working(
    platform: PushPlatform,
    directory: Path,
    limits: Limits | None = None,
    drain_seconds: float = 5,
    hears_the_bell: bool = True,
    redis_url: str | None = None,
) -> AsyncIterator[Running]:
    """A worker with all it needs. One that does not hear the bell listens to another installation's."""
    policy = TargetPolicy({"*": ("*",)})
    async with (
        following(platform.database_url, directory) as feed,
        platform.streams(redis_url, None if hears_the_bell else "elsewhere") as streams,
        contextlib.AsyncExitStack() as stack,
    ):
        sender = HttpSender(policy, SecretStore(directory, {}, lambda: feed.current.tenants))
        stack.push_async_callback(sender.close)
        sweeper = Sweeper(streams, lambda: feed.current.partitions(), 30)
        sweeper.start()
        stack.push_async_callback(sweeper.stop)
        running = Running(Worker(streams, feed, sender, limits or Limits()), drain_seconds)
        try:
            yield running
        finally:
            await running.drained()


@contextlib.contextmanager
def worker_process(platform: PushPlatform, directory: Path, **changes: str) -> "Iterator[subprocess.Popen[str]]":
    settings = {
        "DATABASE_URL": platform.database_url,
        "REDIS_URL": platform.redis_url,
        "REDIS_KEY_PREFIX": platform.keys.prefix,
        "MQOPS_STATE_DIR": str(directory),
        "MQOPS_PRIVATE_TARGETS": "*=*",
        "MQOPS_ACCEPT_RISK": "1",
        "PYTHONUNBUFFERED": "1",
        **changes,
    }
    process = subprocess.Popen([*MQOPS, "work"], env=environment(**settings), stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


class Gate:
    """A way to the Redis server that can be shut."""

    def __init__(self, redis_url: str) -> None:
        self._address = Address.parse(redis_url)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = free_port("127.0.0.1")
        self.url = f"redis://127.0.0.1:{self.port}/{self._address.database}"

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._pass_through, "127.0.0.1", self.port)

    async def shut(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _pass_through(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._address.path:
            there = await asyncio.open_unix_connection(self._address.path)
        else:
            there = await asyncio.open_connection(self._address.host, self._address.port)
        await asyncio.gather(self._copy(reader, there[1]), self._copy(there[0], writer))

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
        writer.close()
        self._writers.discard(writer)


class Slow:
    """Answers after a while; knows how many it has at once."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.at_once = 0
        self.most = 0

    async def __call__(self, request: web.Request) -> web.Response:
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        await asyncio.sleep(self.seconds)
        self.at_once -= 1
        return web.Response()


class OneAtATime:
    """Holds the first request until it is let go; answers every other at once."""

    def __init__(self) -> None:
        self.let_go = asyncio.Event()
        self.is_first = True

    async def __call__(self, request: web.Request) -> web.Response:
        if self.is_first:
            self.is_first = False
            await self.let_go.wait()
        return web.Response()


def attempts(receiver: Sink) -> list[tuple[str, str]]:
    return [(headers["webhook-id"], headers["mqops-attempt"]) for headers, _ in receiver.requests]
