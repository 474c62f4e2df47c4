"""Finds what a request names, in the caller's tenant, and checks that the caller may use it like that.

What belongs to another tenant is looked up in the wrong place, so it is absent byte for byte.
"""

from collections.abc import Callable
from dataclasses import dataclass

from mqops.access import Caller
from mqops.api.timestamps import now_ms
from mqops.catalog import Catalog, SubscriptionEntry, TopicEntry
from mqops.errors import (
    Conflict,
    ConsumerFailed,
    Forbidden,
    NotFound,
    PublishFailed,
    QueueNotFound,
    SubscriptionNotFound,
    TopicNotFound,
)
from mqops.model import Role

_NOT_FOUND: dict[str, type[NotFound]] = {"Topic": TopicNotFound, "Queue": QueueNotFound}

UID_CHARACTERS = 36

LETTER_ROLES: frozenset[Role] = frozenset({"consumer", "admin"})
"""Who may look at dead letters, redrive and discard them. Publishing them elsewhere takes a publisher, too."""


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """Whose dead letters are meant."""

    topic: TopicEntry
    """Where they are."""
    reader: SubscriptionEntry | None = None
    """The subscription that failed; None for any."""


class Directory:
    """Look-ups in the current catalog."""

    def __init__(self, catalog: Callable[[], Catalog]) -> None:
        self._catalog = catalog

    def publishable(self, caller: Caller, kind: str, name: str) -> TopicEntry:
        """The ``Topic`` or ``Queue`` to publish to. Raises ``NotFound`` or ``Forbidden``."""
        caller.require_role("publisher")
        topic = self._topic(caller, kind, name)
        caller.require_producer(topic.spec)
        return topic

    def readable(self, caller: Caller, kind: str, name: str) -> TopicEntry:
        """The ``Topic`` or ``Queue`` whose messages to look at. Raises ``NotFound`` or ``Forbidden``."""
        caller.require_role("consumer")
        topic = self._topic(caller, kind, name)
        caller.require_consumer(topic.spec)
        return topic

    def readable_of(self, owner: str | None, caller: Caller, kind: str, name: str) -> TopicEntry:
        """The same; or where ``owner`` is another tenant, a public topic of that tenant's. Raises ``NotFound``, alike
        for one that is not public and for none at all, and ``Forbidden``."""
        if owner is None or owner == caller.tenant:
            return self.readable(caller, kind, name)
        caller.require_role("consumer")
        topic = self._catalog().topic(owner, name)
        is_open = topic is not None and topic.kind == kind and getattr(topic.spec, "public", False)
        if topic is None or not is_open or not caller.may_use(owner, topic.name):
            raise _NOT_FOUND[kind](f"there is no public {kind.lower()} {f'{owner}/{name}'!r}{_in_scope(caller)}")
        return topic

    def subscription(self, caller: Caller, name: str) -> SubscriptionEntry:
        """The subscription to pull from and settle. Raises ``NotFound`` or ``Forbidden``."""
        caller.require_role("consumer")
        return self._subscription(caller, name)

    def dead_letters(self, caller: Caller, kind: str, name: str) -> "DeadLetters":
        """The dead letters of a ``Subscription``, or all that a ``Topic`` has. Raises ``NotFound``, ``Forbidden``,
        and ``Conflict`` for a subscription that has none of its own."""
        caller.require_one_of(LETTER_ROLES)
        if kind == "Topic":
            topic = self._topic(caller, kind, name)
            caller.require_consumer(topic.spec)
            return DeadLetters(topic)
        reader = self._subscription(caller, name)
        if reader.spec.dead_letter is None:
            raise Conflict(f"subscription {reader.name!r} has no dead letters of its own: it reads those of others")
        found = self._catalog().topic(reader.tenant, reader.spec.dead_letter)
        if found is None:
            raise ConsumerFailed(f"topic {reader.spec.dead_letter!r} is not ready yet", retry_after_seconds=1)
        caller.require_consumer(found.spec)
        return DeadLetters(found, reader)

    def failed(self, caller: Caller, uid: str, called: str) -> SubscriptionEntry:
        """The subscription that a dead letter names by its uid, or one that has taken its name (``tenant/name``).
        Raises ``NotFound`` or ``Forbidden``."""
        tenant, _, name = called.partition("/")
        known = self._catalog().subscription(caller.tenant, uid) if uid else None
        if known is None and tenant != caller.tenant:
            raise SubscriptionNotFound(f"there is no subscription {called!r}")
        return self._subscription(caller, name if known is None else known.name)

    def origin(self, caller: Caller, uid: str, called: str) -> TopicEntry:
        """The topic or queue that a dead letter comes from, to publish to; as ``failed``."""
        tenant, _, name = called.partition("/")
        known = self._catalog().topic(caller.tenant, uid) if uid else None
        if known is None and tenant == caller.tenant:
            known = self._catalog().topic(tenant, name)
        if known is None:
            raise TopicNotFound(f"there is no topic {called!r} to publish to")
        return self.publishable(caller, known.kind, known.name)

    def _subscription(self, caller: Caller, name: str) -> SubscriptionEntry:
        found = self._catalog().subscription(caller.tenant, name)
        if found is None or not caller.may_use(found.topic.tenant, found.topic.name):
            if caller.scope is None:
                self._raise_if_unusable(("Subscription",), caller, name, ConsumerFailed)
            raise SubscriptionNotFound(f"there is no subscription {name!r}{_in_scope(caller)}")
        return _checked(caller, found)

    def queue(self, caller: Caller, name: str) -> SubscriptionEntry:
        """The subscription that a queue implies. Raises ``NotFound`` or ``Forbidden``."""
        caller.require_role("consumer")
        topic = self._topic(caller, "Queue", name)
        found = self._catalog().queue_subscription(topic.uid)
        if found is None:
            raise ConsumerFailed(f"queue {name!r} is not ready to be read yet", retry_after_seconds=1)
        return _checked(caller, found)

    def _topic(self, caller: Caller, kind: str, name: str) -> TopicEntry:
        topic = self._catalog().topic(caller.tenant, name)
        if topic is None or topic.kind != kind or not caller.may_use(topic.tenant, topic.name):
            # A uid says nothing of a name that the scope could be asked about.
            if caller.scope is None or (len(name) != UID_CHARACTERS and caller.may_use(caller.tenant, name)):
                self._raise_if_unusable((kind,), caller, name, PublishFailed)
            raise _NOT_FOUND[kind](f"there is no {kind.lower()} {name!r}{_in_scope(caller)}")
        return topic

    def _raise_if_unusable(
        self, kinds: tuple[str, ...], caller: Caller, name: str, error: type[PublishFailed] | type[ConsumerFailed]
    ) -> None:
        reason = self._catalog().why_unusable(kinds, caller.tenant, name)
        if reason is not None:
            raise error(f"{kinds[0].lower()} {name!r} cannot be used: {reason}")


def _in_scope(caller: Caller) -> str:
    """What is added to an absence, so that a credential's holder sees why; the same whether there is more or not."""
    return "" if caller.scope is None else " of the topics that the credential is limited to"


def _checked(caller: Caller, subscription: SubscriptionEntry) -> SubscriptionEntry:
    topic = subscription.topic
    if topic.tenant == subscription.tenant:
        caller.require_consumer(topic.spec)
    elif not getattr(topic.spec, "public", False):
        raise Forbidden(f"the topic of subscription {subscription.name!r} is not public any more")
    return subscription


def require_pullable(subscription: SubscriptionEntry) -> None:
    """Raises ``Conflict`` for a subscription that hands nothing out over HTTP at the moment."""
    if subscription.handler is not None:
        raise Conflict(
            f"subscription {subscription.name!r} is delivered to handler {subscription.handler.name!r}; "
            "a subscription without a handler is pulled"
        )
    if subscription.is_paused(now_ms()):
        raise Conflict(f"subscription {subscription.name!r} is paused")
    if subscription.topic.spec.state == "archived":
        raise Conflict(f"the topic of subscription {subscription.name!r} is archived")
