"""For every operation of the API a request that succeeds, and whatever it is about.

Who adds an operation adds its request here: tests that walk the description fail on one that has none.
"""

import hashlib
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from api_platform import Platform
from served import API, Answer, Client
from trees import manifest
from waiting import eventually

from mqops.api.openapi.operations import Operation, operations
from mqops.model import INTERNAL_API, INTERNAL_PATHS, KINDS, Role

OPERATIONS = {operation.key: operation for operation in operations()}
ROLES: tuple[str, ...] = get_args(Role)
BY_PLURAL = {kind.plural: kind for kind in KINDS.values()}
TOPIC = "seeded"
"""A topic of acme, with a subscription of this name, of a source; the source has this name too. And a topic of
``system``, which the internal API publishes to."""
INTERNAL = "/internal/mq/"
FAILED = "seeded-failed"
"""Where that subscription's dead letters are."""

NO_MESSAGE = "01a2077e-6dc8-7ad8-8000-acde30c571f7"


@dataclass(frozen=True)
class Sent:
    """A request."""

    operation: Operation
    name: str = ""
    """What the path names."""
    body: Any = None
    message: str = NO_MESSAGE
    """The id in the path."""

    @property
    def query(self) -> dict[str, str]:
        """A stream would go on for ever."""
        return {"forMs": "50"} if self.operation.path.endswith("/stream") else {}

    @property
    def parameters(self) -> dict[str, str]:
        """Of the path."""
        known = {"name": self.name, "id": self.message}
        return {name: value for name, value in known.items() if f"{{{name}}}" in self.operation.path}

    @property
    def path(self) -> str:
        return self.operation.path.format(**self.parameters)

    def by(self, client: Client, query: str = "", headers: Mapping[str, str] | None = None) -> Answer:
        query = query or "".join(f"?{name}={value}" for name, value in self.query.items())
        return client.send(self.operation.method, f"{self.path}{query}", self.body, headers)


@dataclass(frozen=True)
class Seeds:
    """Makes requests that succeed."""

    platform: Platform
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    def populate(self) -> None:
        """A source, what it has, and in acme, globex and ``system`` a principal of each role, and one of all."""
        installation = self.platform.installation
        installation.put("Source", "", TOPIC, {"path": TOPIC})
        installation.topic("acme", TOPIC)
        installation.topic("acme", FAILED, maxBacklog=None)
        installation.subscription("acme", TOPIC, topic=TOPIC, deadLetter=FAILED, retry={"maxAttempts": 1})
        installation.topic("system", TOPIC)
        installation.annotate("Topic", "system", TOPIC, {INTERNAL_API: ", ".join(INTERNAL_PATHS)})
        for tenant in ("acme", "globex", "system"):
            for role in ROLES:
                installation.credential(tenant, f"only-{role}", key_of(tenant, role), roles=[role])
            installation.credential(tenant, "everything", key_of(tenant), roles=list(ROLES))
        last = self.client("system")
        eventually(lambda: last.get(f"{API}/topics").status == 200, "the credentials", 5)

    def client(self, tenant: str, role: str | None = None, acting_in: str | None = None) -> Client:
        """Speaks as the principal of ``tenant`` that has ``role`` alone, or all."""
        return self.platform.client.with_key(key_of(tenant, role), acting_in)

    def home(self, operation: Operation) -> str:
        """The tenant whose principals may do it: what belongs to no tenant is the system's."""
        if operation.path.startswith(INTERNAL):
            return "system"
        kind = BY_PLURAL.get(plural_of(operation))
        return "acme" if kind is None or kind.has_tenant else "system"

    def request(self, operation: Operation) -> Sent:
        """Raises ``KeyError`` for an operation that nobody has thought of."""
        plural = plural_of(operation)
        if operation.path.startswith(INTERNAL):
            return Sent(operation, body=None if operation.method == "GET" else {"payload": 1})
        if plural not in BY_PLURAL:
            return Sent(operation, body=_BODIES[operation.path.removeprefix(API)])
        rest = operation.path.removeprefix(f"{API}/{plural}").removeprefix("/{name}")
        if rest == "/messages/{id}":
            return self._about_a_message(operation, self._acted_on(plural))
        if rest.startswith("/deadletters"):
            name = FAILED if plural == "topics" else TOPIC
            letter = self.letter() if "{id}" in rest else NO_MESSAGE
            return Sent(operation, name, _BODIES_OF_ONE[rest], letter)
        if rest:
            name = self._acted_on(plural)
            message = self._scheduled(plural, name) if "{id}" in rest else NO_MESSAGE
            body = _BODIES_OF_ONE.get((operation.method, rest)) or _BODIES_OF_ONE[rest]
            return Sent(operation, name, body, message)
        if "{name}" not in operation.path:
            return Sent(operation, body=self.new(plural) if operation.method == "POST" else None)
        name = self.made(plural)
        return Sent(operation, name, {"spec": self.new(plural)["spec"]} if operation.method == "PUT" else None)

    def _about_a_message(self, operation: Operation, name: str) -> Sent:
        answer = self.client("acme").post(f"/{plural_of(operation)}/{name}/publish", {"payload": 1})
        return Sent(operation, name, message=answer.body["messageIds"][0])

    def letter(self) -> str:
        """The id of a new dead letter of the subscription ``TOPIC``."""
        client = self.client("acme")
        assert client.publish(TOPIC, {"payload": 1}).status == 200
        for message in client.pull(TOPIC, 100):
            client.settle("nack", TOPIC, message["ackId"])
        [*_, letter] = client.get(f"{API}/subscriptions/{TOPIC}/deadletters?limit=500").body["items"]
        return str(letter["id"])

    def made(self, plural: str) -> str:
        """The name of something new of acme; of the only source."""
        if plural == "sources":
            return TOPIC
        body = self.new(plural)
        client = self.client("acme" if BY_PLURAL[plural].has_tenant else "system")
        assert client.post(f"/{plural}", body).status == 201
        return str(body["name"])

    def new(self, plural: str) -> dict[str, Any]:
        """What makes one more of a kind."""
        number = self.number()
        digest = hashlib.sha256(f"{plural} {number}".encode()).hexdigest()
        specs: dict[str, dict[str, Any]] = {
            "subscriptions": {"topic": TOPIC, "deadLetter": f"{TOPIC}-letters"},
            "handlers": {"type": "http", "http": {"url": "https://acme.example/"}},
            "credentials": {"principal": "x", "keys": [{"sha256": digest}]},
        }
        return {"name": f"seed-{plural}-{number}", "spec": specs.get(plural, {})}

    def _scheduled(self, plural: str, name: str) -> str:
        """The id of a message that waits for its time."""
        body = {plural.removesuffix("s"): name, "payload": 1, "delayMs": 3_600_000}
        answer = self.client("acme").post("/publish/delayed", body)
        assert answer.status == 200, answer.raw
        return str(answer.body["messageIds"][0])

    def number(self) -> int:
        """Another one each time."""
        return next(self._numbers)

    def _acted_on(self, plural: str) -> str:
        return self.made("queues") if plural == "queues" else TOPIC


def key_of(tenant: str, role: str | None = None) -> str:
    return f"key-of-{tenant}-{role or 'everything'}"


def plural_of(operation: Operation) -> str:
    """What follows the root in its path: of most a kind's plural."""
    return operation.path.removeprefix(f"{API}/").partition("/")[0]


_BODIES: Mapping[str, Any] = {
    "/publish": {"topic": TOPIC, "payload": 1},
    "/publish/batch": {"requests": [{"topic": TOPIC, "messages": [{"payload": 1}]}]},
    "/publish/delayed": {"topic": TOPIC, "payload": 1, "delayMs": 3_600_000},
    "/publish/scheduled": {"topic": TOPIC, "payload": 1, "scheduledAt": "2020-01-01T00:00:00Z"},
    "/plans": {"source": TOPIC, "files": {f"{TOPIC}/x.yaml": manifest("Topic", "more")}},
    **dict.fromkeys(("/health", "/livez", "/readyz", "/openapi.json")),
}

_BODIES_OF_ONE: Mapping[str | tuple[str, str], Any] = {
    "/publish": {"payload": 1},
    ("PATCH", "/scheduled/{id}"): {"delayMs": 7_200_000},
    "/ack": {"ackIds": ["x"]},
    "/nack": {"ackIds": ["x"]},
    "/extend": {"ackIds": ["x"]},
    "/deadletters/redrive": {"all": True},
    "/deadletters/discard": {"all": True},
    **dict.fromkeys(("/deadletters", "/deadletters/{id}")),
    **dict.fromkeys(("/pull", "/stream", "/messages", "/scheduled", "/scheduled/{id}", "/purge", "/pause", "/resume")),
}
