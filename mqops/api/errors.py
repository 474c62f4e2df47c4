"""The one place where an error becomes an answer: status, and the body ``{code, message, details?, retryAfter?}``."""

import contextlib
import http
import logging
import math
import uuid
from typing import Any

import falcon
import falcon.asgi
import msgspec

from mqops.errors import (
    BrokerNotAvailable,
    Conflict,
    ConnectionFailed,
    ConsumerFailed,
    Forbidden,
    IdempotencyConflict,
    InvalidManifests,
    InvalidRequest,
    MqopsError,
    NotFound,
    PayloadTooLarge,
    PreconditionFailed,
    PublishFailed,
    QuotaExceeded,
    TooManyFailures,
    Unauthenticated,
)

log = logging.getLogger(__name__)

_STATUS: dict[type[MqopsError], int] = {
    InvalidRequest: 400,
    PayloadTooLarge: 413,
    InvalidManifests: 422,
    Unauthenticated: 401,
    TooManyFailures: 429,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    PreconditionFailed: 412,
    IdempotencyConflict: 422,
    QuotaExceeded: 429,
    PublishFailed: 503,
    ConsumerFailed: 503,
    ConnectionFailed: 503,
    BrokerNotAvailable: 503,
    MqopsError: 500,
}
"""An error has the status of the nearest class of its own that stands here."""

_CODES = {400: "INVALID_REQUEST", 404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED", 413: "PAYLOAD_TOO_LARGE"}
"""Of what the framework refuses before a resource sees it."""


_CLOSED_WITH = 4000


class Answer(msgspec.Struct, frozen=True):
    """A whole answer; its body is JSON."""

    status: int
    body: bytes
    headers: dict[str, str] = {}
    """Beside content type and length; names in lower case."""


def status_of(error: MqopsError) -> int:
    """The HTTP status of ``error``."""
    return next(_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)


def body_of(error: MqopsError) -> dict[str, Any]:
    """The error body of ``error``; also what one message's result says in an answer about several."""
    body: dict[str, Any] = {"code": error.code, "message": error.message}
    if error.details:
        body["details"] = error.details
    if error.retry_after_seconds is not None:
        body["retryAfter"] = error.retry_after_seconds
    return body


def answer_errors(app: "falcon.asgi.App[Any, Any]") -> None:
    """Have every error of ``app`` answered as here."""
    app.add_error_handler(Exception, _on_error)
    app.add_error_handler(falcon.HTTPError, _on_refusal)


def answer_of(error: Exception, asked: str) -> Answer:
    """The whole answer that ``error`` becomes. One that is no ``MqopsError`` is a defect of ours: it is logged with
    what was ``asked``, and the caller gets nothing but the number to ask about."""
    if not isinstance(error, MqopsError):
        request_id = str(uuid.uuid4())
        log.error("request %s failed: %s", request_id, asked, exc_info=error)
        message = "an internal error; the log tells more about this request id"
        defect = {"code": MqopsError.code, "message": message, "details": {"requestId": request_id}}
        return Answer(500, msgspec.json.encode(defect))
    headers = {}
    if isinstance(error, Unauthenticated):
        headers["www-authenticate"] = "Bearer"
    if error.retry_after_seconds is not None:
        headers["retry-after"] = str(math.ceil(error.retry_after_seconds))
    return Answer(status_of(error), msgspec.json.encode(body_of(error)), headers)


async def _on_error(
    req: falcon.asgi.Request,
    resp: falcon.asgi.Response | None,
    error: Any,
    params: dict[str, Any],
    ws: falcon.asgi.WebSocket | None = None,
) -> None:
    await _write(resp, ws, answer_of(error, f"{req.method} {req.path}"))


async def _on_refusal(
    req: falcon.asgi.Request,
    resp: falcon.asgi.Response | None,
    error: Any,
    params: dict[str, Any],
    ws: falcon.asgi.WebSocket | None = None,
) -> None:
    """What the framework refuses by itself: no such path, no such method."""
    status = error.status_code
    code = _CODES.get(status, http.HTTPStatus(status).name)
    message = error.description or f"{http.HTTPStatus(status).phrase}: {req.method} {req.path}"
    headers = error.headers.items() if isinstance(error.headers, dict) else error.headers or ()
    body = msgspec.json.encode({"code": code, "message": message})
    await _write(resp, ws, Answer(status, body, {name.lower(): value for name, value in headers}))


async def _write(resp: falcon.asgi.Response | None, ws: falcon.asgi.WebSocket | None, answer: Answer) -> None:
    if ws is not None:
        await _end_conversation(ws, answer)
    if resp is None:
        return
    resp.status = answer.status
    resp.content_type = falcon.MEDIA_JSON
    resp.data = answer.body
    resp.set_headers(answer.headers)


async def _end_conversation(ws: falcon.asgi.WebSocket, answer: Answer) -> None:
    """What HTTP says with a status is said with a text and a code to close with: clients in browsers are not told how
    an upgrade was refused."""
    with contextlib.suppress(falcon.WebSocketDisconnected):
        if ws.unaccepted:
            await ws.accept()
        if not ws.closed:
            await ws.send_text('{"type":"error",' + answer.body.decode()[1:])
            await ws.close(_CLOSED_WITH + answer.status)
