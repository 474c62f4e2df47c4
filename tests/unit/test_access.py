"""Who calls, and what they may do."""

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from mqops.access import Access, Caller
from mqops.catalog import KeyEntry, Principal
from mqops.errors import Forbidden, NotFound, Unauthenticated
from mqops.model import TopicSpec

EVERYTHING = frozenset({"publisher", "consumer", "viewer", "planner", "deployer", "admin"})


@dataclass
class Keys:
    """A catalog's keys and tenants."""

    by_digest: Mapping[str, KeyEntry] = field(default_factory=dict)
    tenants: frozenset[str] = frozenset({"acme", "globex", "system"})
    looked_up: int = 0

    def key(self, digest: str) -> KeyEntry | None:
        self.looked_up += 1
        return self.by_digest.get(digest)

    def tenant(self, name: str) -> object | None:
        return name if name in self.tenants else None


def keys(**principals: tuple[str, str, float | None]) -> Keys:
    """``key=(tenant, principal, expires_at)``"""
    return Keys(
        {
            hashlib.sha256(key.encode()).hexdigest(): KeyEntry(Principal(tenant, name, EVERYTHING), expires_at, "uid")
            for key, (tenant, name, expires_at) in principals.items()
        }
    )


def caller(principal: str = "checkout", home: str = "acme", roles: frozenset[str] = EVERYTHING) -> Caller:
    return Caller(principal, home, "acme", roles, principal)


def test_a_known_key_is_its_principal_in_its_own_tenant() -> None:
    found = keys(k1=("acme", "checkout", None))
    assert Access(lambda: found).caller("Bearer k1") == Caller("checkout", "acme", "acme", EVERYTHING, "checkout")


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer ", "Basic k1", "k1", "Bearer k2", "Bearer k1 x"])
def test_anything_else_is_nobody(authorization: str | None) -> None:
    found = keys(k1=("acme", "checkout", None))
    with pytest.raises(Unauthenticated):
        Access(lambda: found).caller(authorization)


def test_the_scheme_is_read_whatever_its_case() -> None:
    found = keys(k1=("acme", "checkout", None))
    assert Access(lambda: found).caller("bEARER  k1").principal == "checkout"


def test_an_expired_key_is_nobody_also_when_it_was_known_before() -> None:
    soon = time.time() + 0.05
    found = keys(k1=("acme", "checkout", soon))
    access = Access(lambda: found)
    assert access.caller("Bearer k1").principal == "checkout"
    time.sleep(0.06)
    with pytest.raises(Unauthenticated, match="expired"):
        access.caller("Bearer k1")


def test_a_key_that_is_taken_back_stops_working_with_the_next_catalog() -> None:
    current = keys(k1=("acme", "checkout", None))
    access = Access(lambda: current)
    access.caller("Bearer k1")
    current = keys()
    with pytest.raises(Unauthenticated):
        access.caller("Bearer k1")


def test_a_key_in_use_is_hashed_and_looked_up_once() -> None:
    found = keys(k1=("acme", "checkout", None))
    access = Access(lambda: found)
    for _ in range(5):
        access.caller("Bearer k1")
    assert found.looked_up == 1


def test_keys_that_are_not_known_are_not_remembered() -> None:
    found = keys()
    access = Access(lambda: found)
    for number in range(50):
        with pytest.raises(Unauthenticated):
            access.caller(f"Bearer guess-{number}")
    assert not access._known


def test_a_system_principal_acts_for_the_tenant_it_names() -> None:
    found = keys(k1=("system", "gateway", None))
    acting = Access(lambda: found).caller("Bearer k1", "acme")
    assert (acting.tenant, acting.producer) == ("acme", "system/gateway")


def test_a_system_principal_hears_that_a_tenant_does_not_exist() -> None:
    found = keys(k1=("system", "gateway", None))
    with pytest.raises(NotFound):
        Access(lambda: found).caller("Bearer k1", "nobody")


def test_others_are_refused_in_the_same_words_whether_the_tenant_exists_or_not() -> None:
    found = keys(k1=("acme", "checkout", None))
    refusals = []
    for tenant in ("globex", "nobody"):
        with pytest.raises(Forbidden) as refusal:
            Access(lambda: found).caller("Bearer k1", tenant)
        refusals.append((refusal.value.code, refusal.value.message, refusal.value.details))
    assert refusals[0] == refusals[1]


def test_a_principal_may_name_its_own_tenant() -> None:
    found = keys(k1=("acme", "checkout", None))
    assert Access(lambda: found).caller("Bearer k1", "acme").tenant == "acme"


def test_the_development_credential_may_do_everything_for_everyone() -> None:
    found = keys()
    acting = Access(lambda: found, "dev-key").caller("Bearer dev-key", "acme")
    assert acting == Caller("developer", "system", "acme", EVERYTHING, "system/developer")


def test_without_a_development_credential_no_key_is_one() -> None:
    found = keys()
    with pytest.raises(Unauthenticated):
        Access(lambda: found, None).caller("Bearer None")


def test_a_role_is_needed() -> None:
    with pytest.raises(Forbidden):
        caller(roles=frozenset({"publisher"})).require_role("consumer")


def test_an_empty_list_admits_every_principal_of_the_tenant() -> None:
    caller().require_producer(TopicSpec())
    caller().require_consumer(TopicSpec())


def test_a_list_admits_those_on_it_and_principals_of_system() -> None:
    topic = TopicSpec(producers=("checkout",), consumers=("billing",))
    caller("checkout").require_producer(topic)
    caller("gateway", home="system").require_producer(topic)
    caller("gateway", home="system").require_consumer(topic)
    with pytest.raises(Forbidden):
        caller("checkout").require_consumer(topic)
    with pytest.raises(Forbidden):
        caller("billing").require_producer(topic)


def test_one_role_of_several_is_enough() -> None:
    caller(roles=frozenset({"viewer"})).require_one_of({"viewer", "admin"})
    with pytest.raises(Forbidden) as refused:
        caller(roles=frozenset({"publisher"})).require_one_of({"viewer", "admin"})
    assert refused.value.details == {"roles": ["admin", "viewer"]}


TOKEN = "token-of-the-services"


def test_the_service_token_stands_for_a_principal_of_system_that_names_its_tenant() -> None:
    access = Access(keys, service_token=TOKEN)
    roles = frozenset({"publisher", "consumer", "viewer"})
    assert access.service(TOKEN) == Caller("service", "system", "system", roles, "service")
    assert access.service(TOKEN, "acme") == Caller("service", "system", "acme", roles, "system/service")
    with pytest.raises(NotFound):
        access.service(TOKEN, "nobody")


@pytest.mark.parametrize("token", ["", TOKEN[:-1], f"{TOKEN}x", TOKEN.upper(), "ÿ"])
def test_another_service_token_is_nobody(token: str) -> None:
    with pytest.raises(Unauthenticated):
        Access(keys, service_token=TOKEN).service(token)


def test_without_a_service_token_none_is_one_and_none_is_a_key() -> None:
    for token in ("", "None", TOKEN):
        with pytest.raises(Unauthenticated):
            Access(keys).service(token)
    with pytest.raises(Unauthenticated):
        Access(keys, service_token=TOKEN).caller(f"Bearer {TOKEN}")
