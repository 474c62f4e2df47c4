"""The schemas of what is sent and answered: from the model and the message structs, and by hand what has neither."""

import copy
from collections.abc import Mapping
from typing import Any, get_args, get_type_hints

import msgspec
from pydantic import TypeAdapter
from pydantic.json_schema import models_json_schema

from mqops.api.deadletters.act import DiscardBody, RedriveBody
from mqops.api.management.operate import PauseBody
from mqops.api.management.plans import PlansBody
from mqops.api.message_json import MessageJson
from mqops.api.publish_body import BatchBody, NamingBody, TopicBody
from mqops.api.pull import PullBody
from mqops.api.schedule import ScheduledJson
from mqops.api.schedule_body import DelayedBody, RescheduleBody, ScheduledBody
from mqops.api.settle import ExtendBody, NackBody, SettleBody
from mqops.model import KINDS, Kind, TenantlessMetadata
from mqops.status import Reason

Schema = dict[str, Any]

REFERENCE = "#/components/schemas/"
TEXT: Schema = {"type": "string"}
_SOME_TEXT: Schema = {"type": "string", "minLength": 1}
_NUMBER: Schema = {"type": "integer"}
_SECONDS: Schema = {"type": "number", "description": "Seconds."}
_TEXTS: Schema = {"type": "object", "additionalProperties": TEXT}
_TIME: Schema = {"type": "string", "format": "date-time"}


def reference(schema: str) -> Schema:
    """To one of ``schemas``, by its name."""
    return {"$ref": f"{REFERENCE}{schema}"}


def _object(required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None, **more: Any) -> Schema:
    return {"type": "object", "properties": {**required, **(optional or {})}, "required": list(required), **more}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _either(*several: Schema) -> Schema:
    return {"anyOf": list(several)}


_NOTHING: Schema = {"type": "null"}


def schemas() -> dict[str, Schema]:
    """All of them, by name."""
    structs = (
        BatchBody,
        NamingBody,
        TopicBody,
        PullBody,
        SettleBody,
        NackBody,
        ExtendBody,
        RedriveBody,
        DiscardBody,
        PauseBody,
        PlansBody,
        MessageJson,
        DelayedBody,
        ScheduledBody,
        RescheduleBody,
        ScheduledJson,
    )
    _, bodies = msgspec.json.schema_components(structs, ref_template=REFERENCE + "{name}")
    _require_only_what_is_always_there(bodies["MessageJson"], MessageJson)
    _require_only_what_is_always_there(bodies["ScheduledJson"], ScheduledJson)
    wanted: Any = [(kind.spec, "validation") for kind in KINDS.values()]
    _, specs = models_json_schema(wanted, ref_template=REFERENCE + "{model}")
    found: dict[str, Schema] = {
        **bodies,
        **specs["$defs"],
        **_of_messages(),
        **_of_scheduled(),
        **_of_management(),
        **_of_operators(),
    }
    found["ShownCredentialSpec"] = _shown_credential(found)
    for kind in KINDS.values():
        found |= _of_kind(kind)
    return found


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
    sent_to = _object({"partition": _NUMBER, "offset": _NOTHING})
    result = _object({"status": {"enum": ["stored", "not_stored", "unknown", "sent"]}})
    settled = {"enum": ["acked", "nacked", "dead_lettered", "dropped", "extended", "lost", "invalid"]}
    # As everywhere in an answer about several, each of them may have its error.
    skipped = _list(_object({"id": TEXT, "code": TEXT, "message": TEXT}, {"details": {"type": "object"}}))
    acted = {"dryRun": {"type": "boolean"}, "skipped": skipped, "cursor": _either(TEXT, _NOTHING)}
    return {
        "Letters": _object({"items": _list(reference("MessageJson")), "cursor": _either(TEXT, _NOTHING)}),
        "RedriveDone": _object({**acted, "redriven": _NUMBER}),
        "DiscardDone": _object({**acted, "discarded": _NUMBER}),
        "Published": _object(
            {"messageIds": _list(TEXT), "partitions": _list(place), "timestamp": _TIME}, {"results": _list(result)}
        ),
        "SentOff": _object(
            {"messageIds": _list(TEXT), "partitions": _list(sent_to), "timestamp": _TIME}, {"results": _list(result)}
        ),
        "PartlyPublished": _object(
            {
                "messageIds": _list(_either(TEXT, _NOTHING)),
                "partitions": _list(_either(place, sent_to, _NOTHING)),
                "timestamp": _TIME,
                "results": _list(result),
            }
        ),
        "CloudEvent": _object(
            {"specversion": {"const": "1.0"}, "id": _SOME_TEXT, "source": _SOME_TEXT, "type": _SOME_TEXT},
            {"datacontenttype": TEXT, "time": _TIME, "data": {}, "data_base64": TEXT},
            description="CloudEvents 1.0 in JSON; further attributes are text, whole numbers, or true or false.",
        ),
        "Pulled": _object({"messages": _list(reference("MessageJson"))}),
        "Settled": _object({"results": _list(_object({"ackId": TEXT, "status": settled}, {"leaseUntil": _TIME}))}),
        "Events": {**TEXT, "description": "Events `message` with a MessageJson each; before an early end `error`."},
        "Looked": _object({"messages": _list(reference("MessageJson")), "cursor": TEXT}),
    }


def _of_scheduled() -> dict[str, Schema]:
    place = _object({"partition": _NUMBER, "offset": _NOTHING}, description="The offset is not known yet.")
    result = _object({"status": {"enum": ["scheduled", "not_stored", "unknown"]}})
    return {
        "Scheduled": _object(
            {
                "messageIds": _list(TEXT),
                "partitions": _list(place),
                "scheduledAt": {**_list(_TIME), "description": "When each is due."},
                "timestamp": _TIME,
            }
        ),
        "PartlyScheduled": _object(
            {
                "messageIds": _list(_either(TEXT, _NOTHING)),
                "partitions": _list(_either(place, _NOTHING)),
                "scheduledAt": _list(_either(_TIME, _NOTHING)),
                "timestamp": _TIME,
                "results": _list(result),
            }
        ),
        "ScheduledList": _object(
            {
                "messages": _list(reference("ScheduledJson")),
                "total": _NUMBER,
                "cursor": _either(TEXT, _NOTHING),
            },
            description="By time, next ones first; total is how many wait in all.",
        ),
        "Cancelled": _object({"cancelled": TEXT}),
        "Rescheduled": _object({"id": TEXT, "scheduledAt": _TIME}),
    }


def _of_management() -> dict[str, Schema]:
    condition = _object(
        {
            "type": {"enum": ["Ready", "Reconciling", "Stalled"]},
            "status": {"enum": ["True", "False", "Unknown"]},
            "reason": {"enum": [*(reason.value for reason in Reason), "Unusable", "Unobserved"]},
            "message": TEXT,
            "observedGeneration": _NUMBER,
        },
        {"lastTransitionTime": _TIME},
    )
    held = _object({"source": TEXT, "message": TEXT})
    return {
        "Error": _object({"code": TEXT, "message": TEXT}, {"details": {"type": "object"}, "retryAfter": _SECONDS}),
        "Plan": _object(
            {"format_version": TEXT, "revision": _NUMBER, "summary": {"type": "object"}},
            description="The plan, as `mqops plan -o json` writes it.",
        ),
        "Planned": _object(
            {"plan": reference("Plan"), "held": _list(held), "heldBack": _NUMBER, "warnings": _list(TEXT)},
            {"text": _list(_object({"about": TEXT, "line": TEXT})), "markdown": TEXT},
            description="The plan, the sources that are suspended or pinned, and how many resources wait for that.",
        ),
        "Destroyed": _object(
            {"kind": TEXT, "name": TEXT, "id": TEXT},
            {"messages": _NUMBER, "unfinished": _NUMBER},
            description="What went, the messages that were stored with it, and how many of those were unfinished.",
        ),
        "Deleted": _object({"deleted": _list(reference("Destroyed"))}),
        "DeletedOrPlan": _either(reference("Deleted"), reference("Plan")),
        "Purged": _object(
            {"purged": _NUMBER, "scheduled": _NUMBER},
            description="How many messages it held, and how many beside them waited for their time.",
        ),
        "ResourceStatus": _object({"conditions": _list(condition)}, {"override": reference("Override")}),
        "Override": _object(
            {
                "state": {"enum": ["active", "paused"]},
                "by": TEXT,
                "reason": TEXT,
                "since": _TIME,
                "until": _either(_TIME, _NOTHING),
            },
            description="What an operator wants of a subscription, whatever its spec says.",
        ),
    }


def _of_operators() -> dict[str, Schema]:
    verdict = _object({"status": {"enum": ["up", "degraded", "down"]}})
    checks = _object(dict.fromkeys(("redis", "database", "queues"), verdict))
    return {
        "QueueStatus": _object(
            {
                "topic": TEXT,
                "state": TEXT,
                **dict.fromkeys(("partitions", "stored", "unfinished"), _NUMBER),
                "subscriptions": _list(
                    _object(
                        {
                            "tenant": TEXT,
                            "name": TEXT,
                            "handler": _either(TEXT, _NOTHING),
                            "paused": {"type": "boolean"},
                            **dict.fromkeys(("unfinished", "inFlight", "retrying", "deadLettered"), _NUMBER),
                        }
                    )
                ),
            },
            description="What is stored and not finished, in all and by subscription.",
        ),
        "Health": _object({"service": TEXT, "timestamp": _TIME, "checks": checks, **verdict["properties"]}),
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
        "name": TEXT,
        "labels": _TEXTS,
        "annotations": _TEXTS,
        "spec": reference("ShownCredentialSpec" if name == "Credential" else spec),
        "id": {"type": "string", "format": "uuid"},
        "generation": _NUMBER,
        "managedBy": TEXT,
        "impliedBy": _either(_object({"kind": TEXT, "name": TEXT}), _NOTHING),
        "createdAt": _TIME,
        "updatedAt": _TIME,
        "status": reference("ResourceStatus"),
    }
    gone = {**_list(reference("Destroyed")), "description": "Of a PUT: what it replaced or deleted, if anything."}
    changed = {} if name == "Source" else {"destroyed": gone}
    body = {"spec": reference(spec)}
    is_optional = not any(field.is_required() for field in kind.spec.model_fields.values())
    required, optional = ({}, {**body, **declared}) if is_optional else (body, declared)
    schemas = {
        name: _object(answered, changed),
        f"{name}List": _object({"items": _list(reference(name)), "cursor": _either(TEXT, _NOTHING)}),
    }
    if name != "Source":
        schemas[f"{name}OrPlan"] = _either(reference(name), reference("Plan"))
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
