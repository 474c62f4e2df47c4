"""The webhook handler: one POST a message, carrying the payload's exact bytes.

Never follows redirects, keeps no cookies, uses no proxy from the environment, and does not unpack what receivers
compress. A process has one ``HttpSender``; its connections are pooled per allowance (see ``targets``).
"""

import asyncio
import contextlib
import re
import time

import aiohttp
from yarl import URL

from mqops.durations import format_duration
from mqops.handlers.answer import outcome_of
from mqops.handlers.invocation import Invocation
from mqops.handlers.outcome import Failed, Outcome
from mqops.handlers.secrets import SecretStore, SecretUnavailable
from mqops.handlers.signature import signing_key
from mqops.handlers.targets import Allowance, TargetPolicy, guarded_socket_factory
from mqops.handlers.webhook import webhook_headers
from mqops.model import HttpHandler, SecretReference

EXCERPT_BYTES = 1024
"""How much of a failing answer is kept with the dead letter."""
DRAIN_BYTES = 65_536
"""How much of an answer's body is read, so that its connection can be used again; past it the connection is closed."""
_DRAIN_SECONDS = 1.0
"""How long a body is waited for, once the status has decided."""
_EVERYTHING = Allowance(everything=True)


class HttpSender:
    """Posts messages. ``open`` it within the running loop and ``close`` it before the loop ends."""

    def __init__(self, policy: TargetPolicy, secrets: SecretStore) -> None:
        self._policy = policy
        self._secrets = secrets
        self._sessions: dict[Allowance, aiohttp.ClientSession] = {}

    async def close(self) -> None:
        """Closes the connections."""
        sessions, self._sessions = list(self._sessions.values()), {}
        for session in sessions:
            await session.close()

    async def send(self, handler: HttpHandler, invocation: Invocation, timeout_ms: int) -> Outcome:
        """One attempt. Whatever goes wrong with it is an outcome; only cancellation passes through."""
        try:
            key = self._signing_key(invocation.tenant, handler.signing_secret)
        except SecretUnavailable as error:
            return Failed(str(error))
        headers = webhook_headers(invocation, handler.headers, int(time.time()), key)
        try:
            url = URL(handler.url)
            session = self._session(invocation.tenant, url)
            async with asyncio.timeout(timeout_ms / 1000):
                response = await session.post(
                    url, data=invocation.delivery.payload, headers=headers, allow_redirects=False
                )
            async with response:
                return await _outcome(response)
        except TimeoutError:
            return Failed(f"no answer within {format_duration(timeout_ms)}")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Failed(_brief(error))

    def _signing_key(self, tenant: str, reference: SecretReference | None) -> bytes | None:
        if reference is None:
            return None
        try:
            return signing_key(self._secrets.resolve(tenant, reference))
        except ValueError as error:
            name = reference.env or f"{tenant}/{reference.file}"
            raise SecretUnavailable(f"secret {name} cannot sign: {error}") from error

    def _session(self, tenant: str, url: URL) -> aiohttp.ClientSession:
        """The session whose connections this tenant may use to reach ``url``."""
        allowance = self._policy.allowance(tenant)
        if allowance.permits_name(url.raw_host or "", url.port or 0):
            return self._session_for(_EVERYTHING)
        # Only addresses count from here on, so tenants that differ in allowed names alone share connections.
        return self._session_for(Allowance(addresses=allowance.addresses))

    def _session_for(self, allowance: Allowance) -> aiohttp.ClientSession:
        session = self._sessions.get(allowance)
        if session is None:
            # No limits here: the worker bounds what is in flight.
            connector = aiohttp.TCPConnector(limit=0, socket_factory=guarded_socket_factory(allowance))
            session = self._sessions[allowance] = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
                auto_decompress=False,
                trust_env=False,
            )
        return session


async def _outcome(response: aiohttp.ClientResponse) -> Outcome:
    body = await _read_body(response)
    retry_after = response.headers.get("retry-after")
    excerpt = "" if response.status < 300 else _excerpt(body, response.headers.get("content-encoding", "identity"))
    return outcome_of(response.status, response.reason or "", retry_after, excerpt, time.time())


async def _read_body(response: aiohttp.ClientResponse) -> bytes:
    """The beginning of the body. The status has decided already: a body that does not come changes nothing."""
    if response.content.is_eof():  # the usual case: it came along with the status
        return response.content.read_nowait(EXCERPT_BYTES)
    body = bytearray()
    with contextlib.suppress(TimeoutError, aiohttp.ClientError, OSError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            while len(body) < DRAIN_BYTES and (chunk := await response.content.readany()):
                body += chunk
    return bytes(body[:EXCERPT_BYTES])


def _excerpt(body: bytes, encoding: str) -> str:
    """The body as one line of text; what is compressed against our wish stays closed."""
    if body and encoding.lower() != "identity":
        return f"({len(body)} bytes or more, {encoding})"
    return re.sub(r"[\x00-\x20\x7f-\x9f]+", " ", body.decode("utf-8", "replace")).strip()


def _brief(error: Exception) -> str:
    """Why no answer came. Names the host at most: a URL's path and query may hold secrets."""
    match error:
        case aiohttp.ClientConnectorDNSError():
            return f"host name {error.host} could not be resolved"
        case aiohttp.ClientConnectorCertificateError():
            return f"the certificate of {error.host}:{error.port} is not accepted: {error.certificate_error}"
        case aiohttp.ClientConnectorError():
            reason = error.os_error.strerror or str(error.os_error)
            return f"cannot connect to {error.host}:{error.port}: {reason}"
        case aiohttp.ServerDisconnectedError():
            return "the connection was closed before an answer came"
        case aiohttp.ClientOSError():
            return f"the connection was lost: {error.strerror or type(error).__name__}"
        case aiohttp.InvalidURL():
            return "the URL is not valid"
        case aiohttp.ClientResponseError() | aiohttp.ClientPayloadError():
            return "the answer is not valid HTTP"
        case _:
            return f"the request could not be sent: {type(error).__name__}"
