"""Puts the description together."""

import copy
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, get_args, get_type_hints

import msgspec
from pydantic import TypeAdapter
from pydantic.json_schema import models_json_schema

from mqops.api.errors import status_of
from mqops.api.management.operate import PauseBody
from mqops.api.management.page import DEFAULT_LIMIT, DEFAULT_SORT, MAX_LIMIT, ORDERS
from mqops.api.management.plans import PlansBody
from mqops.api.message_json import MessageJson
from mqops.api.openapi.operations import Operation, operations
from mqops.api.peek import DEFAULT_MESSAGES, MAX_MESSAGES
from mqops.api.publish_body import NamingBody, TopicBody
from mqops.api.pull import PullBody
from mqops.api.settle import SettleBody
from mqops.errors import MqopsError
from mqops.model import KINDS, Kind, TenantlessMetadata
from mqops.status import Reason

Schema = dict[str, Any]

_REFERENCE = "#/components/schemas/"
_TEXT: Schema = {"type": "string"}
_NUMBER: Schema = {"type": "integer"}
_SECONDS: Schema = {"type": "number", "description": "Seconds."}
_TEXTS: Schema = {"type": "object", "additionalProperties": _TEXT}
_TIME: Schema = {"type": "string", "format": "date-time"}
_DRY: Schema = {"type": "string", "enum": ["true", "false"], "default": "false"}

PARAMETERS: Mapping[str, tuple[str, str, Schema]] = {
    "name": ("path", "A name or uid.", _TEXT),
    "after": ("query", "The cursor of an earlier answer, or latest.", _TEXT),
    "max": (
        "query",
        "How many messages.",
        {"type": "integer", "minimum": 1, "maximum": MAX_MESSAGES, "default": DEFAULT_MESSAGES},
    ),
    "limit": (
        "query",
        "Entries of a page.",
        {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
    ),
    "cursor": ("query", "The cursor of the answer before.", _TEXT),
    "labelSelector": ("query", "Conditions that all have to hold: team=checkout,stage!=test.", _TEXT),
    "sort": (
        "query",
        "A - turns the order round.",
        {"type": "string", "enum": [f"{sign}{name}" for name in ORDERS for sign in ("", "-")], "default": DEFAULT_SORT},
    ),
    "dryRun": ("query", "Whether to answer the plan and change nothing.", _DRY),
    "allowDataLoss": ("query", "Whether unfinished messages may be lost.", _DRY),
    "unprotect": ("query", "Whether to delete although it is protected.", _DRY),
    "If-Match": ("header", "ETags: the change is made in one of these states only.", _TEXT),
    "If-None-Match": ("header", "ETags: 304 while the resource is in one of these states.", _TEXT),
    "Idempotency-Key": ("header", "Publishing again with it stores nothing twice.", {**_TEXT, "maxLength": 255}),
    "traceparent": ("header", "W3C trace context.", _TEXT),
    "X-Mqops-Tenant": ("header", "The tenant to act in, for principals of the tenant system.", _TEXT),
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
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            "parameters": {name: _parameter(name) for name in PARAMETERS},
            "responses": _responses(),
            "schemas": dict(sorted(_schemas().items())),
        },
    }


def _operation(operation: Operation) -> Schema:
    names = operation.parameters if operation.is_open else (*operation.parameters, "X-Mqops-Tenant")
    if "{name}" in operation.path:
        names = ("name", *names)
    parameters = [{"$ref": f"#/components/parameters/{name}"} for name in names]
    described: Schema = {
        "operationId": _operation_id(operation),
        "summary": operation.summary,
        "tags": [operation.tag],
        "security": [{}] if operation.is_open else [{"key": []}],
        "parameters": parameters,
    }
    if operation.body:
        described["requestBody"] = {
            "required": operation.body not in ("PullBody", "PauseBody"),
            "content": _content(operation.body),
        }
    described["responses"] = {**_answers(operation), **_errors(operation.errors)}
    return described


def _operation_id(operation: Operation) -> str:
    words = operation.path.removeprefix("/api/v1").replace("{name}", "one").strip("/").replace(".", "/").split("/")
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
            answer["content"] = _content(schema)
        headers = {name: {"schema": _TEXT} for name in operation.headers if name != "Location" or status == 201}
        if headers and not (operation.method == "POST" and schema == "Plan"):
            answer["headers"] = headers
        answers[str(status)] = answer
    return answers


_MEANINGS = {
    200: "It is so.",
    201: "Created.",
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
    schema = {"allOf": [_reference("Error"), {"properties": {"code": {"enum": list(codes)}}}]}
    return {"description": " or ".join(codes), "content": {"application/json": {"schema": schema}}}


def _content(schema: str) -> Schema:
    return {"application/json": {"schema": _reference(schema)}}


def _reference(schema: str) -> Schema:
    return {"$ref": f"{_REFERENCE}{schema}"}


def _object(required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None, **more: Any) -> Schema:
    return {"type": "object", "properties": {**required, **(optional or {})}, "required": list(required), **more}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _either(*schemas: Schema) -> Schema:
    return {"anyOf": list(schemas)}


_NOTHING: Schema = {"type": "null"}


def _schemas() -> dict[str, Schema]:
    structs = (NamingBody, TopicBody, PullBody, SettleBody, PauseBody, PlansBody, MessageJson)
    _, bodies = msgspec.json.schema_components(structs, ref_template=_REFERENCE + "{name}")
    _require_only_what_is_always_there(bodies["MessageJson"], MessageJson)
    wanted: Any = [(kind.spec, "validation") for kind in KINDS.values()]
    _, specs = models_json_schema(wanted, ref_template=_REFERENCE + "{model}")
    schemas: dict[str, Schema] = {**bodies, **specs["$defs"], **_of_messages(), **_of_management()}
    schemas["ShownCredentialSpec"] = _shown_credential(schemas)
    for kind in KINDS.values():
        schemas |= _of_kind(kind)
    return schemas


def _require_only_what_is_always_there(schema: Schema, struct: type[msgspec.Struct]) -> None:
    """msgspec requires a field that has no default, also one that may be unset, which is left out of the JSON."""
    hints = get_type_hints(struct)
    unset = {
        encoded
        for field, encoded in zip(struct.__struct_fields__, struct.__struct_encode_fields__, strict=True)
        if msgspec.UnsetType in get_args(hints[field])
    }
    schema["required"] = [name for name in schema["required"] if name not in unset]


def _of_messages() -> dict[str, Schema]:
    place = _object({"partition": _NUMBER, "offset": _NUMBER})
    result = _object({"status": {"enum": ["stored", "not_stored", "unknown"]}})
    settled = {"enum": ["acked", "nacked", "dead_lettered", "dropped", "lost", "invalid"]}
    return {
        "Published": _object({"messageIds": _list(_TEXT), "partitions": _list(place), "timestamp": _TIME}),
        "PartlyPublished": _object(
            {
                "messageIds": _list(_either(_TEXT, _NOTHING)),
                "partitions": _list(_either(place, _NOTHING)),
                "timestamp": _TIME,
                "results": _list(result),
            }
        ),
        "Pulled": _object({"messages": _list(_reference("MessageJson"))}),
        "Settled": _object({"results": _list(_object({"ackId": _TEXT, "status": settled}))}),
        "Looked": _object({"messages": _list(_reference("MessageJson")), "cursor": _TEXT}),
    }


def _of_management() -> dict[str, Schema]:
    condition = _object(
        {
            "type": {"enum": ["Ready", "Reconciling", "Stalled"]},
            "status": {"enum": ["True", "False", "Unknown"]},
            "reason": {"enum": [*(reason.value for reason in Reason), "Unusable", "Unobserved"]},
            "message": _TEXT,
            "observedGeneration": _NUMBER,
        },
        {"lastTransitionTime": _TIME},
    )
    held = _object({"source": _TEXT, "message": _TEXT})
    verdict = _object({"status": {"enum": ["up", "degraded", "down"]}})
    checks = _object(dict.fromkeys(("redis", "database", "queues"), verdict))
    return {
        "Error": _object({"code": _TEXT, "message": _TEXT}, {"details": {"type": "object"}, "retryAfter": _SECONDS}),
        "Plan": _object(
            {"format_version": _TEXT, "revision": _NUMBER, "summary": {"type": "object"}},
            description="The plan, as `mqops plan -o json` writes it.",
        ),
        "Planned": _object(
            {"plan": _reference("Plan"), "held": _list(held), "heldBack": _NUMBER, "warnings": _list(_TEXT)},
            {"text": _list(_object({"about": _TEXT, "line": _TEXT})), "markdown": _TEXT},
            description="The plan, the sources that are suspended or pinned, and how many resources wait for that.",
        ),
        "Destroyed": _object(
            {"kind": _TEXT, "name": _TEXT, "id": _TEXT},
            {"messages": _NUMBER, "unfinished": _NUMBER},
            description="What went, the messages that were stored with it, and how many of those were unfinished.",
        ),
        "Deleted": _object({"deleted": _list(_reference("Destroyed"))}),
        "DeletedOrPlan": _either(_reference("Deleted"), _reference("Plan")),
        "Purged": _object({"purged": _NUMBER}),
        "ResourceStatus": _object({"conditions": _list(condition)}, {"override": _reference("Override")}),
        "Override": _object(
            {
                "state": {"enum": ["active", "paused"]},
                "by": _TEXT,
                "reason": _TEXT,
                "since": _TIME,
                "until": _either(_TIME, _NOTHING),
            },
            description="What an operator wants of a subscription, whatever its spec says.",
        ),
        "Health": _object({"service": _TEXT, "timestamp": _TIME, "checks": checks, **verdict["properties"]}),
        "Status": verdict,
        "Description": {"type": "object"},
    }


def _of_kind(kind: Kind) -> dict[str, Schema]:
    name, spec = kind.name, kind.spec.__name__
    metadata = TypeAdapter(TenantlessMetadata).json_schema()["properties"]
    declared: dict[str, Schema] = {
        field: {**metadata[field], "additionalProperties": False} for field in ("labels", "annotations")
    }
    answered = {
        "name": _TEXT,
        "labels": _TEXTS,
        "annotations": _TEXTS,
        "spec": _reference("ShownCredentialSpec" if name == "Credential" else spec),
        "id": {"type": "string", "format": "uuid"},
        "generation": _NUMBER,
        "managedBy": _TEXT,
        "impliedBy": _either(_object({"kind": _TEXT, "name": _TEXT}), _NOTHING),
        "createdAt": _TIME,
        "updatedAt": _TIME,
        "status": _reference("ResourceStatus"),
    }
    gone = {**_list(_reference("Destroyed")), "description": "Of a PUT: what it replaced or deleted, if anything."}
    changed = {} if name == "Source" else {"destroyed": gone}
    body = {"spec": _reference(spec)}
    is_optional = not any(field.is_required() for field in kind.spec.model_fields.values())
    required, optional = ({}, {**body, **declared}) if is_optional else (body, declared)
    schemas = {
        name: _object(answered, changed),
        f"{name}List": _object({"items": _list(_reference(name)), "cursor": _either(_TEXT, _NOTHING)}),
    }
    if name != "Source":
        schemas[f"{name}OrPlan"] = _either(_reference(name), _reference("Plan"))
        called = {"name": metadata["name"]}
        schemas[f"New{name}"] = _object({**called, **required}, optional, additionalProperties=False)
        schemas[f"Changed{name}"] = _object(required, {**called, **optional}, additionalProperties=False)
    return schemas


def _shown_credential(schemas: Mapping[str, Schema]) -> Schema:
    """A credential's spec, whose keys are shown without their digests."""
    shown = copy.deepcopy(schemas["CredentialSpec"])
    key = copy.deepcopy(schemas["CredentialKey"])
    del key["properties"]["sha256"]
    key["required"] = []
    shown["properties"]["keys"] = _list(key)
    return shown
