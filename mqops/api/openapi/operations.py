"""The table of operations: what each route takes, and all that it may answer."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from mqops.api.deadletters.query import FILTERS
from mqops.api.management.write import GUARD_SWITCHES
from mqops.errors import (
    BrokerNotAvailable,
    Conflict,
    ConnectionFailed,
    ConsumerFailed,
    Forbidden,
    IdempotencyConflict,
    InvalidManifests,
    InvalidRequest,
    ManagedBySource,
    MessageNotFound,
    MqopsError,
    NotFound,
    OutcomeUnknown,
    PayloadTooLarge,
    PreconditionFailed,
    PublishFailed,
    QueueNotFound,
    QuotaExceeded,
    Refused,
    SerializationFailed,
    SubscriptionNotFound,
    TooManyFailures,
    TopicNotFound,
    Unauthenticated,
)
from mqops.model import INTERNAL_PATHS, KINDS, Kind

OF_A_MESSAGE = (
    *("Mqops-Key", "Mqops-Partition", "Mqops-Timestamp", "Mqops-Ttl", "Mqops-Expires-At"),
    *("Mqops-Acks", "Mqops-Timeout"),
)
"""Headers of a request that is a message."""

Errors = tuple[type[MqopsError], ...]

_ROOT = "/api/v1/mq"
_ALWAYS: Errors = (
    *(InvalidRequest, Unauthenticated, TooManyFailures, Forbidden, NotFound, ConnectionFailed, MqopsError),
)
"""``NotFound`` is about the tenant that ``X-Mqops-Tenant`` names."""
_BODY: Errors = (SerializationFailed, PayloadTooLarge)
_PUBLISH: Errors = (
    *_BODY,
    *(Conflict, IdempotencyConflict, QuotaExceeded, PublishFailed, BrokerNotAvailable, OutcomeUnknown),
)
_READ: Errors = (*_BODY, Conflict, ConsumerFailed, BrokerNotAvailable)
_CHANGE: Errors = (Conflict, ManagedBySource, Refused, BrokerNotAvailable, OutcomeUnknown)
_BY_KIND: Mapping[str, type[NotFound]] = {
    "Topic": TopicNotFound,
    "Queue": QueueNotFound,
    "Subscription": SubscriptionNotFound,
}


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path."""

    method: str
    path: str
    summary: str
    tag: str
    answers: Mapping[int, str]
    """Status → the schema of its body; empty for none."""
    body: str = ""
    """The schema of the request's body; empty for none."""
    parameters: tuple[str, ...] = ()
    """Beside ``name``, of ``document.PARAMETERS``."""
    errors: Errors = ()
    is_open: bool = False
    """Whether it needs no credential."""
    headers: tuple[str, ...] = field(default=())
    """What answers that succeed carry."""
    media_type: str = "application/json"
    """Of answers that succeed."""

    @property
    def key(self) -> str:
        """``GET /path``."""
        return f"{self.method} {self.path}"


def operations() -> Iterator[Operation]:
    """All there are."""
    yield from _messages()
    yield from _streams()
    yield from _one_message()
    yield from _scheduled()
    for kind in KINDS.values():
        yield from _of_kind(kind)
    yield from _acting()
    yield from _dead_letters()
    yield _plans()
    yield from _internal()
    yield from _health()


def _messages() -> Iterator[Operation]:
    published = {200: "Published", 202: "SentOff", 207: "PartlyPublished"}
    headers = ("Idempotency-Key", "X-Correlation-Id", "traceparent", "tracestate")
    for path, body, absent in (
        ("publish", "NamingBody", (TopicNotFound, QueueNotFound)),
        ("publish/batch", "BatchBody", (TopicNotFound, QueueNotFound)),
        ("topics/{name}/publish", "TopicBody", (TopicNotFound,)),
        ("queues/{name}/publish", "TopicBody", (QueueNotFound,)),
    ):
        errors = (*_ALWAYS, *absent, *_PUBLISH)
        parameters = (*headers, *OF_A_MESSAGE) if body == "TopicBody" else headers
        yield Operation("POST", f"{_ROOT}/{path}", "Publish messages", "messages", published, body, parameters, errors)
    for plural, missing in (("subscriptions", SubscriptionNotFound), ("queues", QueueNotFound)):
        errors = (*_ALWAYS, missing, *_READ)
        for verb, summary, answer, body in (
            ("pull", "Take messages", "Pulled", "PullBody"),
            ("ack", "They are done", "Settled", "SettleBody"),
            ("nack", "They failed", "Settled", "NackBody"),
            ("extend", "They take longer", "Settled", "ExtendBody"),
        ):
            yield Operation(
                "POST", f"{_ROOT}/{plural}/{{name}}/{verb}", summary, "messages", {200: answer}, body, errors=errors
            )
    yield Operation(
        "GET",
        f"{_ROOT}/topics/{{name}}/messages",
        "Look at messages without taking any",
        "messages",
        {200: "Looked"},
        parameters=("after", "max", "topicTenant"),
        errors=(*_ALWAYS, TopicNotFound, PublishFailed, BrokerNotAvailable),
    )


def _streams() -> Iterator[Operation]:
    for plural, missing in (("subscriptions", SubscriptionNotFound), ("queues", QueueNotFound)):
        yield Operation(
            "GET",
            f"{_ROOT}/{plural}/{{name}}/stream",
            "Take messages as they come, as server-sent events",
            "messages",
            {200: "Events"},
            parameters=("maxUnacked", "forMs"),
            errors=(*_ALWAYS, missing, Conflict, ConsumerFailed),
            media_type="text/event-stream",
        )


def _one_message() -> Iterator[Operation]:
    for plural, missing in (("topics", TopicNotFound), ("queues", QueueNotFound)):
        yield Operation(
            "GET",
            f"{_ROOT}/{plural}/{{name}}/messages/{{id}}",
            "Look at one message without taking it",
            "messages",
            {200: "MessageJson"},
            parameters=("topicTenant",) if plural == "topics" else (),
            errors=(*_ALWAYS, missing, MessageNotFound, PublishFailed, BrokerNotAvailable),
        )


def _scheduled() -> Iterator[Operation]:
    answers = {200: "Scheduled", 202: "SentOff", 207: "PartlyScheduled"}
    headers = ("Idempotency-Key", "X-Correlation-Id", "traceparent", "tracestate")
    errors = (*_ALWAYS, TopicNotFound, QueueNotFound, *_PUBLISH)
    for path, summary, body in (
        ("delayed", "Publish messages after a delay", "DelayedBody"),
        ("scheduled", "Publish messages at a time", "ScheduledBody"),
    ):
        yield Operation("POST", f"{_ROOT}/publish/{path}", summary, "messages", answers, body, headers, errors)
    for plural, absent in (("topics", TopicNotFound), ("queues", QueueNotFound)):
        path = f"{_ROOT}/{plural}/{{name}}/scheduled"
        known = (*_ALWAYS, absent, PublishFailed, BrokerNotAvailable)
        of_one = (*known, MessageNotFound)
        pages = ("limit", "cursor")
        yield Operation(
            "GET", path, "List what waits for its time", "messages", {200: "ScheduledList"}, "", pages, known
        )
        member = f"{path}/{{id}}"
        yield Operation("GET", member, "Show a message that waits", "messages", {200: "ScheduledJson"}, errors=of_one)
        yield Operation("DELETE", member, "Cancel a message that waits", "messages", {200: "Cancelled"}, errors=of_one)
        yield Operation(
            "PATCH",
            member,
            "Give a message that waits another time",
            "messages",
            {200: "Rescheduled"},
            "RescheduleBody",
            errors=(*of_one, *_BODY),
        )


def _of_kind(kind: Kind) -> Iterator[Operation]:
    collection, word = f"{_ROOT}/{kind.plural}", kind.name.lower()
    member, tag = f"{collection}/{{name}}", kind.plural
    absent = (*_ALWAYS, _BY_KIND.get(kind.name, NotFound))
    lists = ("limit", "cursor", "labelSelector", "sort")
    yield Operation(
        "GET", collection, f"List {kind.plural}", tag, {200: f"{kind.name}List"}, parameters=lists, errors=_ALWAYS
    )
    yield Operation(
        "GET",
        member,
        f"Show a {word}",
        tag,
        {200: kind.name, 304: ""},
        parameters=("If-None-Match",),
        errors=absent,
        headers=("ETag",),
    )
    if kind.name == "Source":
        return
    yield Operation(
        "POST",
        collection,
        f"Create a {word}",
        tag,
        {200: "Plan", 201: kind.name},
        f"New{kind.name}",
        ("dryRun",),
        (*_ALWAYS, *_BODY, *_CHANGE),
        headers=("ETag", "Location"),
    )
    changes = (*absent, *_BODY, *_CHANGE, PreconditionFailed)
    yield Operation(
        "PUT",
        member,
        f"Change a {word}, or with dryRun tell what that would do",
        tag,
        {200: f"{kind.name}OrPlan"},
        f"Changed{kind.name}",
        ("dryRun", *GUARD_SWITCHES, "If-Match"),
        changes,
        headers=("ETag",),
    )
    yield Operation(
        "DELETE",
        member,
        f"Delete a {word}, or with dryRun tell what that would do",
        tag,
        {200: "DeletedOrPlan"},
        "",
        ("dryRun", *GUARD_SWITCHES, "If-Match"),
        (*absent, *_CHANGE, PreconditionFailed),
    )


def _acting() -> Iterator[Operation]:
    yield Operation(
        "POST",
        f"{_ROOT}/queues/{{name}}/purge",
        "Empty a queue",
        "queues",
        {200: "Purged"},
        errors=(*_ALWAYS, QueueNotFound, PayloadTooLarge, ConsumerFailed, BrokerNotAvailable),
    )
    for verb, summary, body in (
        ("pause", "Hand nothing out any more", "PauseBody"),
        ("resume", "Go on handing out", ""),
    ):
        yield Operation(
            "POST",
            f"{_ROOT}/subscriptions/{{name}}/{verb}",
            summary,
            "subscriptions",
            {200: "Subscription"},
            body,
            ("If-Match",),
            (*_ALWAYS, *_BODY, SubscriptionNotFound, PreconditionFailed, BrokerNotAvailable, OutcomeUnknown),
            headers=("ETag",),
        )


def _dead_letters() -> Iterator[Operation]:
    filters = tuple(name for name in FILTERS if name != "subscription")
    for plural, missing, parameters in (
        ("topics", (TopicNotFound, PublishFailed), FILTERS),
        ("subscriptions", (SubscriptionNotFound, ConsumerFailed), filters),
    ):
        root, tag = f"{_ROOT}/{plural}/{{name}}/deadletters", "dead letters"
        errors = (*_ALWAYS, *missing, Conflict, BrokerNotAvailable)
        paging = (*parameters, "limit", "cursor")
        yield Operation("GET", root, "List dead letters", tag, {200: "Letters"}, "", paging, errors)
        yield Operation("GET", f"{root}/{{id}}", "Show a dead letter", tag, {200: "MessageJson"}, errors=errors)
        acting = (*errors, *_BODY)
        for verb, summary, also in (
            ("redrive", "Have dead letters handed out again", (TopicNotFound, PublishFailed)),
            ("discard", "Remove dead letters for good", ()),
        ):
            word = verb.capitalize()
            answers, body = {200: f"{word}Done"}, f"{word}Body"
            yield Operation("POST", f"{root}/{verb}", summary, tag, answers, body, errors=(*acting, *also))


def _plans() -> Operation:
    return Operation(
        "POST",
        f"{_ROOT}/plans",
        "Tell what applying manifests would do",
        "plans",
        {200: "Planned"},
        "PlansBody",
        errors=(*_ALWAYS, *_BODY, InvalidManifests, Refused, BrokerNotAvailable),
    )


def _internal() -> Iterator[Operation]:
    root, tag = "/internal/mq", "internal"
    published = {200: "Published", 207: "PartlyPublished"}
    for path in INTERNAL_PATHS:
        yield Operation(
            "POST",
            f"{root}/{path}",
            f"Publish {path.replace('-', ' ')} to the topic that a manifest names for it",
            tag,
            published,
            "TopicBody",
            ("Idempotency-Key", "traceparent"),
            (*_ALWAYS, TopicNotFound, QueueNotFound, *_PUBLISH),
        )
    for path, what in (("audit-queue-status", "audit logs"), ("notification-queue", "notifications")):
        errors = (*_ALWAYS, TopicNotFound, Conflict, BrokerNotAvailable)
        yield Operation("GET", f"{root}/{path}", f"How far {what} are", tag, {200: "QueueStatus"}, errors=errors)
    reports = {200: "Health", 503: "Health"}
    yield Operation("GET", f"{root}/health-detailed", "Health, and what is behind it", tag, reports, errors=_ALWAYS)


def _health() -> Iterator[Operation]:
    reports = {200: "Health", 503: "Health"}
    for path in ("/health", f"{_ROOT}/health"):
        yield Operation("GET", path, "How Redis, PostgreSQL and the catalog are", "health", reports, is_open=True)
    yield Operation("GET", "/livez", "Whether this process answers", "health", {200: "Status"}, is_open=True)
    ready = {200: "Status", 503: "Status"}
    yield Operation("GET", "/readyz", "Whether this process can publish and pull", "health", ready, is_open=True)
    yield Operation("GET", "/openapi.json", "This description", "health", {200: "Description"}, is_open=True)
