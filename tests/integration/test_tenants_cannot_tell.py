"""What one tenant has cannot be told from nothing by another, byte for byte, in any operation of the description.

Compared are whole answers but for the date: to a request about what acme has, and to the same request about what nobody
has. Names are of one length, and replaced by each other, since messages quote what was asked for.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from api_platform import Platform
from seeded import BY_PLURAL, INTERNAL, OPERATIONS, TOPIC, Seeds, Sent, key_of, plural_of
from served import API, Answer
from trees import manifest
from waiting import eventually

from mqops.model import INTERNAL_API, INTERNAL_PATHS

STRANGER = "globex"


@pytest.fixture(scope="module")
def seeds(platform: Platform) -> Seeds:
    found = Seeds(platform)
    found.populate()
    platform.installation.topic("acme", "open", public=True)
    platform.wait_for_topic("open")
    return found


def told(answer: Answer, name: str) -> tuple[int, Mapping[str, str], str]:
    """All that ``answer`` says, about nothing in place of ``name``."""
    headers = {key: value.replace(name, absent(name)) for key, value in answer.headers.items() if key != "date"}
    return answer.status, headers, answer.raw.decode().replace(name, absent(name))


def absent(name: str) -> str:
    """What nobody has, as long as ``name``, and of the same form when that is a uid."""
    is_uid = len(name) == 36 and name.count("-") == 4
    return "".join("-" if letter == "-" else "f" for letter in name) if is_uid else "z" * len(name)


NAMING = [key for key, operation in OPERATIONS.items() if "{name}" in operation.path]
LISTS = [f"GET {API}/{plural}" for plural in BY_PLURAL]
MAKING = [key for key in OPERATIONS if key.startswith("POST ") and key.rpartition("/")[2] in BY_PLURAL]
BY_BODY = [
    *(
        f"POST {API}/{path}"
        for path in ("publish", "publish/batch", "publish/delayed", "publish/scheduled", "plans", "subscriptions")
    ),
    f"PUT {API}/subscriptions/{{name}}",
]
OF_SYSTEM = [key for key, operation in OPERATIONS.items() if operation.path.startswith(INTERNAL)]
OPEN = [key for key, operation in OPERATIONS.items() if operation.is_open]


def test_every_operation_is_compared() -> None:
    assert {*NAMING, *LISTS, *MAKING, *BY_BODY, *OF_SYSTEM, *OPEN} == set(OPERATIONS)


@pytest.mark.parametrize("key", NAMING)
def test_a_path_that_names_what_another_tenant_has_is_answered_like_one_that_names_nothing(
    seeds: Seeds, key: str
) -> None:
    operation = OPERATIONS[key]
    plural, request = plural_of(operation), seeds.request(operation)
    owner = seeds.client("system", acting_in="acme" if BY_PLURAL[plural].has_tenant else None)
    names = {request.name, seeds.made(plural), *KNOWN.get(plural, ())}
    names |= {owner.get(f"{API}/{plural}/{name}").body["id"] for name in set(names)}
    queries = [f"?{name}=true" for name in operation.parameters if name in ("dryRun", "allowDataLoss", "unprotect")]
    states = [{name: '"1.1.1"'} for name in operation.parameters if name in ("If-Match", "If-None-Match")]
    asked = [*((query, None) for query in ("", *queries)), *(("", state) for state in states)]
    for name in sorted(names):
        for query, state in asked:
            there = replace(request, name=name).by(seeds.client(STRANGER), query, state)
            nothing = replace(request, name=absent(name)).by(seeds.client(STRANGER), query, state)
            assert there.status >= 400
            assert told(there, name) == told(nothing, name)
        assert owner.get(f"{API}/{plural}/{name}").status == 200


KNOWN = {"topics": (TOPIC, "open"), "subscriptions": (TOPIC,), "tenants": ("acme",)}
"""What sources have; a public topic, too: others subscribe to it, and see no more of it than of others."""


@pytest.mark.parametrize("key", LISTS)
def test_a_list_is_the_same_whatever_others_have(seeds: Seeds, key: str) -> None:
    operation = OPERATIONS[key]
    client = seeds.client(STRANGER)
    queries = ("", "?sort=-createdAt", "?limit=1", "?labelSelector=a!=b")
    before = [Sent(operation).by(client, query).raw for query in queries]
    name = seeds.made(plural_of(operation))
    assert [Sent(operation).by(client, query).raw for query in queries] == before
    assert not any(name.encode() in raw for raw in before)


@pytest.mark.parametrize("key", MAKING)
def test_a_name_that_others_use_is_free(seeds: Seeds, key: str) -> None:
    plural = plural_of(OPERATIONS[key])
    name = seeds.made(plural)
    client = seeds.client(STRANGER)
    body = {"spec": {"topic": own_topic(seeds)}} if plural == "subscriptions" else seeds.new(plural)
    there, nothing = (Sent(OPERATIONS[key], body={**body, "name": word}) for word in (name, absent(name)))
    answers = (there.by(client, "?dryRun=true"), nothing.by(client, "?dryRun=true"))
    assert told(answers[0], name) == told(answers[1], name)
    assert answers[0].status == (403 if plural == "tenants" else 200)


def own_topic(seeds: Seeds) -> str:
    """The stranger's, with a name so short that nothing suggests it."""
    name = f"q{seeds.number()}"
    assert seeds.client(STRANGER).post("/topics", {"name": name}).status == 201
    return name


def bodies(seeds: Seeds, key: str) -> Iterator[tuple[str, Any]]:
    """Names of what acme has, each with a body that names it."""
    topic, queue, handler = (seeds.made(plural) for plural in ("topics", "queues", "handlers"))
    if key.endswith("/publish/batch"):
        yield topic, {"topic": topic, "messages": [{"payload": 1}]}
        yield topic, {"requests": [{"topic": topic, "messages": [{"payload": 1}, {"payload": 2}]}]}
        yield queue, {"requests": [{"queue": queue, "messages": [{"payload": 1}]}]}
    elif "/publish" in key:
        when = {"delayed": {"delayMs": 0}, "scheduled": {"scheduledAt": "2020-01-01T00:00:00Z"}}
        more = when.get(key.rpartition("/")[2], {})
        yield topic, {"topic": topic, "payload": 1, **more}
        yield queue, {"queue": queue, "payload": 1, **more}
    elif key.endswith("/plans"):
        yield topic, {"source": TOPIC, "files": {f"{TOPIC}/x.yaml": ""}, "targets": [f"topic/acme/{topic}"]}
        yield topic, {"source": TOPIC, "files": {f"{TOPIC}/x.yaml": manifest("Topic", topic, tenant="acme")}}
        yield topic, {"source": TOPIC, "files": {f"{TOPIC}/x.yaml": reading(f"acme/{topic}")}}
        yield handler, {"source": TOPIC, "files": {f"{TOPIC}/x.yaml": reading(f"acme/{topic}", handler)}}
    else:
        for named in (topic, queue):
            yield named, {"spec": {"topic": named}}
            yield named, {"spec": {"topic": f"acme/{named}"}}
        yield handler, {"spec": {"topic": "own", "handler": handler}}


def reading(topic: str, handler: str = "null") -> str:
    return manifest("Subscription", "x", f"{{topic: {topic}, handler: {handler}}}", STRANGER)


@pytest.mark.parametrize("key", BY_BODY)
def test_a_body_that_names_what_another_tenant_has_is_answered_like_one_that_names_nothing(
    seeds: Seeds, key: str
) -> None:
    operation, client = OPERATIONS[key], seeds.client(STRANGER)
    own = own_topic(seeds)
    assert client.post("/subscriptions", {"name": f"of-{own}", "spec": {"topic": own}}).status == 201
    extra = {"name": "x"} if key == f"POST {API}/subscriptions" else {}
    for name, body in bodies(seeds, key):
        there = json.loads(json.dumps({**body, **extra}).replace('"own"', f'"{own}"'))
        nothing = json.loads(json.dumps(there).replace(name, absent(name)))
        answers = [Sent(operation, f"of-{own}", asked).by(client) for asked in (there, nothing)]
        assert answers[0].status >= 400 or (key.endswith("/plans") and answers[0].body["plan"]["waiting"])
        assert told(answers[0], name) == told(answers[1], name)


@pytest.mark.parametrize("key", [key for key in OPERATIONS if key not in OPEN])
def test_another_tenant_cannot_be_acted_in_nor_told_from_none(seeds: Seeds, key: str) -> None:
    request = seeds.request(OPERATIONS[key])
    client = seeds.platform.client
    there, nothing = (request.by(client.with_key(key_of(STRANGER), tenant)) for tenant in ("acme", absent("acme")))
    assert (there.status, there.code) == (403, "FORBIDDEN")
    assert told(there, "acme") == told(nothing, "acme")


@pytest.mark.parametrize("key", OF_SYSTEM)
def test_the_internal_api_tells_others_nothing_of_what_is_declared(seeds: Seeds, key: str) -> None:
    request, installation = seeds.request(OPERATIONS[key]), seeds.platform.installation
    there = request.by(seeds.client(STRANGER))
    annotations = {INTERNAL_API: ", ".join(INTERNAL_PATHS)}
    system = seeds.client("system")
    try:
        installation.annotate("Topic", "system", TOPIC, {})
        if "health" not in key:
            eventually(lambda: request.by(system).status == 404, "the change", 5)
        nothing = request.by(seeds.client(STRANGER))
    finally:
        installation.annotate("Topic", "system", TOPIC, annotations)
    assert (there.status, there.code) == (403, "FORBIDDEN")
    assert told(there, TOPIC) == told(nothing, TOPIC)


def test_an_ack_id_of_another_tenant_is_worth_as_much_as_none(seeds: Seeds) -> None:
    owner, client = seeds.client("acme"), seeds.client(STRANGER)
    assert owner.publish(TOPIC, {"payload": 1}).status == 200
    message, *_ = owner.pull(TOPIC)
    own = own_topic(seeds)
    assert client.post("/subscriptions", {"name": own, "spec": {"topic": own}}).status == 201
    ack_id = message["ackId"]
    for verb in ("ack", "nack", "extend"):
        assert client.settle(verb, own, ack_id, absent(ack_id)) == ["invalid", "invalid"]
    assert owner.settle("ack", TOPIC, ack_id) == ["acked"]
