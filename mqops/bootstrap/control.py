"""Opens the stores for the commands of the control plane, and finds the embedded ones of a running `mqops up`.

Synchronous, like all of the control plane. Whoever opens a store here closes it: use the context managers.
"""

import contextlib
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psycopg
import redis

from mqops.embedded.running import find_running
from mqops.errors import BrokerNotAvailable, ConfigurationError, MqopsError
from mqops.keys import Keyspace
from mqops.model import Identity
from mqops.settings import Settings, settings_from
from reconciler.stores import doctor

if TYPE_CHECKING:
    from reconciler.manifests.check import Lookup
    from reconciler.state import Applied

_CONNECT_SECONDS = 5
_ANSWER_SECONDS = 10
"""How long a server may take for one answer: a hung one is reported, not waited for."""

_NONE_FOUND = (
    "no {name} is set, and no `mqops up` with an embedded server runs in this directory: "
    "start `mqops up`, or set {name}"
)


@dataclass(frozen=True, slots=True)
class Stores:
    """Both stores, connected."""

    database: "psycopg.Connection[Any]"
    """In autocommit mode: a transaction is where the code says so."""
    redis: "redis.Redis"
    """Answers in bytes."""
    keys: Keyspace


def current_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings of this process: what its environment says, and for the rest what the `mqops up` that runs in this
    directory was started with, its embedded servers included. Raises ``ConfigurationError`` for what cannot be read."""
    settings = settings_from(environment)
    running = find_running(settings.state_dir)
    if running is None:
        return settings
    return settings_from({**running.environment, **{name: value for name, value in environment.items() if value}})


@contextmanager
def open_stores(settings: Settings) -> Iterator[Stores]:
    """Both stores, closed again at the end.

    Raises ``ConfigurationError`` when one is not named, ``BrokerNotAvailable`` when one does not answer.
    """
    with open_database(settings) as database, open_redis(settings) as client:
        yield Stores(database, client, Keyspace(settings.redis_key_prefix))


@contextmanager
def open_database(settings: Settings) -> "Iterator[psycopg.Connection[Any]]":
    """PostgreSQL alone; raises like ``open_stores``."""
    if settings.database_url is None:
        raise ConfigurationError(_NONE_FOUND.format(name="DATABASE_URL"))
    try:
        connection = psycopg.connect(
            settings.database_url, autocommit=True, connect_timeout=_CONNECT_SECONDS, application_name="mqops"
        )
    except psycopg.ProgrammingError as error:
        raise ConfigurationError(f"DATABASE_URL cannot be read: {error}") from error
    except psycopg.OperationalError as error:
        told = " ".join(str(error).split())
        raise BrokerNotAvailable(f"PostgreSQL does not answer ({told}): start it, or correct DATABASE_URL") from error
    with connection:
        yield connection


@contextmanager
def open_redis(settings: Settings) -> "Iterator[redis.Redis]":
    """The Redis-protocol server alone; raises like ``open_stores``."""
    if settings.redis_url is None:
        raise ConfigurationError(_NONE_FOUND.format(name="REDIS_URL"))
    try:
        client = redis.Redis.from_url(
            settings.redis_url, socket_connect_timeout=_CONNECT_SECONDS, socket_timeout=_ANSWER_SECONDS
        )
    except ValueError as error:
        raise ConfigurationError(f"REDIS_URL cannot be read: {error}") from error
    with client:
        try:
            client.ping()
        except redis.AuthenticationError as error:
            raise ConfigurationError(f"Redis refuses the credentials in REDIS_URL: {error}") from error
        except redis.RedisError as error:
            place = urlsplit(settings.redis_url)
            where = f"{place.hostname}:{place.port or 6379}" if place.hostname else place.path
            raise BrokerNotAvailable(
                f"Redis at {where} does not answer ({error}): start it, or correct REDIS_URL"
            ) from error
        yield client


def applied_elsewhere(settings: Settings) -> "Lookup":
    """For checks of manifests that need no database unless they name what they do not declare; without one, all that
    they name has to be declared with them."""

    from reconciler.reading import applied_in  # a worker, which needs this module, needs none of that

    def look_up(identities: Collection[Identity]) -> "Collection[Applied] | None":
        with contextlib.suppress(MqopsError, ConfigurationError), open_database(settings) as database:
            return applied_in(database)(identities)
        return None

    return look_up


def examine_stores(settings: Settings) -> list[doctor.Finding]:
    """`mqops doctor`: a store that does not answer is itself a finding. Raises ``ConfigurationError`` when a store is
    not named."""
    keys = Keyspace(settings.redis_key_prefix)
    broker: doctor.RedisFacts | str
    database: doctor.PostgresFacts | str
    try:
        with open_redis(settings) as client:
            broker = doctor.gather_redis(client, keys)
    except BrokerNotAvailable as error:
        broker, _, _ = error.message.rpartition(": ")  # the finding has a remedy of its own
    except redis.RedisError as error:
        broker = f"Redis does not answer ({error})"
    try:
        with open_database(settings) as connection:
            database = doctor.gather_postgres(connection)
    except BrokerNotAvailable as error:
        database, _, _ = error.message.rpartition(": ")
    except psycopg.Error as error:
        database = f"PostgreSQL does not answer ({error})"
    return doctor.examine(doctor.Facts(broker, database, settings.environment))


def refuse_unsafe_stores(settings: Settings) -> None:
    """Called before `serve` and `work` start. Raises ``ConfigurationError`` when a store is known to lose messages or
    to be another installation's, unless the settings accept the risk. A store that is away is no reason not to start.
    """
    doctor.refuse_known_bad(examine_stores(settings), accept_risk=settings.accept_risk)
