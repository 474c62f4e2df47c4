"""What would lose messages or mix up installations: facts are gathered, then judged.

``gather`` asks the stores and judges nothing; ``examine`` judges and asks nothing. What a managed server will not tell
is unknown, not bad.
"""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from psycopg import Connection
from redis import Redis
from redis.exceptions import ResponseError

from mqops.errors import ConfigurationError
from mqops.keys import Keyspace
from mqops.sql import queries
from reconciler.stores.instance import (
    Instance,
    agree,
    read_broker,
    read_database,
    read_recovering,
    unstamped_broker,
)
from reconciler.stores.migrate import load_migrations, pending, read_applied

Verdict = Literal["ok", "bad", "unknown"]

Refusal = Literal["never", "unless-accepted", "always"]
"""Whether a bad finding keeps processes from starting: a store that is away does not, messages lost can be accepted,
another installation's data cannot."""

MAX_CLOCK_SKEW_SECONDS = 5.0
"""Message ids, expiry of credentials and schedules compare clocks; half a worker's heartbeat limit."""

_AFTER_LOSS = "run `mqops rebuild`, and `mqops apply`"

_LEAST_REDIS = (7, 0)
_LEAST_VALKEY = (8, 0)
_LEAST_POSTGRES = 150_000


@dataclass(frozen=True, slots=True)
class RedisFacts:
    """What a Redis-protocol server tells of itself; None for what it will not tell."""

    product: str
    version: str
    append_only: str | None
    append_fsync: str | None
    eviction_policy: str | None
    clock_skew_seconds: float
    """Its clock less ours, never more precise than the way there and back."""
    stamp: Instance | None
    keys: Keyspace = field(default_factory=Keyspace)
    """Under whose prefix the stamp was looked for."""


@dataclass(frozen=True, slots=True)
class PostgresFacts:
    """What a PostgreSQL server tells of itself."""

    version_number: int
    version: str
    clock_skew_seconds: float
    stamp: Instance | None
    pending_migrations: int
    migration_problem: str | None
    """Why its migrations are not ours, when they are not."""
    recovering_since: datetime | None = None
    """Since when its catalog is known as lost, and nothing was applied to it."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Both stores, or why one did not answer; and the environment that this process is set to."""

    redis: RedisFacts | str
    postgres: PostgresFacts | str
    environment: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's result."""

    check: str
    verdict: Verdict
    found: str
    remedy: str = ""
    """What to do about it; empty when it is ok."""
    refusal: Refusal = "unless-accepted"


def gather_redis(redis: Redis, keys: Keyspace, clock: Callable[[], float] = time.time) -> RedisFacts:
    """Ask the Redis-protocol server. Raises ``redis.RedisError`` when it does not answer."""
    info: dict[str, Any] = redis.info("server")
    before = clock()
    seconds, microseconds = redis.time()
    skew = _skew(seconds + microseconds / 1e6, before, clock())
    product = "Valkey" if "valkey_version" in info else "Redis"
    return RedisFacts(
        product=product,
        version=str(info.get("valkey_version") or info.get("redis_version") or ""),
        append_only=_setting(redis, "appendonly"),
        append_fsync=_setting(redis, "appendfsync"),
        eviction_policy=_setting(redis, "maxmemory-policy"),
        clock_skew_seconds=skew,
        stamp=read_broker(redis, keys),
        keys=keys,
    )


def gather_postgres(connection: Connection[Any], clock: Callable[[], float] = time.time) -> PostgresFacts:
    """Ask PostgreSQL. Raises ``psycopg.Error`` when it does not answer."""
    connection.execute("SELECT 1")  # the first question on a connection takes longer, and the clock is asked next
    before = clock()
    row = connection.execute(queries("doctor")["server"]).fetchone()
    after = clock()
    assert row is not None
    try:
        waiting, problem = len(pending(load_migrations(), read_applied(connection))), None
    except ConfigurationError as error:
        waiting, problem = 0, str(error)
    stamp = read_database(connection)
    return PostgresFacts(
        version_number=row[0],
        version=row[1],
        clock_skew_seconds=_skew(row[2], before, after),
        stamp=stamp,
        pending_migrations=waiting,
        migration_problem=problem,
        recovering_since=read_recovering(connection) if stamp is not None and not waiting and not problem else None,
    )


def examine(facts: Facts) -> list[Finding]:
    """Judge. The order is the one to print."""
    findings: list[Finding] = []
    if isinstance(facts.redis, RedisFacts):
        findings += _examine_redis(facts.redis)
    else:
        findings.append(Finding("redis", "bad", facts.redis, "start it, or correct REDIS_URL", refusal="never"))
    if isinstance(facts.postgres, PostgresFacts):
        findings += _examine_postgres(facts.postgres)
    else:
        remedy = "start it, or correct DATABASE_URL"
        findings.append(Finding("postgresql", "bad", facts.postgres, remedy, refusal="never"))
    return [*findings, _examine_instance(facts)]


def refuse_known_bad(findings: Sequence[Finding], *, accept_risk: bool) -> None:
    """Raises ``ConfigurationError`` naming what is bad, unless the operator accepts it and it can be accepted."""
    counting = ("always",) if accept_risk else ("always", "unless-accepted")
    bad = [finding for finding in findings if finding.verdict == "bad" and finding.refusal in counting]
    if not bad:
        return
    told = [f"{finding.check}: {finding.found}: {finding.remedy}" for finding in bad]
    is_final = any(finding.refusal == "always" for finding in bad)
    way_out = "" if is_final else "or accept it: MQOPS_ACCEPT_RISK=1 (`mqops up --accept-risk`)"
    raise ConfigurationError("\n  ".join(filter(None, ["this would not be safe to start on:", *told, way_out])))


def _examine_redis(facts: RedisFacts) -> list[Finding]:
    least = _LEAST_VALKEY if facts.product == "Valkey" else _LEAST_REDIS
    is_new_enough = _numbers(facts.version) >= least
    version = Finding(
        "redis version",
        "ok" if is_new_enough else "bad",
        f"{facts.product} {facts.version}",
        "" if is_new_enough else "use Redis 7.0 or newer, or Valkey 8 or newer",
    )
    return [
        version,
        _expect("append-only file", facts.append_only, {"yes"}, "CONFIG SET appendonly yes, and in its configuration"),
        _expect("append-only fsync", facts.append_fsync, {"everysec", "always"}, "CONFIG SET appendfsync everysec"),
        _expect("eviction policy", facts.eviction_policy, {"noeviction"}, "CONFIG SET maxmemory-policy noeviction"),
        _examine_clock("redis clock", facts.clock_skew_seconds),
    ]


def _examine_postgres(facts: PostgresFacts) -> list[Finding]:
    is_new_enough = facts.version_number >= _LEAST_POSTGRES
    version = Finding(
        "postgresql version",
        "ok" if is_new_enough else "bad",
        facts.version,
        "" if is_new_enough else "use PostgreSQL 15 or newer",
    )
    return [version, _examine_migrations(facts), _examine_clock("postgresql clock", facts.clock_skew_seconds)]


def _examine_migrations(facts: PostgresFacts) -> Finding:
    name = "migrations"
    if facts.migration_problem is not None:
        found, _, remedy = facts.migration_problem.rpartition(": ")
        return Finding(name, "bad", found, remedy, refusal="always")
    if facts.pending_migrations:
        return Finding(name, "bad", f"{facts.pending_migrations} to apply", "run `mqops migrate`", refusal="always")
    return Finding(name, "ok", "all applied")


def _examine_instance(facts: Facts) -> Finding:
    name = "instance"
    if isinstance(facts.redis, str) or isinstance(facts.postgres, str):
        return Finding(name, "unknown", "both stores have to be asked")
    try:
        stamp = agree(facts.postgres.stamp, facts.redis.stamp, facts.environment)
    except ConfigurationError as error:
        found, _, remedy = str(error).rpartition(": ")
        return Finding(name, "bad", found, remedy, refusal="always")
    unstamped = unstamped_broker(facts.postgres.stamp, facts.redis.stamp, facts.redis.keys)
    if unstamped is not None:
        found, remedy = unstamped.split(": ", 1)
        return Finding(name, "bad", found, remedy, refusal="never")
    if facts.postgres.stamp is None and stamp is not None:
        found = f"Redis is {stamp}, and PostgreSQL knows nothing of it: it was emptied, or DATABASE_URL leads elsewhere"
        return Finding(name, "bad", found, f"{_AFTER_LOSS}, or set DATABASE_URL back", refusal="never")
    if facts.postgres.recovering_since is not None:
        found = (
            f"the catalog of {stamp} was lost, and nothing was applied since {facts.postgres.recovering_since:%FT%TZ}"
        )
        return Finding(name, "bad", found, _AFTER_LOSS, refusal="never")
    return Finding(name, "ok", str(stamp) if stamp else "not stamped yet: `mqops migrate` does it")


def _examine_clock(name: str, skew_seconds: float) -> Finding:
    found = f"{skew_seconds:+.3f} s from this machine's"
    if abs(skew_seconds) <= MAX_CLOCK_SKEW_SECONDS:
        return Finding(name, "ok", found)
    return Finding(name, "bad", found, "synchronise both machines' clocks (NTP)")


def _expect(name: str, value: str | None, good: set[str], remedy: str) -> Finding:
    if value is None:
        return Finding(name, "unknown", "the server will not tell", f"see that it is {' or '.join(sorted(good))}")
    return Finding(name, "ok", value) if value in good else Finding(name, "bad", value, remedy)


def _setting(redis: Redis, name: str) -> str | None:
    try:
        answer: dict[Any, Any] = redis.config_get(name)
    except ResponseError:
        return None  # managed servers deny CONFIG
    for value in answer.values():
        return value.decode() if isinstance(value, bytes) else str(value)
    return None


def _skew(theirs: float, before: float, after: float) -> float:
    """Their clock less ours; an answer that falls between asking and hearing shows none."""
    if before <= theirs <= after:
        return 0.0
    return theirs - after if theirs > after else theirs - before


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"[0-9]+", version)[:2])
