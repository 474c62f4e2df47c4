"""`mqops plan --server`: a directory, and no credentials of any store."""

import json
import os
from pathlib import Path

import pytest
from governed import FILES, Governed, key_of
from redis import Redis
from shell import Done, Shell
from trees import manifest, tree

ACME = "shops/acme.yaml"


@pytest.fixture
def away(
    governed: Governed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    """A checkout of the tree on another machine."""
    for name in list(os.environ):
        if name.startswith("MQOPS_") or name in ("DATABASE_URL", "REDIS_URL"):
            monkeypatch.delenv(name)
    folder = tmp_path / "away"
    tree(folder / "manifests", governed.files)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MQOPS_CREDENTIAL", key_of("system", "planner"))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    return Shell(folder, capsys)


def server(governed: Governed) -> tuple[str, str]:
    return "--server", f"http://127.0.0.1:{governed.client.port}"


def edit(shell: Shell, name: str, old: str, new: str) -> None:
    path = shell.folder / "manifests" / name
    path.write_text(path.read_text().replace(old, new))


def here(governed: Governed, shell: Shell, *arguments: str) -> Done:
    """What is answered where the stores are."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("DATABASE_URL", governed.settings.database_url or "")
        patched.setenv("REDIS_URL", governed.settings.redis_url or "")
        return shell.run("plan", *arguments)


@pytest.mark.parametrize("output", ["text", "json", "markdown"])
def test_it_says_what_a_plan_beside_the_stores_says(governed: Governed, away: Shell, output: str) -> None:
    arguments = ("manifests", "-o", output, "--detailed-exitcode")
    assert away.run("plan", *arguments, *server(governed)) == here(governed, away, *arguments)
    edit(away, ACME, "partitions: 2", "partitions: 3")
    tree(away.folder / "manifests", {"shops/more.yaml": manifest("Topic", "more")})
    sent = away.run("plan", *arguments, *server(governed))
    assert sent == here(governed, away, *arguments)
    assert (sent.returncode, sent.stderr) == (2, "")
    assert "more" in sent.stdout
    limited = (*arguments, "--target", "topic/acme/more")
    assert away.run("plan", *limited, *server(governed)) == here(governed, away, *limited)
    (away.folder / "manifests/shops/initech.yaml").unlink()
    sent = away.run("plan", *arguments, *server(governed))
    assert sent == here(governed, away, *arguments)
    assert sent.returncode == 3


def test_what_a_guard_stops_goes_through_with_its_option(governed: Governed, away: Shell) -> None:
    away.succeed("plan", *server(governed))
    (away.folder / "manifests/shops/acme.yaml").unlink()
    (away.folder / "manifests/shops/globex.yaml").unlink()
    sent = away.run("plan", *server(governed))
    assert sent == here(governed, away)
    assert (sent.returncode, "two steps" in sent.stdout) == (3, True)


def test_what_is_wrong_with_the_files_is_told_before_anything_is_sent(away: Shell) -> None:
    edit(away, ACME, "partitions: 2", "partitons: 2")
    done = away.run("plan", "--server", "http://127.0.0.1:1")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "error: a problem in the manifests, nothing was changed:\n"
        "manifests/shops/acme.yaml:24:8: spec.partitons: there is no such field; did you mean partitions?\n"
    )


def test_what_the_server_finds_wrong_is_told_the_same_way(governed: Governed, away: Shell) -> None:
    edit(away, ACME, "topic: orders", "topic: ordrs")
    done = away.run("plan", *server(governed))
    assert (done.returncode, done.stderr) == (1, here(governed, away).stderr)
    assert "did you mean orders?" in done.stderr


def test_variables_have_the_values_of_the_server(governed: Governed, away: Shell) -> None:
    edit(away, ACME, "{partitions: 2}", '{partitions: 2, displayName: "${AUTH_SERVICE_URL}"}')
    done = away.run("plan", *server(governed))
    assert done.returncode == 0, done.stderr
    assert "displayName:" in done.stdout


def test_one_source_sends_its_own_files_alone(governed: Governed, away: Shell) -> None:
    edit(away, ACME, "partitions: 2", "partitions: 3")
    edit(away, "platform/system.yaml", "kind: Tenant", "kind: Tenat")
    done = away.run("plan", *server(governed), "--source", "shops", "-o", "json")
    plan = json.loads(done.stdout)
    assert ([change["name"] for change in plan["resource_changes"]], done.returncode) == (["orders"], 0)
    done = away.run("plan", *server(governed), "--source", "platform")
    assert (done.returncode, "manifests/platform/system.yaml:2:7: kind" in done.stderr) == (1, True)


def test_a_tenant_plans_its_own(governed: Governed, away: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    tree(away.folder / "own", {ACME: FILES[ACME] + "---\n" + manifest("Topic", "more")})
    (away.folder / "key").write_text(key_of("acme", "planner") + "\n")
    monkeypatch.delenv("MQOPS_CREDENTIAL")
    done = away.run("plan", "own", *server(governed), "--credential-file", "key")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("  + create Topic acme/more  own/shops/acme.yaml:41\n")
    assert done.stdout.endswith("Plan: 1 to create, 0 to update, 0 to delete, 0 to repair.\n")
    monkeypatch.setenv("MQOPS_CREDENTIAL", key_of("system", "planner"))
    assert away.run("plan", "own", *server(governed), "--tenant", "acme").stdout == done.stdout
    shown = away.run("plan", *server(governed), "--credential-file", "key")
    assert (shown.returncode, "sources.yaml: lies outside of shops" in shown.stderr) == (1, True)


def test_one_file_or_standard_input_is_planned_too(governed: Governed, away: Shell) -> None:
    text = manifest("Topic", "x", "{partitions: 0}")
    done = away.run("plan", "-f", "-", *server(governed), stdin=text)
    assert (done.returncode, "stdin:4:20: spec.partitions" in done.stderr) == (1, True)
    done = away.run("plan", "-f", f"manifests/{ACME}", *server(governed))
    assert done == here(governed, away, "-f", f"manifests/{ACME}")


@pytest.mark.parametrize(
    ("credential", "arguments", "status", "told"),
    [
        ("no-key", (), 1, "error: the credential is not known (UNAUTHENTICATED)\n"),
        ("", (), 1, "error: no credential to send: set MQOPS_CREDENTIAL, or pass --credential-file\n"),
        (key_of("acme", "viewer"), (), 1, "has none of the roles admin, deployer, planner (FORBIDDEN)\n"),
        (key_of("system", "planner"), ("--source", "shopz"), 1, "there is no source 'shopz' (NOT_FOUND)\n"),
        (key_of("system", "planner"), ("--target", "topic/acme/x"), 1, "(INVALID_REQUEST)\n"),
        (key_of("system", "planner"), ("--out", "plan.json"), 1, "a server's plan cannot be saved"),
        (key_of("system", "planner"), ("--credential-file", "none"), 1, "none cannot be read: No such file"),
    ],
)
def test_what_goes_wrong_is_told_in_a_line(
    governed: Governed,
    away: Shell,
    monkeypatch: pytest.MonkeyPatch,
    credential: str,
    arguments: tuple[str, ...],
    status: int,
    told: str,
) -> None:
    monkeypatch.setenv("MQOPS_CREDENTIAL", credential)
    done = away.run("plan", *server(governed), *arguments)
    assert (done.returncode, done.stdout) == (status, "")
    assert told in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_server_that_is_away_or_no_mqops_is_told(away: Shell) -> None:
    done = away.run("plan", "--server", "http://127.0.0.1:1")
    assert (done.returncode, "http://127.0.0.1:1 does not answer" in done.stderr) == (1, True)


def test_a_source_that_is_held_is_told(governed: Governed, away: Shell) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("DATABASE_URL", governed.settings.database_url or "")
        patched.setenv("REDIS_URL", governed.settings.redis_url or "")
        away.succeed("suspend", "shops", "--reason", "moving")
    edit(away, ACME, "partitions: 2", "partitions: 3")
    sent = away.run("plan", *server(governed))
    assert sent == here(governed, away)
    assert "suspended by" in sent.stderr
    assert "1 resource stays as applied" in sent.stderr
    pending = away.run("plan", "-o", "json", "--detailed-exitcode", *server(governed))
    assert pending == here(governed, away, "-o", "json", "--detailed-exitcode")
    assert (pending.returncode, json.loads(pending.stdout)["held_back"]) == (2, 1)


def test_what_belongs_to_a_server_is_refused_without_one(away: Shell) -> None:
    done = away.run("plan", "--source", "shops")
    assert (done.returncode, "add --server URL" in done.stderr) == (1, True)


def test_more_than_a_request_may_have_is_told_before_it_is_sent(away: Shell) -> None:
    text = "# " + "x" * 3 * 1024**2 + "\n"
    tree(away.folder / "manifests", {f"shops/{number}.yaml": text for number in range(4)})
    done = away.run("plan", "--server", "http://127.0.0.1:1")
    assert "the manifests are 12.0 MiB, and a request has 10 MiB at most" in done.stderr


def test_what_is_wrong_with_the_stores_is_told_to_who_sees_everything(governed: Governed, away: Shell) -> None:
    with Redis.from_url(governed.settings.redis_url or "") as redis:
        redis.flushdb()
    sent = away.run("plan", *server(governed))
    assert sent == here(governed, away)
    assert sent.stderr.startswith("warning: ")
    assert governed.plan("acme", {ACME: FILES[ACME]}).body["warnings"] == []
