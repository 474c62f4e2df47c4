"""`mqops history` as a person runs it, and what none of its kin can do."""

import json
import re
import subprocess
from pathlib import Path

import pytest
from checkouts import AFTER, OTHER, applied, commit, git
from shell import MANIFEST, Shell

from mqops.bootstrap.control import current_settings, open_stores
from reconciler.stores.observe import observe


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


def test_manifests_that_do_not_follow_on_what_was_applied_last_are_warned_of(checkout: Shell, tmp_path: Path) -> None:
    first = git(checkout, "rev-parse", "HEAD")
    checkout.succeed("apply", "--auto-approve")
    commit(checkout, OTHER)
    assert checkout.run("plan").stderr == ""
    checkout.succeed("apply", "--auto-approve")
    last = git(checkout, "rev-parse", "HEAD")
    git(checkout, "checkout", "-q", first)
    (warning,) = checkout.run("plan").stderr.splitlines()
    assert warning.startswith(
        f"warning: source 'default' was last reconciled from main@sha1:{last[:10]}, which this checkout does not"
    )
    git(checkout, "checkout", "-q", "--orphan", "another")
    commit(checkout, OTHER.replace("maxBacklog: 7", "maxBacklog: 8"))
    assert "somebody else applies another" in checkout.run("apply", "--auto-approve").stderr
    assert checkout.run("plan").stderr == ""  # now it is this one that was applied last


def test_a_clone_without_its_history_warns_of_nothing(checkout: Shell, tmp_path: Path) -> None:
    checkout.succeed("apply", "--auto-approve")
    commit(checkout, OTHER)
    shallow = tmp_path / "shallow"
    subprocess.run(("git", "clone", "-q", "--depth", "1", f"file://{checkout.folder}", str(shallow)), check=True)
    assert checkout.run("plan", str(shallow / "manifests")).stderr == ""


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


@pytest.mark.parametrize("number", [2**63 - 2, 2**63 - 1, 10**23])
def test_a_number_that_no_revision_can_have_is_none_of_a_revision(shell: Shell, number: int) -> None:
    shell.succeed("apply", "--auto-approve")
    for command in (("history", "show", str(number)), ("rollback", str(number), "--auto-approve")):
        done = shell.run(*command)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == f"error: there is no revision {number}: `mqops history` lists what there is\n"


@pytest.mark.parametrize(("option", "most"), [("--limit", 1_000_000), ("--before", 2**63 - 1)])
def test_options_of_the_history_are_bounded(shell: Shell, option: str, most: int) -> None:
    shell.succeed("apply", "--auto-approve")
    assert shell.succeed("history", option, str(most)).count("\n") == 2
    done = shell.run("history", option, str(most + 1))
    said = " ".join(done.stderr.replace("│", " ").split())
    assert (done.returncode, f"Invalid value for '{option}'" in said, str(most) in said) == (2, True, True)


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
