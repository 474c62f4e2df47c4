"""`mqops drift`, and what the watch loop does with drift, as a person sees it."""

import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import psycopg
import pytest
import traffic
import waiting
from drifting import is_by_psql
from jsonschema import Draft202012Validator
from over_api import made_over_api
from shell import Shell
from watched import told, watching

from mqops.bootstrap.control import current_settings, open_stores
from mqops.keys import Keyspace
from mqops.model import Identity
from mqops.streams import Lane
from reconciler.planning.document import schema
from reconciler.stores.drift import read_drift
from reconciler.stores.observe import observe

eventually = partial(waiting.eventually, seconds=10)

EDIT = "UPDATE mq_resources SET spec = spec || '{\"retention\": \"1h\"}' WHERE name = 'orders'"
UNHEALED = "apiVersion: mqops/v1\nkind: Source\nmetadata: {name: shop}\nspec: {path: shop, selfHeal: false}\n"


@pytest.fixture
def there(shell: Shell) -> Shell:
    shell.succeed("migrate")
    shell.succeed("apply", "--auto-approve")
    return shell


def sql(statement: str) -> None:
    """As somebody with a client of their own."""
    url = current_settings().database_url
    assert url is not None
    with psycopg.connect(url, application_name="psql", autocommit=True) as connection:
        connection.execute(statement)


def noted() -> dict[str, str]:
    """By name, the reasons of what reconcilers know."""
    with open_stores(current_settings()) as stores:
        return {one.identity.name: one.reason.value for one in read_drift(stores.database).values()}


def lane_of_jobs() -> Lane:
    with open_stores(current_settings()) as stores:
        seen = observe(stores)
        topic = seen.applied[Identity("Queue", "acme", "jobs")].uid
        reader = seen.applied[Identity("Subscription", "acme", "jobs")].uid
        return Lane(seen.topics[topic].bucket, reader, topic, 0)


def test_without_drift_it_says_so_and_exits_with_0(there: Shell) -> None:
    assert there.succeed("drift") == "No drift. Everything is as it was applied.\n"
    assert json.loads(there.succeed("drift", "-o", "json")) == {"format_version": "1.2", "resource_drift": []}


def test_drift_exits_with_2_and_says_what_who_and_since_when(there: Shell) -> None:
    sql(EDIT)
    done = there.run("drift")
    assert done.returncode == 2
    first, resource, field = done.stdout.splitlines()
    assert first.startswith("Drift: changed outside since 20")
    assert resource.startswith("  ≠ Topic acme/orders: its row in PostgreSQL was edited, by ")
    assert re.search(r"by \S+ \(psql(, [^)]+)?\) at 20", resource)
    assert ", known since 20" in resource
    assert field == "      retention: 7d → 1h"
    assert noted() == {"orders": "row_edited"}


def test_as_json_it_is_the_section_of_a_plan(there: Shell) -> None:
    sql(EDIT)
    done = there.run("drift", "-o", "json")
    assert done.returncode == 2
    plan = json.loads(there.succeed("plan", "-o", "json"))
    assert json.loads(done.stdout)["resource_drift"] == plan["resource_drift"]
    Draft202012Validator(schema()).validate(plan)
    (one,) = plan["resource_drift"]
    assert one["fields"] == [{"path": "spec.retention", "before": "7d", "after": "1h"}]
    assert one["first_seen_at"] is not None


def test_it_makes_no_difference_what_the_manifests_say_by_now(there: Shell) -> None:
    there.manifest.write_text(there.manifest.read_text().replace("partitions: 2", "partitions: 4"))
    assert there.succeed("drift", "manifests").startswith("No drift")
    sql(EDIT)
    before = there.run("drift").stdout
    there.manifest.write_text("nonsense")
    assert there.run("drift").stdout == before
    assert there.run("drift", "manifests").returncode == 1


def test_it_can_be_limited_and_still_notes_all(there: Shell) -> None:
    sql(EDIT)
    sql("UPDATE mq_resources SET labels = '{}' WHERE name = 'acme'")
    assert "Tenant" not in there.run("drift", "--target", "topic/acme/orders").stdout
    assert "Topic" not in there.run("drift", "-l", "tier=gold").stdout
    assert there.run("drift", "--target", "queue/acme/jobs").returncode == 0
    assert noted() == {"acme": "row_edited", "orders": "row_edited"}


def test_a_target_that_nothing_knows_is_an_error_with_the_nearest_name(there: Shell) -> None:
    done = there.run("drift", "--target", "topic/acme/ordrs")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "error: there is no Topic acme/ordrs, neither applied nor known to the history: "
        "did you mean Topic acme/orders?\n"
    )


def test_a_target_whose_row_is_gone_is_still_known(there: Shell) -> None:
    sql("DELETE FROM mq_resources WHERE name = 'orders'")
    done = there.run("drift", "--target", "topic/acme/orders")
    assert (done.returncode, "Topic acme/orders" in done.stdout) == (2, True)


def test_a_selector_that_chooses_nothing_says_so(there: Shell) -> None:
    done = there.run("drift", "-l", "nosuch=1")
    assert (done.returncode, done.stdout) == (0, "No drift in what is chosen.\n")
    assert done.stderr == "nothing that is applied has the labels nosuch=1\n"
    assert there.run("drift", "-l", "tier=gold").stderr == ""


def test_a_plan_tells_drift_and_notes_nothing(there: Shell) -> None:
    sql(EDIT)
    assert "≠ Topic acme/orders" in there.succeed("plan")
    assert noted() == {}


def test_what_an_apply_repairs_is_known_no_more(there: Shell) -> None:
    sql(EDIT)
    there.run("drift")
    there.succeed("apply", "--auto-approve", "--refresh-only")
    assert noted() == {}
    assert there.succeed("drift").startswith("No drift")


def test_a_saved_plan_is_stale_when_a_row_was_edited_since(there: Shell) -> None:
    there.manifest.write_text(there.manifest.read_text().replace("partitions: 2", "partitions: 4"))
    there.succeed("plan", "--out", "plan.json")
    sql(EDIT)
    done = there.run("apply", "plan.json", "--auto-approve")
    assert done.returncode == 3
    assert "spec.retention was 7d, is 1h" in done.stderr


def test_describe_tells_drift_with_who_and_since_when(there: Shell) -> None:
    sql(EDIT)
    there.run("drift")
    shown = there.succeed("describe", "topic", "acme/orders")
    assert "Drift: its row in PostgreSQL was edited, by " in shown
    assert "known since 20" in shown
    drift = json.loads(there.succeed("describe", "topic", "acme/orders", "-o", "json"))["drift"]
    assert (drift["reason"], drift["fields"]) == (
        "row_edited",
        [{"path": "spec.retention", "before": "7d", "after": "1h"}],
    )
    assert is_by_psql(drift["changedBy"])
    assert drift["firstSeenAt"] is not None


def test_the_watch_loop_repairs_rows_that_cannot_be_read_and_goes_on(there: Shell) -> None:
    with watching() as said:
        sql("UPDATE mq_resources SET spec = spec || '{\"partitions\": \"x\"}' WHERE name = 'orders'")
        eventually(lambda: told(said, "repaired Topic acme/orders: row malformed"))
        sql("UPDATE mq_resources SET kind = 'Nonsense' WHERE name = 'orders'")
        eventually(lambda: sum("repaired Topic acme/orders: row malformed" in line for line in said) == 2)
    assert not told(said, "not done")
    assert there.succeed("drift").startswith("No drift")


def test_the_watch_loop_repairs_what_the_api_has(there: Shell) -> None:
    made_over_api("Topic", "acme", "clicks", {})
    with watching() as said:
        sql("UPDATE mq_resources SET spec = spec || '{\"state\": \"paused\"}' WHERE name = 'clicks'")
        eventually(lambda: told(said, "repaired Topic acme/clicks: row edited"))
        sql("DELETE FROM mq_resources WHERE name = 'clicks'")
        eventually(lambda: told(said, "repaired Topic acme/clicks: row missing"))
    assert there.succeed("drift").startswith("No drift")


def test_a_source_that_does_not_heal_itself_has_its_drift_noted(there: Shell) -> None:
    Path("manifests/sources.yaml").write_text(UNHEALED)
    Path("manifests/shop").mkdir()
    there.manifest.rename("manifests/shop/acme.yaml")
    there.succeed("apply", "--auto-approve", "--take-over", "default")
    with watching() as said:
        eventually(lambda: noted() == {})
        sql(EDIT)
        eventually(lambda: told(said, "not repaired, selfHeal is false: Topic acme/orders: row edited"))
        eventually(lambda: noted() == {"orders": "row_edited"})
        sql(EDIT.replace("1h", "7d"))
        eventually(lambda: noted() == {})
    assert sum("not repaired" in line for line in said) == 1


def test_what_nobody_can_repair_is_said_once_with_the_way_out(there: Shell) -> None:
    sql(
        "INSERT INTO mq_resources (uid, kind, tenant, name, spec, managed_by, revision)"
        " VALUES (gen_random_uuid(), 'Topic', 'acme', 'odd', '{\"partitions\": \"x\"}', 'default', 1)"
    )
    with watching() as said:
        eventually(lambda: told(said, "not repaired: Topic acme/odd"))
        there.manifest.write_text(there.manifest.read_text().replace("partitions: 2", "partitions: 4"))
        eventually(lambda: told(said, "updated Topic acme/orders"))
        assert sum("delete its row from mq_resources" in line for line in said) == 1
        sql("DELETE FROM mq_resources WHERE name = 'odd'")
        eventually(lambda: told(said, "nothing is left"))
    assert there.succeed("drift").startswith("No drift")


def test_publishing_and_pulling_is_never_drift(there: Shell) -> None:
    lane, done = lane_of_jobs(), threading.Event()
    redis_url = current_settings().redis_url
    assert redis_url is not None

    def publish() -> None:
        while not done.is_set():
            traffic.publish(redis_url, lane, 1, [b"x"] * 5)

    def pull() -> None:
        while not done.is_set():
            traffic.take(redis_url, lane, 4)

    with ThreadPoolExecutor(3) as pool:
        running = [pool.submit(do) for do in (publish, pull, pull)]
        try:
            for _ in range(20):
                assert there.run("drift").stdout == "No drift. Everything is as it was applied.\n"
        finally:
            done.set()
        for one in running:
            one.result()
    with open_stores(current_settings()) as stores:
        assert int(stores.redis.hget(Keyspace().meta(lane.bucket, lane.subscription), "done") or 0) > 0


def test_groups_moved_under_traffic_skip_nothing_and_hand_nothing_out_twice(there: Shell) -> None:
    lane, redis_url = lane_of_jobs(), current_settings().redis_url
    assert redis_url is not None
    stream = Keyspace().stream(lane.bucket, lane.topic, 0)
    sent = [str(number).encode() for number in range(60)]
    got: list[bytes] = []
    with watching() as said, open_stores(current_settings()) as stores:
        for start in range(0, len(sent), 10):
            traffic.publish(redis_url, lane, 1, sent[start : start + 10])
            got += traffic.take(redis_url, lane, 4)
            ids = [entry for entry, _ in stores.redis.xrange(stream)]
            stores.redis.xgroup_setid(stream, lane.subscription, ids[(start * 7) % len(ids)])
            got += traffic.take(redis_url, lane, 3)
        assert set(got) != set(sent)

        def has_come() -> bool:
            got.extend(traffic.take(redis_url, lane, 10))
            return len(got) >= len(sent)

        eventually(has_come)
    assert got == sent
    assert told(said, "repaired Subscription acme/jobs: group moved")
