"""The keys that the platform's auth service publishes: a JSON Web Key Set (RFC 7517), fetched beside the requests.

No request waits for a fetch. A token whose key is not known asks for one, and is answered that the key is not known
yet, until a fetch that began later has not brought it; fetches are ``CLOSEST_SECONDS`` apart, however many tokens with
made-up keys there are. With the service away, the keys of before go on being good.
"""

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp
import jwt

from mqops.access.tokens import SigningKey
from mqops.errors import ConnectionFailed, Unauthenticated

log = logging.getLogger(__name__)

REFRESH_SECONDS = 300.0
CLOSEST_SECONDS = 5.0
FIRST_SECONDS = 1.0
"""Between two fetches until one succeeds."""
_ANSWER_SECONDS = 5.0
_MOST_MISSED = 1_000
_MAX_BYTES = 1_048_576
_ALGORITHMS = frozenset({"RS256", "ES256", "EdDSA"})

_FAILURES = (aiohttp.ClientError, TimeoutError, OSError, ValueError, RecursionError)


class Jwks:
    """Follows the key set at ``url``."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._keys: Mapping[str | None, SigningKey] = {}
        self._published: Any = None
        """What the keys were made from, to tell a change."""
        self._fetched_at: float | None = None
        """When the fetch began that gave them."""
        self._missed: dict[str | None, float] = {}
        """Keys that tokens named and that are not there → since when they are asked for."""
        self._error: str | None = None
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._listeners: list[Callable[[], None]] = []

    def on_change(self, callback: Callable[[], None]) -> None:
        """See ``SigningKeys.on_change``."""
        self._listeners.append(callback)

    def find(self, kid: str | None) -> SigningKey:
        """See ``SigningKeys.find``. A token that names no key means the only one there is."""
        found = self._keys.get(kid)
        if found is not None:
            return found
        now, missed_at, fetched_at = time.monotonic(), self._missed.get(kid), self._fetched_at
        is_answered = missed_at is not None and fetched_at is not None and missed_at <= fetched_at
        if is_answered and fetched_at is not None and now - fetched_at < CLOSEST_SECONDS:
            raise Unauthenticated("the token is signed with a key that the auth service does not publish")
        if is_answered or missed_at is None:
            if len(self._missed) >= _MOST_MISSED:
                self._missed.clear()
            self._missed[kid] = now
        self._wake.set()
        raise ConnectionFailed("the key of the token is being asked for at the auth service", retry_after_seconds=1)

    async def start(self) -> None:
        """Begin to follow. This process does not wait for the other service."""
        self._task = asyncio.create_task(self._follow(), name="auth service's keys")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _follow(self) -> None:
        while True:
            self._wake.clear()
            await self._look()
            await asyncio.sleep(CLOSEST_SECONDS if self._fetched_at is not None else FIRST_SECONDS)
            if self._error is None:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(REFRESH_SECONDS - CLOSEST_SECONDS):
                        await self._wake.wait()

    async def _look(self) -> None:
        began_at = time.monotonic()
        try:
            published = await self._fetch()
            keys = _signing_keys(published)
        except _FAILURES as error:
            words = " ".join(str(error).split()) or type(error).__name__
            if self._error is None:
                log.warning("the auth service's keys cannot be fetched from %s: %s", self._url, words)
            self._error = words
            return
        if self._error is not None:
            log.info("the auth service's keys are fetched again")
        self._fetched_at, self._error = began_at, None
        if published != self._published:
            self._keys, self._published = keys, published
            log.info("the auth service has %d keys that tokens may be signed with", len(keys.keys() - {None}))
            for listener in self._listeners:
                listener()

    async def _fetch(self) -> Any:
        timeout = aiohttp.ClientTimeout(total=_ANSWER_SECONDS)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(self._url, allow_redirects=False, headers={"accept": "application/json"}) as answer,
        ):
            if answer.status != 200:
                raise ValueError(f"it answers {answer.status}")
            body = await answer.content.read(_MAX_BYTES + 1)
            while not answer.content.at_eof() and len(body) <= _MAX_BYTES:
                body += await answer.content.read(_MAX_BYTES + 1 - len(body))
        if len(body) > _MAX_BYTES:
            raise ValueError(f"it answers more than {_MAX_BYTES} bytes")
        return json.loads(body)


def _signing_keys(published: Any) -> dict[str | None, SigningKey]:
    """The keys by ``kid``; the only one, if there is but one, also by none. What is not for signatures as we take them
    is passed over. Raises ``ValueError`` for what is no key set."""
    entries = published.get("keys") if isinstance(published, dict) else None
    if not isinstance(entries, list):
        raise ValueError("it answers no key set")
    usable = [(entry.get("kid"), key) for entry in entries if (key := _signing_key(entry)) is not None]
    found: dict[str | None, SigningKey] = {kid: key for kid, key in usable if isinstance(kid, str)}
    if len(usable) == 1:
        found[None] = usable[0][1]
    return found


def _signing_key(entry: Any) -> SigningKey | None:
    if not isinstance(entry, dict) or entry.get("use", "sig") != "sig" or "d" in entry:
        return None
    try:
        key = jwt.PyJWK(entry)
    except (jwt.PyJWTError, TypeError, ValueError):
        return None
    return SigningKey(key.algorithm_name, key.key) if key.algorithm_name in _ALGORITHMS else None
