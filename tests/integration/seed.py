"""Declares and applies resources for tests of the data plane, without manifests: rows in PostgreSQL, streams and groups
by the reconciler's own scripts in Redis."""

import hashlib
import json
from typing import Any
from uuid import uuid4

import psycopg
from redis import Redis

from mqops.keys import Keyspace, bucket_of
from mqops.lua import load_script
from mqops.model import KINDS

_DEFAULTS: dict[str, dict[str, Any]] = {
    "Topic": {"retention": "7d", "maxBacklog": 10_000, "maxMessageSize": "1MiB"},
    "Queue": {"retention": "7d", "maxBacklog": 10_000, "maxMessageSize": "1MiB", "ackDeadline": "30s"},
    "Subscription": {"concurrency": 5, "ackDeadline": "30s"},
}


class Seed:
    """What one test declares. Every change is a revision of its own, as an apply is."""

    def __init__(self, database_url: str, redis_url: str, keys: Keyspace | None = None) -> None:
        self._database_url = database_url
        self._redis_url = redis_url
        self._keys = keys or Keyspace()
        self._uids: dict[tuple[str, str, str], str] = {}
        self._specs: dict[str, dict[str, Any]] = {}
        self.installation = str(uuid4())
        with self._database() as database:
            database.execute("DELETE FROM mq_instance")
            database.execute(
                "INSERT INTO mq_instance (installation, environment) VALUES (%s, 'default')", (self.installation,)
            )
        with Redis.from_url(redis_url) as redis:
            redis.hset(self._keys.stamp, mapping={"installation": self.installation, "environment": "default"})

    def uid(self, kind: str, tenant: str, name: str) -> str:
        return self._uids[kind, tenant, name]

    def tenant(self, name: str) -> str:
        return self.put("Tenant", "", name, {})

    def credential(self, tenant: str, name: str, key: str, *, principal: str | None = None, **more: Any) -> str:
        """``more``: ``roles``, ``expiresAt``."""
        entry = {"sha256": hashlib.sha256(key.encode()).hexdigest()}
        if "expiresAt" in more:
            entry["expiresAt"] = more.pop("expiresAt")
        return self.put("Credential", tenant, name, {"principal": principal or name, "keys": [entry], **more})

    def topic(self, tenant: str, name: str, **spec: Any) -> str:
        uid = self.put("Topic", tenant, name, spec)
        self._prepare_topic("Topic", tenant, name, uid)
        return uid

    def queue(self, tenant: str, name: str, **spec: Any) -> str:
        """The queue and the subscription that it implies; its dead letters need a topic that is there already."""
        uid = self.put("Queue", tenant, name, spec)
        self._prepare_topic("Queue", tenant, name, uid)
        complete = self._specs[uid]
        implied = {
            "topic": name,
            "startFrom": "earliest",
            "ackDeadline": complete["ackDeadline"],
            "retry": {"maxAttempts": complete["maxAttempts"]},
            "deadLetter": complete["deadLetter"],
        }
        self.subscription(tenant, name, implied_by=uid, **implied)
        return uid

    def subscription(self, tenant: str, name: str, *, implied_by: str | None = None, **spec: Any) -> str:
        uid = self.put("Subscription", tenant, name, {"startFrom": "earliest", **spec}, implied_by)
        complete = self._specs[uid]
        owner, _, topic_name = complete["topic"].rpartition("/")
        owner = owner or tenant
        topic = self._uids.get(("Topic", owner, topic_name)) or self._uids["Queue", owner, topic_name]
        bucket = bucket_of(self._uids["Tenant", "", owner])
        dead = ""
        if complete["deadLetter"]:
            dead_bucket = bucket_of(self._uids["Tenant", "", tenant])
            dead = self._keys.bucket(dead_bucket) + self._uids["Topic", tenant, complete["deadLetter"]]
        own = "1" if owner == tenant else "0"
        attempts = complete["retry"]["maxAttempts"]
        self._run(
            "prepare_subscription",
            bucket,
            *(uid, tenant, name, topic, own, attempts, dead, complete["state"], complete["startFrom"]),
        )
        return uid

    def put(self, kind: str, tenant: str, name: str, spec: dict[str, Any], implied_by: str | None = None) -> str:
        """Insert or update the row; returns its uid."""
        complete = self.complete(kind, spec)
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

    def delete(self, kind: str, tenant: str, name: str) -> None:
        """Delete the row, as the history tells it."""
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

    @staticmethod
    def complete(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
        """``spec`` with its defaults, as the reconciler stores it."""
        model = KINDS[kind].spec.model_validate({**_DEFAULTS.get(kind, {}), **spec})
        return model.model_dump(mode="json", by_alias=True)

    def prepare_again(self, tenant: str, name: str, generation: int) -> None:
        """Tell Redis of a topic's new form; whoever knows an older generation is refused from then on."""
        self._prepare_topic("Topic", tenant, name, self._uids["Topic", tenant, name], generation)

    def close(self, tenant: str, topic: str) -> None:
        """Tell Redis that a topic is being deleted."""
        self._run("close", bucket_of(self._uids["Tenant", "", tenant]), self._uids["Topic", tenant, topic])

    def _prepare_topic(self, kind: str, tenant: str, name: str, uid: str, generation: int = 1) -> None:
        spec = self._specs[uid]
        bucket = bucket_of(self._uids["Tenant", "", tenant])
        backlog = spec["maxBacklog"] if spec["maxBacklog"] is not None else ""
        self._run("prepare_bucket", bucket)
        self._run(
            "prepare_topic",
            bucket,
            *(uid, kind, tenant, name, spec["partitions"], generation, spec["state"], backlog, 604_800_000),
        )

    def _run(self, script: str, bucket: int, *arguments: Any) -> None:
        source = load_script("reconciler.scripts", script).source
        with Redis.from_url(self._redis_url) as redis:
            redis.eval(source, 1, self._keys.epoch(bucket), *arguments)

    def _database(self) -> "psycopg.Connection[Any]":
        return psycopg.connect(self._database_url)

    @staticmethod
    def _next_revision(database: "psycopg.Connection[Any]") -> int:
        row = database.execute("UPDATE mq_instance SET revision = revision + 1 RETURNING revision").fetchone()
        assert row is not None
        return int(row[0])
