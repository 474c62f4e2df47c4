"""One running platform for all tests of a module: two tenants and ``system``, and topics by the dozen.

A test takes names of its own, so that none sees another's messages.
"""

import itertools
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from installation import Installation
from served import API, Client
from waiting import eventually

ACME, PUBLISHER, GLOBEX, SYSTEM, NOT_A_KEY = "key-of-acme", "key-to-publish", "key-of-globex", "key-of-system", "no-key"
SERVICE_TOKEN = "token-of-the-services"
ADMIN, GLOBEX_ADMIN, SYSTEM_ADMIN = "key-of-acmes-admin", "key-of-globexs-admin", "key-of-systems-admin"


@dataclass
class Platform:
    """What tests ask of the running platform."""

    installation: Installation
    client: Client
    untouched: str = "untouched"
    """A topic (and its reader) that nothing is ever stored in."""
    fuzzed: str = "fuzzed"
    """A topic, and its reader of the same name, that keeps nothing."""
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    @property
    def acme(self) -> Client:
        return self.client.with_key(ACME)

    @property
    def globex(self) -> Client:
        return self.client.with_key(GLOBEX)

    def name(self, word: str) -> str:
        return f"{word}-{next(self._numbers)}"

    def topic_with_reader(self, *, reader: dict[str, Any] | None = None, **spec: Any) -> tuple[str, str]:
        """Names of a new topic of acme and of a subscription on it, with the dead letters it may name."""
        topic, subscription = self.name("topic"), self.name("reader")
        self.installation.topic("acme", topic, **spec)
        reader = {"deadLetter": self.dead_letters(topic), **(reader or {})}
        self.installation.subscription("acme", subscription, topic=topic, **reader)
        self.wait_for_subscription(subscription)
        return topic, subscription

    def queue(self, **spec: Any) -> str:
        queue = self.name("queue")
        self.installation.queue("acme", queue, deadLetter=self.dead_letters(queue), **spec)
        self.wait_for_subscription(queue)
        return queue

    def dead_letters(self, of: str) -> str:
        """A dead-letter topic with a reader of the same name."""
        name = f"{of}.deadletter"
        self.installation.topic("acme", name, maxBacklog=None)
        self.installation.subscription("acme", name, topic=name)
        return name

    def wait_for_subscription(self, subscription: str, tenant: str = "acme") -> None:
        """Until the server's catalog has it."""
        system = self.client.with_key(SYSTEM, tenant=tenant)
        path = f"/subscriptions/{subscription}/ack"
        eventually(lambda: system.post(path, {"ackIds": ["x"]}).status == 200, f"subscription {subscription}", 5)

    def wait_for_topic(self, topic: str) -> None:
        """Until the server's catalog has it."""
        system = self.client.with_key(SYSTEM, tenant="acme")
        path = f"{API}/topics/{topic}/messages?after=latest"
        eventually(lambda: system.get(path).status == 200, f"topic {topic}", 5)

    def assert_untouched(self) -> None:
        assert self.acme.pull(self.untouched) == []

    def populate(self) -> None:
        installation = self.installation
        for tenant in ("acme", "globex", "system"):
            installation.tenant(tenant)
        yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat()
        installation.credential("acme", "checkout", ACME)
        installation.credential("acme", "billing", PUBLISHER, roles=["publisher"])
        installation.credential("acme", "leaver", "key-that-expired", expiresAt=yesterday)
        installation.credential("globex", "checkout", GLOBEX)
        installation.credential("system", "gateway", SYSTEM)
        for tenant, key in (("acme", ADMIN), ("globex", GLOBEX_ADMIN), ("system", SYSTEM_ADMIN)):
            installation.credential(tenant, "admin", key, roles=["admin"])
        for name in (self.untouched, self.fuzzed):
            installation.topic("acme", name)
            installation.subscription("acme", name, topic=name)
        self.wait_for_subscription(self.fuzzed)
