"""An installation for tests of the data plane: rows in PostgreSQL, streams and groups in Redis, as an apply leaves
them. Not made by an apply, because tests also want what none leaves: a row that Redis knows nothing of, a topic that is
being deleted.
"""

import contextlib
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
from redis import Redis

from mqops.catalog import CatalogFeed
from mqops.durations import parse_duration
from mqops.keys import Keyspace, bucket_of
from mqops.lua import load_script
from mqops.model import KINDS
from reconciler.stores import instance

_STORED = {"retention": "7d", "maxBacklog": 10_000, "maxMessageSize": "1MiB"}

_DEFAULTS: dict[str, dict[str, Any]] = {
    "Topic": _STORED,
    "Queue": {**_STORED, "ackDeadline": "30s"},
    "Subscription": {"concurrency": 5, "ackDeadline": "30s", "startFrom": "earliest"},
}


class Installation:
    """What one test declares. Every change is a revision of its own, as an apply is; declaring again is a change."""

    def __init__(self, database_url: str, redis_url: str, keys: Keyspace | None = None) -> None:
        self.database_url = database_url
        self.redis_url = redis_url
        self.keys = keys or Keyspace()
        self._uids: dict[tuple[str, str, str], str] = {}
        self._specs: dict[str, dict[str, Any]] = {}
        with self._database() as database, Redis.from_url(redis_url) as redis:
            self.id = instance.establish(database, redis, self.keys, "default").installation

    def uid(self, kind: str, tenant: str, name: str) -> str:
        return self._uids[kind, tenant, name]

    def bucket(self, tenant: str) -> int:
        return bucket_of(self.uid("Tenant", "", tenant))

    def tenant(self, name: str) -> str:
        uid = self.put("Tenant", "", name, {})
        self._run("prepare_bucket", self.bucket(name))
        return uid

    def credential(self, tenant: str, name: str, key: str, *, principal: str | None = None, **more: Any) -> str:
        """``more``: ``roles``, ``topics``, ``expiresAt``."""
        entry = {"sha256": hashlib.sha256(key.encode()).hexdigest()}
        if "expiresAt" in more:
            entry["expiresAt"] = more.pop("expiresAt")
        return self.put("Credential", tenant, name, {"principal": principal or name, "keys": [entry], **more})

    def handler(self, tenant: str, name: str, url: str, **http: Any) -> str:
        return self.put("Handler", tenant, name, {"type": "http", "http": {"url": url, "timeout": "10s", **http}})

    def topic(self, tenant: str, name: str, **spec: Any) -> str:
        uid = self.put("Topic", tenant, name, spec)
        self._prepare("Topic", tenant, name)
        return uid

    def queue(self, tenant: str, name: str, **spec: Any) -> str:
        """The queue and the subscription that it implies; its dead letters need a topic that is there already."""
        uid = self.put("Queue", tenant, name, spec)
        self._prepare("Queue", tenant, name)
        complete = self._specs[uid]
        implied = {
            "topic": name,
            "ackDeadline": complete["ackDeadline"],
            "retry": {"maxAttempts": complete["maxAttempts"]},
            "deadLetter": complete["deadLetter"],
        }
        self.subscription(tenant, name, implied_by=uid, **implied)
        return uid

    def subscription(self, tenant: str, name: str, *, implied_by: str | None = None, **spec: Any) -> str:
        """Reads from the earliest; the topics that ``topic`` and ``deadLetter`` name are there already."""
        uid = self.put("Subscription", tenant, name, spec, implied_by)
        complete = self._specs[uid]
        owner, _, topic_name = complete["topic"].rpartition("/")
        owner = owner or tenant
        topic = self._uids.get(("Topic", owner, topic_name)) or self.uid("Queue", owner, topic_name)
        dead = ""
        if complete["deadLetter"]:
            dead = self.keys.bucket(self.bucket(tenant)) + self.uid("Topic", tenant, complete["deadLetter"])
        own = "1" if owner == tenant else "0"
        attempts = complete["retry"]["maxAttempts"]
        self._run(
            "prepare_subscription",
            self.bucket(owner),
            *(uid, tenant, name, topic, own, attempts, dead, complete["state"], complete["startFrom"]),
        )
        return uid

    def put(self, kind: str, tenant: str, name: str, spec: dict[str, Any], implied_by: str | None = None) -> str:
        """Insert or change the row, and nothing but the row; returns its uid."""
        model = KINDS[kind].spec.model_validate({**_DEFAULTS.get(kind, {}), **spec})
        complete = model.model_dump(mode="json")
        uid = self._uids.setdefault((kind, tenant, name), str(uuid4()))
        self._specs[uid] = complete
        with self._database() as database:
            revision = self._next_revision(database)
            database.execute(
                "INSERT INTO mq_resources (uid, kind, tenant, name, spec, managed_by, implied_by, revision)"
                " VALUES (%s, %s, %s, %s, %s, 'test', %s, %s)"
                " ON CONFLICT (uid) DO UPDATE SET spec = excluded.spec, revision = excluded.revision,"
                " generation = mq_resources.generation + 1",
                (uid, kind, tenant, name, json.dumps(complete), implied_by, revision),
            )
        return uid

    def label(self, kind: str, tenant: str, name: str, **labels: str) -> None:
        """Give a row labels, as an apply does that changes nothing else."""
        with self._database() as database:
            database.execute(
                "UPDATE mq_resources SET labels = %s, revision = %s, updated_at = now() WHERE uid = %s",
                (json.dumps(labels), self._next_revision(database), self.uid(kind, tenant, name)),
            )

    def annotate(self, kind: str, tenant: str, name: str, annotations: dict[str, str]) -> None:
        """The same with annotations."""
        with self._database() as database:
            database.execute(
                "UPDATE mq_resources SET annotations = %s, revision = %s, updated_at = now() WHERE uid = %s",
                (json.dumps(annotations), self._next_revision(database), self.uid(kind, tenant, name)),
            )

    def delete(self, kind: str, tenant: str, name: str) -> None:
        """Delete the row, and nothing but the row, as the history tells it."""
        uid = self._uids.pop((kind, tenant, name))
        with self._database() as database:
            revision = self._next_revision(database)
            database.execute("DELETE FROM mq_resources WHERE uid = %s", (uid,))
            database.execute(
                "INSERT INTO mq_revisions (revision, actor, trigger, summary) VALUES (%s, 'test', 'apply', '{}')",
                (revision,),
            )
            database.execute(
                "INSERT INTO mq_changes (revision, sequence, action, uid, kind, tenant, name, managed_by)"
                " VALUES (%s, 1, 'delete', %s, %s, %s, %s, 'test')",
                (revision, uid, kind, tenant, name),
            )

    def prepare_again(self, tenant: str, topic: str, generation: int) -> None:
        """Tell Redis of a topic's new form; whoever knows an older generation is refused from then on."""
        self._prepare("Topic", tenant, topic, generation)

    def close(self, tenant: str, topic: str) -> None:
        """Tell Redis that a topic is being deleted."""
        self._run("close", self.bucket(tenant), self.uid("Topic", tenant, topic))

    def _prepare(self, kind: str, tenant: str, name: str, generation: int = 1) -> None:
        uid = self.uid(kind, tenant, name)
        spec = self._specs[uid]
        backlog = "" if spec["maxBacklog"] is None else spec["maxBacklog"]
        retention_ms = parse_duration(spec["retention"])
        self._run(
            "prepare_topic",
            self.bucket(tenant),
            *(uid, kind, tenant, name, spec["partitions"], generation, spec["state"], backlog, retention_ms),
        )

    def _run(self, script: str, bucket: int, *arguments: Any) -> None:
        source = load_script("reconciler.scripts", script).source
        with Redis.from_url(self.redis_url) as redis:
            assert redis.eval(source, 1, self.keys.epoch(bucket), *arguments) != -1, script

    def _database(self) -> "psycopg.Connection[Any]":
        return psycopg.connect(self.database_url)

    @staticmethod
    def _next_revision(database: "psycopg.Connection[Any]") -> int:
        row = database.execute("UPDATE mq_instance SET revision = revision + 1 RETURNING revision").fetchone()
        assert row is not None
        return int(row[0])


@contextlib.asynccontextmanager
async def following(database_url: str, directory: Path, environment: str = "default") -> AsyncIterator[CatalogFeed]:
    """A catalog that follows what is declared, with its snapshot in ``directory``."""
    feed = CatalogFeed(database_url, environment, directory / "catalog.snapshot")
    await feed.start()
    try:
        yield feed
    finally:
        await feed.stop()
