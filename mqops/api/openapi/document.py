"""Puts the description together."""

from collections.abc import Iterable, Mapping
from functools import cache

from mqops.api.errors import status_of
from mqops.api.management.page import DEFAULT_LIMIT, DEFAULT_SORT, MAX_LIMIT, ORDERS
from mqops.api.openapi.operations import Operation, operations
from mqops.api.openapi.schemas import TEXT, Schema, reference, schemas
from mqops.api.peek import DEFAULT_MESSAGES, MAX_MESSAGES
from mqops.api.stream import DEFAULT_UNACKED, MAX_FOR_MS, MAX_UNACKED
from mqops.errors import MqopsError

_DRY: Schema = {"type": "string", "enum": ["true", "false"], "default": "false"}

_SOME_TEXT: Schema = {**TEXT, "minLength": 1}

PARAMETERS: Mapping[str, tuple[str, str, Schema]] = {
    "name": ("path", "A name or uid.", TEXT),
    "id": ("path", "The id of a message, or of a dead letter.", TEXT),
    "reason": ("query", "Why it failed.", _SOME_TEXT),
    "originalTopic": ("query", "Where it comes from; of another tenant with it in front: tenant/name.", _SOME_TEXT),
    "subscription": ("query", "That failed: its name now or then, or its uid.", _SOME_TEXT),
    "key": ("query", "Its key.", TEXT),
    "since": ("query", "It failed then or later.", {**TEXT, "format": "date-time"}),
    "until": ("query", "It failed before.", {**TEXT, "format": "date-time"}),
    "after": ("query", "The cursor of an earlier answer, or latest.", TEXT),
    "max": (
        "query",
        "How many messages.",
        {"type": "integer", "minimum": 1, "maximum": MAX_MESSAGES, "default": DEFAULT_MESSAGES},
    ),
    "maxUnacked": (
        "query",
        "How many messages may be out at a time, handed over and not settled.",
        {"type": "integer", "minimum": 1, "maximum": MAX_UNACKED, "default": DEFAULT_UNACKED},
    ),
    "forMs": (
        "query",
        "End the stream after so many milliseconds.",
        {"type": "integer", "minimum": 1, "maximum": MAX_FOR_MS},
    ),
    "topicTenant": ("query", "The tenant of another's public topic.", TEXT),
    "limit": (
        "query",
        "Entries of a page.",
        {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
    ),
    "cursor": ("query", "The cursor of the answer before.", TEXT),
    "labelSelector": ("query", "Conditions that all have to hold: team=checkout,stage!=test.", TEXT),
    "sort": (
        "query",
        "A - turns the order round.",
        {"type": "string", "enum": [f"{sign}{name}" for name in ORDERS for sign in ("", "-")], "default": DEFAULT_SORT},
    ),
    "dryRun": ("query", "Whether to answer the plan and change nothing.", _DRY),
    "allowDataLoss": ("query", "Whether unfinished messages may be lost.", _DRY),
    "unprotect": ("query", "Whether to delete although it is protected.", _DRY),
    "If-Match": ("header", "ETags: the change is made in one of these states only.", TEXT),
    "If-None-Match": ("header", "ETags: 304 while the resource is in one of these states.", TEXT),
    "Idempotency-Key": ("header", "Publishing again with it stores nothing twice.", {**TEXT, "maxLength": 255}),
    "X-Correlation-Id": ("header", "Handed on with messages that name none.", {**TEXT, "maxLength": 255}),
    "traceparent": ("header", "W3C trace context.", TEXT),
    "tracestate": ("header", "W3C trace context.", TEXT),
    "Mqops-Key": ("header", "The key of a body that is a message.", {**TEXT, "minLength": 1, "maxLength": 1024}),
    "Mqops-Partition": ("header", "Its partition.", {"type": "integer", "minimum": 0}),
    "Mqops-Timestamp": ("header", "When it happened: milliseconds since 1970, or RFC 3339.", TEXT),
    "Mqops-Ttl": ("header", "Its ttlMs.", {"type": "integer", "minimum": 1}),
    "Mqops-Expires-At": ("header", "When it expires: milliseconds since 1970, or RFC 3339.", TEXT),
    "Mqops-Acks": ("header", "options.acks of a body that is a message.", {"enum": ["0", "1", "all"]}),
    "Mqops-Timeout": ("header", "options.timeout of it.", {"type": "integer", "minimum": 1}),
    "X-Mqops-Tenant": ("header", "The tenant to act in, for principals of the tenant system.", TEXT),
}


@cache
def description() -> Schema:
    """The whole of it."""
    paths: dict[str, Schema] = {}
    for operation in operations():
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "mqops",
            "version": "1",
            "summary": "Messaging, configured by commits.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer"},
                "service": {"type": "apiKey", "in": "header", "name": "X-Service-Token"},
            },
            "parameters": {name: _parameter(name) for name in PARAMETERS},
            "responses": _responses(),
            "schemas": dict(sorted(schemas().items())),
        },
    }


def _operation(operation: Operation) -> Schema:
    names = operation.parameters if operation.is_open else (*operation.parameters, "X-Mqops-Tenant")
    names = (*(name for name in ("name", "id") if f"{{{name}}}" in operation.path), *names)
    parameters = [{"$ref": f"#/components/parameters/{name}"} for name in names]
    described: Schema = {
        "operationId": _operation_id(operation),
        "summary": operation.summary,
        "tags": [operation.tag],
        "security": [{}] if operation.is_open else [{"key": []}, {"service": []}],
        "parameters": parameters,
    }
    if operation.body:
        described["requestBody"] = {
            "required": operation.body not in ("PullBody", "PauseBody"),
            "content": {**_content(operation.body), **(_AS_THEY_ARE if operation.body == "TopicBody" else {})},
        }
    described["responses"] = {**_answers(operation), **_errors(operation.errors)}
    return described


def _operation_id(operation: Operation) -> str:
    words = (
        operation.path.removeprefix("/api/v1")
        .replace("{name}", "one")
        .replace("{id}", "one")
        .strip("/")
        .replace(".", "/")
        .split("/")
    )
    return "_".join((operation.method.lower(), *words))


def _parameter(name: str) -> Schema:
    place, about, schema = PARAMETERS[name]
    required = {"required": True} if place == "path" else {}
    return {"name": name, "in": place, **required, "description": about, "schema": schema}


def _answers(operation: Operation) -> Schema:
    answers: Schema = {}
    for status, schema in operation.answers.items():
        answer: Schema = {"description": _MEANINGS[status]}
        if schema:
            answer["content"] = _content(schema, operation.media_type)
        headers = {name: {"schema": TEXT} for name in operation.headers if name != "Location" or status == 201}
        if headers and not (operation.method == "POST" and schema == "Plan"):
            answer["headers"] = headers
        answers[str(status)] = answer
    return answers


_MEANINGS = {
    200: "It is so.",
    201: "Created.",
    202: "On its way; what becomes of it is not told (acks 0).",
    207: "Some are stored, some are not.",
    304: "Nothing has changed.",
    503: "Down.",
}


def _errors(errors: Iterable[type[MqopsError]]) -> Schema:
    return {
        str(status): {"$ref": f"#/components/responses/{_response_name(codes)}"}
        for status, codes in _codes(errors).items()
    }


def _codes(errors: Iterable[type[MqopsError]]) -> dict[int, tuple[str, ...]]:
    """Status → the codes that come with it."""
    found = {(status_of(kind("")), kind.code) for kind in errors}
    return {
        status: tuple(sorted(code for known, code in found if known == status))
        for status in sorted({status for status, _ in found})
    }


def _response_name(codes: Iterable[str]) -> str:
    return ".".join(codes)


def _responses() -> Schema:
    every = {codes for operation in operations() for codes in _codes(operation.errors).values()}
    return {_response_name(codes): _error(codes) for codes in sorted(every)}


def _error(codes: Iterable[str]) -> Schema:
    schema = {"allOf": [reference("Error"), {"properties": {"code": {"enum": list(codes)}}}]}
    return {"description": " or ".join(codes), "content": {"application/json": {"schema": schema}}}


_AS_THEY_ARE: Schema = {
    "application/cloudevents+json": {"schema": reference("CloudEvent")},
    "application/cloudevents-batch+json": {"schema": {"type": "array", "items": reference("CloudEvent")}},
    "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
    "text/plain": {"schema": TEXT},
}
"""What is a message, or events, and does not describe any. Every other type is taken like the last two."""


def _content(schema: str, media_type: str = "application/json") -> Schema:
    return {media_type: {"schema": reference(schema)}}
