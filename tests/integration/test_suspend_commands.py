"""`mqops suspend` and `resume` of a source as a person runs them, beside applies and the watch loop."""

import json
import re
import threading

import psycopg
import pytest
from checkouts import AFTER, BEFORE, MORE, OTHER, applied, git
from jsonschema import Draft202012Validator
from shell import Shell, moved_to_a_source_that_heals_nothing
from stores import TESTER
from waiting import eventually
from watched import told, watching

from mqops.bootstrap.control import current_settings, open_stores
from reconciler.planning.document import schema
from reconciler.stores import lock
from reconciler.stores.observe import observe


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
    assert (planned.returncode, planned.stdout) == (2, "")
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


@pytest.mark.parametrize("how", ["suspended", "pinned"])
def test_what_a_held_source_keeps_is_pending_to_a_pipeline(shell: Shell, how: str) -> None:
    shell.succeed("apply", "--auto-approve")
    if how == "suspended":
        shell.succeed("suspend", "default")
        assert shell.run("plan", "--detailed-exitcode").returncode == 0
        assert shell.run("diff").returncode == 0
        shell.manifest.write_text(OTHER)
    else:
        shell.manifest.write_text(OTHER)
        shell.succeed("apply", "--auto-approve")
        shell.succeed("rollback", "1", "--auto-approve")
    assert shell.run("plan", "--detailed-exitcode").returncode == 2
    assert shell.run("plan").returncode == 0
    differs = shell.run("diff")
    assert (differs.returncode, differs.stdout) == (1, "")
    assert "2 resources stay as applied, though declared otherwise" in differs.stderr
    plan = json.loads(shell.succeed("plan", "-o", "json"))
    Draft202012Validator(schema()).validate(plan)
    ((held,), held_back) = plan["held"], plan["held_back"]
    assert (held["source"], f"is {how} " in held["message"], held_back) == ("default", True, 2)
    shell.succeed("plan", "--out", "plan.json")
    saved = json.loads((shell.folder / "plan.json").read_text())["plan"]
    assert (saved["held"], saved["held_back"]) == (plan["held"], 2)


def test_what_is_held_back_beyond_a_limited_plan_is_not_pending_in_it(shell: Shell) -> None:
    shell.succeed("apply", "--auto-approve")
    shell.succeed("suspend", "default")
    shell.manifest.write_text(OTHER)
    assert shell.run("plan", "--detailed-exitcode", "--target", "topic/acme/orders").returncode == 2
    for limit in (("--target", "queue/acme/jobs"), ("--refresh-only",), ("-l", "tier=gold")):
        limited = shell.run("plan", "--detailed-exitcode", *limit)
        assert (limited.returncode, "though declared otherwise" in limited.stderr) == (0, False)


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
    manifest = moved_to_a_source_that_heals_nothing(shell)
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
    checkout.succeed("rollback", "1", "--source", "default", "--auto-approve")
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
