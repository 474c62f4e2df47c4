"""A small installation applied to real stores, for tests of what somebody does behind the reconciler's back."""

import re
from dataclasses import dataclass

import psycopg
import traffic
from declared import SOURCES, dead_letters, handler, implied, subscription
from declared import tenant as a_tenant
from declared import topic as a_topic
from stores import Opened, planned, uid

from mqops.keys import bucket_of
from mqops.streams import Lane, Stored
from reconciler.planning.change import Action, Reason
from reconciler.planning.drift import find_drift
from reconciler.planning.drifted import Drifted, drifted
from reconciler.planning.plan import KEPT
from reconciler.state import API, Resource
from reconciler.stores.observe import observe

TENANT = a_tenant()
ORDERS = a_topic("orders", partitions=2)
BILLING = subscription("billing", "orders", startFrom="earliest")
LETTERS = implied(dead_letters("orders.deadletter"), BILLING)
HOOK = handler("hook")
ALL = (TENANT, HOOK, ORDERS, LETTERS, BILLING)


@dataclass
class Applied:
    """``ALL`` applied, and a lane with messages in it."""

    stores: Opened
    redis_url: str

    @property
    def lane(self) -> Lane:
        bucket = bucket_of(uid(self.stores, TENANT))
        return Lane(bucket, uid(self.stores, BILLING), uid(self.stores, ORDERS), 0)

    @property
    def stream(self) -> str:
        return self.stores.keys.stream(self.lane.bucket, self.lane.topic, 0)

    def publish(self, *payloads: bytes) -> None:
        outcomes = traffic.publish(self.redis_url, self.lane, 1, payloads)
        assert all(isinstance(outcome, Stored) for outcome in outcomes), outcomes

    def take(self, count: int = 100) -> list[bytes]:
        return traffic.take(self.redis_url, self.lane, count)

    def meta(self, name: str) -> int:
        key = self.stores.keys.meta(self.lane.bucket, self.lane.subscription)
        return int(self.stores.redis.hget(key, name) or 0)

    def backlog(self) -> int:
        total = self.stores.redis.hget(self.stores.keys.meta(self.lane.bucket, self.lane.topic), "total")
        return int(total or 0) - self.meta("base") - self.meta("done")

    def sql(self, statement: str, *values: object) -> None:
        """As somebody with a client of their own."""
        with psycopg.connect(self.stores.database.info.dsn, application_name="psql", autocommit=True) as connection:
            connection.execute(statement, values)


def drift_of(stores: Opened, wanted: tuple[Resource, ...] = ALL) -> tuple[Drifted, ...]:
    observed = observe(stores)
    sources, names = {**SOURCES, API: KEPT}, [resource.identity for resource in wanted]
    return drifted(find_drift(observed, sources, names), observed, sources, names)


def only(found: tuple[Drifted, ...]) -> Drifted:
    assert len(found) == 1, found
    return found[0]


def deeds(stores: Opened, desired: tuple[Resource, ...] = ALL) -> list[tuple[Action, Reason, str]]:
    return [(change.action, change.reason, change.identity.name) for change in planned(stores, desired).changes]


def is_settled(stores: Opened, desired: tuple[Resource, ...] = ALL) -> bool:
    found = planned(stores, desired)
    return found.is_empty and not found.drift


def is_by_psql(editor: str) -> bool:
    """Whether it is somebody with ``psql``; from another host, or over the loopback, the address stands behind it."""
    return re.fullmatch(r"\S+ \(psql(, [^)]+)?\)", editor) is not None
