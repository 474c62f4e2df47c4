"""The two stores that the control plane keeps true to the manifests, as its steps are handed them.

Whoever opens them closes them. Drivers' errors leave this package translated: ``translated`` is the edge.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import psycopg
import redis

from mqops.errors import BrokerNotAvailable, ConfigurationError
from mqops.keys import Keyspace


class Stores(Protocol):
    """Both stores, connected."""

    @property
    def database(self) -> "psycopg.Connection[Any]":
        """In autocommit mode."""

    @property
    def redis(self) -> "redis.Redis": ...

    @property
    def keys(self) -> Keyspace: ...


@contextmanager
def translated() -> Iterator[None]:
    """Raises ``BrokerNotAvailable`` for a store that went away, ``ConfigurationError`` for one that refuses what only
    its operator can allow."""
    try:
        yield
    except (redis.AuthenticationError, redis.exceptions.NoPermissionError) as error:
        raise ConfigurationError(f"Redis refuses: {error}: correct the user's rights, or REDIS_URL") from error
    except (redis.ConnectionError, redis.TimeoutError) as error:
        raise BrokerNotAvailable(f"Redis does not answer ({error})") from error
    except redis.ResponseError as error:
        raise BrokerNotAvailable(f"Redis refuses: {error}") from error
    except psycopg.OperationalError as error:
        raise BrokerNotAvailable(f"PostgreSQL does not answer ({_one_line(error)})") from error
    except psycopg.errors.UndefinedTable as error:
        raise ConfigurationError("the database is not migrated: run `mqops migrate`") from error
    except psycopg.Error as error:
        raise ConfigurationError(f"PostgreSQL refuses: {_one_line(error)}") from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
