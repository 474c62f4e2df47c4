"""What is declared into what is desired: complete resources, in the order in which they are applied. Pure.

The installation's defaults are filled in, and what a resource brings along is spelled out: a queue's subscription, and
dead-letter topics that nobody declares. So what is desired compares field by field with what was applied.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from mqops.durations import format_duration, format_size
from mqops.model import DEADLETTER_RETENTION_MS, KINDS, Identity, Strict, SubscriptionSpec, TopicSpec
from mqops.settings import Settings
from reconciler.manifests.deadletters import DeadLetters, dead_letters, topic_of
from reconciler.manifests.earlier import Earlier
from reconciler.manifests.fields import model_in
from reconciler.manifests.validate import Declared
from reconciler.state import Origin, Resource

Spec = dict[str, Any]


def desired(
    declared: Iterable[Declared],
    owner: Callable[[Declared], str],
    settings: Settings,
    letters: DeadLetters | None = None,
    earlier: Earlier | None = None,
) -> tuple[Resource, ...]:
    """Every resource that ``declared``, which must obey the rules, amounts to. ``owner`` names each one's Source;
    ``letters`` are those of ``declared``, where they are known already."""
    declared = tuple(declared)
    letters = dead_letters(declared) if letters is None else letters
    earlier = Earlier() if earlier is None else earlier
    resources: dict[Identity, Resource] = {}
    for one in declared:
        whose = owner(one)
        beside = (whose, letters.of.get(_reader_of(one.identity)), one.identity in letters.topics)
        resources[one.identity] = earlier.resource(
            one.identity, one, beside, partial(_resource, one, whose, letters, settings)
        )
    for queue in [resource for resource in resources.values() if resource.identity.kind == "Queue"]:
        identity = _reader_of(queue.identity)
        resources[identity] = earlier.resource(identity, queue, (), partial(_subscription_of, queue, settings))
    for identity, subscriber in letters.topics.items():
        if identity not in resources and subscriber in resources:  # or others have brought it along
            parent = resources[subscriber]
            make = partial(_dead_letter_topic, identity, parent, settings)
            resources[identity] = earlier.resource(identity, parent, (), make)
    earlier.forget_all_but(set(resources))
    return tuple(sorted(resources.values(), key=_order))


def _reader_of(identity: Identity) -> Identity:
    """The subscription that ``identity`` is, or implies when it is a queue."""
    return identity._replace(kind="Subscription") if identity.kind == "Queue" else identity


def usual(resource: Resource, letters: DeadLetters, settings: Settings) -> Spec:
    """The spec that ``resource`` would have if its manifest set nothing but what it has to."""
    kind, tenant, _ = resource.identity
    spec = bare(KINDS[kind].spec, resource.spec)
    complete = _COMPLETE.get(kind)
    if complete is not None:
        complete(resource.identity, spec, letters, settings)
    if "deadLetter" in spec:
        topic = resource.identity if kind == "Queue" else topic_of(tenant, resource.spec["topic"])
        target = letters.usual(tenant, topic)
        spec["deadLetter"] = None if target is None else target.name
    return spec


def bare(model: type[Strict], value: Mapping[str, Any]) -> Spec:
    """``value``, of ``model``, with each field that has a default set to it."""
    spec = model.model_construct().model_dump(mode="json", by_alias=True, warnings=False)
    for field in model.model_fields.values():
        name = field.alias or ""
        if field.is_required() and name in value:
            inner, item = model_in(field.annotation), value[name]
            spec[name] = bare(inner, item) if inner is not None and isinstance(item, Mapping) else item
    return spec


def _order(resource: Resource) -> tuple[int, str, str]:
    kind, tenant, name = resource.identity
    return KINDS[kind].order, tenant, name


def _resource(one: Declared, owner: str, letters: DeadLetters, settings: Settings) -> Resource:
    identity = one.identity
    spec = _spec_of(one.spec)
    complete = _COMPLETE.get(identity.kind)
    if complete is not None:
        complete(identity, spec, letters, settings)
    return Resource(
        identity=identity,
        spec=spec,
        labels=one.metadata.labels,
        annotations=one.metadata.annotations,
        managed_by=identity.name if identity.kind == "Source" else owner,
        origin=one.origin,
        references=tuple(_references(identity, spec)),
        renamed_from=one.renamed_from,
    )


def _spec_of(spec: Strict) -> Spec:
    return spec.model_dump(mode="json", by_alias=True)


def _default(spec: Spec, field: str, value: Any) -> None:
    if spec[field] is None:
        spec[field] = value


def _complete_topic(identity: Identity, spec: Spec, letters: DeadLetters, settings: Settings) -> None:
    """A dead-letter topic is kept longer than others, and has no limit: what failed has to go somewhere."""
    is_dead_letter = identity in letters.topics
    _default(spec, "retention", format_duration(DEADLETTER_RETENTION_MS if is_dead_letter else settings.default_ttl_ms))
    _default(spec, "maxBacklog", None if is_dead_letter else settings.max_queue_length)
    _default(spec, "maxMessageSize", format_size(settings.max_message_size_bytes))


def _complete_queue(identity: Identity, spec: Spec, letters: DeadLetters, settings: Settings) -> None:
    _complete_topic(identity, spec, letters, settings)
    _default(spec, "ackDeadline", format_duration(settings.consumer_timeout_ms))
    target = letters.of[Identity("Subscription", identity.tenant, identity.name)]
    spec["deadLetter"] = None if target is None else target.name


def _complete_subscription(identity: Identity, spec: Spec, letters: DeadLetters, settings: Settings) -> None:
    topic = topic_of(identity.tenant, spec["topic"])
    spec["topic"] = topic.name if topic.tenant == identity.tenant else f"{topic.tenant}/{topic.name}"
    _default(spec, "ackDeadline", format_duration(settings.consumer_timeout_ms))
    _default(spec, "concurrency", settings.max_concurrent_consumers)
    target = letters.of[identity]
    spec["deadLetter"] = None if target is None else target.name


def _complete_handler(identity: Identity, spec: Spec, letters: DeadLetters, settings: Settings) -> None:
    _default(spec["http"], "timeout", format_duration(settings.processing_timeout_ms))


_COMPLETE: Mapping[str, Callable[[Identity, Spec, DeadLetters, Settings], None]] = {
    "Topic": _complete_topic,
    "Queue": _complete_queue,
    "Subscription": _complete_subscription,
    "Handler": _complete_handler,
}


def _subscription_of(queue: Resource, settings: Settings) -> Resource:
    """The subscription that a queue is read through."""
    _, tenant, name = queue.identity
    spec = _spec_of(SubscriptionSpec(topic=name, startFrom="earliest"))
    spec["ackDeadline"] = queue.spec["ackDeadline"]
    spec["concurrency"] = settings.max_concurrent_consumers
    spec["retry"]["maxAttempts"] = queue.spec["maxAttempts"]
    spec["deadLetter"] = queue.spec["deadLetter"]
    identity = Identity("Subscription", tenant, name)
    return _implied(identity, spec, queue, tuple(_references(identity, spec, read=queue.identity)))


def _dead_letter_topic(identity: Identity, subscription: Resource, settings: Settings) -> Resource:
    spec = _spec_of(TopicSpec())
    spec["retention"] = format_duration(DEADLETTER_RETENTION_MS)
    spec["maxMessageSize"] = format_size(settings.max_message_size_bytes)
    return _implied(identity, spec, subscription, tuple(_references(identity, spec)))


def _implied(identity: Identity, spec: Spec, parent: Resource, references: tuple[Identity, ...]) -> Resource:
    origin = Origin(parent.origin.file, parent.origin.line)
    return Resource(identity, spec, {}, {}, parent.managed_by, origin, parent.identity, references)


def _references(identity: Identity, spec: Spec, read: Identity | None = None) -> Iterator[Identity]:
    """What has to be there before ``identity``. ``read`` is what a subscription reads, when that is a queue."""
    if KINDS[identity.kind].has_tenant:
        yield Identity("Tenant", "", identity.tenant)
    if identity.kind == "Subscription":
        yield read or topic_of(identity.tenant, spec["topic"])
        if spec["handler"] is not None:
            yield Identity("Handler", identity.tenant, spec["handler"])
        if spec["deadLetter"] is not None:
            yield Identity("Topic", identity.tenant, spec["deadLetter"])
