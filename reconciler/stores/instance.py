"""Stamps both stores with the installation and environment they belong to, and refuses a mismatch.

So that staging is not applied onto production, and two installations do not prune each other's resources.
"""

from dataclasses import dataclass
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
    """The installation that both stores belong to; what is not stamped yet is stamped. The database is migrated.

    Raises ``ConfigurationError`` as ``agree`` does.
    """
    instance = agree(read_database(connection), read_broker(redis, keys), environment)
    if instance is None:
        instance = Instance(str(uuid4()), environment)
    # The first stamp wins in both stores, so of two processes that do this at once both end with the same one.
    connection.execute(queries("instance")["stamp"], (instance.installation, instance.environment))
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


def read_broker(redis: Redis, keys: Keyspace) -> Instance | None:
    """The stamp of the Redis server, under this installation's prefix; None when it has none."""
    installation, environment = redis.hmget(keys.stamp, "installation", "environment")
    if installation is None or environment is None:
        return None
    return Instance(_text(installation), _text(environment))


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode()
