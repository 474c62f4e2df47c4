"""Errors become answers in one place."""

import asyncio
import json
import logging
from typing import Any

import falcon.asgi
import pytest
from falcon import testing

from mqops import errors
from mqops.api.errors import answer_errors, status_of


def _subclasses(kind: type[errors.MqopsError]) -> list[type[errors.MqopsError]]:
    return [kind, *(below for child in kind.__subclasses__() for below in _subclasses(child))]


ALL = [kind for kind in _subclasses(errors.MqopsError) if kind.__module__ == "mqops.errors"]


def answer_to(error: Exception) -> Any:
    class Resource:
        async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
            raise error

    app = falcon.asgi.App()
    app.add_route("/", Resource())
    answer_errors(app)
    return testing.TestClient(app).simulate_get("/")


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_error_has_the_body_of_requirements_section_e(kind: type[errors.MqopsError]) -> None:
    answer = answer_to(kind("it went wrong", retry_after_seconds=1.2, limit=5))
    assert answer.status_code == status_of(kind("x"))
    assert answer.json == {
        "code": kind.code,
        "message": "it went wrong",
        "details": {"limit": 5},
        "retryAfter": 1.2,
    }
    assert answer.headers["retry-after"] == "2"


def test_what_there_is_nothing_to_say_about_is_left_out() -> None:
    answer = answer_to(errors.TopicNotFound("there is no topic 'x'"))
    assert answer.json == {"code": "TOPIC_NOT_FOUND", "message": "there is no topic 'x'"}
    assert "retry-after" not in answer.headers


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (errors.InvalidRequest, 400),
        (errors.SerializationFailed, 400),
        (errors.PayloadTooLarge, 413),
        (errors.Unauthenticated, 401),
        (errors.Forbidden, 403),
        (errors.QueueNotFound, 404),
        (errors.Conflict, 409),
        (errors.IdempotencyConflict, 422),
        (errors.QuotaExceeded, 429),
        (errors.BrokerNotAvailable, 503),
        (errors.OutcomeUnknown, 503),
    ],
)
def test_the_status_is_that_of_the_nearest_kind(kind: type[errors.MqopsError], status: int) -> None:
    assert status_of(kind("x")) == status


def test_a_defect_is_logged_and_its_caller_gets_a_number_alone(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        answer = answer_to(RuntimeError("the password is hunter2"))
    assert answer.status_code == 500
    assert answer.json["code"] == "INTERNAL_ERROR"
    assert "hunter2" not in answer.text
    assert answer.json["details"]["requestId"] in caplog.text
    assert "hunter2" in caplog.text


def test_a_cancelled_request_is_no_defect() -> None:
    """A drain that runs out cancels requests: they must end without an answer, not with one."""

    class Resource:
        async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
            raise asyncio.CancelledError

    app = falcon.asgi.App()
    app.add_route("/", Resource())
    answer_errors(app)
    sent: list[dict[str, Any]] = []

    async def scenario() -> None:
        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        scope = testing.create_scope(path="/")
        with pytest.raises(asyncio.CancelledError):
            await app(scope, receive, send)

    asyncio.run(scenario())
    assert sent == []


def test_an_error_body_is_json_whatever_the_name_that_was_asked_for() -> None:
    answer = answer_to(errors.TopicNotFound("there is no topic '\u20ac\"\n\udc80'".encode(errors="replace").decode()))
    assert json.loads(answer.text)["code"] == "TOPIC_NOT_FOUND"
