"""Tokens of an auth service that publishes its keys: taken by the running platform, rotated, and with it away."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import uuid4

import pytest
from databases import created
from installation import Installation
from served import API, Answer, Client, served
from tokens import AuthService, auth_service, private_key, published, token
from waiting import eventually

from mqops.access import jwks
from mqops.catalog import feed
from mqops.settings import TokenSettings


@dataclass
class World:
    """A platform that takes tokens of ``service``."""

    service: AuthService
    client: Client

    def publish(self, said: str) -> Answer:
        return self.client.with_key(said).publish("orders", {"payload": 1})

    def settled(self, said: str) -> Answer:
        """The answer once the key is known, or known not to be."""
        return eventually(lambda: (answer := self.publish(said)).status != 503 and answer, "the key", 5)


@pytest.fixture
def world(
    database_server_url: str,
    template_database: str,
    redis_url: str,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[World]:
    monkeypatch.setattr(feed, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(jwks, "CLOSEST_SECONDS", 0.3)
    monkeypatch.setattr(jwks, "FIRST_SECONDS", 0.1)
    with (
        auth_service() as service,
        created(database_server_url, f"mqops_tokens_{uuid4().hex[:12]}", template_database) as database_url,
    ):
        installation = Installation(database_url, redis_url)
        installation.tenant("acme")
        installation.topic("acme", "orders")
        tokens = TokenSettings(jwks_url=f"{service.url}/keys")
        state = tmp_path_factory.mktemp("state")
        with served(database_url, redis_url, state, installation.id, tokens=tokens, auth_failure_limit=0) as client:
            yield World(service, client)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_a_token_is_taken_by_the_key_that_it_names(world: World, algorithm: str) -> None:
    first, second, other = (private_key(algorithm) for _ in range(3))
    world.service.publish(published(algorithm, first, "1"), published(algorithm, second, "2"))
    for key, kid in ((first, "1"), (second, "2")):
        assert world.settled(token(key, algorithm, kid)).status == 200
    for key, kid in ((first, "2"), (other, "1"), (first, None)):
        assert world.settled(token(key, algorithm, kid)).status == 401


def test_the_only_key_need_not_be_named(world: World) -> None:
    key = private_key("ES256")
    world.service.publish(published("ES256", key, None))
    assert world.settled(token(key, "ES256")).status == 200


def test_roles_count_and_who_it_is_shows(world: World) -> None:
    key = private_key("EdDSA")
    world.service.publish(published("EdDSA", key, "1"))
    assert world.settled(token(key, "EdDSA", "1", sub="jo@acme.example")).status == 200
    assert world.publish(token(key, "EdDSA", "1", roles=["viewer"])).code == "FORBIDDEN"
    reader = world.client.with_key(token(key, "EdDSA", "1", roles=["consumer"]))
    [message] = reader.get(f"{API}/topics/orders/messages").body["messages"]
    assert message["producer"] == "jo@acme.example"


def test_a_new_key_is_asked_for_when_it_is_met_and_an_old_one_ends(world: World) -> None:
    old, new = private_key("ES256"), private_key("ES256")
    world.service.publish(published("ES256", old, "old"))
    of_old, of_new = token(old, "ES256", "old"), token(new, "ES256", "new")
    assert world.settled(of_old).status == 200
    world.service.publish(published("ES256", new, "new"))
    eventually(lambda: world.publish(of_new).status == 200, "the new key", 5)
    assert world.publish(of_old).status in (401, 503)
    assert world.settled(of_old).status == 401


def test_keys_that_are_made_up_do_not_have_it_asked_again_and_again(world: World) -> None:
    key = private_key("ES256")
    world.service.publish(published("ES256", key, "1"))
    assert world.settled(token(key, "ES256", "1")).status == 200
    world.service.asked.clear()
    statuses = {world.publish(token(key, "ES256", f"made-up-{number}")).status for number in range(100)}
    assert statuses <= {401, 503}
    asked = world.service.asked
    assert all(later - earlier > 0.25 for earlier, later in itertools.pairwise(asked))


def test_what_waits_for_a_key_may_be_sent_again(world: World) -> None:
    world.service.status = 500
    answer = world.publish(token(private_key("ES256"), "ES256", "1"))
    assert (answer.status, answer.code, answer.headers["retry-after"]) == (503, "CONNECTION_ERROR", "1")


@pytest.mark.parametrize("junk", [b"", b"[]", b"{}", b'{"keys": 1}', b"\xff", b"x" * 2_000_000, b"[" * 100_000])
def test_with_the_service_away_or_answering_nonsense_the_keys_of_before_are_good(world: World, junk: bytes) -> None:
    key = private_key("ES256")
    world.service.publish(published("ES256", key, "1"))
    assert world.settled(token(key, "ES256", "1")).status == 200
    world.service.answer = junk
    asked = len(world.service.asked)

    def has_asked_again() -> bool:
        world.publish(token(key, "ES256", "2"))
        return len(world.service.asked) > asked + 1

    eventually(has_asked_again, "another look", 5)
    assert world.publish(token(key, "ES256", "1", sub="later")).status == 200


def test_keys_that_are_not_for_signatures_as_we_take_them_are_passed_over(world: World) -> None:
    key, secret = private_key("RS256"), {"kty": "oct", "k": "c2VjcmV0" * 8, "kid": "secret"}
    good = published("RS256", key, "1")
    others = [{**good, "kid": "2", "use": "enc"}, {**good, "kid": "3", "alg": "RS512"}, {"kty": "new"}, secret, 7]
    world.service.publish(good, *others)  # type: ignore[arg-type]
    assert world.settled(token(key, "RS256", "1")).status == 200
    for kid in ("2", "3", "secret"):
        assert world.settled(token(key, "RS256", kid)).status == 401
