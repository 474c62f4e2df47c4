"""`mqops history`, `rollback`, `suspend` and `resume` as a person runs them, beside applies and the watch loop."""

import json
import re
import subprocess
import threading
from pathlib import Path

import psycopg
import pytest
from shell import MANIFEST, Shell
from stores import TESTER
from waiting import eventually
from watched import told, watching

from mqops.bootstrap.control import current_settings, open_stores
from reconciler.stores import lock
from reconciler.stores.observe import observe

MORE = "---\napiVersion: mqops/v1\nkind: Topic\nmetadata: {tenant: acme, name: more}\nspec: {}\n"
OTHER = MANIFEST.replace("partitions: 2", "partitions: 2, maxBacklog: 7") + MORE


def git(shell: Shell, *arguments: str) -> str:
    who = ("-c", "user.name=Ann", "-c", "user.email=ann@acme.example", "-c", "commit.gpgsign=false")
    done = subprocess.run(
        ("git", "-C", str(shell.folder), *who, *arguments), capture_output=True, text=True, timeout=30, check=True
    )
    return done.stdout.strip()


def commit(shell: Shell, text: str | None = None) -> str:
    """The id of a new commit of the manifests."""
    if text is not None:
        shell.manifest.write_text(text)
    git(shell, "add", "manifests")
    git(shell, "commit", "-qm", "manifests")
    return git(shell, "rev-parse", "HEAD")


@pytest.fixture
def checkout(shell: Shell) -> Shell:
    """The manifests, committed."""
    git(shell, "init", "-q", "-b", "main")
    commit(shell)
    return shell


def applied(shell: Shell) -> dict[str, object]:
    """What is applied of topics: name → maxBacklog."""
    items = json.loads(shell.succeed("get", "topics", "-o", "json"))["items"]
    return {item["metadata"]["name"]: item["spec"]["maxBacklog"] for item in items}


BEFORE = {"jobs.deadletter": None, "orders": 10_000}
AFTER = {"jobs.deadletter": None, "more": 10_000, "orders": 7}


def test_the_history_tells_every_revision_with_its_commit(checkout: Shell) -> None:
    first = git(checkout, "rev-parse", "HEAD")
    checkout.succeed("apply", "--auto-approve")
    checkout.manifest.write_text(OTHER)
    checkout.succeed("apply", "--auto-approve")
    found = json.loads(checkout.succeed("history", "-o", "json"))
    assert found["before"] is None
    assert [
        (it["revision"], it["commit"], it["summary"], it["sources"], it["trigger"], it["result"])
        for it in found["revisions"]
    ] == [
        (2, f"main@sha1:{first}+changes", {"create": 1, "update": 1}, ["default"], "apply", "done"),
        (1, f"main@sha1:{first}", {"create": 5}, ["default"], "apply", "done"),
    ]
    header, second, _ = checkout.succeed("history").splitlines()
    assert header.split() == ["REVISION", "WHEN", "BY", "COMMIT", "SOURCES", "RESULT"]
    assert f"main@sha1:{first[:10]}+changes   default   1 created, 1 updated" in second
    git(checkout, "checkout", "-q", "--detach")
    commit(checkout, OTHER.replace("maxBacklog: 7", "maxBacklog: 8"))
    checkout.succeed("apply", "--auto-approve")
    latest = json.loads(checkout.succeed("history", "--limit", "1", "-o", "json"))["revisions"][0]
    assert latest["commit"] == f"sha1:{git(checkout, 'rev-parse', 'HEAD')}"


def test_a_commit_that_does_not_touch_the_manifests_is_not_theirs(checkout: Shell) -> None:
    first = git(checkout, "rev-parse", "HEAD")
    (checkout.folder / "README").write_text("hello")
    git(checkout, "add", "README")
    git(checkout, "commit", "-qm", "readme")
    checkout.succeed("apply", "--auto-approve")
    (only,) = json.loads(checkout.succeed("history", "-o", "json"))["revisions"]
    assert only["commit"] == f"main@sha1:{first}"


def test_without_git_there_is_a_history_without_commits(
    checkout: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    checkout.succeed("apply", "--auto-approve")
    (only,) = json.loads(checkout.succeed("history", "-o", "json"))["revisions"]
    assert (only["revision"], only["commit"]) == (1, None)


def test_a_long_history_is_paged(shell: Shell) -> None:
    for number in range(1, 6):
        shell.manifest.write_text(MANIFEST.replace("partitions: 2", f"partitions: {number}"))
        shell.succeed("apply", "--auto-approve")
    pages, command = [], ("history", "--limit", "2")
    while True:
        page = shell.succeed(*command)
        pages.append(re.findall(r"^(\d+) ", page, re.MULTILINE))
        following = re.search(r"^Earlier ones: mqops (.*)$", page, re.MULTILINE)
        if following is None:
            break
        command = tuple(following[1].split())
    assert pages == [["5", "4"], ["3", "2"], ["1"]]
    assert json.loads(shell.succeed("history", "--limit", "2", "-o", "json"))["before"] == 4
    assert shell.succeed("history", "--source", "default", "--before", "2").count("\n") == 2


def test_a_revision_shows_each_change_with_its_fields(shell: Shell) -> None:
    shell.succeed("apply", "--auto-approve")
    shell.manifest.write_text(OTHER)
    shell.succeed("apply", "--auto-approve")
    shell.manifest.write_text(MANIFEST)
    shell.succeed("apply", "--auto-approve")
    shown = shell.succeed("history", "show", "2")
    assert "  ~ update Topic acme/orders  acme.yaml:6\n      maxBacklog: 10000 → 7\n" in shown
    assert "  + create Topic acme/more  acme.yaml:16\n" in shown
    assert "result   1 created, 1 updated\n" in shown
    assert "  - delete Topic acme/more  was acme.yaml:16\n" in shell.succeed("history", "show", "3")
    first = shell.succeed("history", "show", "1")
    assert "  + create Subscription acme/jobs (implied by Queue acme/jobs)  acme.yaml:11\n" in first
    found = json.loads(shell.succeed("history", "show", "2", "-o", "json"))
    update = next(change for change in found["changes"] if change["name"] == "orders")
    assert update["fields"] == [{"path": "spec.maxBacklog", "before": 10_000, "after": 7}]
    assert (update["change"]["before"]["spec"]["maxBacklog"], update["error"]) == (10_000, None)


def test_what_failed_and_what_was_repaired_is_shown(shell: Shell) -> None:
    shell.succeed("apply", "--auto-approve")
    settings = current_settings()
    with open_stores(settings) as stores:
        seen = observe(stores)
        (live,) = seen.subscriptions.values()
        stores.redis.xgroup_destroy(stores.keys.stream(live.bucket, live.meta["topic"], 0), live.uid)
        jobs = stores.keys.meta(live.bucket, live.meta["topic"])
        shell.succeed("apply", "--auto-approve")
        stores.redis.delete(jobs)
        stores.redis.set(jobs, "in the way")
        shell.manifest.write_text(OTHER)
        assert shell.run("apply", "--auto-approve").returncode == 1
    repair = shell.succeed("history", "show", "2")
    assert "  ± repair Subscription acme/jobs (a consumer group is gone; implied by Queue acme/jobs)" in repair
    assert "      live.partitions[0].group: none → 0-0\n" in repair
    failed = shell.succeed("history", "show", "3").partition("\nFailed\n")[2]
    assert "  ± repair Queue acme/jobs" in failed
    assert "Redis refuses: WRONGTYPE" in failed
    latest = json.loads(shell.succeed("history", "--limit", "1", "-o", "json"))["revisions"][0]
    assert latest["result"] == "failed"


def test_a_rollback_brings_back_what_was_and_pins_the_source(checkout: Shell) -> None:
    checkout.succeed("apply", "--auto-approve")
    commit(checkout, OTHER)
    checkout.succeed("apply", "--auto-approve")
    shown = checkout.succeed("rollback", "1", "--auto-approve")
    assert "  - delete Topic acme/more (holds nothing)  was acme.yaml:16\n" in shown
    assert "  ~ update Topic acme/orders  acme.yaml:6\n      maxBacklog: 7 → 10000\n" in shown
    assert "Applied revision 3: 1 updated, 1 deleted.\nSource default is pinned to revision 1, until" in shown
    assert applied(checkout) == BEFORE
    latest = json.loads(checkout.succeed("history", "--limit", "1", "-o", "json"))["revisions"][0]
    assert (latest["trigger"], latest["note"], latest["commit"]) == ("rollback", "to revision 1", None)

    refused = checkout.run("apply", "--auto-approve")
    assert (refused.returncode, refused.stdout) == (3, "")
    assert re.fullmatch(
        r"error: source 'default' is pinned to revision 1 by \S+@\S+ since \S+Z; a commit that changes its "
        r"manifests or `mqops resume default` ends that\n2 resources stay as applied, though declared otherwise\n",
        refused.stderr,
    )
    assert applied(checkout) == BEFORE
    assert "No changes." in checkout.succeed("rollback", "1", "--auto-approve")

    commit(checkout, OTHER.replace("maxBacklog: 7", "maxBacklog: 8"))
    assert checkout.succeed("apply", "--auto-approve").endswith("Applied revision 4: 1 created, 1 updated.\n")
    assert applied(checkout) == {**AFTER, "orders": 8}
    assert json.loads(checkout.succeed("get", "source", "default", "-o", "json"))["status"]["pinned"] is None


def test_the_watch_loop_does_not_undo_a_rollback_and_a_newer_commit_ends_the_pin(checkout: Shell) -> None:
    with watching() as said:
        eventually(lambda: told(said, "Applied revision 1"))
        commit(checkout, OTHER)
        eventually(lambda: told(said, "Applied revision 2"))
        eventually(lambda: git(checkout, "rev-parse", "HEAD")[:10] in checkout.succeed("get", "sources"))
        checkout.succeed("rollback", "1", "--auto-approve")
        eventually(lambda: told(said, "not reconciled: source 'default' is pinned to revision 1 by"))
        # What is saved is not yet a commit, and what the source is pinned to is looked after all the while.
        checkout.manifest.write_text(OTHER.replace("maxBacklog: 7", "maxBacklog: 8"))
        with open_stores(current_settings()) as stores:
            (live,) = observe(stores).subscriptions.values()
            stores.redis.xgroup_destroy(stores.keys.stream(live.bucket, live.meta["topic"], 0), live.uid)
        eventually(lambda: told(said, "repaired Subscription acme/jobs: group missing"))
        assert applied(checkout) == BEFORE
        commit(checkout)
        eventually(lambda: applied(checkout) == {**AFTER, "orders": 8})
    assert told(said, "source 'default' is reconciled again")
    revisions = json.loads(checkout.succeed("history", "-o", "json"))["revisions"]
    assert [it["trigger"] for it in revisions] == ["watch", "repair", "rollback", "watch", "watch"]


def test_to_commit_what_was_applied_already_does_not_end_a_pin(checkout: Shell) -> None:
    """As saved, applied by the watch loop, then committed, and found wrong."""
    checkout.succeed("apply", "--auto-approve")
    checkout.manifest.write_text(OTHER)
    checkout.succeed("apply", "--auto-approve")
    commit(checkout)
    checkout.succeed("rollback", "1", "--auto-approve")
    assert "is pinned to revision 1" in checkout.run("apply", "--auto-approve").stderr
    assert applied(checkout) == BEFORE


def test_a_broken_commit_does_not_end_a_pin(checkout: Shell) -> None:
    with watching() as said:
        eventually(lambda: told(said, "Applied revision 1"))
        commit(checkout, OTHER)
        eventually(lambda: told(said, "Applied revision 2"))
        eventually(lambda: git(checkout, "rev-parse", "HEAD")[:10] in checkout.succeed("get", "sources"))
        checkout.succeed("rollback", "1", "--auto-approve")
        eventually(lambda: told(said, "is pinned to revision 1"))
        commit(checkout, "nonsense")
        eventually(lambda: told(said, "a problem in the manifests"))
        checkout.succeed("suspend", "default")  # seen by the look that comes after
        eventually(lambda: told(said, "is suspended by"))
        assert applied(checkout) == BEFORE
        assert "pinned" in checkout.succeed("describe", "source", "default").lower()


def test_a_rollback_is_refused_what_any_plan_is_and_then_pins_nothing(shell: Shell) -> None:
    shell.succeed("apply", "--auto-approve")
    grown = MANIFEST.replace("partitions: 2", "partitions: 3")
    shell.manifest.write_text(grown.replace("name: orders", "name: orders, annotations: {mqops/protect: 'true'}"))
    shell.succeed("apply", "--auto-approve")
    refused = shell.run("rollback", "1", "--auto-approve")
    assert refused.returncode == 3
    assert "to replace it, pass --unprotect Topic/acme/orders" in refused.stdout
    assert "pinned" not in refused.stdout + shell.succeed("get", "sources")
    shell.succeed("apply", "--auto-approve")
    replaced = shell.succeed("rollback", "1", "--auto-approve", "--unprotect", "Topic/acme/orders")
    assert "-/+ replace Topic acme/orders" in replaced


def test_a_rollback_deletes_what_is_protected_only_when_told_to(shell: Shell) -> None:
    shell.succeed("apply", "--auto-approve")
    kept = MORE.replace("name: more", "name: more, annotations: {mqops/protect: 'true'}")
    shell.manifest.write_text(MANIFEST + kept)
    shell.succeed("apply", "--auto-approve")
    refused = shell.run("rollback", "1", "--auto-approve")
    assert refused.returncode == 3
    assert "pass --unprotect Topic/acme/more" in refused.stdout
    assert "pinned" not in refused.stdout
    gone = shell.succeed("rollback", "1", "--auto-approve", "--unprotect", "Topic/acme/more")
    assert "- delete Topic acme/more (holds nothing)" in gone


def test_a_rollback_renames_back_and_the_manifests_rename_again(shell: Shell) -> None:
    shell.succeed("apply", "--auto-approve")
    before = uids(shell)
    shell.manifest.write_text(MANIFEST.replace("name: orders", "name: purchases, renamedFrom: orders"))
    assert "1 renamed" in shell.succeed("apply", "--auto-approve")
    assert "1 renamed" in shell.succeed("history", "--limit", "1")
    assert "> rename Topic acme/orders" in shell.succeed("history", "show", "2")
    done = shell.succeed("rollback", "1", "--auto-approve")
    assert "Applied revision 3: 1 renamed.\n" in done
    assert uids(shell) == before
    assert shell.succeed("rollback", "1", "--auto-approve").startswith("No changes.")
    shell.succeed("resume", "default")
    assert "1 renamed" in shell.succeed("apply", "--auto-approve")
    assert uids(shell) == {("purchases" if name == "orders" else name): uid for name, uid in before.items()}


def uids(shell: Shell) -> dict[str, str]:
    """Of all topics, by name."""
    items = json.loads(shell.succeed("get", "topics", "-o", "json"))["items"]
    return {item["metadata"]["name"]: item["status"]["uid"] for item in items}


def test_outside_git_another_content_ends_the_pin(shell: Shell) -> None:
    shell.succeed("apply", "--auto-approve")
    shell.manifest.write_text(OTHER)
    shell.succeed("apply", "--auto-approve")
    shell.succeed("rollback", "1", "--auto-approve")
    assert shell.run("reconcile").returncode == 3
    assert applied(shell) == BEFORE
    shell.manifest.write_text(f"# touched\n{OTHER}")
    shell.succeed("reconcile")
    assert applied(shell) == AFTER


def test_a_rollback_can_be_left_with_resume(shell: Shell) -> None:
    shell.succeed("apply", "--auto-approve")
    shell.manifest.write_text(OTHER)
    shell.succeed("apply", "--auto-approve")
    shell.succeed("rollback", "1", "--auto-approve")
    assert "No longer pinned to revision 1 by " in shell.succeed("resume", "default")
    shell.succeed("apply", "--auto-approve")
    assert applied(shell) == AFTER


def test_a_rollback_of_one_source_leaves_the_others_alone(shell: Shell) -> None:
    shell.manifest.unlink()
    sources = "apiVersion: mqops/v1\nkind: Source\nmetadata: {name: NAME}\nspec: {path: NAME}\n"
    (shell.folder / "manifests/sources.yaml").write_text(
        sources.replace("NAME", "shop") + "---\n" + sources.replace("NAME", "news")
    )
    tenant = "apiVersion: mqops/v1\nkind: Tenant\nmetadata: {name: NAME}\nspec: {}\n"
    for name in ("shop", "news"):
        folder = shell.folder / "manifests" / name
        folder.mkdir()
        (folder / "tenant.yaml").write_text(tenant.replace("NAME", name))
        (folder / "topic.yaml").write_text(MORE.replace("---\n", "").replace("acme", name))
    shell.succeed("apply", "--auto-approve")
    for name in ("shop", "news"):
        (shell.folder / "manifests" / name / "topic.yaml").write_text(
            MORE.replace("---\n", "").replace("acme", name).replace("{}", "{maxBacklog: 5}")
        )
    shell.succeed("apply", "--auto-approve")
    shell.succeed("rollback", "1", "--source", "shop", "--auto-approve")
    items = json.loads(shell.succeed("get", "topics", "-o", "json"))["items"]
    assert {it["metadata"]["tenant"]: it["spec"]["maxBacklog"] for it in items} == {"shop": 10_000, "news": 5}
    topic = shell.folder / "manifests/news/topic.yaml"
    topic.write_text(topic.read_text().replace("5", "6"))
    done = shell.run("apply", "--auto-approve")
    assert done.returncode == 3
    assert done.stdout.endswith("\nApplied revision 4: 1 updated.\n")
    assert "source 'shop' is pinned to revision 1" in done.stderr


def test_a_suspended_source_is_not_applied_and_says_who_when_and_why(shell: Shell) -> None:
    shell.succeed("apply", "--auto-approve")
    shell.succeed("suspend", "default", "--reason", "incident 7")
    shell.manifest.write_text(OTHER)
    for command in (("apply", "--auto-approve"), ("apply",)):
        refused = shell.run(*command)
        assert (refused.returncode, refused.stdout) == (3, "")
        assert re.match(
            r"error: source 'default' is suspended by \S+@\S+ since \S+Z: incident 7; "
            r"`mqops resume default` lets it go on\n",
            refused.stderr,
        )
    answer = json.loads(shell.run("apply", "--auto-approve", "-o", "json").stdout)
    assert [held["source"] for held in answer["held"]] == ["default"]
    planned = shell.run("plan", "--detailed-exitcode")
    assert (planned.returncode, planned.stdout) == (0, "")
    assert "2 resources stay as applied, though declared otherwise" in planned.stderr
    for command, code in ((("suspend", "default"), 1), (("rollback", "1", "--auto-approve"), 3)):
        again = shell.run(*command)
        assert again.returncode == code
        assert "suspended by" in again.stderr
        assert "incident 7" in again.stderr
    assert applied(shell) == BEFORE
    shell.succeed("resume", "default")
    shell.succeed("apply", "--auto-approve")
    assert applied(shell) == AFTER
    told = json.loads(shell.succeed("history", "-o", "json"))["revisions"]
    assert [(it["trigger"], it["note"], it["sources"]) for it in told[1:3]] == [
        ("resume", None, ["default"]),
        ("suspend", "incident 7", ["default"]),
    ]
    assert all("@" in it["actor"] for it in told)


def test_a_suspended_source_is_left_alone_by_the_watch_loop_until_it_is_resumed(shell: Shell) -> None:
    with watching() as said:
        eventually(lambda: told(said, "Applied revision 1"))
        shell.succeed("suspend", "default", "--reason", "incident 7")
        eventually(lambda: told(said, "not reconciled: source 'default' is suspended by"))
        shell.manifest.write_text(OTHER)
        eventually(lambda: told(said, "2 resources stay as they are"))
        with open_stores(current_settings()) as stores:
            (live,) = observe(stores).subscriptions.values()
            stream = stores.keys.stream(live.bucket, live.meta["topic"], 0)
            stores.redis.xgroup_destroy(stream, live.uid)
            looks = len(said)
            shell.manifest.write_text(OTHER + MORE.replace("name: more", "name: most"))
            eventually(lambda: told(said, "3 resources stay as they are"))
            assert not told(said[looks:], "repaired")
            assert stores.redis.xinfo_groups(stream) == []
            assert applied(shell) == BEFORE
            shell.succeed("resume", "default")
            eventually(lambda: "most" in applied(shell))
            eventually(lambda: len(stores.redis.xinfo_groups(stream)) == 1)
    assert told(said, "source 'default' is reconciled again")


def test_what_was_held_back_is_applied_after_a_resume_though_the_source_heals_nothing(shell: Shell) -> None:
    """A source that does not heal itself keeps what was changed outside; what was declared meanwhile is not that."""
    (shell.folder / "manifests/sources.yaml").write_text(
        "apiVersion: mqops/v1\nkind: Source\nmetadata: {name: shop}\nspec: {path: shop, selfHeal: false}\n"
    )
    (shell.folder / "manifests/shop").mkdir()
    manifest = shell.manifest.rename(shell.folder / "manifests/shop/acme.yaml")
    with watching() as said:
        eventually(lambda: told(said, "Applied revision 1"))
        shell.succeed("suspend", "shop")
        eventually(lambda: told(said, "not reconciled"))
        manifest.write_text(OTHER)
        eventually(lambda: told(said, "2 resources stay as they are"))
        shell.succeed("resume", "shop")
        eventually(lambda: applied(shell) == AFTER)


def test_a_suspend_waits_for_an_apply_under_way_and_says_so(shell: Shell, database_url: str) -> None:
    shell.succeed("apply", "--auto-approve")
    with psycopg.connect(database_url, autocommit=True) as other, lock.hold(other, ["default"], TESTER, 0):
        waited = shell.run("suspend", "default", "--lock-timeout", "250ms")
        assert waited.returncode == 1
        assert "another apply of source 'default' is under way (mqops apply tester@here" in waited.stderr
        assert "reconciled" in shell.succeed("get", "sources")
        timer = threading.Timer(0.5, lambda: other.execute("SELECT pg_advisory_unlock_all()"))
        timer.start()
        shell.succeed("suspend", "default", "--lock-timeout", "20s")
        timer.join()
    assert "suspended" in shell.succeed("get", "sources")


def test_sources_show_what_they_are_reconciled_from_and_how_they_are_held(checkout: Shell) -> None:
    checkout.succeed("apply", "--auto-approve")
    (header, row) = checkout.succeed("get", "sources").splitlines()
    assert header.split() == ["NAME", "STATE", "MANIFESTS", "RESOURCES"]
    head = git(checkout, "rev-parse", "HEAD")
    assert re.match(rf"default   reconciled   main@sha1:{head[:10]}, \ds ago +5$", row)
    checkout.succeed("rollback", "1", "--auto-approve")
    assert "pinned to revision 1" in checkout.succeed("get", "sources")
    checkout.succeed("suspend", "default", "--reason", "incident 7")
    described = checkout.succeed("describe", "source", "default")
    assert re.search(r"\nSuspended\n  by      \S+@\S+\n  since   .*\n  reason  incident 7\n", described)
    assert "\nPinned\n" in described
    one = json.loads(checkout.succeed("get", "source", "default", "-o", "json"))
    assert (one["kind"], one["status"]["suspended"]["reason"], one["status"]["pinned"]["revision"]) == (
        "Source",
        "incident 7",
        1,
    )
    assert one["status"]["commit"] == f"main@sha1:{head}"
    (checkout.folder / "manifests/sources.yaml").write_text(
        "apiVersion: mqops/v1\nkind: Source\nmetadata: {name: shop, labels: {team: a}}\nspec: {path: shop}\n"
    )
    (checkout.folder / "manifests/shop").mkdir()
    checkout.manifest.rename(checkout.folder / "manifests/shop/acme.yaml")
    checkout.succeed("resume", "default")
    checkout.succeed("apply", "--auto-approve", "--take-over", "default")
    details = json.loads(checkout.succeed("describe", "source", "shop", "-o", "json"))
    assert (details["spec"]["path"], details["status"]["resources"], details["status"]["pinned"]) == ("shop", 6, None)
    assert "Spec\n" in checkout.succeed("describe", "source", "shop")
    assert checkout.succeed("get", "sources", "-l", "team=a", "-o", "name") == "shop\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("history", "show", "9"), "there is no revision 9: `mqops history` lists what there is"),
        (("rollback", "9"), "there is no revision 9: `mqops history` lists what there is"),
        (("rollback", "1", "--source", "defualt"), "there is no source 'defualt': did you mean default?"),
        (("rollback", "1"), "nobody is there to approve the plan: pass --auto-approve"),
        (("suspend", "shop"), "there is no source 'shop': `mqops get sources` lists what there is"),
        (("resume", "default"), "source 'default' is neither suspended nor pinned: it goes on as it is"),
        (("history", "--source", "shop"), "there is no source 'shop': `mqops get sources` lists what there is"),
        (("describe", "source", "shop"), "there is no Source shop: `mqops get sources` lists what there is"),
    ],
)
def test_what_cannot_be_done_is_one_line_with_the_way_out(
    shell: Shell, arguments: tuple[str, ...], message: str
) -> None:
    shell.succeed("apply", "--auto-approve")
    shell.manifest.write_text(OTHER)
    shell.succeed("apply", "--auto-approve")
    done = shell.run(*arguments)
    assert (done.returncode, done.stderr) == (1, f"error: {message}\n")
    assert applied(shell) == AFTER
