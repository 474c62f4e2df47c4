"""Plans of a part of the manifests, of one file instead of a directory, and of what was changed outside alone."""

import json
from collections.abc import Sequence

import pytest
from redis import Redis
from shell import MANIFEST, Shell

SUBSCRIBED = (
    MANIFEST
    + """\
---
apiVersion: mqops/v1
kind: Handler
metadata: {tenant: acme, name: hook}
spec: {type: http, http: {url: "https://acme.example/hook"}}
---
apiVersion: mqops/v1
kind: Subscription
metadata: {tenant: acme, name: billing, labels: {team: money}}
spec: {topic: orders, handler: hook}
"""
)


PROTECTING = MANIFEST.replace("name: orders", "name: orders, annotations: {mqops/protect: 'true'}")
WITHOUT_ORDERS = "---\n".join(MANIFEST.split("---\n")[::2])
"""After the other, refused."""


def planned(shell: Shell, *arguments: str, stdin: str = "") -> list[tuple[str, str]]:
    """Action and name of each change."""
    found = json.loads(shell.succeed("plan", "-o", "json", *arguments, stdin=stdin))
    return [
        (change["change"]["actions"][0], f"{change['kind']} {change['name']}") for change in found["resource_changes"]
    ]


def test_a_target_comes_with_what_it_needs_and_brings_along(shell: Shell) -> None:
    shell.manifest.write_text(SUBSCRIBED)
    target = ("--target", "subscription/acme/billing")
    assert planned(shell, *target) == planned(shell, "-l", "team=money")
    assert planned(shell, *target) == [
        ("create", "Tenant acme"),
        ("create", "Handler hook"),
        ("create", "Topic orders"),
        ("create", "Topic orders.deadletter"),
        ("create", "Subscription billing"),
    ]
    told = shell.succeed("plan", *target)
    assert "Left out, since the plan is limited: create Topic acme/jobs.deadletter, create Queue acme/jobs" in told
    assert shell.succeed("apply", "--auto-approve", *target).endswith("Applied revision 1: 5 created.\n")
    assert planned(shell) == [
        ("create", "Topic jobs.deadletter"),
        ("create", "Queue jobs"),
        ("create", "Subscription jobs"),
    ]
    nothing = shell.succeed("plan", "--detailed-exitcode", *target)
    assert nothing.endswith("No changes within what the plan is limited to.\n")


def test_a_target_that_is_deleted_takes_along_what_needs_it(shell: Shell) -> None:
    shell.manifest.write_text(SUBSCRIBED)
    shell.succeed("apply", "--auto-approve")
    shell.manifest.write_text(MANIFEST.replace("partitions: 2", "partitions: 3"))
    assert planned(shell, "--target", "handler/acme/hook") == [
        ("delete", "Subscription billing"),
        ("delete", "Topic orders.deadletter"),
        ("delete", "Handler hook"),
    ]


def test_what_is_refused_outside_of_the_targets_is_no_matter(shell: Shell) -> None:
    shell.manifest.write_text(PROTECTING)
    shell.succeed("apply", "--auto-approve")
    shell.manifest.write_text(WITHOUT_ORDERS.replace("tier: gold", "tier: tin"))
    assert shell.run("plan").returncode == 3
    done = shell.run("apply", "--auto-approve", "--target", "tenant/acme")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "Applied revision 2: 1 updated.")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--target", "topic/acme/ordres"),
            "there is no Topic acme/ordres, neither in the manifests nor applied: did you mean Topic acme/orders?",
        ),
        (("--target", "orders"), "'orders' is not KIND/TENANT/NAME, like topic/acme/orders"),
        (("manifests", "-f", "x.yaml"), "--file x.yaml and manifests are both manifests: leave one out"),
        (("-f", "none.yaml"), "none.yaml cannot be read: No such file or directory"),
    ],
)
def test_options_that_cannot_be_are_errors(shell: Shell, arguments: Sequence[str], message: str) -> None:
    done = shell.run("plan", *arguments)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"error: {message}\n")


def test_manifests_come_from_standard_input_or_a_file(shell: Shell) -> None:
    from_directory = shell.succeed("plan")
    shell.manifest.rename(shell.folder / "rendered")
    assert shell.succeed("plan", "-f", "rendered") == from_directory.replace("manifests/acme.yaml", "rendered")
    text = (shell.folder / "rendered").read_text()
    assert shell.succeed("plan", "-f", "-", stdin=text) == from_directory.replace("manifests/acme.yaml", "stdin")
    applied = shell.succeed("apply", "-f", "-", "--auto-approve", stdin=text)
    assert applied.endswith("Applied revision 1: 5 created.\n")
    assert planned(shell, "-f", "rendered") == []
    broken = shell.run("plan", "-f", "-", stdin=text.replace("partitions", "partitoins"))
    assert broken.returncode == 1
    assert "stdin:9:8: spec.partitoins" in broken.stderr


def test_a_saved_plan_of_standard_input_reads_it_again(shell: Shell) -> None:
    shell.succeed("plan", "-f", "-", "--out", "saved.json", stdin=MANIFEST)
    other = shell.run("apply", "saved.json", "--auto-approve", stdin=MANIFEST.replace("partitions: 2", "partitions: 3"))
    assert (other.returncode, other.stderr.splitlines()[1:]) == (3, ["  stdin was changed"])
    done = shell.run("apply", "saved.json", "--auto-approve", stdin=MANIFEST)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "Applied revision 1: 5 created.")


def test_refresh_only_repairs_and_applies_nothing_new(shell: Shell, redis_client: Redis) -> None:
    shell.succeed("apply", "--auto-approve")
    shell.manifest.write_text(MANIFEST.replace("partitions: 2", "partitions: 3").replace("name: jobs", "name: tasks"))
    assert planned(shell, "--refresh-only") == []
    redis_client.flushdb()
    repaired = shell.succeed("apply", "--refresh-only", "--auto-approve")
    assert repaired.endswith("Applied revision 2: 5 repaired.\n")
    assert planned(shell, "--refresh-only") == []
    assert ("update", "Topic orders") in planned(shell)
    assert ("delete", "Queue jobs") in planned(shell)


def test_an_empty_tree_and_a_lasting_refusal_exit_with_3(shell: Shell) -> None:
    shell.manifest.write_text(PROTECTING)
    shell.succeed("apply", "--auto-approve")
    shell.manifest.write_text(WITHOUT_ORDERS)
    for arguments in (("plan",), ("plan", "--detailed-exitcode"), ("apply",), ("reconcile",)):
        assert shell.run(*arguments).returncode == 3, arguments
    shell.manifest.write_text("# nothing\n")
    emptied = shell.run("plan")
    assert emptied.returncode == 3
    assert "an empty tree never prunes" in emptied.stderr


def test_markdown_is_for_comments(shell: Shell) -> None:
    told = shell.succeed("plan", "-o", "markdown")
    assert told.startswith("**Plan: 5 to create, 0 to update, 0 to delete, 0 to repair.**\n\n#### Create (5)\n")
    assert told.count("<details>") == told.count("</details>") == 1
