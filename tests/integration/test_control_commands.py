"""The control plane's commands as a person or a script runs them: output, exit codes, signals."""

import json
import os
import pty
import signal
import subprocess
from collections.abc import Sequence

import pytest
from redis import Redis
from shell import MANIFEST, Shell, command


def test_plan_and_apply_from_first_to_last(shell: Shell) -> None:
    pending = shell.run("plan", "--detailed-exitcode")
    assert (pending.returncode, pending.stderr) == (2, "")
    assert "  + create Topic acme/orders  manifests/acme.yaml:6\n" in pending.stdout
    assert pending.stdout.endswith("Plan: 5 to create, 0 to update, 0 to delete, 0 to repair.\n")
    applied = shell.succeed("apply", "--auto-approve")
    names = (
        "Tenant acme",
        "Topic acme/jobs.deadletter",
        "Topic acme/orders",
        "Queue acme/jobs",
        "Subscription acme/jobs",
    )
    made = "".join(f"created {name}\n" for name in names)
    assert applied == f"{pending.stdout}{made}Applied revision 1: 5 created.\n"
    assert shell.succeed("plan", "--detailed-exitcode") == "No changes. What is applied matches the manifests.\n"
    assert shell.succeed("apply") == "No changes. What is applied matches the manifests.\n"

    shell.manifest.write_text(MANIFEST.replace("partitions: 2", "partitions: 3"))
    found = json.loads(shell.succeed("plan", "-o", "json"))
    assert found["resource_changes"][0]["fields"] == [{"path": "spec.partitions", "before": 2, "after": 3}]
    answer = json.loads(shell.succeed("apply", "--auto-approve", "-o", "json"))
    assert (answer["revision"], answer["failed"]) == (2, [])
    one = {"kind": "Topic", "tenant": "acme", "name": "orders", "action": "update", "outcome": "done", "message": None}
    assert answer["results"] == [one]

    shell.manifest.write_text(MANIFEST.replace("name: orders", "name: orders, annotations: {mqops/protect: 'true'}"))
    shell.succeed("apply", "--auto-approve")
    first, _, last = MANIFEST.split("---\n")
    shell.manifest.write_text(f"{first}---\n{last}{_topic('more')}")
    refused = shell.run("apply", "--auto-approve")
    assert refused.returncode == 3
    assert "Topic acme/orders is protected" in refused.stdout
    assert refused.stdout.endswith("Applied revision 4: 1 created.\n")


def _topic(name: str) -> str:
    return f"---\napiVersion: mqops/v1\nkind: Topic\nmetadata: {{tenant: acme, name: {name}}}\nspec: {{}}\n"


def test_a_tree_that_is_divided_among_sources_is_taken_over_from_the_one_it_was(shell: Shell) -> None:
    shell.succeed("apply", "--auto-approve")
    (shell.folder / "manifests/shop").mkdir()
    shell.manifest.rename(shell.folder / "manifests/shop/acme.yaml")
    (shell.folder / "manifests/sources.yaml").write_text(
        "apiVersion: mqops/v1\nkind: Source\nmetadata: {name: shop}\nspec: {path: shop}\n"
    )
    refused = shell.run("plan")
    assert refused.returncode == 3
    assert "belongs to source 'default'" in refused.stdout
    assert "pass --take-over default" in refused.stdout
    taken = shell.succeed("apply", "--auto-approve", "--take-over", "default")
    assert taken.endswith("Applied revision 2: 1 created, 5 handed over.\n")
    assert shell.succeed("plan", "--detailed-exitcode") == "No changes. What is applied matches the manifests.\n"


def test_each_guard_prints_the_option_that_goes_through(shell: Shell, redis_client: Redis) -> None:
    protected = MANIFEST.replace("name: jobs}", 'name: jobs, annotations: {mqops/protect: "true"}}')
    shell.manifest.write_text(protected + "".join(_topic(f"many-{number}") for number in range(12)))
    shell.succeed("apply", "--auto-approve")
    (meta,) = (key for key in redis_client.keys("*:meta") if redis_client.hget(key, "name") == b"many-3")
    redis_client.xadd(meta.replace(b":meta", b":0:s"), {"d": "1"})
    shell.manifest.write_text(MANIFEST[: MANIFEST.index("---")])

    def refusals(*options: str) -> str:
        done = shell.run("plan", *options)
        assert done.returncode == 3
        return done.stdout

    told = refusals()
    assert "pass --unprotect Queue/acme/jobs" in told
    assert "pass --allow-mass-delete 15" in told
    assert "1 unfinished message in Topic acme/many-3" in refusals("--allow-mass-delete", "15")
    partly = shell.run("apply", "--auto-approve", "--allow-mass-delete", "15", "--allow-data-loss")
    assert (partly.returncode, partly.stdout.splitlines()[-1]) == (3, "Applied revision 2: 13 deleted.")
    assert shell.succeed("apply", "--auto-approve", "--unprotect", "Queue/acme/jobs").endswith("3 deleted.\n")
    assert shell.run("plan", "--unprotect", "jobs").returncode == 1


def test_only_yes_approves(shell: Shell) -> None:
    nobody = shell.run("apply")
    assert nobody.returncode == 1
    assert nobody.stderr == "error: nobody is there to approve the plan: pass --auto-approve\n"
    denied = _answered("y\n")
    assert (denied.returncode, denied.stderr) == (1, "error: not approved, nothing was changed\n")
    assert shell.succeed("get", "topics") == "No topics.\n"
    approved = _answered("yes\n")
    assert approved.returncode == 0
    assert "Applied revision 1: 5 created." in approved.stdout


def _answered(answer: str) -> subprocess.CompletedProcess[str]:
    """`mqops apply` with somebody at the keyboard."""
    keyboard, terminal = pty.openpty()
    try:
        os.write(keyboard, answer.encode())
        return subprocess.run(command("apply"), stdin=terminal, capture_output=True, text=True, timeout=60, check=False)
    finally:
        os.close(keyboard)
        os.close(terminal)


def test_broken_manifests_are_refused_with_every_place(shell: Shell) -> None:
    shell.manifest.write_text(MANIFEST.replace("partitions: 2", "partitoins: 2").replace("name: jobs", "name: Jobs"))
    for arguments in (("plan",), ("apply", "--auto-approve"), ("reconcile",)):
        done = shell.run(*arguments)
        assert done.returncode == 1
        assert f"{done.stdout}{done.stderr}".count("manifests/acme.yaml:") == 2
    assert shell.succeed("get", "tenants") == "No tenants.\n"


def test_whoever_reads_json_finds_the_problems_there(shell: Shell) -> None:
    shell.manifest.write_text(MANIFEST.replace("partitions: 2", "partitoins: 2"))
    expected = json.loads(shell.run("validate", "-o", "json").stdout)["problems"]
    for arguments in (("plan",), ("apply", "--auto-approve")):
        done = shell.run(*arguments, "-o", "json")
        assert (done.returncode, json.loads(done.stdout)) == (1, {"problems": expected})
        assert "did you mean partitions?" in done.stderr


def test_get_and_describe_tell_what_is_applied(shell: Shell) -> None:
    shell.succeed("apply", "--auto-approve")
    listed = shell.succeed("get", "queues").splitlines()
    assert listed[0].split() == ["NAME", "READY", "MANAGED", "BY", "DECLARED", "AT", "GENERATION", "AGE", "MESSAGES"]
    assert listed[1].split()[:4] == ["acme/jobs", "True", "default", "acme.yaml:11"]
    assert shell.succeed("get", "Topic", "--tenant", "acme", "-o", "name") == "acme/jobs.deadletter\nacme/orders\n"
    assert shell.succeed("get", "tenants", "-l", "tier==gold", "-o", "name") == "acme\n"
    assert shell.succeed("get", "tenants", "-l", "tier=tin") == "No tenants.\n"
    one = json.loads(shell.succeed("get", "topic", "orders", "--tenant", "acme", "-o", "json"))
    assert (one["kind"], one["spec"]["partitions"], one["status"]["messages"]) == ("Topic", 2, 0)
    described = shell.succeed("describe", "queue", "acme/jobs")
    assert "Brought along\n  Subscription acme/jobs\n" in described
    assert "1          " in described.partition("History\n")[2]
    details = json.loads(shell.succeed("describe", "subscription", "acme/jobs", "-o", "json"))
    assert details["status"]["impliedBy"] == "Queue acme/jobs"
    assert details["partitions"] == [
        {"partition": 0, "last": None, "positions": {"acme/jobs": "0-0"}, "isMissing": False}
    ]
    assert details["drift"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("get", "topic", "acme/none"), "error: there is no Topic acme/none: `mqops get topics` lists what there is\n"),
        (("get", "topic", "orders"), "error: whose Topic 'orders'? Write TENANT/orders, or add --tenant\n"),
        (("describe", "tpoic", "acme/x"), "error: there is no kind 'tpoic': did you mean topic?\n"),
        (("plan", "--take-over", "gone"), "error: source 'gone' owns nothing: leave out --take-over gone\n"),
    ],
)
def test_what_cannot_be_answered_is_one_line_with_the_way_out(
    shell: Shell, arguments: Sequence[str], message: str
) -> None:
    done = shell.run(*arguments)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", message)


def test_the_watch_ends_cleanly_when_told_to(shell: Shell) -> None:
    watch = command("reconcile", "--watch", "--interval", "1m")
    process = subprocess.Popen(watch, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines = iter(process.stdout.readline, "")
    assert "watching manifests, and looking for drift every 1m" in next(lines)
    applied = [next(lines) for _ in range(6)]
    assert all(" created " in line for line in applied[:5])
    assert "Applied revision 1: 5 created." in applied[5]
    process.send_signal(signal.SIGTERM)
    assert next(lines).endswith("stopped\n")
    assert process.wait(10) == 0
    process.stdout.close()
