"""`mqops rollback` as a person runs it, beside applies and the watch loop."""

import json
import re

from checkouts import AFTER, BEFORE, MORE, OTHER, applied, commit, git
from shell import MANIFEST, Shell
from waiting import eventually
from watched import told, watching

from mqops.bootstrap.control import current_settings, open_stores
from reconciler.stores.observe import observe


def test_a_rollback_brings_back_what_was_and_pins_the_source(checkout: Shell) -> None:
    checkout.succeed("apply", "--auto-approve")
    commit(checkout, OTHER)
    checkout.succeed("apply", "--auto-approve")
    shown = checkout.succeed("rollback", "1", "--auto-approve")
    assert "  - delete Topic acme/more (holds nothing)  was acme.yaml:16\n" in shown
    assert "  ~ update Topic acme/orders  acme.yaml:6\n      maxBacklog: 7 → 10000\n" in shown
    assert "Applied revision 3: 1 updated, 1 deleted.\nSource default is pinned to revision 1, until" in shown
    asked, done = shown.index("Source default is to be pinned to revision 1.\n"), shown.index("updated Topic")
    assert asked < done
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


def two_sources(shell: Shell) -> None:
    """Applies the sources shop and news, each with a topic of a tenant of its name."""
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


def bounded(shell: Shell, source: str, most: int) -> None:
    """Writes the source's topic with another ``maxBacklog``."""
    topic = MORE.replace("---\n", "").replace("acme", source).replace("{}", f"{{maxBacklog: {most}}}")
    (shell.folder / "manifests" / source / "topic.yaml").write_text(topic)


def test_a_rollback_of_one_source_leaves_the_others_alone(shell: Shell) -> None:
    two_sources(shell)
    for name in ("shop", "news"):
        bounded(shell, name, 5)
    shell.succeed("apply", "--auto-approve")
    shell.succeed("rollback", "1", "--source", "shop", "--auto-approve")
    items = json.loads(shell.succeed("get", "topics", "-o", "json"))["items"]
    assert {it["metadata"]["tenant"]: it["spec"]["maxBacklog"] for it in items} == {"shop": 10_000, "news": 5}
    bounded(shell, "news", 6)
    done = shell.run("apply", "--auto-approve")
    assert done.returncode == 3
    assert done.stdout.endswith("\nApplied revision 4: 1 updated.\n")
    assert "source 'shop' is pinned to revision 1" in done.stderr


def test_a_rollback_pins_only_the_sources_that_it_changes_something_of(shell: Shell) -> None:
    two_sources(shell)
    bounded(shell, "shop", 5)
    shell.succeed("apply", "--auto-approve")
    shown = shell.succeed("rollback", "1", "--auto-approve")
    assert "\nSource shop is to be pinned to revision 1.\nupdated Topic shop/more\n" in shown
    assert shown.endswith("(outside git: until they change), or `mqops resume shop`.\n")
    bounded(shell, "news", 6)
    done = shell.run("apply", "--auto-approve")
    assert done.returncode == 3
    assert done.stdout.endswith("\nApplied revision 4: 1 updated.\n")
    assert "source 'shop' is pinned to revision 1" in done.stderr
    assert "source 'news'" not in done.stderr


def test_a_rollback_that_changes_nothing_pins_only_what_it_was_told(shell: Shell) -> None:
    two_sources(shell)
    shown = shell.succeed("rollback", "1", "--auto-approve")
    assert shown == "No changes. What is applied is what was at revision 1.\n"
    bounded(shell, "news", 6)
    assert "Applied revision 2: 1 updated." in shell.succeed("apply", "--auto-approve")
    shown = shell.succeed("rollback", "2", "--source", "news", "--auto-approve")
    assert "\nSource news is to be pinned to revision 2.\n" in shown
    assert "source 'news' is pinned to revision 2" in shell.run("apply", "--auto-approve").stderr
