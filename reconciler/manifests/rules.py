"""What no manifest can show wrong by itself: duplicates, references, dead letters, credentials, secrets. Pure.

Each rule is a small function from everything declared to what it finds.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mqops.model import INTERNAL_API, KINDS, SYSTEM_TENANT, Identity, environment_prefix, internal_paths
from reconciler.manifests.deadletters import SUFFIX, DeadLetters, dead_letters, topic_of
from reconciler.manifests.finding import Finding
from reconciler.manifests.problem import Rule
from reconciler.manifests.validate import Declared

_LONGEST_NAME = 200
_NAMES = re.compile(r"[a-z0-9][a-z0-9._-]*")


@dataclass(frozen=True)
class Declarations:
    """Everything that is declared, and what is known of what could not be read."""

    declared: Sequence[Declared]
    rejected: Collection[Identity] = frozenset()
    """What documents that are not valid were going to declare: that it is missing is no news."""
    broken: Sequence[str] = ()
    """Texts that could not be read: whatever they name, they may declare."""
    is_complete: bool = True
    """False when files could not be read at all, so that anything may be declared."""
    beside: Sequence[Declared] | None = None
    """What is applied of what is named here and not declared: others own it, and it is not judged. ``None`` when
    nobody has looked."""

    @cached_property
    def by_identity(self) -> dict[Identity, Declared]:
        return {one.identity: one for one in (*(self.beside or ()), *reversed(self.declared))}

    @cached_property
    def dead_letters(self) -> DeadLetters:
        return dead_letters([*self.declared, *(self.beside or ())])

    @cached_property
    def _names(self) -> dict[tuple[str, str], list[str]]:
        found: dict[tuple[str, str], list[str]] = {}
        for kind, tenant, name in self.by_identity.keys() | self.dead_letters.topics.keys():
            found.setdefault((kind, tenant), []).append(name)
        return found

    @cached_property
    def _possible(self) -> frozenset[str]:
        return frozenset(name for text in self.broken for name in _NAMES.findall(text))

    def of_kind(self, *kinds: str) -> Iterator[tuple[Declared, Any]]:
        """Everything of ``kinds``, each with its spec."""
        return ((one, one.spec) for kind in kinds for one in self._by_kind.get(kind, ()))

    @cached_property
    def _by_kind(self) -> dict[str, list[Declared]]:
        found: dict[str, list[Declared]] = {}
        for one in self.declared:
            found.setdefault(one.identity.kind, []).append(one)
        return found

    @cached_property
    def tenants(self) -> frozenset[str]:
        """The tenants that something is declared of."""
        return frozenset(one.identity.tenant for one in self.declared if KINDS[one.identity.kind].has_tenant)

    @cached_property
    def elsewhere(self) -> frozenset[Identity]:
        """What is named here and not declared, so that others may have it: tenants, handlers, topics; and the queues
        that topics may turn out to be."""
        return frozenset(identity for identity in self._named if self.is_missing(identity))

    @property
    def _named(self) -> Iterator[Identity]:
        for tenant in self.tenants:
            yield Identity("Tenant", "", tenant)
        for one, spec in self.of_kind("Subscription"):
            tenant, topic = one.identity.tenant, topic_of(one.identity.tenant, spec.topic)
            if spec.handler is not None:
                yield Identity("Handler", tenant, spec.handler)
            if self.is_missing(topic):
                queue = topic._replace(kind="Queue")
                if queue not in self.by_identity and queue not in self.rejected:
                    yield from (topic, queue)

    @cached_property
    def waiting(self) -> dict[Identity, str]:
        """Subscriptions on topics of tenants that are declared elsewhere, where those topics are not there yet; with
        what each waits for. None while nobody has looked whether they are."""
        if self.beside is None:
            return {}
        declared = {one.identity for one in self.declared} | set(self.rejected)
        found = {}
        for one, spec in self.of_kind("Subscription"):
            topic = topic_of(one.identity.tenant, spec.topic)
            fault = _unreadable(self, one, topic)
            if fault and self.is_complete and Identity("Tenant", "", topic.tenant) not in declared:
                found[one.identity] = f"{fault} yet"
        return found

    @cached_property
    def public(self) -> frozenset[str]:
        """Topics that other tenants may read, as those refer to them."""
        topics: Iterable[tuple[Identity, Any]] = ((it, one.spec) for it, one in self.by_identity.items())
        return frozenset(f"{it.tenant}/{it.name}" for it, spec in topics if it.kind == "Topic" and spec.public)

    def names(self, kind: str, tenant: str) -> list[str]:
        """What there is of ``kind`` in ``tenant``, implied dead-letter topics included."""
        return self._names.get((kind, tenant), [])

    def is_missing(self, identity: Identity) -> bool:
        """Whether nothing declares or implies ``identity``, as far as can be told."""
        if identity in self.by_identity or identity in self.rejected or identity in self.dead_letters.topics:
            return False
        return self.is_complete and not {identity.name, identity.name.removesuffix(SUFFIX)} & self._possible


def duplicates(declarations: Declarations) -> Iterator[Finding]:
    """The same thing declared twice; topics and queues count as the same."""
    first: dict[Identity, Declared] = {}
    for one in declarations.declared:
        kind, tenant, name = one.identity
        other = first.setdefault(Identity("Topic" if kind == "Queue" else kind, tenant, name), one)
        if other is one:
            continue
        message = f"{one.identity} is declared twice; the first is at {other.origin}"
        if other.identity.kind != kind:
            message = f"{other.identity} at {other.origin} has this name, and topics and queues share their names"
        yield Finding(one.document, ("metadata", "name"), message, Rule.DUPLICATE)


def renames(declarations: Declarations) -> Iterator[Finding]:
    """Things that were called as they are, and two that were one."""
    first: dict[Identity, Declared] = {}
    for one in declarations.declared:
        if one.former is None:
            continue
        other = first.setdefault(one.former, one)
        if one.former == one.identity:
            message = f"{one.identity} has this name: leave renamedFrom out, or say what it was called before"
        elif other is not one:
            message = (
                f"{other.identity} at {other.origin} is renamed from {one.renamed_from} too: only one of them was it"
            )
        else:
            continue
        yield Finding(one.document, ("metadata", "renamedFrom"), message, Rule.RENAME)


def tenants(declarations: Declarations) -> Iterator[Finding]:
    """Things of tenants that are not declared."""
    missing = {tenant for tenant in declarations.tenants if declarations.is_missing(Identity("Tenant", "", tenant))}
    for one in declarations.declared if missing else ():
        tenant = one.identity.tenant
        if tenant in missing:
            names = declarations.names("Tenant", "")
            message = f"there is no Tenant {tenant}"
            yield Finding(one.document, ("metadata", "tenant"), message, Rule.REFERENCE, name=tenant, candidates=names)


def handlers(declarations: Declarations) -> Iterator[Finding]:
    """Subscriptions to be delivered to handlers that are not declared."""
    for one, spec in declarations.of_kind("Subscription"):
        tenant = one.identity.tenant
        if spec.handler is not None and declarations.is_missing(Identity("Handler", tenant, spec.handler)):
            message, names = f"{tenant} has no Handler {spec.handler}", declarations.names("Handler", tenant)
            path = ("spec", "handler")
            yield Finding(one.document, path, message, Rule.REFERENCE, name=spec.handler, candidates=names)


def topics(declarations: Declarations) -> Iterator[Finding]:
    """Subscriptions to topics that are not there, to queues, and to what other tenants do not share."""
    for one, spec in declarations.of_kind("Subscription"):
        tenant, path = one.identity.tenant, ("spec", "topic")
        topic = topic_of(tenant, spec.topic)
        if topic.tenant == tenant and Identity("Queue", tenant, topic.name) in declarations.by_identity:
            message = f"{topic.name} is a Queue, which has the one subscription it implies: declare a Topic instead"
            yield Finding(one.document, path, message, Rule.REFERENCE)
        elif one.identity not in declarations.waiting and (message := _unreadable(declarations, one, topic)):
            is_own = topic.tenant == tenant
            name = topic.name if is_own else f"{topic.tenant}/{topic.name}"
            names = declarations.names("Topic", tenant) if is_own else declarations.public
            yield Finding(one.document, path, message, Rule.REFERENCE, name=name, candidates=names)


def _unreadable(declarations: Declarations, reader: Declared, topic: Identity) -> str:
    """Why ``reader`` cannot read the topic, where it is not there or not for its tenant; else empty."""
    tenant = reader.identity.tenant
    if topic.tenant == tenant:
        if not declarations.is_missing(topic):
            return ""
        queue = topic._replace(kind="Queue")
        is_queue = queue in declarations.by_identity or queue in declarations.rejected
        return "" if is_queue else f"{tenant} has no Topic {topic.name}"
    reference = f"{topic.tenant}/{topic.name}"
    is_hidden = topic in declarations.by_identity or declarations.is_missing(topic)
    is_theirs = is_hidden and reference not in declarations.public
    return f"there is no topic {reference} that {tenant} may read" if is_theirs else ""


def implied_subscriptions(declarations: Declarations) -> Iterator[Finding]:
    """Subscriptions with the name of one that a queue implies."""
    for one, _ in declarations.of_kind("Subscription"):
        queue = Identity("Queue", one.identity.tenant, one.identity.name)
        if queue in declarations.by_identity:
            message = f"{queue} implies a Subscription of this name: choose another"
            yield Finding(one.document, ("metadata", "name"), message, Rule.DUPLICATE)


def dead_letter_topics(declarations: Declarations) -> Iterator[Finding]:
    """Dead letters that would go where they cannot stay."""
    for one, spec in declarations.of_kind("Subscription", "Queue"):
        message = _dead_letter_fault(declarations, one, spec)
        if message:
            yield Finding(one.document, ("spec", "deadLetter"), message, Rule.DEAD_LETTER)


def _dead_letter_fault(declarations: Declarations, one: Declared, spec: Any) -> str:
    kind, tenant, name = one.identity
    topic = topic_of(tenant, spec.topic) if kind == "Subscription" else one.identity
    target = declarations.dead_letters.of[Identity("Subscription", tenant, name)]
    if spec.dead_letter is not None and spec.dead_letter == topic.name and topic.tenant == tenant:
        return f"{topic.name} is what this reads: dead letters go to another topic"
    if target is None:
        end = f"{topic.name} takes dead letters, and what fails there has none of its own: leave deadLetter out"
        return end if spec.dead_letter is not None else ""
    if Identity("Queue", tenant, target.name) in declarations.by_identity:
        return f"{target.name} is a Queue, and dead letters go to a Topic: name another"
    if len(target.name) > _LONGEST_NAME:
        return f"{target.name} would be longer than {_LONGEST_NAME} characters: name another topic for dead letters"
    return ""


def credentials(declarations: Declarations) -> Iterator[Finding]:
    """A key that stands for two principals, or twice for one."""
    first: dict[str, tuple[Declared, int]] = {}
    for one, spec in declarations.of_kind("Credential"):
        for index, key in enumerate(spec.keys):
            other, position = first.setdefault(key.sha256, (one, index))
            if (other, position) == (one, index):
                continue
            whose = "this Credential" if other is one else f"{other.identity} at {other.origin}"
            message = f"the same key is in {whose}: make a new one with `mqops credentials create`"
            yield Finding(one.document, ("spec", "keys", index, "sha256"), message, Rule.CREDENTIAL)


def internal_api(declarations: Declarations) -> Iterator[Finding]:
    """Paths of the internal API that would publish to what is not a topic of the platform's, or to two at once."""
    first: dict[str, Declared] = {}
    for one in declarations.declared:
        paths = internal_paths(one.metadata.annotations)
        if paths and (one.identity.kind not in ("Topic", "Queue") or one.identity.tenant != SYSTEM_TENANT):
            message = f"the internal API publishes to topics and queues of the tenant {SYSTEM_TENANT} alone"
            yield Finding(one.document, ("metadata", "annotations", INTERNAL_API), message, Rule.INTERNAL_API)
            continue
        for path in paths:
            other = first.setdefault(path, one)
            if other is not one:
                message = f"/internal/mq/{path} publishes to {other.identity} at {other.origin} already"
                yield Finding(one.document, ("metadata", "annotations", INTERNAL_API), message, Rule.INTERNAL_API)


def secrets(declarations: Declarations) -> Iterator[Finding]:
    """References to environment variables that are not the tenant's. (Files need no rule: each tenant has a folder.)"""
    prefixes = {tenant: environment_prefix(tenant) for tenant in declarations.names("Tenant", "")}
    for one, spec in declarations.of_kind("Handler"):
        reference = spec.http.signing_secret
        if reference is None or reference.env is None:
            continue
        own = environment_prefix(one.identity.tenant)
        others = (prefix for tenant, prefix in prefixes.items() if tenant != one.identity.tenant)
        if not reference.env.startswith(own):
            message = f"{one.identity.tenant} may use the environment variables {own}… only"
        elif any(reference.env.startswith(other) and len(other) >= len(own) for other in others):
            message = f"{reference.env} may be another tenant's: choose a name that only {own} begins"
        else:
            continue
        yield Finding(one.document, ("spec", "http", "signingSecret", "env"), message, Rule.SECRET)


RULES: tuple[Callable[[Declarations], Iterable[Finding]], ...] = (
    duplicates,
    renames,
    tenants,
    handlers,
    topics,
    implied_subscriptions,
    dead_letter_topics,
    credentials,
    internal_api,
    secrets,
)
