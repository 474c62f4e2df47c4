"""Tokens of the auth service: which are good, and whom they stand for."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tokens import SECRET, private_key, token

from mqops.access import Access
from mqops.access.tokens import SharedSecret, SigningKey, TokenPrincipal, TokenVerifier
from mqops.errors import Forbidden, Unauthenticated
from mqops.settings import TokenSettings

USUAL = TokenSettings(secret=SECRET)


def verify(text: str, **settings: Any) -> TokenPrincipal:
    return TokenVerifier(SharedSecret(SECRET), replace(USUAL, **settings)).verify(text)[0]


class OneKey:
    """The only key of an auth service."""

    def __init__(self, algorithm: str, private: Any) -> None:
        self._key = SigningKey(algorithm, private.public_key())

    def find(self, kid: str | None) -> SigningKey:
        return self._key

    def on_change(self, callback: Callable[[], None]) -> None:
        """Never."""


def test_a_good_token_stands_for_whom_it_says_until_it_ends() -> None:
    ends = int(time.time()) + 60
    found = TokenVerifier(SharedSecret(SECRET), USUAL).verify(token(exp=ends))
    assert found == (TokenPrincipal("acme", "checkout", frozenset({"publisher"})), ends + 30)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_a_published_key_is_good_for_its_own_algorithm(algorithm: str) -> None:
    private = private_key(algorithm)
    verifier = TokenVerifier(OneKey(algorithm, private), TokenSettings())
    assert verifier.verify(token(private, algorithm))[0].name == "checkout"
    with pytest.raises(Unauthenticated):
        verifier.verify(token(private_key(algorithm), algorithm))


def test_a_public_key_is_not_taken_for_a_secret() -> None:
    """The classic confusion: whoever has the public key would sign with it as if it were a secret."""
    private = private_key("RS256")
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head, body, _ = token().split(".")
    signed = hmac.new(public, f"{head}.{body}".encode(), hashlib.sha256).digest()
    forged = f"{head}.{body}.{base64.urlsafe_b64encode(signed).decode().rstrip('=')}"
    with pytest.raises(Unauthenticated):
        TokenVerifier(OneKey("RS256", private), TokenSettings()).verify(forged)


def test_an_unsigned_token_is_worth_nothing() -> None:
    with pytest.raises(Unauthenticated):
        verify(jwt.encode({"tenant_id": "acme", "sub": "x", "exp": time.time() + 60}, "", "none"))


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": time.time() - 31},
        {"exp": None},
        {"exp": "soon"},
        {"exp": float("inf")},
        {"nbf": time.time() + 3_600},
        {"iat": time.time() + 3_600},
        {"iss": "other"},
        {"iss": None},
        {"aud": "other"},
        {"aud": None},
        {"tenant_id": None},
        {"tenant_id": ["acme"]},
        {"tenant_id": ""},
        {"sub": None},
    ],
)
def test_a_claim_that_is_wrong_or_missing_makes_it_worthless(claims: dict[str, Any]) -> None:
    good = {"iss": "auth", "aud": ["mqops", "shop"]}
    rules = {"issuer": "auth", "audience": "mqops"}
    assert verify(token(**good), **rules).tenant == "acme"
    with pytest.raises(Unauthenticated):
        verify(token(**{**good, **claims}), **rules)


def test_clocks_may_differ_by_as_much_as_is_set() -> None:
    late = token(exp=time.time() - 20, nbf=time.time() + 20)
    assert verify(late).name == "checkout"
    with pytest.raises(Unauthenticated):
        verify(late, clock_skew_seconds=10.0)


def test_an_audience_is_of_no_interest_where_none_is_set() -> None:
    assert verify(token(aud="shop", iss="anybody")).name == "checkout"


@pytest.mark.parametrize("name", ["a:b", "a/b", "system/x", "", " ", "a b", "ü", "x" * 201, "-a", "a\n"])
def test_a_principal_has_a_name_that_passes_for_no_other(name: str) -> None:
    with pytest.raises(Unauthenticated):
        verify(token(sub=name))


@pytest.mark.parametrize("name", ["auth0|64b7", "jo@acme.example", "3f0e2c1a-0b5e-4c43-9d7c-2a1b6c7d8e9f", "x" * 200])
def test_names_as_auth_services_give_them_are_taken(name: str) -> None:
    assert verify(token(sub=name)).name == name


def test_no_token_stands_for_a_principal_of_system() -> None:
    with pytest.raises(Unauthenticated, match="tenant system"):
        verify(token(tenant_id="system", roles=["admin"]))


@pytest.mark.parametrize(
    ("roles", "expected"),
    [
        (["publisher", "consumer"], {"publisher", "consumer"}),
        ("publisher consumer", {"publisher", "consumer"}),
        (["shopkeeper", "viewer", 7, None], {"viewer"}),
        ({"publisher": True}, set()),
        (7, set()),
        (None, set()),
    ],
)
def test_of_its_roles_those_count_that_there_are(roles: Any, expected: set[str]) -> None:
    assert verify(token(roles=roles)).roles == expected


def test_claims_may_be_called_otherwise_and_lie_deeper() -> None:
    said = token(
        **{"org": {"id": "globex"}, "https://x.example/user": "jo", "realm": {"access": {"roles": ["viewer"]}}}
    )
    names = {"tenant_claim": "org.id", "principal_claim": "https://x.example/user", "roles_claim": "realm.access.roles"}
    assert verify(said, **names) == TokenPrincipal("globex", "jo", frozenset({"viewer"}))


def encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "text",
    [
        "a.b.c", "..", "ü.ü.ü", "é.é.é", f"{encoded('[' * 5000)}.a.b", f"{encoded('[]')}.a.b", f"{encoded('null')}..",
        f"{encoded(json.dumps({'alg': 'HS256', 'kid': {}}))}.a.b", f"{encoded(json.dumps({'alg': ['HS256']}))}.a.b",
        "x" * 9_000, token()[:-3], token() + "AAAA",
    ],
)  # fmt: skip
def test_what_is_no_token_is_nobodys(text: str) -> None:
    with pytest.raises(Unauthenticated):
        verify(text)


class Keys:
    """A catalog without keys."""

    def key(self, digest: str) -> None:
        return None

    def tenant(self, name: str) -> object | None:
        return name if name == "acme" else None


class Verifier(TokenVerifier):
    """Counts what it is asked."""

    def __init__(self) -> None:
        super().__init__(SharedSecret(SECRET), USUAL)
        self.listeners: list[Callable[[], None]] = []
        self.on_change = self.listeners.append
        self.asked = 0

    def verify(self, token: str) -> tuple[TokenPrincipal, float]:
        self.asked += 1
        return super().verify(token)


def test_a_token_is_checked_once_and_again_when_keys_change() -> None:
    catalog, verifier = Keys(), Verifier()
    access = Access(lambda: catalog, tokens=verifier)
    said = f"Bearer {token()}"
    for _ in range(5):
        caller = access.caller(said)
    assert (caller.principal, caller.tenant, caller.producer, verifier.asked) == ("checkout", "acme", "checkout", 1)
    [changed] = verifier.listeners
    changed()
    access.caller(said)
    assert verifier.asked == 2


def test_a_token_that_was_good_ends() -> None:
    catalog = Keys()
    settings = replace(USUAL, clock_skew_seconds=0.0)
    access = Access(lambda: catalog, tokens=TokenVerifier(SharedSecret(SECRET), settings))
    said = f"Bearer {token(exp=int(time.time()) + 2)}"
    assert access.caller(said).principal == "checkout"
    time.sleep(2.1)
    with pytest.raises(Unauthenticated, match="expired"):
        access.caller(said)


def test_a_tokens_tenant_is_one_that_there_is_and_the_only_one_it_acts_in() -> None:
    catalog = Keys()
    access = Access(lambda: catalog, tokens=Verifier())
    with pytest.raises(Unauthenticated, match="no tenant"):
        access.caller(f"Bearer {token(tenant_id='globex')}")
    for other in ("globex", "nobody"):
        with pytest.raises(Forbidden):
            access.caller(f"Bearer {token()}", other)


def test_without_a_verifier_a_token_is_an_unknown_key() -> None:
    catalog = Keys()
    with pytest.raises(Unauthenticated, match="not known"):
        Access(lambda: catalog).caller(f"Bearer {token()}")
