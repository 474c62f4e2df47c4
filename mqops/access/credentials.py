"""Callers, told from what they present, and what they may do.

A caller acts in one tenant. Everything is looked up in that tenant, so what belongs to another is not found in the
same way as what does not exist, and no rule here has to hide it. The rules here are about what is found.
"""

import hashlib
import hmac
import math
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Protocol, get_args

from mqops.access.failures import Failures
from mqops.errors import Forbidden, MqopsError, NotFound, TooManyFailures, Unauthenticated
from mqops.model import SYSTEM_TENANT, Role, StoredSpec, TopicScope

_REMEMBERED = 10_000
"""Credentials that were checked and are in use; beyond it they are checked again."""


class Principal(Protocol):
    """Who a key stands for."""

    @property
    def tenant(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def roles(self) -> frozenset[str]: ...
    @property
    def scope(self) -> TopicScope | None: ...


class Key(Protocol):
    """A key, known by its SHA-256."""

    @property
    def principal(self) -> Principal: ...
    @property
    def expires_at(self) -> float | None: ...


class Tokens(Protocol):
    """What tells principals from tokens of the platform's auth service."""

    def verify(self, token: str) -> tuple[Principal, float]:
        """Who ``token`` stands for, and until when (seconds since 1970). Raises ``Unauthenticated``, and
        ``ConnectionFailed`` while that cannot be told."""

    def on_change(self, callback: Callable[[], None]) -> None:
        """Have ``callback`` called when tokens that were good may be so no more."""


class Keys(Protocol):
    """Where keys and tenants are looked up: one state of the catalog."""

    def key(self, digest: str) -> Key | None: ...
    def tenant(self, name: str) -> object | None: ...


@dataclass(frozen=True, slots=True)
class Caller:
    """A principal acting in a tenant."""

    principal: str
    home: str
    """The tenant that the principal belongs to."""
    tenant: str
    """The tenant that it acts in: its own, unless it is of the tenant ``system``."""
    roles: frozenset[str]
    producer: str
    """What its messages say of who published them."""
    scope: TopicScope | None = None
    """The topics that its credential is limited to; None when it is not."""

    @property
    def is_of_system(self) -> bool:
        """Whether it may act for any tenant."""
        return self.home == SYSTEM_TENANT

    def may_use(self, tenant: str, name: str) -> bool:
        """Whether its credential is good for the topic or queue ``name`` of ``tenant``, whatever the topic says."""
        return self.scope is None or self.scope.covers(tenant, name)

    def require_role(self, role: Role) -> None:
        """Raises ``Forbidden`` for a principal without ``role``."""
        if role not in self.roles:
            raise Forbidden(f"principal {self.principal!r} has not the role {role!r}", role=role)

    def require_one_of(self, roles: Collection[Role]) -> None:
        """Raises ``Forbidden`` for a principal with none of ``roles``."""
        if self.roles.isdisjoint(roles):
            wanted = ", ".join(sorted(roles))
            raise Forbidden(f"principal {self.principal!r} has none of the roles {wanted}", roles=sorted(roles))

    def require_producer(self, topic: StoredSpec) -> None:
        """Raises ``Forbidden`` unless the caller may publish to a topic of its tenant."""
        if topic.producers and not self.is_of_system and self.principal not in topic.producers:
            raise Forbidden(f"principal {self.principal!r} is not among the topic's producers")

    def require_consumer(self, topic: StoredSpec) -> None:
        """Raises ``Forbidden`` unless the caller may read a topic of its tenant."""
        if topic.consumers and not self.is_of_system and self.principal not in topic.consumers:
            raise Forbidden(f"principal {self.principal!r} is not among the topic's consumers")


@dataclass(frozen=True, slots=True)
class _Built:
    """A principal that no manifest declares."""

    tenant: str
    name: str
    roles: frozenset[str]
    scope: TopicScope | None = None


_SERVICE = _Built(SYSTEM_TENANT, "service", frozenset({"publisher", "consumer", "viewer"}))
"""Whoever has the service token. What it may not, a Credential of the tenant ``system`` can be given."""

_DEVELOPER = _Built(SYSTEM_TENANT, "developer", frozenset(get_args(Role)))


@dataclass(frozen=True, slots=True)
class _Known:
    """A caller whose credential was checked."""

    expires_at: float | None
    caller: Caller


class Access:
    """Tells callers from their credentials. ``keys`` gives the current catalog; ``service_token`` is what the
    platform's other services share; ``tokens`` knows tokens of its auth service; ``development_credential`` is a key
    for everything, on embedded servers alone; ``failures`` limits how often an address may be wrong."""

    def __init__(
        self,
        keys: Callable[[], Keys],
        development_credential: str | None = None,
        service_token: str | None = None,
        tokens: Tokens | None = None,
        failures: Failures | None = None,
    ) -> None:
        self._keys = keys
        self._service_digest = _digest(service_token) if service_token else None
        self._development_digest = _digest(development_credential) if development_credential else None
        self._known: dict[tuple[str, str | None], _Known] = {}
        self._known_by: Keys | None = None
        self._failures = failures
        self._service_hosts: set[str] = set()
        """Hosts that have sent the service token."""
        self._tokens = tokens
        if tokens is not None:
            tokens.on_change(self._known.clear)

    def caller(self, authorization: str | None, tenant: str | None = None, host: str = "") -> Caller:
        """Who sent ``authorization`` (``Bearer <key>``) from ``host``, acting in ``tenant`` when the request names one.
        Raises ``Unauthenticated``, or ``TooManyFailures`` when that happens too often; ``Forbidden`` for another's
        tenant; ``NotFound`` for a tenant that does not exist."""
        if authorization is None:
            raise Unauthenticated("a credential is needed: Authorization: Bearer <key>")
        keys = self._keys()
        if self._known_by is not keys or len(self._known) >= _REMEMBERED:
            self._known.clear()
            self._known_by = keys
        known = self._known.get((authorization, tenant))
        if known is None:
            try:
                known = self._known[authorization, tenant] = self._check(keys, authorization, tenant)
            except Unauthenticated as error:
                raise self._refusal(error, host) from error
        if known.expires_at is not None and known.expires_at <= time.time():
            raise self._refusal(Unauthenticated("the credential has expired"), host)
        return known.caller

    def service(self, token: str, tenant: str | None = None, host: str = "") -> Caller:
        """The service that sent ``token`` (``X-Service-Token``) from ``host``, acting in ``tenant`` when the request
        names one. Raises ``Unauthenticated``, ``TooManyFailures``, and ``NotFound`` for a tenant that does not
        exist."""
        # People choose this one, so that it may be guessed: who was wrong too often is not even told when it is right.
        if self._failures is not None and host not in self._service_hosts:
            _require_no_wait(self._failures.wait(host))
        # Digests of one length, compared in constant time: neither says how much of a guess is right.
        if self._service_digest is None or not hmac.compare_digest(_digest(token), self._service_digest):
            raise self._refusal(Unauthenticated("the service token is not known"), host)
        if len(self._service_hosts) >= _REMEMBERED:
            self._service_hosts.clear()
        self._service_hosts.add(host)
        return _acting(self._keys(), _SERVICE, tenant)

    def _refusal(self, error: Unauthenticated, host: str) -> MqopsError:
        """What a failure from ``host`` is answered with."""
        wait_seconds = 0.0 if self._failures is None else self._failures.note(host)
        return error if not wait_seconds else _too_many(wait_seconds)

    def _check(self, keys: Keys, authorization: str, tenant: str | None) -> _Known:
        scheme, _, secret = authorization.partition(" ")
        if scheme.lower() != "bearer" or not secret.strip():
            raise Unauthenticated("credentials are sent as Authorization: Bearer <key>")
        # The digest is looked up, not the key: how long that takes says nothing about any key.
        digest = _digest(secret.strip())
        if digest == self._development_digest:
            return _Known(None, _acting(keys, _DEVELOPER, tenant))
        key = keys.key(digest)
        if key is None and self._tokens is not None and secret.count(".") == 2:
            return self._of_token(self._tokens, keys, secret.strip(), tenant)
        if key is None:
            raise Unauthenticated("the credential is not known")
        return _Known(key.expires_at, _acting(keys, key.principal, tenant))

    def _of_token(self, tokens: Tokens, keys: Keys, token: str, tenant: str | None) -> _Known:
        principal, expires_at = tokens.verify(token)
        if keys.tenant(principal.tenant) is None:
            raise Unauthenticated("the token is of no tenant here")
        return _Known(expires_at, _acting(keys, principal, tenant))


def _require_no_wait(wait_seconds: float) -> None:
    if wait_seconds:
        raise _too_many(wait_seconds)


def _too_many(wait_seconds: float) -> TooManyFailures:
    message = "too many failed sign-ins from this address"
    return TooManyFailures(message, retry_after_seconds=math.ceil(wait_seconds))


def _acting(keys: Keys, principal: Principal, tenant: str | None) -> Caller:
    home, name, roles, scope = principal.tenant, principal.name, principal.roles, principal.scope
    if tenant is None or tenant == home:
        return Caller(name, home, home, roles, name, scope)
    if home != SYSTEM_TENANT:
        raise Forbidden("only principals of the tenant system act for other tenants (X-Mqops-Tenant)")
    if keys.tenant(tenant) is None:
        raise NotFound(f"there is no tenant {tenant!r}")
    return Caller(name, home, tenant, roles, f"{home}/{name}", scope)


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
