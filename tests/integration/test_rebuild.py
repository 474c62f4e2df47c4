"""PostgreSQL is lost, and everything on Redis is taken up again: streams, groups, and whatever is in them."""

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest
import uvloop
from installation import following
from over_api import made_over_api
from redis import Redis
from shell import Shell
from traffic import lease, publish, retry, settle, take
from waiting import eventually, eventually_async

from mqops.catalog import CatalogFeed
from mqops.keys import Keyspace, bucket_of
from mqops.streams import Lane, Stored

TREE = """\
apiVersion: mqops/v1
kind: Tenant
metadata: {name: acme, labels: {tier: gold}}
---
apiVersion: mqops/v1
kind: Tenant
metadata: {name: globex}
---
apiVersion: mqops/v1
kind: Handler
metadata: {tenant: acme, name: hook}
spec: {type: http, http: {url: "https://acme.example/hook"}}
---
apiVersion: mqops/v1
kind: Credential
metadata: {tenant: acme, name: checkout}
spec: {principal: checkout, keys: [{sha256: "0000000000000000000000000000000000000000000000000000000000000001"}]}
---
apiVersion: mqops/v1
kind: Topic
metadata: {tenant: acme, name: orders, labels: {team: web}, annotations: {mqops/protect: "true"}}
spec: {partitions: 2, public: true, retention: 3d, producers: [checkout]}
---
apiVersion: mqops/v1
kind: Subscription
metadata: {tenant: acme, name: billing}
spec: {topic: orders, startFrom: earliest, filter: payload != 0, retry: {maxAttempts: 9, initialDelay: 2s}}
---
apiVersion: mqops/v1
kind: Subscription
metadata: {tenant: globex, name: far}
spec: {topic: acme/orders, startFrom: earliest}
---
apiVersion: mqops/v1
kind: Queue
metadata: {tenant: acme, name: jobs}
spec: {maxAttempts: 2, ackDeadline: 2m}
"""


@pytest.fixture
def applied(shell: Shell) -> Shell:
    shell.manifest.write_text(TREE)
    shell.succeed("apply", "--auto-approve")
    return shell


def lose_postgresql(database_url: str) -> None:
    """Every table of ours, as if the database had been made anew."""
    with psycopg.connect(database_url, autocommit=True) as database:
        rows = database.execute("SELECT tablename FROM pg_tables WHERE starts_with(tablename, 'mq_')").fetchall()
        database.execute(f"DROP TABLE {', '.join(name for (name,) in rows)} CASCADE".encode())


def uids(database_url: str) -> dict[str, str]:
    with psycopg.connect(database_url) as database:
        rows = database.execute("SELECT kind || ' ' || tenant || '/' || name, uid::text FROM mq_resources").fetchall()
    return dict(rows)


def lane(database_url: str, topic: str, reader: str, partition: int = 0) -> Lane:
    known = uids(database_url)
    bucket = bucket_of(known["Tenant /" + topic.split()[1].split("/")[0]])
    return Lane(bucket, known[f"Subscription {reader}"], known[topic], partition)


def held(redis_client: Redis) -> dict[str, Any]:
    """Everything on the server, but for what the engine makes anew of it by itself: which lanes have work, and when
    they will have some."""
    readers = {
        b"string": redis_client.get,
        b"hash": redis_client.hgetall,
        b"set": redis_client.smembers,
        b"zset": lambda key: redis_client.zrange(key, 0, -1, withscores=True),
        b"stream": lambda key: (redis_client.xrange(key), redis_client.xinfo_groups(key)),
    }
    keys = (key for key in redis_client.scan_iter(count=1000) if not key.endswith((b":due", b":ready")))
    found = {key.decode(): readers[redis_client.type(key)](key) for key in keys}
    for value in found.values():
        if isinstance(value, dict):
            value.pop(b"low", None)
    return found


def test_every_backlog_position_lease_retry_and_dead_letter_is_kept(
    applied: Shell, database_url: str, redis_url: str, redis_client: Redis
) -> None:
    first, second = (lane(database_url, "Topic acme/orders", "acme/billing", number) for number in (0, 1))
    far = lane(database_url, "Topic acme/orders", "globex/far")
    jobs = lane(database_url, "Queue acme/jobs", "acme/jobs")
    sent = [str(number).encode() for number in range(10)]
    for place in (first, second, jobs):
        assert all(isinstance(it, Stored) for it in publish(redis_url, place, 1, sent))
    assert take(redis_url, first, 2) == sent[:2]
    leased, retrying, dead = lease(redis_url, first, 3)
    assert retry(redis_url, first, [retrying], 200) == [True]
    assert settle(redis_url, first, [dead], "rejected") == [True]
    assert take(redis_url, far, 1) == sent[:1]
    before, known = held(redis_client), uids(database_url)

    lose_postgresql(database_url)
    shown = applied.succeed("rebuild", "--auto-approve")
    assert "2 created, 8 adopted." in shown
    assert held(redis_client) == before
    tenants = ("Tenant /acme", "Tenant /globex")
    rebuilt = uids(database_url)
    assert {name: bucket_of(rebuilt[name]) for name in tenants} == {name: bucket_of(known[name]) for name in tenants}
    assert {name: uid for name, uid in rebuilt.items() if name not in tenants} == {
        name: uid for name, uid in known.items() if name in rebuilt and name not in tenants
    }

    shown = applied.succeed("apply", "--auto-approve")
    assert "2 created, 10 adopted." in shown
    assert applied.succeed("plan").startswith("No changes.")
    assert uids(database_url).keys() == known.keys()

    assert settle(redis_url, first, [leased]) == [True]
    rest: list[bytes] = []

    def everything_came() -> bool:
        rest.extend(take(redis_url, first, 100))
        return len(rest) == 6

    eventually(everything_came, 5.0)
    assert sorted(rest) == sorted([sent[3], *sent[5:]])
    letters = uids(database_url)["Topic acme/orders.deadletter"]
    assert redis_client.xlen(Keyspace().stream(first.bucket, letters, 0)) == 1
    assert take(redis_url, second, 100) == sent
    assert take(redis_url, far, 100) == sent[1:]
    assert take(redis_url, jobs, 100) == sent


def test_what_redis_tells_is_in_the_rows_at_once_and_the_rest_after_the_next_apply(
    applied: Shell, database_url: str
) -> None:
    lose_postgresql(database_url)
    applied.succeed("rebuild", "--auto-approve")
    rebuilt = json.loads(applied.succeed("get", "subscription", "acme/billing", "-o", "json"))
    assert (rebuilt["status"]["managedBy"], rebuilt["spec"]["filter"]) == ("rebuilt", None)
    assert (rebuilt["spec"]["topic"], rebuilt["spec"]["retry"]["maxAttempts"]) == ("orders", 9)
    shown = json.loads(applied.succeed("plan", "-o", "json"))
    changed = {f"{it['kind']} {it['name']}": {one["path"] for one in it["fields"]} for it in shown["resource_changes"]}
    assert {it["reason"] for it in shown["resource_changes"]} == {"declared", "rebuilt_found"}
    assert changed["Subscription billing"] == {"spec.filter", "spec.startFrom", "spec.retry.initialDelay", "managedBy"}
    assert changed["Subscription far"] == {"spec.startFrom", "managedBy"}
    assert changed["Queue jobs"] == {"spec.ackDeadline", "managedBy"}
    assert changed["Topic orders.deadletter"] == {"managedBy"}


def test_it_shows_what_it_would_do_and_changes_nothing_unasked(applied: Shell, database_url: str) -> None:
    lose_postgresql(database_url)
    done = applied.run("rebuild")
    assert done.returncode == 1
    assert "& adopt Topic acme/orders (taking up what Redis already holds of it)\n" in done.stdout
    assert "pass --auto-approve" in done.stderr
    with psycopg.connect(database_url) as database:
        assert database.execute("SELECT to_regclass('mq_resources')").fetchone() == (None,)


def test_with_nothing_lost_there_is_nothing_to_rebuild(applied: Shell) -> None:
    assert applied.succeed("rebuild", "--auto-approve").startswith("Nothing to rebuild: ")


def test_what_nothing_declares_is_reported_and_stays_until_somebody_says_otherwise(
    applied: Shell, database_url: str, redis_url: str
) -> None:
    made_over_api("Topic", "acme", "clicks", {})
    made_over_api("Subscription", "acme", "counts", {"topic": "clicks", "startFrom": "earliest"})
    publish(redis_url, lane(database_url, "Topic acme/clicks", "acme/counts"), 1, [b"1"])
    lose_postgresql(database_url)
    applied.succeed("migrate")
    before = applied.succeed("apply", "--auto-approve")
    note = "Nothing here declares what only Redis holds or a rebuild found: "
    assert note + "Subscription acme/counts, Topic acme/clicks, Topic acme/clicks.deadletter." in before
    applied.succeed("rebuild", "--auto-approve")
    shown = applied.succeed("plan")
    assert note + "Subscription acme/counts, Topic acme/clicks." in shown
    assert shown.endswith("No changes. What is applied matches the manifests.\n")
    assert take(redis_url, lane(database_url, "Topic acme/clicks", "acme/counts"), 9) == [b"1"]
    assert applied.succeed("export", "--kind", "subscription").startswith("# Only Redis still knew this, ")
    gone = applied.succeed("apply", "--take-over", "rebuilt", "--auto-approve")
    assert "3 deleted" in gone


def test_what_only_redis_holds_is_exported_and_adopted_without_a_difference(applied: Shell, database_url: str) -> None:
    lose_postgresql(database_url)
    applied.succeed("migrate")
    assert "6 resources in 6 files" in applied.succeed("export", "found")
    text = (applied.folder / "found/acme/subscriptions.yaml").read_text()
    assert text.startswith("# Only Redis still knew this, and does not tell all of it")
    shown = json.loads(applied.succeed("plan", "found", "-o", "json"))
    by_action: dict[str, list[str]] = {}
    for it in shown["resource_changes"]:
        by_action.setdefault(it["change"]["actions"][0], []).append(it["name"])
        if it["change"]["actions"] == ["adopt"]:
            assert [field["path"] for field in it["fields"]] == ["managedBy"], it
    assert sorted(by_action["create"]) == ["acme", "globex"]
    assert len(by_action["adopt"]) == 8
    applied.succeed("apply", "found", "--auto-approve")
    assert applied.succeed("plan", "found").startswith("No changes.")


def test_without_a_stamp_there_is_nothing_to_rebuild_from(
    applied: Shell, database_url: str, redis_client: Redis
) -> None:
    lose_postgresql(database_url)
    redis_client.delete(Keyspace().stamp)
    done = applied.run("rebuild", "--auto-approve")
    assert done.returncode == 1
    assert "Redis has no stamp under 'mq:', so there is nothing to rebuild from" in done.stderr


def test_another_installations_redis_is_not_rebuilt_from(
    applied: Shell, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MQOPS_ENVIRONMENT", "staging")
    done = applied.run("rebuild", "--auto-approve")
    assert done.returncode == 1
    assert "belongs to environment 'default', and this is 'staging'" in done.stderr


# What running processes do meanwhile


def test_running_processes_keep_their_catalog_until_manifests_are_applied_again(
    applied: Shell, database_url: str, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with following(database_url, tmp_path) as feed:
            known = feed.current
            assert known.key("0" * 63 + "1") is not None
            lose_postgresql(database_url)
            for step in ("migrate", "rebuild"):
                applied.succeed(step, *(["--auto-approve"] if step == "rebuild" else []))
                await _look(feed)
                assert feed.current is known
                assert "the database lost its catalog" in str(feed.health().error)
            applied.succeed("apply", "--auto-approve")
            await eventually_async(lambda: feed.health().error is None, 5.0)
            assert feed.current is not known
            assert feed.current.topics_by_uid.keys() == known.topics_by_uid.keys()
            assert feed.current.key("0" * 63 + "1") is not None

    uvloop.run(scenario())


def test_a_catalog_of_the_same_revision_is_not_taken_for_the_one_that_is_known(
    applied: Shell, database_url: str, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with following(database_url, tmp_path) as feed:
            assert feed.current.revision == 1
            lose_postgresql(database_url)
            applied.manifest.write_text(TREE.replace("retention: 3d", "retention: 5d"))
            applied.succeed("migrate")
            applied.succeed("apply", "--auto-approve")
            await _look(feed)
            topic = feed.current.topic("acme", "orders")
            assert topic is not None
            assert (feed.current.revision, topic.spec.retention) == (1, 5 * 86_400_000)

    uvloop.run(scenario())


@pytest.mark.parametrize("is_migrated", [False, True])
def test_a_process_that_starts_meanwhile_takes_the_snapshot(
    applied: Shell, database_url: str, tmp_path: Path, is_migrated: bool
) -> None:
    async def scenario() -> None:
        async with following(database_url, tmp_path) as feed:
            known = feed.current
        lose_postgresql(database_url)
        if is_migrated:
            applied.succeed("migrate")
        async with following(database_url, tmp_path) as feed:
            assert feed.current.topics_by_name == known.topics_by_name
            assert feed.health().error is not None

    uvloop.run(scenario())


async def _look(feed: CatalogFeed) -> None:
    """A whole look: one that was under way may have begun before."""
    await feed.refresh()
    await feed.refresh()


# Redis elsewhere than before


def test_a_redis_without_the_stamp_is_told_by_plan_apply_and_doctor(
    applied: Shell, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_KEY_PREFIX", "other:")
    told = "Redis has no stamp under 'other:', and PostgreSQL is installation"
    for command in (["plan"], ["apply", "--auto-approve"]):
        if command == ["apply", "--auto-approve"]:
            checked = applied.run("doctor")
            assert (checked.returncode, told in checked.stdout) == (1, True)
            assert "unless it was flushed, set them back" in checked.stdout
        done = applied.run(*command)
        assert done.returncode == 0
        assert done.stderr.startswith(f"warning: {told}")
        assert "messages of before stay behind" in done.stderr
    assert applied.run("plan").stderr == ""  # it is a place of this installation now


def test_a_database_that_knows_nothing_of_the_redis_server_is_told(applied: Shell, database_url: str) -> None:
    lose_postgresql(database_url)
    for expected in ("PostgreSQL knows nothing of it", "was lost, and nothing was applied since"):
        checked = applied.run("doctor")
        assert checked.returncode == 1
        assert expected in checked.stdout
        assert "run `mqops rebuild`, and `mqops apply`" in checked.stdout
        applied.succeed("migrate")
    applied.succeed("apply", "--auto-approve")
    assert "instance            installation" in applied.run("doctor").stdout
