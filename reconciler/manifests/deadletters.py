"""Which subscription's dead letters go where. Pure.

A subscription names its dead-letter topic, or has ``<topic>.deadletter``; either way it lives with the subscriber's
tenant. What reads a dead-letter topic has no dead letters of its own, or there would be no end to it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mqops.model import Identity
from reconciler.manifests.validate import Declared

SUFFIX = ".deadletter"


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """Subscriptions, those that queues imply included, and their dead-letter topics."""

    of: Mapping[Identity, Identity | None]
    """Subscription → the Topic for what it failed with; ``None`` when it reads a dead-letter topic."""
    topics: Mapping[Identity, Identity]
    """Dead-letter Topic → the first subscription (by tenant and name) whose dead letters go there."""

    def usual(self, tenant: str, topic: Identity) -> Identity | None:
        """Where dead letters of ``topic``'s readers in ``tenant`` go when they name no topic for them."""
        return None if topic in self.topics else Identity("Topic", tenant, topic.name + SUFFIX)


def topic_of(tenant: str, reference: str) -> Identity:
    """The Topic that ``reference`` (``name``, or ``tenant/name``) means to ``tenant``."""
    owner, separator, name = reference.partition("/")
    return Identity("Topic", owner, name) if separator else Identity("Topic", tenant, reference)


def dead_letters(declared: Iterable[Declared]) -> DeadLetters:
    """Follows every subscription and queue of ``declared`` to its dead-letter topic."""
    readers = sorted((reader for one in declared for reader in _readers(one)), key=lambda reader: reader[0])
    of: dict[Identity, Identity | None] = {}
    for identity, _, named in readers:
        if named is not None:
            of[identity] = Identity("Topic", identity.tenant, named)
    ends = set(of.values())
    # A topic's dead-letter topic has a longer name than itself: so, shortest first, all that could make `topic` one
    # have been seen when its own readers come.
    for identity, topic, named in sorted(readers, key=lambda reader: len(reader[1].name)):
        if topic in ends:
            of[identity] = None
        elif named is None:
            of[identity] = Identity("Topic", identity.tenant, topic.name + SUFFIX)
            ends.add(of[identity])
    topics: dict[Identity, Identity] = {}
    for identity, _, _ in readers:
        target = of[identity]
        if target is not None:
            topics.setdefault(target, identity)
    return DeadLetters(of, topics)


def _readers(one: Declared) -> Iterable[tuple[Identity, Identity, str | None]]:
    """The subscription that ``one`` is or implies, what it reads, and the dead-letter topic it names."""
    kind, tenant, name = one.identity
    spec: Any = one.spec
    if kind == "Subscription":
        yield one.identity, topic_of(tenant, spec.topic), spec.dead_letter
    elif kind == "Queue":
        yield Identity("Subscription", tenant, name), Identity("Queue", tenant, name), spec.dead_letter
