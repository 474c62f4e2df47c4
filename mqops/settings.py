"""Settings from the environment, read once at the start of a process and passed on as a value.

The names are the owner's where the owner gave one; ours begin with ``MQOPS_``. A setting exists when it has an effect.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast

from mqops.durations import parse_duration, parse_size
from mqops.errors import ConfigurationError

_DISCOVERED = {
    "AUTH_SERVICE_URL": "http://auth-service:3001",
    "USER_SERVICE_URL": "http://user-management-service:3003",
    "NOTIFICATION_SERVICE_URL": "http://notification-service:3005",
    "AUDIT_SERVICE_URL": "http://audit-service:3008",
}
"""Where SERVICE_DISCOVERY_MODE=docker-compose finds the platform's services."""

LogFormat = Literal["text", "logfmt", "json"]

MANIFEST_VARIABLES = (*_DISCOVERED, "MQOPS_LISTEN_URL")
"""What manifests may name as `${NAME}`, set or not; everything else in the environment stays out of their reach."""


@dataclass(frozen=True, slots=True)
class TokenSettings:
    """How tokens of the platform's auth service are checked; with neither a secret nor a key set, none is taken."""

    secret: str | None = field(default=None, repr=False)
    """MQOPS_JWT_SECRET: what the service signs with (HS256)."""
    jwks_url: str | None = None
    """MQOPS_JWT_JWKS: where it publishes its keys: a URL, or a path of AUTH_SERVICE_URL."""
    issuer: str | None = None
    """MQOPS_JWT_ISSUER: what `iss` has to be; without it, anything."""
    audience: str | None = None
    """MQOPS_JWT_AUDIENCE: what has to be among `aud`; without it, anything."""
    tenant_claim: str = "tenant_id"
    """MQOPS_JWT_TENANT_CLAIM: the claim that names the tenant; dots lead into mappings."""
    principal_claim: str = "sub"
    """MQOPS_JWT_PRINCIPAL_CLAIM: the claim that names the principal."""
    roles_claim: str = "roles"
    """MQOPS_JWT_ROLES_CLAIM: the claim that lists the roles."""
    clock_skew_seconds: float = 30.0
    """MQOPS_JWT_CLOCK_SKEW (a duration): how far the service's clock may be from this one."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that an installation can set, with its defaults."""

    host: str = "127.0.0.1"
    """MQOPS_HOST: the address that `serve` listens on."""
    port: int = 3010
    """PORT of the data plane."""
    web_workers: int = 2
    """MQOPS_WEB_WORKERS: gunicorn workers of `serve`."""
    redis_url: str | None = None
    """REDIS_URL; without it `mqops up` starts an embedded server."""
    database_url: str | None = None
    """DATABASE_URL; without it `mqops up` starts an embedded server."""
    redis_key_prefix: str = "mq:"
    """REDIS_KEY_PREFIX: what every key of ours begins with."""
    environment: str = "default"
    """MQOPS_ENVIRONMENT: stamped on both stores; another environment's processes are refused."""
    state_dir: Path = field(default_factory=lambda: Path(".mqops"))
    """MQOPS_STATE_DIR: embedded servers' data, catalog snapshots, development secrets."""
    secrets_dir: Path = field(default_factory=lambda: Path(".mqops/secrets"))
    """MQOPS_SECRETS_DIR: a folder per tenant, for `{file: …}` references."""
    private_targets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """MQOPS_PRIVATE_TARGETS: `tenant=host:port,…;…`: private addresses that a tenant's webhooks may reach;
    `*` for all of them."""
    development_credential: str | None = None
    """MQOPS_DEVELOPMENT_CREDENTIAL: a key for everything, set by `mqops up` on embedded servers alone."""
    internal_service_token: str | None = field(default=None, repr=False)
    """INTERNAL_SERVICE_TOKEN: what the platform's other services send as `X-Service-Token`; without it, none may."""
    auth_failure_limit: int = 60
    """MQOPS_AUTH_FAILURE_LIMIT: failed sign-ins a minute that an address may have in each process; 0: any number."""
    tokens: TokenSettings = field(default_factory=TokenSettings)
    """MQOPS_JWT_…"""
    listen_url: str = "http://127.0.0.1:3011"
    """MQOPS_LISTEN_URL: where `mqops listen` receives webhooks; a variable for manifests."""
    log_format: LogFormat = "text"
    """MQOPS_LOG_FORMAT: of `reconcile`; where it is not `text`, `apply` and `rollback` write a line a change, too."""
    reconciler_metrics_port: int | None = None
    """MQOPS_RECONCILER_METRICS_PORT: where `reconcile --watch` shows Prometheus its figures; without it, nowhere."""
    accept_risk: bool = False
    """MQOPS_ACCEPT_RISK=1: start on stores that `mqops doctor` calls bad."""
    drain_seconds: float = 10.0
    """MQOPS_DRAIN_TIMEOUT (a duration): how long `serve` and `work` finish what they hold after SIGTERM."""

    max_message_size_bytes: int = 1_048_576
    """MAX_MESSAGE_SIZE: default limit of a payload."""
    default_ttl_ms: int = 604_800_000
    """DEFAULT_TTL (given in seconds): default retention."""
    max_queue_length: int = 10_000
    """MAX_QUEUE_LENGTH: default maxBacklog."""
    consumer_timeout_ms: int = 30_000
    """CONSUMER_TIMEOUT: default ackDeadline."""
    processing_timeout_ms: int = 15_000
    """PROCESSING_TIMEOUT_MS: default time-out of a handler."""
    max_concurrent_consumers: int = 5
    """MAX_CONCURRENT_CONSUMERS: default concurrency of a subscription."""
    message_batch_size: int = 50
    """MESSAGE_BATCH_SIZE: default number of messages a fetch takes."""
    health_check_interval_seconds: float = 30.0
    """HEALTH_CHECK_INTERVAL: how often background checks run."""
    service_discovery_mode: Literal["docker-compose", "static"] = "docker-compose"
    """SERVICE_DISCOVERY_MODE: `docker-compose` knows the platform's services by name; `static` only what is set."""
    service_urls: Mapping[str, str] = field(default_factory=lambda: dict(_DISCOVERED))
    """AUTH_SERVICE_URL, USER_SERVICE_URL, AUDIT_SERVICE_URL, NOTIFICATION_SERVICE_URL: variables for manifests."""

    @property
    def manifest_variables(self) -> dict[str, str]:
        """Values of the ``MANIFEST_VARIABLES`` that are set."""
        return {**self.service_urls, "MQOPS_LISTEN_URL": self.listen_url}


def settings_from(environment: Mapping[str, str]) -> Settings:
    """Read ``environment``; raises ``ConfigurationError`` naming every variable that cannot be read."""
    reader = _Reader(environment)
    mode = reader.choice("SERVICE_DISCOVERY_MODE", ("docker-compose", "static"))
    discovered = _DISCOVERED if mode == "docker-compose" else {}
    port = reader.integer("PORT", 3010, 0, 65_535)
    state_dir = Path(environment.get("MQOPS_STATE_DIR") or ".mqops")
    service_urls = {name: value for name in _DISCOVERED if (value := environment.get(name) or discovered.get(name))}
    settings = Settings(
        host=environment.get("MQOPS_HOST") or "127.0.0.1",
        port=port,
        web_workers=reader.integer("MQOPS_WEB_WORKERS", 2, 1, 64),
        redis_url=environment.get("REDIS_URL") or None,
        database_url=environment.get("DATABASE_URL") or None,
        redis_key_prefix=environment.get("REDIS_KEY_PREFIX") or "mq:",
        environment=environment.get("MQOPS_ENVIRONMENT") or "default",
        state_dir=state_dir,
        secrets_dir=Path(environment.get("MQOPS_SECRETS_DIR") or state_dir / "secrets"),
        private_targets=reader.private_targets("MQOPS_PRIVATE_TARGETS"),
        development_credential=environment.get("MQOPS_DEVELOPMENT_CREDENTIAL") or None,
        internal_service_token=reader.secret("INTERNAL_SERVICE_TOKEN", 16),
        auth_failure_limit=reader.integer("MQOPS_AUTH_FAILURE_LIMIT", 60, 0, 1_000_000),
        tokens=reader.tokens(service_urls.get("AUTH_SERVICE_URL", "")),
        listen_url=environment.get("MQOPS_LISTEN_URL") or f"http://127.0.0.1:{port + 1 if port < 65_535 else port - 1}",
        log_format=cast(LogFormat, reader.choice("MQOPS_LOG_FORMAT", ("text", "logfmt", "json"))),
        reconciler_metrics_port=reader.port("MQOPS_RECONCILER_METRICS_PORT"),
        accept_risk=reader.choice("MQOPS_ACCEPT_RISK", ("0", "1")) == "1",
        drain_seconds=reader.duration_ms("MQOPS_DRAIN_TIMEOUT", 10_000) / 1000,
        max_message_size_bytes=reader.size("MAX_MESSAGE_SIZE", 1_048_576),
        default_ttl_ms=reader.integer("DEFAULT_TTL", 604_800, 1, 10 * 365 * 86_400) * 1000,
        max_queue_length=reader.integer("MAX_QUEUE_LENGTH", 10_000, 1, 2**53),
        consumer_timeout_ms=reader.integer("CONSUMER_TIMEOUT", 30_000, 100, 86_400_000),
        processing_timeout_ms=reader.integer("PROCESSING_TIMEOUT_MS", 15_000, 10, 3_600_000),
        max_concurrent_consumers=reader.integer("MAX_CONCURRENT_CONSUMERS", 5, 1, 1000),
        message_batch_size=reader.integer("MESSAGE_BATCH_SIZE", 50, 1, 100),
        health_check_interval_seconds=float(reader.integer("HEALTH_CHECK_INTERVAL", 30, 1, 3600)),
        service_discovery_mode=cast(Literal["docker-compose", "static"], mode),
        service_urls=service_urls,
    )
    reader.raise_if_wrong()
    return settings


class _Reader:
    """Reads variables and gathers what is wrong with them, so that all of it is said at once."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._wrong: list[str] = []

    def raise_if_wrong(self) -> None:
        if self._wrong:
            raise ConfigurationError("\n".join(self._wrong))

    def integer(self, name: str, default: int, low: int, high: int) -> int:
        text = self._environment.get(name)
        if not text:
            return default
        if not re.fullmatch(r"[0-9]{1,18}", text) or not low <= int(text) <= high:
            self._wrong.append(f"{name}={text!r}: expected a whole number from {low} to {high}")
            return default
        return int(text)

    def port(self, name: str) -> int | None:
        """``None`` when it is not set."""
        return self.integer(name, 0, 0, 65_535) if self._environment.get(name) else None

    def secret(self, name: str, shortest: int) -> str | None:
        """A text that a header can carry; ``None`` when it is not set. What is wrong with it is said without it."""
        text = self._environment.get(name)
        if not text:
            return None
        if not re.fullmatch(rf"[\x21-\x7e]{{{shortest},512}}", text):
            self._wrong.append(f"{name}: expected {shortest} to 512 printable ASCII characters, without spaces")
            return None
        return text

    def tokens(self, auth_service_url: str) -> TokenSettings:
        secret = self.secret("MQOPS_JWT_SECRET", 32)  # as many bytes as a digest: RFC 7518, section 3.2
        jwks = self._environment.get("MQOPS_JWT_JWKS") or None
        if jwks is not None and jwks.startswith("/") and auth_service_url:
            jwks = auth_service_url.rstrip("/") + jwks
        if jwks is not None and not re.fullmatch(r"https?://[^\s/]+(/\S*)?", jwks):
            self._wrong.append(
                f"MQOPS_JWT_JWKS={jwks!r}: expected http://… or https://…, or a path of AUTH_SERVICE_URL"
            )
        if jwks is not None and secret is not None:
            self._wrong.append("MQOPS_JWT_SECRET and MQOPS_JWT_JWKS: tokens are signed in one way; set one of the two")
        return TokenSettings(
            secret=secret,
            jwks_url=jwks,
            issuer=self._environment.get("MQOPS_JWT_ISSUER") or None,
            audience=self._environment.get("MQOPS_JWT_AUDIENCE") or None,
            tenant_claim=self._environment.get("MQOPS_JWT_TENANT_CLAIM") or "tenant_id",
            principal_claim=self._environment.get("MQOPS_JWT_PRINCIPAL_CLAIM") or "sub",
            roles_claim=self._environment.get("MQOPS_JWT_ROLES_CLAIM") or "roles",
            clock_skew_seconds=self.duration_ms("MQOPS_JWT_CLOCK_SKEW", 30_000) / 1000,
        )

    def size(self, name: str, default: int) -> int:
        text = self._environment.get(name)
        if not text:
            return default
        try:
            size = int(text) if re.fullmatch("[0-9]{1,18}", text) else parse_size(text)
        except ValueError as error:
            self._wrong.append(f"{name}: {error}")
            return default
        if not 1 <= size <= 512 * 1024**2:
            self._wrong.append(f"{name}={text!r}: expected 1B to 512MiB")
            return default
        return size

    def duration_ms(self, name: str, default: int) -> int:
        text = self._environment.get(name)
        if not text:
            return default
        try:
            return parse_duration(text)
        except ValueError as error:
            self._wrong.append(f"{name}: {error}")
            return default

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        text = self._environment.get(name) or choices[0]
        if text not in choices:
            self._wrong.append(f"{name}={text!r}: expected one of {', '.join(choices)}")
            return choices[0]
        return text

    def private_targets(self, name: str) -> dict[str, tuple[str, ...]]:
        targets: dict[str, tuple[str, ...]] = {}
        for part in filter(None, (part.strip() for part in (self._environment.get(name) or "").split(";"))):
            tenant, separator, hosts = part.partition("=")
            if not separator or not tenant or not hosts:
                self._wrong.append(f"{name}: {part!r} is not tenant=host:port,…")
                continue
            targets[tenant.strip()] = tuple(host.strip() for host in hosts.split(",") if host.strip())
        return targets
