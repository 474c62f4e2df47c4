"""What is said of a resource: its conditions, noted by what passes over it, shown by `get` and `describe`."""

import json
import subprocess
import threading
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from redis import Redis
from shell import MANIFEST, Shell, command
from stores import TESTER

from mqops.bootstrap.control import current_settings, open_stores
from mqops.keys import Keyspace, bucket_of
from mqops.model import Identity
from reconciler.edit import Edit, edit
from reconciler.noting import note_pass
from reconciler.pipeline import plan_manifests
from reconciler.reading import check_manifests
from reconciler.request import Request
from reconciler.stores.observe import observe
from reconciler.upkeep import Upkeep, Verdict

UNHEALED = "apiVersion: mqops/v1\nkind: Source\nmetadata: {name: shop}\nspec: {path: shop, selfHeal: false}\n"


@pytest.fixture
def upkeep(shell: Shell) -> Upkeep:
    """A watch loop's looks, one at a time."""
    settings = current_settings()
    return Upkeep(Path("manifests"), settings, partial(open_stores, settings), lambda _: None)


def found(shell: Shell, kind: str, name: str) -> dict[str, Any]:
    """The conditions by type."""
    conditions = json.loads(shell.succeed("get", kind, name, "-o", "json"))["status"]["conditions"]
    return {one["type"]: one for one in conditions}


def said(shell: Shell, kind: str, name: str) -> tuple[str, str, str, str]:
    """Ready, Reconciling, Stalled, and the reason."""
    conditions = found(shell, kind, name)
    statuses = (conditions[one]["status"] for one in ("Ready", "Reconciling", "Stalled"))
    ready, reconciling, stalled = statuses
    return ready, reconciling, stalled, conditions["Ready"]["reason"]


def unhealed(shell: Shell) -> Path:
    """Makes the manifests those of a source that does not heal itself; returns where they are."""
    (shell.folder / "manifests/sources.yaml").write_text(UNHEALED)
    (shell.folder / "manifests/shop").mkdir()
    return shell.manifest.rename(shell.folder / "manifests/shop/acme.yaml")


AS_APPLIED = ("True", "False", "False", "Applied")


def noted(database_url: str) -> dict[str, tuple[str, bool]]:
    """What is in the table: name → reason and whether it is ready."""
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT kind || ' ' || name, reason, ready FROM mq_conditions JOIN mq_resources USING (uid)"
        )
        return {name: (reason, ready) for name, reason, ready in rows}


def destroy_stream(redis: Redis, kind: str = "Topic", name: str = "orders") -> None:
    with open_stores(current_settings()) as stores:
        seen = observe(stores)
    [row] = [row for identity, row in seen.applied.items() if (identity.kind, identity.name) == (kind, name)]
    [tenant] = [row for identity, row in seen.applied.items() if identity.kind == "Tenant"]
    assert redis.delete(Keyspace().stream(bucket_of(tenant.uid), row.uid, 0)) == 1


def test_what_is_applied_is_ready_and_nothing_is_noted_of_it(shell: Shell, database_url: str, upkeep: Upkeep) -> None:
    shell.succeed("apply", "--auto-approve")
    assert said(shell, "topic", "acme/orders") == AS_APPLIED
    assert found(shell, "topic", "acme/orders")["Ready"]["observedGeneration"] == 1
    assert upkeep.look() is Verdict.SETTLED
    assert noted(database_url) == {}


def test_what_is_deleted_outside_is_not_ready_from_the_next_look_on_until_it_is_repaired(
    shell: Shell, database_url: str, redis_client: Redis, upkeep: Upkeep
) -> None:
    shell.succeed("apply", "--auto-approve")
    destroy_stream(redis_client)
    assert said(shell, "topic", "acme/orders")[0] == "False"  # `get` looks by itself
    settings = current_settings()
    request = Request(check_manifests(Path("manifests"), settings), settings)
    with open_stores(settings) as stores:  # as a look does before it repairs
        note_pass(plan_manifests(request, stores), stores)
    assert noted(database_url) == {"Topic orders": ("Drifted", False)}
    assert said(shell, "topic", "acme/orders") == ("False", "True", "False", "Drifted")
    assert "stream missing: live.partitions[0].stream" in found(shell, "topic", "acme/orders")["Ready"]["message"]
    assert upkeep.look() is Verdict.SETTLED
    assert said(shell, "topic", "acme/orders") == AS_APPLIED


def test_a_look_that_cannot_repair_it_leaves_it_not_ready(
    shell: Shell, database_url: str, redis_client: Redis, upkeep: Upkeep
) -> None:
    """Another apply hangs, and has the lock."""
    shell.succeed("apply", "--auto-approve")
    destroy_stream(redis_client)
    upkeep.lock_timeout_seconds = 0.1
    with psycopg.connect(database_url, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(hashtext('mq_apply'), hashtext('default'))")
        assert upkeep.look() is Verdict.UNFINISHED
        assert noted(database_url) == {"Topic orders": ("Drifted", False)}
    assert upkeep.look() is Verdict.SETTLED
    assert noted(database_url) == {"Topic orders": ("Applied", True)}


def test_drift_that_nobody_repairs_stalls(shell: Shell, redis_client: Redis, upkeep: Upkeep, database_url: str) -> None:
    unhealed(shell)
    assert upkeep.look() is Verdict.SETTLED
    destroy_stream(redis_client)
    assert upkeep.look() is Verdict.STUCK
    assert noted(database_url) == {"Topic orders": ("Drifted", False)}
    before = found(shell, "topic", "acme/orders")
    assert said(shell, "topic", "acme/orders") == ("False", "False", "True", "Drifted")
    assert upkeep.look() is Verdict.STUCK
    assert found(shell, "topic", "acme/orders") == before  # nothing new, and since when stays
    shell.succeed("apply", "--auto-approve")
    assert said(shell, "topic", "acme/orders") == AS_APPLIED


def test_a_refused_change_stalls_what_it_is_of(shell: Shell) -> None:
    protected = "name: orders, annotations: {mqops/protect: 'true'}"
    shell.manifest.write_text(MANIFEST.replace("name: orders", protected))
    shell.succeed("apply", "--auto-approve")
    shell.manifest.write_text("\n---\n".join(MANIFEST.split("\n---\n")[::2]))
    assert shell.run("apply", "--auto-approve").returncode == 3
    assert said(shell, "topic", "acme/orders") == ("False", "False", "True", "Refused")
    assert "--unprotect Topic/acme/orders" in found(shell, "topic", "acme/orders")["Stalled"]["message"]
    assert said(shell, "queue", "acme/jobs") == AS_APPLIED
    shell.manifest.write_text(MANIFEST.replace("partitions: 2", "partitions: 3"))
    shell.succeed("apply", "--auto-approve")
    assert said(shell, "topic", "acme/orders") == AS_APPLIED
    assert found(shell, "topic", "acme/orders")["Ready"]["observedGeneration"] == 2


def test_what_is_held_says_so_and_is_not_ready_once_it_drifts(
    shell: Shell, redis_client: Redis, upkeep: Upkeep
) -> None:
    shell.succeed("apply", "--auto-approve")
    shell.succeed("suspend", "default", "--reason", "incident 7")
    upkeep.look()
    assert said(shell, "topic", "acme/orders") == ("True", "False", "False", "Suspended")
    assert "incident 7" in found(shell, "topic", "acme/orders")["Ready"]["message"]
    destroy_stream(redis_client)
    upkeep.look()
    assert said(shell, "topic", "acme/orders") == ("False", "False", "True", "Drifted")
    assert said(shell, "queue", "acme/jobs")[3] == "Suspended"
    shell.succeed("resume", "default")
    upkeep.look()
    assert said(shell, "topic", "acme/orders") == AS_APPLIED
    shell.succeed("rollback", "1", "--source", "default", "--auto-approve")
    assert said(shell, "topic", "acme/orders")[::3] == ("True", "Pinned")


def test_a_resource_that_is_left_alone_says_so(shell: Shell, redis_client: Redis, upkeep: Upkeep) -> None:
    shell.succeed("apply", "--auto-approve")
    shell.succeed("suspend", "topic/acme/orders", "--reason", "looking")
    upkeep.look()
    assert said(shell, "topic", "acme/orders") == ("True", "False", "False", "Suspended")
    destroy_stream(redis_client)
    upkeep.look()
    assert said(shell, "topic", "acme/orders") == ("False", "False", "True", "Drifted")
    assert said(shell, "queue", "acme/jobs") == AS_APPLIED


def test_nothing_that_is_noted_is_a_revision_and_it_goes_with_its_resource(
    shell: Shell, database_url: str, redis_client: Redis, upkeep: Upkeep
) -> None:
    manifest = unhealed(shell)
    upkeep.look()
    destroy_stream(redis_client)
    with psycopg.connect(database_url, autocommit=True) as connection:
        state = "SELECT revision, (SELECT sum(generation) FROM mq_resources) FROM mq_instance"
        before = connection.execute(state).fetchone()
        upkeep.look()
        assert noted(database_url)
        assert connection.execute(state).fetchone() == before
        manifest.write_text("\n---\n".join(MANIFEST.split("\n---\n")[::2]))
        shell.succeed("apply", "--auto-approve", "--allow-data-loss")
        assert connection.execute("SELECT count(*) FROM mq_conditions").fetchone() == (0,)


def test_get_and_describe_show_it(shell: Shell, redis_client: Redis) -> None:
    shell.succeed("apply", "--auto-approve")
    header, _, orders = shell.succeed("get", "topics").splitlines()
    assert header.split()[:2] == ["NAME", "READY"]
    assert orders.split()[:2] == ["acme/orders", "True"]
    destroy_stream(redis_client)
    assert "acme/orders            False (Drifted)   default" in shell.succeed("get", "topics")
    header, _, orders = shell.succeed("get", "topics", "-o", "wide").splitlines()
    assert header.split()[:5] == ["NAME", "READY", "REASON", "SINCE", "MESSAGE"]
    assert orders.split()[1:3] == ["False", "Drifted"]
    assert "stream missing, found just now" in orders
    shown = shell.succeed("describe", "topic", "acme/orders")
    assert "\nConditions\n" in shown
    assert "Ready         False    Drifted" in shown


def test_waiting_ends_once_it_is_ready_or_time_is_up(shell: Shell, redis_client: Redis) -> None:
    missing = shell.run("wait", "topic", "acme/orders", "--timeout", "10ms")
    assert (missing.returncode, missing.stderr) == (
        1,
        "error: Topic acme/orders is not ready after 10ms: there is none\n",
    )
    shell.succeed("apply", "--auto-approve")
    assert shell.succeed("wait", "topic", "acme/orders") == "Topic acme/orders is ready.\n"
    destroy_stream(redis_client)
    broken = shell.run("wait", "topic", "acme/orders", "--timeout", "10ms")
    assert (broken.returncode, "Drifted: stream missing" in broken.stderr) == (1, True)
    repairing = threading.Timer(0.5, lambda: subprocess.run(command("apply", "--auto-approve"), check=True))
    repairing.start()
    assert shell.succeed("wait", "topic", "acme/orders", "--timeout", "30s") == "Topic acme/orders is ready.\n"
    repairing.join()


def test_a_row_that_somebody_edits_is_drift_until_it_is_put_back(
    shell: Shell, database_url: str, upkeep: Upkeep
) -> None:
    unhealed(shell)
    upkeep.look()
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE mq_resources SET labels = '{\"by\": \"hand\"}' WHERE name = 'orders'")
    assert upkeep.look() is Verdict.STUCK
    assert said(shell, "topic", "acme/orders") == ("False", "False", "True", "Drifted")
    shell.succeed("apply", "--auto-approve")
    assert said(shell, "topic", "acme/orders") == AS_APPLIED


def test_what_no_source_has_is_watched_over_too(shell: Shell, redis_client: Redis, upkeep: Upkeep) -> None:
    shell.succeed("apply", "--auto-approve")
    settings = current_settings()
    body = {"labels": {}, "annotations": {}, "spec": {}}
    with open_stores(settings) as stores:
        edit(Edit(Identity("Topic", "acme", "made"), body, lambda _: None), settings, stores, TESTER)
    destroy_stream(redis_client, name="made")
    request = Request(check_manifests(Path("manifests"), settings), settings)
    with open_stores(settings) as stores:
        note_pass(plan_manifests(request, stores), stores)
    assert said(shell, "topic", "acme/made") == ("False", "True", "False", "Drifted")
    upkeep.look()
    assert said(shell, "topic", "acme/made") == AS_APPLIED
