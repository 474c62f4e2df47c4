"""Tokens of the platform's auth service: JSON Web Tokens (RFC 7519), checked here and nowhere else.

Which algorithm counts is decided by the key, never by the token (RFC 8725, section 3.1): HS256 for a shared secret, and
for a published key that of its type. A token stands for a principal of a tenant that a claim names. It never stands for
one of the tenant ``system``, whoever signed it: what may act for every tenant is declared in manifests alone.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, get_args

import jwt

from mqops.errors import Unauthenticated
from mqops.model import SYSTEM_TENANT, Role, TopicScope
from mqops.settings import TokenSettings

MAX_TOKEN_CHARACTERS = 8_192

_ROLES: frozenset[str] = frozenset(get_args(Role))
_PRINCIPAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@|+-]{0,199}")
"""Nothing that tenants and principals are parted by: no name may pass for that of another tenant's."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """What a signature is checked with, and the one algorithm that it is for."""

    algorithm: str
    key: Any


class SigningKeys(Protocol):
    """The keys of the auth service."""

    def find(self, kid: str | None) -> SigningKey:
        """The key that a token names. Raises ``Unauthenticated`` when there is none, and ``ConnectionFailed`` while
        that is not known."""

    def on_change(self, callback: Callable[[], None]) -> None:
        """Have ``callback`` called when keys are others than before."""


class SharedSecret:
    """The one key of a service that signs with a secret."""

    def __init__(self, secret: str) -> None:
        self._key = SigningKey("HS256", secret)

    def find(self, kid: str | None) -> SigningKey:
        return self._key

    def on_change(self, callback: Callable[[], None]) -> None:
        """It never is another."""


@dataclass(frozen=True, slots=True)
class TokenPrincipal:
    """Who a token stands for."""

    tenant: str
    name: str
    roles: frozenset[str]
    scope: TopicScope | None = None


class TokenVerifier:
    """Tells principals from tokens, by ``settings``."""

    def __init__(self, keys: SigningKeys, settings: TokenSettings) -> None:
        self.on_change = keys.on_change
        self._keys = keys
        self._settings = settings

    def verify(self, token: str) -> tuple[TokenPrincipal, float]:
        """Who ``token`` stands for, and until when (seconds since 1970). Raises ``Unauthenticated`` for a token that
        is not good, saying why, and ``ConnectionFailed`` while its key is not known."""
        if len(token) > MAX_TOKEN_CHARACTERS:
            raise Unauthenticated(f"a token has at most {MAX_TOKEN_CHARACTERS} characters")
        try:
            key = self._keys.find(jwt.get_unverified_header(token).get("kid"))
            claims = self._claims(token, key)
            ends = int(claims["exp"]) + self._settings.clock_skew_seconds
        except (jwt.PyJWTError, ValueError, OverflowError, RecursionError) as error:
            raise Unauthenticated(f"the token is not good: {error}") from error
        return self._principal(claims), ends

    def _claims(self, token: str, key: SigningKey) -> dict[str, Any]:
        settings = self._settings
        return jwt.decode(
            token,
            key=key.key,
            algorithms=[key.algorithm],
            options={"require": ["exp"], "verify_aud": settings.audience is not None},
            audience=settings.audience,
            issuer=settings.issuer,
            leeway=settings.clock_skew_seconds,
        )

    def _principal(self, claims: dict[str, Any]) -> TokenPrincipal:
        settings = self._settings
        tenant, name = (_text(claims, claim) for claim in (settings.tenant_claim, settings.principal_claim))
        if tenant == SYSTEM_TENANT:
            raise Unauthenticated(f"tokens do not stand for principals of the tenant {SYSTEM_TENANT}")
        if not _PRINCIPAL.fullmatch(name):
            raise Unauthenticated(f"the token's {settings.principal_claim} is no name of a principal")
        return TokenPrincipal(tenant, name, frozenset(_texts(claims, settings.roles_claim)) & _ROLES)


def _text(claims: dict[str, Any], name: str) -> str:
    value = _claim(claims, name)
    if not isinstance(value, str) or not value:
        raise Unauthenticated(f"the token has no claim {name}")
    return value


def _texts(claims: dict[str, Any], name: str) -> list[str]:
    """A list, or a text of words as in ``scope`` (RFC 8693, section 4.2); none when it is not there."""
    value = _claim(claims, name)
    words = value.split() if isinstance(value, str) else value
    return [word for word in words if isinstance(word, str)] if isinstance(words, list) else []


def _claim(claims: dict[str, Any], name: str) -> Any:
    """The claim of that name, dots and all, or what the dots lead to: ``realm_access.roles``."""
    if name in claims:
        return claims[name]
    value: Any = claims
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value
