"""`mqops suspend KIND/TENANT/NAME`: a single resource that is left alone, by everybody."""

import json
import re

import psycopg
import pytest
from api_platform import ADMIN, Platform
from served import API
from shell import MANIFEST, Shell, moved_to_a_source_that_heals_nothing
from waiting import eventually
from watched import told, watching

from mqops.bootstrap.control import current_settings, open_stores
from reconciler.stores.observe import observe

MORE = "---\napiVersion: mqops/v1\nkind: Topic\nmetadata: {tenant: acme, name: more}\nspec: {}\n"
OTHER = MANIFEST.replace("partitions: 2", "partitions: 2, maxBacklog: 7") + MORE


def backlogs(shell: Shell) -> dict[str, object]:
    """What is applied of topics: name → maxBacklog."""
    items = json.loads(shell.succeed("get", "topics", "-o", "json"))["items"]
    return {item["metadata"]["name"]: item["spec"]["maxBacklog"] for item in items}


def test_a_suspended_resource_is_not_applied_while_everything_else_is(shell: Shell) -> None:
    shell.succeed("apply", "--auto-approve")
    done = shell.succeed("suspend", "topic/acme/orders", "--reason", "incident 7")
    assert done == (
        "Topic acme/orders is suspended: nothing of it is applied or repaired until `mqops resume topic/acme/orders`.\n"
    )
    planned = shell.run("plan", "--detailed-exitcode")
    assert planned.returncode == 0
    who = r"suspended by \S+@\S+ since \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ: incident 7"
    assert re.fullmatch(rf"Suspended resources:\n  Topic acme/orders is {who}\n\nNo changes\. .*\n", planned.stdout), (
        planned.stdout
    )
    shell.manifest.write_text(OTHER)
    refused = shell.run("apply", "--auto-approve")
    assert refused.returncode == 3
    assert re.search(
        rf"! cannot update Topic acme/orders .*\n +Topic acme/orders is {who}; `mqops resume", refused.stdout
    )
    assert backlogs(shell) == {"jobs.deadletter": None, "more": 10_000, "orders": 10_000}
    resumed = shell.succeed("resume", "topic/acme/orders")
    assert re.fullmatch(rf"No longer {who}\.\nTopic acme/orders is reconciled again, from the next look.*\n", resumed)
    shell.succeed("apply", "--auto-approve")
    assert backlogs(shell)["orders"] == 7
    told_ = json.loads(shell.succeed("history", "-o", "json"))["revisions"]
    assert [(it["trigger"], it["note"], it["sources"]) for it in told_ if it["trigger"] != "apply"] == [
        ("resume", "Topic acme/orders", ["default"]),
        ("suspend", "Topic acme/orders: incident 7", ["default"]),
    ]


def test_get_and_describe_show_what_is_suspended(shell: Shell) -> None:
    shell.succeed("apply", "--auto-approve")
    assert "HELD" not in shell.succeed("get", "topics")
    shell.succeed("suspend", "topic/acme/orders", "--reason", "incident 7")
    header, *rows = shell.succeed("get", "topics").splitlines()
    assert header.split() == [
        "NAME",
        "READY",
        "MANAGED",
        "BY",
        "DECLARED",
        "AT",
        "HELD",
        "GENERATION",
        "AGE",
        "MESSAGES",
    ]
    assert [row.split()[0] for row in rows if " suspended " in row] == ["acme/orders"]
    assert re.search(
        r"\n  held +suspended by \S+ since \S+: incident 7\n", shell.succeed("describe", "topic", "acme/orders")
    )
    status = json.loads(shell.succeed("get", "topic", "acme/orders", "-o", "json"))["status"]
    assert (status["suspended"]["reason"], "@" in status["suspended"]["by"]) == ("incident 7", True)


def test_what_a_suspended_queue_brings_along_is_left_alone_too_and_nothing_of_it_is_repaired(shell: Shell) -> None:
    with watching() as said:
        eventually(lambda: told(said, "Applied revision 1"))
        shell.succeed("suspend", "queue/acme/jobs")
        with open_stores(current_settings()) as stores:
            (live,) = observe(stores).subscriptions.values()
            stream = stores.keys.stream(live.bucket, live.meta["topic"], 0)
            stores.redis.xgroup_destroy(stream, live.uid)
            eventually(
                lambda: told(said, "cannot repair Subscription acme/jobs: Subscription acme/jobs belongs to Queue")
            )
            shell.manifest.write_text(OTHER.replace("name: jobs}\nspec: {}", "name: jobs}\nspec: {deadLetter: more}"))
            eventually(lambda: told(said, "created Topic acme/more"))
            assert re.search(r"acme/jobs .* suspended ", shell.succeed("get", "subscriptions"))
            described = shell.succeed("describe", "subscription", "acme/jobs")
            assert re.search(r"\n  held +Queue acme/jobs is suspended by ", described)
            assert stores.redis.xinfo_groups(stream) == []
            assert "jobs.deadletter" in backlogs(shell)
            shell.succeed("resume", "queue/acme/jobs")
            eventually(lambda: len(stores.redis.xinfo_groups(stream)) == 1)
            eventually(lambda: "jobs.deadletter" not in backlogs(shell))


def test_what_was_kept_back_of_it_is_applied_after_a_resume_though_its_source_heals_nothing(shell: Shell) -> None:
    """It was declared, and not changed outside."""
    manifest = moved_to_a_source_that_heals_nothing(shell)
    with watching() as said:
        eventually(lambda: told(said, "Applied revision 1"))
        shell.succeed("suspend", "topic/acme/orders")
        manifest.write_text(OTHER)
        eventually(lambda: told(said, "cannot update Topic acme/orders"))
        assert backlogs(shell)["orders"] == 10_000
        shell.succeed("resume", "topic/acme/orders")
        eventually(lambda: backlogs(shell)["orders"] == 7)


def test_a_suspended_resource_is_neither_renamed_nor_deleted_and_its_tenant_stays_with_it(shell: Shell) -> None:
    shell.succeed("apply", "--auto-approve")
    shell.succeed("suspend", "topic/acme/orders")
    for text, refused in (
        (
            MANIFEST.replace("name: orders}", "name: sales, renamedFrom: orders}"),
            "rename Topic acme/orders → acme/sales",
        ),
        (
            MANIFEST.replace("name: acme,", "name: shop, renamedFrom: acme,").replace("tenant: acme", "tenant: shop"),
            "rename",
        ),
        (re.sub(r"---\n[^-]*kind: Topic[^-]*", "", MANIFEST), "delete Topic acme/orders"),
    ):
        shell.manifest.write_text(text)
        done = shell.run("apply", "--auto-approve", "--allow-mass-delete", "1")
        assert (done.returncode, f"! cannot {refused}" in done.stdout) == (3, True), done.stdout
        assert "orders" in backlogs(shell)
        assert shell.succeed("get", "tenants", "-o", "name") == "acme\n"


def test_a_rollback_leaves_it_alone(shell: Shell) -> None:
    shell.succeed("apply", "--auto-approve")
    shell.manifest.write_text(OTHER)
    shell.succeed("apply", "--auto-approve")
    shell.succeed("suspend", "topic/acme/orders")
    done = shell.run("rollback", "1", "--auto-approve")
    assert (done.returncode, "cannot update Topic acme/orders" in done.stdout) == (3, True)
    assert backlogs(shell) == {"jobs.deadletter": None, "orders": 7}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("suspend", "topic/acme/order"), "there is no Topic acme/order: did you mean topic/acme/orders?"),
        (("suspend", "topic/acme/orders"), "Topic acme/orders is suspended by "),
        (("suspend", "source/default"), "a source is suspended by its name alone: `mqops suspend default`"),
        (("resume", "queue/acme/jobs"), "Queue acme/jobs is not suspended: it goes on as it is"),
        (("suspend", "subject/acme/x"), "there is no kind 'subject'"),
    ],
)
def test_what_cannot_be_suspended_or_resumed_is_said(shell: Shell, arguments: tuple[str, ...], words: str) -> None:
    shell.succeed("apply", "--auto-approve")
    shell.succeed("suspend", "topic/acme/orders")
    done = shell.run(*arguments)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {words}")


def test_the_management_api_leaves_it_alone_too(platform: Platform) -> None:
    admin = platform.client.with_key(ADMIN)
    topic = platform.name("topic")
    made = admin.post("/topics", {"name": topic})
    with psycopg.connect(platform.installation.database_url) as database:
        statement = "INSERT INTO mq_suspensions (uid, suspended_by) VALUES (%s, 'ann@build-7')"
        database.execute(statement, (made.body["id"],))
    path = f"{API}/topics/{topic}"
    for method, body in (("PUT", {"spec": {"maxBacklog": 7}}), ("DELETE", None)):
        refused = admin.send(method, path, body)
        assert (refused.status, refused.code) == (409, "REFUSED")
        assert refused.body["details"]["refused"][0]["obstacle"] == "suspended"
    assert admin.get(path).raw == made.raw
