"""Stamps both stores with the installation and environment they belong to, and refuses a mismatch.

So that staging is not applied onto production, and two installations do not prune each other's resources.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from psycopg import Connection
from redis import Redis

from mqops.errors import ConfigurationError
from mqops.keys import Keyspace
from mqops.sql import queries


@dataclass(frozen=True, slots=True)
class Instance:
    """What is stamped on a store."""

    installation: str
    """A random UUID."""
    environment: str
    """MQOPS_ENVIRONMENT when it was stamped."""

    def __str__(self) -> str:
        return f"installation {self.installation}, environment {self.environment!r}"


def agree(database: Instance | None, broker: Instance | None, environment: str) -> Instance | None:
    """The stamp that both stores shall have: the one that is there, or None when neither has one.

    Raises ``ConfigurationError`` when they contradict each other or ``environment``.
    """
    if database is not None and broker is not None and database != broker:
        raise ConfigurationError(
            f"the stores do not belong together: PostgreSQL is {database}, Redis is {broker}: "
            "set DATABASE_URL and REDIS_URL (or REDIS_KEY_PREFIX) to those of one installation"
        )
    found = database or broker
    if found is not None and found.environment != environment:
        store = "PostgreSQL" if database is not None else "Redis"
        raise ConfigurationError(
            f"{store} belongs to environment {found.environment!r}, and this is {environment!r}: "
            "set MQOPS_ENVIRONMENT, or DATABASE_URL and REDIS_URL, to one and the same environment"
        )
    return found


def establish(connection: Connection[Any], redis: Redis, keys: Keyspace, environment: str) -> Instance:
    """The installation that both stores belong to; what is not stamped yet is stamped. The database is migrated; when
    it has no stamp and the Redis server has one, its catalog counts as lost: see ``read_recovering``.

    Raises ``ConfigurationError`` as ``agree`` does.
    """
    stamped = read_broker(redis, keys)
    instance = agree(read_database(connection), stamped, environment)
    if instance is None:
        instance = Instance(str(uuid4()), environment)
    # The first stamp wins in both stores, so of two processes that do this at once both end with the same one.
    place = {"installation": instance.installation, "environment": instance.environment}
    connection.execute(queries("instance")["stamp"], {**place, "is_lost": stamped is not None})
    instance = read_database(connection) or instance
    redis.hsetnx(keys.stamp, "environment", instance.environment)
    redis.hsetnx(keys.stamp, "installation", instance.installation)
    agree(instance, read_broker(redis, keys), environment)
    return instance


def read_database(connection: Connection[Any]) -> Instance | None:
    """The stamp of the database; None when it has none, or no tables yet."""
    sql = queries("instance")
    (exists,) = connection.execute(sql["exists"]).fetchone() or (False,)
    row = connection.execute(sql["read"]).fetchone() if exists else None
    return Instance(*row) if row else None


def read_recovering(connection: Connection[Any]) -> datetime | None:
    """Since when it is known that the database's catalog was lost; None once manifests were applied to it since."""
    row = connection.execute(queries("instance")["recovering"]).fetchone()
    return None if row is None else row[0]


def end_recovery(connection: Connection[Any]) -> None:
    """Manifests were applied: from here on running processes follow the database again."""
    connection.execute(queries("instance")["recovered"])


def unstamped_broker(database: Instance | None, broker: Instance | None, keys: Keyspace) -> str | None:
    """What to say when a Redis server does not know the installation that the database is of; None when it does."""
    if database is None or broker is not None:
        return None
    return (
        f"Redis has no stamp under {keys.prefix!r}, and PostgreSQL is {database}: it was flushed, or REDIS_URL or "
        "REDIS_KEY_PREFIX lead elsewhere than before: unless it was flushed, set them back; an apply makes everything "
        "anew there, and the messages of before stay behind"
    )


def read_broker(redis: Redis, keys: Keyspace) -> Instance | None:
    """The stamp of the Redis server, under this installation's prefix; None when it has none."""
    installation, environment = redis.hmget(keys.stamp, "installation", "environment")
    if installation is None or environment is None:
        return None
    return Instance(_text(installation), _text(environment))


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode()
