"""One connection to a Redis-protocol server, kept up, with replies in the order of the requests.

Requests of any number of tasks share it; nothing is sent twice by it. A caller learns which of three things happened:
a reply, ``NotSent`` (the server was away: nothing was written), or ``ConnectionLost`` (written, but no reply came, so
it may have been carried out). Protocol: RESP2, https://redis.io/docs/latest/develop/reference/protocol-spec/.
"""

import asyncio
import contextlib
import logging
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import parse_qs, unquote, urlsplit

import hiredis

from mqops.errors import ConfigurationError
from mqops.lua import Script

log = logging.getLogger(__name__)

REPLY_TIMEOUT_SECONDS = 5.0
RECONNECT_SECONDS = (0.05, 0.1, 0.2, 0.5, 1.0)

Argument = str | int | float | bytes | memoryview
ReplyError = hiredis.ReplyError


class NotSent(Exception):
    """The server is away; nothing was written."""


class ConnectionLost(Exception):
    """The connection broke after the request was written; it may have been carried out."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where the server is and how to sign in, from a ``redis://``, ``rediss://`` or ``unix://`` URL."""

    host: str = "localhost"
    port: int = 6379
    path: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    database: int = 0
    tls: bool = False

    @classmethod
    def parse(cls, url: str) -> "Address":
        """Raises ``ConfigurationError`` for a URL of another kind, without repeating its password."""
        parts = urlsplit(url)
        if parts.scheme not in {"redis", "rediss", "unix"}:
            raise ConfigurationError(
                f"REDIS_URL begins with {parts.scheme}://: expected redis://, rediss:// or unix://"
            )
        database = parse_qs(parts.query).get("db", [parts.path.strip("/") if parts.scheme != "unix" else "0"])[0] or "0"
        if not database.isdecimal():
            raise ConfigurationError(f"REDIS_URL names the database {database!r}: expected a number")
        return cls(
            host=parts.hostname or "localhost",
            port=parts.port or 6379,
            path=unquote(parts.path) if parts.scheme == "unix" else None,
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            database=int(database),
            tls=parts.scheme == "rediss",
        )

    def __str__(self) -> str:
        return self.path or f"{self.host}:{self.port}"


class _Wire(asyncio.Protocol):
    """The transport's side of a ``Connection``: bytes in, replies out."""

    def __init__(self, on_reply: Callable[[Any], None], on_lost: Callable[["_Wire", Exception | None], None]) -> None:
        self._reader = hiredis.Reader(notEnoughData=_Wire)
        self._on_reply = on_reply
        self._on_lost = on_lost
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's are not instances of it

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        try:
            while (reply := self._reader.gets()) is not _Wire:
                self._on_reply(reply)
        except hiredis.ProtocolError as error:
            log.warning("the Redis server sent what is not its protocol: %s", error)
            if self.transport is not None:
                self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._on_lost(self, exc)


class Connection:
    """A connection that comes back by itself. ``name`` is what CLIENT LIST shows."""

    def __init__(self, address: Address, name: str, scripts: Sequence[Script] = ()) -> None:
        self._address = address
        self._name = name
        self._scripts = tuple(scripts)
        self._wire: _Wire | None = None
        self._pending: deque[asyncio.Future[Any]] = deque()
        self._is_up = asyncio.Event()
        self._lost = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self.on_message: Callable[[str, str], None] | None = None
        """Called for each message of a subscribed channel."""
        self.on_up: Callable[[], None] | None = None
        """Called after each (re)connect."""
        self._channels: tuple[str, ...] = ()
        self.down_because = "not connected yet"

    @property
    def is_up(self) -> bool:
        return self._is_up.is_set()

    async def start(self, *channels: str, patience_seconds: float = 1.0) -> None:
        """Connect and stay connected; returns once connected, or after ``patience_seconds`` without success."""
        self._channels = channels
        self._keeper = asyncio.create_task(self._keep_up(), name=f"redis {self._name}")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._is_up.wait(), patience_seconds)

    async def stop(self) -> None:
        """Close; what is still pending counts as lost."""
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        if self._wire is not None and self._wire.transport is not None:
            self._wire.transport.close()
        self._disconnected(self._wire, None)

    def send(self, *arguments: Argument) -> asyncio.Future[Any]:
        """Write one request now; the future gives its reply, or raises ``ReplyError`` or ``ConnectionLost``.
        Raises ``NotSent`` at once when the server is away."""
        if self._wire is None or not self._is_up.is_set():
            raise NotSent(f"the Redis server at {self._address} is away: {self.down_because}")
        return self._write(self._wire, arguments)

    async def call(self, *arguments: Argument) -> Any:
        """``send`` and wait."""
        return await self.send(*arguments)

    async def run(self, script: Script, *arguments: Argument) -> Any:
        """Run a script with one key, ``arguments[0]``; a server that forgot its scripts gets them again."""
        try:
            return await self.send("EVALSHA", script.sha, 1, *arguments)
        except ReplyError as error:
            if not str(error).startswith("NOSCRIPT"):
                raise
        return await self.send("EVAL", script.source, 1, *arguments)

    def _write(self, wire: _Wire, arguments: Sequence[Argument]) -> asyncio.Future[Any]:
        assert wire.transport is not None
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._pending.append(future)
        packed = hiredis.pack_command(tuple(arguments))  # type: ignore[arg-type]  # declared as a tuple of one
        wire.transport.write(packed)
        return future

    def _received(self, reply: Any) -> None:
        if self._channels and isinstance(reply, list) and reply and reply[0] == b"message":
            if self.on_message is not None:
                self.on_message(reply[1].decode(), reply[2].decode())
            return
        if not self._pending:
            return
        future = self._pending.popleft()
        if future.done():
            return
        if isinstance(reply, hiredis.ReplyError):
            future.set_exception(reply)
        else:
            future.set_result(reply)

    def _disconnected(self, wire: _Wire | None, error: Exception | None) -> None:
        if wire is not self._wire:
            return
        self._wire = None
        self._is_up.clear()
        self._lost.set()
        self.down_because = _reason(error) if error else "the connection was closed"
        pending, self._pending = self._pending, deque()
        for future in pending:
            if not future.done():
                future.set_exception(ConnectionLost(f"the Redis server at {self._address}: {self.down_because}"))
                future.exception()  # a caller that gave up does not read it: that is no news

    async def _keep_up(self) -> None:
        attempt = 0
        while True:
            try:
                await self._connect()
                attempt = 0
                await self._watch()
            except (OSError, ReplyError, ConnectionLost, TimeoutError) as error:
                self.down_because = _reason(error)
                if self._wire is not None and self._wire.transport is not None:
                    self._wire.transport.abort()
                self._disconnected(self._wire, error)
            await asyncio.sleep(RECONNECT_SECONDS[min(attempt, len(RECONNECT_SECONDS) - 1)])
            attempt += 1

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        address = self._address
        wire = _Wire(self._received, self._disconnected)
        self._lost.clear()
        async with asyncio.timeout(REPLY_TIMEOUT_SECONDS):
            if address.path is not None:
                await loop.create_unix_connection(lambda: wire, address.path)
            else:
                context = ssl.create_default_context() if address.tls else None
                await loop.create_connection(lambda: wire, address.host, address.port, ssl=context)
            self._wire = wire
            await self._greet(wire)
        self._is_up.set()
        if self.on_up is not None:
            self.on_up()

    async def _greet(self, wire: _Wire) -> None:
        address = self._address
        if address.password is not None:
            user = (address.username,) if address.username else ()
            await self._write(wire, ("AUTH", *user, address.password))
        if address.database:
            await self._write(wire, ("SELECT", address.database))
        await self._write(wire, ("CLIENT", "SETNAME", f"mqops:{self._name}"))
        # A server that is loading, or a replica, is not one to publish to yet: PING tells before anyone is let in.
        await self._write(wire, ("PING",))
        for script in self._scripts:
            await self._write(wire, ("SCRIPT", "LOAD", script.source))
        for channel in self._channels:
            await self._write(wire, ("SUBSCRIBE", channel))

    async def _watch(self) -> None:
        """Until the connection is lost: a request that waits too long for its reply ends the connection."""
        while not self._lost.is_set():
            oldest = self._pending[0] if self._pending else None
            if oldest is None and self._is_quiet():
                self._write_ping()
                oldest = self._pending[0] if self._pending else None
            # Not `wait_for`: until Python 3.12 it loses a cancellation that comes with what it waits for.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(REPLY_TIMEOUT_SECONDS):
                    await self._lost.wait()
            if oldest is not None and self._pending and self._pending[0] is oldest:
                raise ConnectionLost(f"no reply within {REPLY_TIMEOUT_SECONDS:g} s")

    def _is_quiet(self) -> bool:
        return self._wire is not None and not self._channels

    def _write_ping(self) -> None:
        if self._wire is not None:
            self._write(self._wire, ("PING",)).add_done_callback(ignore)


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"it does not answer within {REPLY_TIMEOUT_SECONDS:g} s"
    return str(error) or type(error).__name__


def ignore(reply: asyncio.Future[Any]) -> None:
    """Reads a reply that nobody waits for, so that its failure is not reported as unseen."""
    if not reply.cancelled():
        reply.exception()
