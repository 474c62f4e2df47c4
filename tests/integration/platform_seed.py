"""One running platform for all tests of a module: two tenants and ``system``, and topics by the dozen.

A test takes names of its own, so that none sees another's messages.
"""

import itertools
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from seed import Seed
from served import Client

ACME, PUBLISHER, GLOBEX, SYSTEM, NOT_A_KEY = "key-of-acme", "key-to-publish", "key-of-globex", "key-of-system", "no-key"


@dataclass
class Platform:
    """What tests ask of the running platform."""

    seed: Seed
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
        self.seed.topic("acme", topic, **spec)
        reader = {"deadLetter": self.dead_letters(topic), **(reader or {})}
        self.seed.subscription("acme", subscription, topic=topic, **reader)
        self.wait_for("Subscription", subscription)
        return topic, subscription

    def queue(self, **spec: Any) -> str:
        queue = self.name("queue")
        self.seed.queue("acme", queue, deadLetter=self.dead_letters(queue), **spec)
        self.wait_for("Subscription", queue)
        return queue

    def dead_letters(self, of: str) -> str:
        """A dead-letter topic with a reader of the same name."""
        name = f"{of}.deadletter"
        self.seed.topic("acme", name, maxBacklog=None)
        self.seed.subscription("acme", name, topic=name)
        return name

    def wait_for(self, kind: str, name: str) -> None:
        """Until the server's catalog has it."""
        paths = {"Topic": f"/api/v1/mq/topics/{name}/messages?after=latest", "Subscription": None}
        deadline = time.monotonic() + 5
        system = self.client.with_key(SYSTEM, tenant="acme")
        while True:
            path = paths[kind]
            if path is not None:
                status = system.get(path).status
            else:
                status = system.post(f"/subscriptions/{name}/ack", {"ackIds": ["x"]}).status
            if status == 200:
                return
            assert time.monotonic() < deadline, f"{kind} {name} did not turn up"
            time.sleep(0.02)

    def assert_untouched(self) -> None:
        assert self.acme.pull(self.untouched) == []

    def populate(self) -> None:
        seed = self.seed
        for tenant in ("acme", "globex", "system"):
            seed.tenant(tenant)
        yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat()
        seed.credential("acme", "checkout", ACME)
        seed.credential("acme", "billing", PUBLISHER, roles=["publisher"])
        seed.credential("acme", "leaver", "key-that-expired", expiresAt=yesterday)
        seed.credential("globex", "checkout", GLOBEX)
        seed.credential("system", "gateway", SYSTEM)
        for name in (self.untouched, self.fuzzed):
            seed.topic("acme", name)
            seed.subscription("acme", name, topic=name)
        self.wait_for("Subscription", self.fuzzed)
