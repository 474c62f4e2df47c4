"""Saved plans through the command line: exactly what was saved is done, or nothing, and then what moved is named."""

import json
import os
import pty
import re
import shutil
import stat
import subprocess
from pathlib import Path

import psycopg
import pytest
from redis import Redis
from shell import MANIFEST, Done, Shell, command

TWO_SOURCES = """\
apiVersion: mqops/v1
kind: Source
metadata: {name: acme}
spec: {path: acme}
---
apiVersion: mqops/v1
kind: Source
metadata: {name: globex}
spec: {path: globex}
"""
GLOBEX = MANIFEST.replace("acme", "globex")
THREE = MANIFEST.replace("partitions: 2", "partitions: 3")


@pytest.fixture
def tree(shell: Shell) -> Path:
    """Two tenants, each of a Source of its own, applied; and then ``orders`` of acme given a third partition."""
    manifests = shell.folder / "manifests"
    (manifests / "acme").mkdir()
    (manifests / "globex").mkdir()
    shell.manifest.unlink()
    (manifests / "sources.yaml").write_text(TWO_SOURCES)
    (manifests / "acme/all.yaml").write_text(MANIFEST)
    (manifests / "globex/all.yaml").write_text(GLOBEX)
    shell.succeed("apply", "--auto-approve")
    (manifests / "acme/all.yaml").write_text(THREE)
    shell.succeed("plan", "--out", "saved.json")
    return manifests


def apply_saved(shell: Shell) -> Done:
    return shell.run("apply", "saved.json", "--auto-approve")


def assert_stale(done: Done, *reasons: str) -> None:
    """Refused, and each reason, a pattern, is one of the lines that say what moved."""
    assert done.returncode == 3, done
    head, *lines = done.stderr.splitlines()
    assert head.startswith("error: the plan is stale, nothing was changed: plan again.")
    assert len(lines) == len(reasons), done.stderr
    for reason, line in zip(reasons, lines, strict=True):
        assert re.search(reason, line), line


def partitions(shell: Shell, topic: str) -> int:
    found = json.loads(shell.succeed("get", "topic", topic, "-o", "json"))
    return int(found["spec"]["partitions"])


def test_a_saved_plan_does_what_it_showed_and_only_once(shell: Shell, tree: Path) -> None:
    assert stat.S_IMODE((shell.folder / "saved.json").stat().st_mode) == 0o600
    done = apply_saved(shell)
    assert done.returncode == 0, done
    assert "partitions: 2 → 3" in done.stdout
    assert done.stdout.endswith("Applied revision 2: 1 updated.\n")
    assert partitions(shell, "acme/orders") == 3
    assert_stale(apply_saved(shell), r"Topic acme/orders: generation was 1, is 2; spec\.partitions was 2, is 3")


def test_a_saved_plan_asks_like_any_apply(shell: Shell, tree: Path) -> None:
    keyboard, terminal = pty.openpty()
    try:
        os.write(keyboard, b"no\nyes\n")
        arguments = command("apply", "saved.json")
        denied, approved = (
            subprocess.run(arguments, stdin=terminal, capture_output=True, text=True, timeout=60, check=False)
            for _ in range(2)
        )
    finally:
        os.close(keyboard)
        os.close(terminal)
    assert (denied.returncode, denied.stderr) == (1, "error: not approved, nothing was changed\n")
    assert "partitions: 2 → 3" in denied.stdout
    assert approved.returncode == 0, approved
    assert partitions(shell, "acme/orders") == 3


def test_an_edited_file_is_refused(shell: Shell, tree: Path) -> None:
    saved = shell.folder / "saved.json"
    saved.write_text(saved.read_text().replace('"after": 3', '"after": 30'))
    done = apply_saved(shell)
    assert (done.returncode, done.stderr) == (3, "error: saved.json was edited since it was saved: plan again\n")
    assert partitions(shell, "acme/orders") == 2


def test_a_file_that_is_laid_out_otherwise_is_the_same_plan(shell: Shell, tree: Path) -> None:
    saved = shell.folder / "saved.json"
    saved.write_text(json.dumps(json.loads(saved.read_text())))
    assert apply_saved(shell).returncode == 0


def test_what_is_no_saved_plan_is_an_error(shell: Shell, tree: Path) -> None:
    (shell.folder / "saved.json").write_text(shell.run("plan", "-o", "json").stdout)
    done = apply_saved(shell)
    assert done.returncode == 1
    assert done.stderr.startswith("error: saved.json is not a saved plan: `mqops plan --out FILE` makes one;")


def test_changed_added_and_removed_manifests_are_named(shell: Shell, tree: Path) -> None:
    (tree / "acme/extra.yaml").write_text("# later\n" + MANIFEST.split("---")[0].replace("acme", "other"))
    shell.succeed("plan", "--out", "saved.json")
    (tree / "acme/extra.yaml").rename(tree / "acme/moved.yaml")
    (tree / "acme/all.yaml").write_text(THREE + "# even a comment\n")
    assert_stale(
        apply_saved(shell),
        "acme/all.yaml was changed",
        "acme/extra.yaml was removed",
        "acme/moved.yaml was added",
    )
    assert partitions(shell, "acme/orders") == 2


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git")
def test_the_commits_are_told_with_the_files_that_changed(shell: Shell, tree: Path) -> None:
    def git(*arguments: str) -> str:
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false")
        done = subprocess.run(["git", *identity, *arguments], cwd=shell.folder, check=True, capture_output=True)
        return done.stdout.decode().strip()

    git("init", "-q")
    git("add", "manifests")
    git("commit", "-qm", "one")
    before = git("rev-parse", "HEAD")
    shell.succeed("plan", "--out", "saved.json")
    (shell.folder / "README").write_text("unrelated")
    git("add", "README")
    git("commit", "-qm", "two")
    (tree / "acme/all.yaml").write_text(MANIFEST.replace("partitions: 2", "partitions: 4"))
    git("commit", "-qam", "three")
    after = git("rev-parse", "HEAD")
    told = rf"acme/all.yaml was changed \(commit {before[:12]}, now {after[:12]}\)"
    assert_stale(apply_saved(shell), told)
    (tree / "acme/all.yaml").write_text(THREE)
    assert apply_saved(shell).returncode == 0, "the same manifests at another commit are the same"


def test_a_row_that_somebody_changed_is_named_with_its_field(shell: Shell, tree: Path, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "UPDATE mq_resources SET spec = jsonb_set(spec, '{retention}', '\"3d\"')"
            " WHERE (kind, tenant, name) = ('Topic', 'acme', 'orders')"
        )
    assert_stale(apply_saved(shell), "^  Topic acme/orders: spec.retention was 7d, is 3d$")


def test_a_resource_that_is_only_referred_to_counts_too(shell: Shell, tree: Path, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "UPDATE mq_resources SET labels = '{\"tier\": \"tin\"}' WHERE (kind, name) = ('Tenant', 'acme')"
        )
    assert_stale(apply_saved(shell), "^  Tenant acme: metadata.labels.tier was gold, is tin$")


def test_what_somebody_did_on_redis_to_what_it_touches_is_named(shell: Shell, tree: Path, redis_client: Redis) -> None:
    [stream] = [key for key in redis_client.keys("mq:*:1:s") if _is_orders(redis_client, key, "acme")]
    redis_client.delete(stream)
    assert_stale(apply_saved(shell), r"Topic acme/orders: live.partitions\[1\].stream was there, is none")


def _is_orders(client: Redis, stream: bytes, tenant: str) -> bool:
    meta = client.hgetall(stream.removesuffix(b":1:s") + b":meta")
    return (meta[b"tenant"], meta[b"name"]) == (tenant.encode(), b"orders")


def test_unrelated_changes_do_not_matter(shell: Shell, tree: Path, database_url: str, redis_client: Redis) -> None:
    """Another Source's manifests, another tenant's rows, other things of the same tenant on Redis, and traffic."""
    (tree / "globex/all.yaml").write_text(GLOBEX.replace("partitions: 2", "partitions: 5"))
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE mq_resources SET labels = '{\"a\": \"b\"}' WHERE tenant = 'globex'")
        [(jobs,)] = connection.execute(
            "SELECT uid FROM mq_resources WHERE (kind, tenant, name) = ('Queue', 'acme', 'jobs')"
        ).fetchall()
        [(orders,)] = connection.execute(
            "SELECT uid FROM mq_resources WHERE (kind, tenant, name) = ('Topic', 'acme', 'orders')"
        ).fetchall()
    [stream] = redis_client.keys(f"mq:*:{jobs}:0:s")
    redis_client.delete(stream)
    [meta] = redis_client.keys(f"mq:*:{orders}:meta")
    redis_client.hincrby(meta, "total", 7)
    done = apply_saved(shell)
    assert done.returncode == 0, done
    assert done.stdout.endswith("Applied revision 2: 1 updated.\n")
    assert partitions(shell, "acme/orders") == 3
    assert partitions(shell, "globex/orders") == 2, "what was not saved is not done"
    assert not redis_client.exists(stream), "what was not saved is not repaired"


def test_settings_that_would_make_something_else_are_noticed(
    shell: Shell, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEFAULT_TTL", "3600")
    assert_stale(apply_saved(shell), r"Topic acme/orders would become something else.* is 1h")


def test_another_installation_is_refused(
    shell: Shell, tree: Path, empty_database_url: str, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis_client.flushdb()
    monkeypatch.setenv("DATABASE_URL", empty_database_url)
    shell.succeed("migrate")
    assert_stale(apply_saved(shell), "it was made for installation .*, and this is installation .*")


def test_a_plan_for_empty_stores_is_not_for_others(
    shell: Shell, database_url: str, empty_database_url: str, monkeypatch: pytest.MonkeyPatch, redis_client: Redis
) -> None:
    shell.succeed("plan", "--out", "saved.json")
    shell.succeed("apply", "saved.json", "--auto-approve")
    redis_client.flushdb()
    assert_stale(apply_saved(shell), "it was made for stores that nothing was applied to, .*and this is installation")


def test_a_limited_plan_is_saved_with_its_limits(shell: Shell, tree: Path) -> None:
    (tree / "acme/all.yaml").write_text(THREE.replace("name: jobs}\nspec: {}", "name: jobs}\nspec: {maxAttempts: 9}"))
    shell.succeed("plan", "--target", "topic/acme/orders", "--out", "saved.json")
    limited = shell.run("apply", "saved.json", "--auto-approve", "--target", "queue/acme/jobs")
    assert limited.returncode == 1
    assert "says itself what it covers" in limited.stderr
    assert apply_saved(shell).stdout.endswith("Applied revision 2: 1 updated.\n")
    left = json.loads(shell.succeed("plan", "-o", "json"))
    assert [change["name"] for change in left["resource_changes"]] == ["jobs", "jobs"]


def test_a_saved_plan_keeps_what_was_allowed_and_is_refused_when_more_would_be_lost(
    shell: Shell, tree: Path, redis_client: Redis
) -> None:
    [meta] = [key for key in redis_client.keys("*:meta") if _named(redis_client, key) == (b"acme", b"orders")]
    redis_client.xadd(meta.replace(b":meta", b":0:s"), {"d": "1"})
    first, _, last = MANIFEST.split("---\n")
    (tree / "acme/all.yaml").write_text(f"{first}---\n{last}")
    assert shell.run("plan").returncode == 3
    shell.succeed("plan", "--allow-data-loss", "--out", "saved.json")
    redis_client.xadd(meta.replace(b":meta", b":0:s"), {"d": "2"})
    assert_stale(apply_saved(shell), r"Topic acme/orders would take along more than it did: 2 messages, not 1")
    shell.succeed("plan", "--allow-data-loss", "--out", "saved.json")
    assert apply_saved(shell).stdout.endswith("Applied revision 2: 1 deleted.\n")


def _named(client: Redis, meta: bytes) -> tuple[bytes | None, bytes | None]:
    tenant, name = client.hmget(meta, "tenant", "name")
    return tenant, name


def test_a_saved_plan_holds_no_secret(shell: Shell, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MQOPS_ACME_HOOK", "the-secret-itself")
    (tree / "acme/hook.yaml").write_text(
        "apiVersion: mqops/v1\nkind: Handler\nmetadata: {tenant: acme, name: hook}\nspec:\n  type: http\n"
        "  http: {url: 'https://acme.example/hook', signingSecret: {env: MQOPS_ACME_HOOK}}\n"
    )
    shell.succeed("plan", "--out", "saved.json")
    text = (shell.folder / "saved.json").read_text()
    assert "MQOPS_ACME_HOOK" in text
    assert "the-secret-itself" not in text


def test_a_place_that_cannot_be_written_is_an_error_and_leaves_nothing(shell: Shell) -> None:
    done = shell.run("plan", "--out", "no/such/folder/saved.json")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: the plan cannot be saved to no/such/folder/saved.json: No such file or directory\n"
    assert shell.run("plan", "--out", "manifests").returncode == 1
    assert sorted(path.name for path in shell.folder.iterdir()) == ["manifests"]
