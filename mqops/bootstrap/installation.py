"""Which installation a data-plane process belongs to, and that both stores agree: found out before it starts."""

import contextlib
import logging
import time

import psycopg
import redis

from mqops.bootstrap.control import open_database, open_redis
from mqops.catalog import read_snapshot
from mqops.errors import BrokerNotAvailable, ConfigurationError
from mqops.keys import Keyspace
from mqops.settings import Settings
from reconciler.stores.instance import Instance, agree, read_broker, read_database

log = logging.getLogger(__name__)

SNAPSHOT = "catalog.snapshot"
"""In the state directory."""

_PATIENCE_SECONDS = 30.0
"""How long a start waits for a database that is not there, or not set up yet, when there is no snapshot."""


def find_instance(settings: Settings) -> Instance:
    """The installation to serve or work for, by the database or, while it is away or emptied, by the snapshot; the
    Redis server must be of the same when it can be asked. Waits for a database that is not there or not set up yet, as
    containers start in any order. Raises ``ConfigurationError``."""
    instance = _wait_for_instance(settings)
    with contextlib.suppress(BrokerNotAvailable, redis.RedisError), open_redis(settings) as client:
        agree(instance, read_broker(client, Keyspace(settings.redis_key_prefix)), settings.environment)
    return instance


def _wait_for_instance(settings: Settings) -> Instance:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    is_told = False
    while True:
        found = _look_for_instance(settings)
        if isinstance(found, Instance):
            return found
        if time.monotonic() > deadline:
            raise ConfigurationError(found)
        if not is_told:
            log.info("waiting: %s", found)
            is_told = True
        time.sleep(0.5)


def _look_for_instance(settings: Settings) -> Instance | str:
    """The installation, or why there is none to be found yet."""
    try:
        with open_database(settings) as connection:
            found = read_database(connection)
    except (BrokerNotAvailable, psycopg.Error) as error:
        known = _of_snapshot(settings)
        return known or f"{error}; and there is no catalog snapshot in {settings.state_dir} to start from"
    # One that was emptied: the snapshot knows what it was.
    return found or _of_snapshot(settings) or "the database is not set up: run `mqops migrate` and `mqops apply`"


def _of_snapshot(settings: Settings) -> Instance | None:
    snapshot = read_snapshot(settings.state_dir / SNAPSHOT, settings.environment)
    return None if snapshot is None else Instance(snapshot.installation, snapshot.environment)
