"""The two stores, opened for a test of the control plane, and the shortest way to have something applied in them."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from declared import SOURCES
from redis import Redis

from mqops.keys import Keyspace
from reconciler.apply import Report, apply
from reconciler.planning.plan import Plan, plan
from reconciler.state import Resource
from reconciler.stores import instance
from reconciler.stores.history import Author
from reconciler.stores.observe import observe

TESTER = Author("tester@here", "apply")


@dataclass(frozen=True, slots=True)
class Opened:
    """Both stores, connected."""

    database: psycopg.Connection[Any]
    redis: Redis
    keys: Keyspace


@contextmanager
def opened(database_url: str, redis_url: str, keys: Keyspace | None = None, *, stamp: bool = True) -> Iterator[Opened]:
    """Connections that are closed again, to stores that are stamped."""
    keys = keys or Keyspace()
    with psycopg.connect(database_url, autocommit=True) as database, Redis.from_url(redis_url) as redis:
        if stamp:
            instance.establish(database, redis, keys, "test")
        yield Opened(database, redis, keys)


def planned(stores: Opened, desired: Iterable[Resource]) -> Plan:
    """What would be done."""
    desired = tuple(desired)
    return plan(desired, observe(stores), SOURCES)


def applied(stores: Opened, desired: Iterable[Resource]) -> Report:
    """Plans and applies."""
    desired = tuple(desired)
    seen = observe(stores)
    return apply(plan(desired, seen, SOURCES), seen, stores, TESTER)


def uid(stores: Opened, resource: Resource) -> str:
    """The uid that an applied resource was given."""
    row = stores.database.execute(
        "SELECT uid::text FROM mq_resources WHERE (kind, tenant, name) = (%s, %s, %s)", resource.identity
    ).fetchone()
    assert row is not None, f"{resource.identity} is not applied"
    return str(row[0])
