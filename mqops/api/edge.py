"""What every resource does at its edge: who calls, the body within its limit, and the answer."""

from collections.abc import Mapping
from typing import Any, TypeVar

import falcon
import falcon.asgi
import msgspec

from mqops.access import Access, Caller
from mqops.errors import InvalidRequest, PayloadTooLarge, SerializationFailed

MAX_BODY_BYTES = 10 * 1024 * 1024

AUTHORIZATION = b"authorization"
SERVICE_TOKEN = b"x-service-token"
TENANT_HEADER = b"x-mqops-tenant"

_T = TypeVar("_T")

Headers = Mapping[bytes, bytes]
Response = falcon.asgi.Response


class Request(falcon.asgi.Request):
    """A request whose headers and body are at hand as they came."""

    @property
    def raw_headers(self) -> Headers:
        """By name, in lower case."""
        return self._asgi_headers

    @property
    def host(self) -> str:
        """The address of whoever sends it; empty where there is none, as on a unix socket."""
        client = self.scope.get("client")
        return client[0] if client else ""

    @property
    def whole_body(self) -> bytes | None:
        """The body, when its first piece is the whole, as it mostly is; else it is to be read from the stream."""
        first = self._first_event
        return None if first is None or first.get("more_body") else first.get("body", b"")

    async def gone(self) -> None:
        """Returns when the client has gone away. To be called when the body has been read."""
        while (await self._receive())["type"] != "http.disconnect":
            pass


def header_of(headers: Headers, name: bytes) -> str | None:
    """The value of the header ``name`` (in lower case)."""
    value = headers.get(name)
    return None if value is None else value.decode("latin-1")


def caller_of(access: Access, req: Request) -> Caller:
    """Who sent ``req``, acting in which tenant. Raises as ``Access.caller``."""
    return sender_of(access, req.raw_headers, req.host)


def sender_of(access: Access, headers: Headers, host: str) -> Caller:
    """Who sent a request with ``headers`` from ``host``: a service, when both kinds of credential are there (it may
    hand on its user's). Raises as ``Access.caller``."""
    tenant = header_of(headers, TENANT_HEADER) or None
    if SERVICE_TOKEN in headers:
        return access.service(headers[SERVICE_TOKEN].decode("latin-1"), tenant, host)
    return access.caller(header_of(headers, AUTHORIZATION), tenant, host)


async def read_body(req: Request) -> bytes:
    """The whole body, of either kind of framing. Raises ``PayloadTooLarge`` before reading more than the limit."""
    whole = req.whole_body
    if whole is not None:
        return _within_limit(whole)
    announced = req.content_length
    if announced is not None and announced > MAX_BODY_BYTES:
        raise _too_large()
    return _within_limit(await req.stream.read(MAX_BODY_BYTES + 1))


def _within_limit(body: bytes) -> bytes:
    if len(body) > MAX_BODY_BYTES:
        raise _too_large()
    return body


def _too_large() -> PayloadTooLarge:
    return PayloadTooLarge(f"a request has at most {MAX_BODY_BYTES} bytes", limitBytes=MAX_BODY_BYTES)


def decode(decoder: "msgspec.json.Decoder[_T]", body: bytes) -> _T:
    """The request that ``body`` holds. Raises ``SerializationFailed`` for what is not JSON, and ``InvalidRequest``
    for what is not the request that ``decoder`` reads, naming the field."""
    try:
        if not body.isascii():
            body.decode()
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise InvalidRequest(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SerializationFailed(f"the body is not JSON: {error}") from error
    except RecursionError as error:
        raise SerializationFailed("the body is nested too deeply") from error


def write_json(resp: Response, body: Any, status: int = 200) -> None:
    """Answer with ``body``, a value or JSON text."""
    resp.status = status
    resp.content_type = falcon.MEDIA_JSON
    resp.data = body if isinstance(body, bytes) else msgspec.json.encode(body)
