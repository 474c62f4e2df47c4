"""What every resource does at its edge: who calls, the body within its limit, and the answer."""

from typing import Any, TypeVar

import falcon
import falcon.asgi
import msgspec

from mqops.access import Access, Caller
from mqops.errors import InvalidRequest, PayloadTooLarge, SerializationFailed

MAX_BODY_BYTES = 10 * 1024 * 1024

TENANT_HEADER = "X-Mqops-Tenant"

_T = TypeVar("_T")

Response = falcon.asgi.Response


class Request(falcon.asgi.Request):
    """A request with the first piece of its body at hand: mostly it is the whole, and needs no stream to be read."""

    def __init__(
        self,
        scope: dict[str, Any],
        receive: Any,
        first_event: dict[str, Any] | None = None,
        options: falcon.RequestOptions | None = None,
    ) -> None:
        super().__init__(scope, receive, first_event, options)
        self.first_event = first_event or {}


def caller_of(access: Access, req: Request) -> Caller:
    """Who sent ``req``, acting in which tenant. Raises as ``Access.caller``."""
    return access.caller(req.get_header("Authorization"), req.get_header(TENANT_HEADER) or None)


async def read_body(req: Request) -> bytes:
    """The whole body, of either kind of framing. Raises ``PayloadTooLarge`` before reading more than the limit."""
    if not req.first_event.get("more_body"):
        return _within_limit(req.first_event.get("body", b""))
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
