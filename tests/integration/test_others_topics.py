"""Manifests that name what others have applied: another tree of manifests, or the management API."""

import json
from pathlib import Path

import pytest
from over_api import deleted_over_api, made_over_api
from shell import Shell
from trees import manifest, together

from mqops.bootstrap.control import current_settings, open_stores
from reconciler.upkeep import Upkeep, Verdict

HERE = together(manifest("Tenant", "acme"), manifest("Topic", "orders"))
READER = manifest("Subscription", "counts", "{topic: clicks, startFrom: earliest}")
FAR = together(manifest("Tenant", "globex"), manifest("Subscription", "far", "{topic: acme/orders}", "globex"))


def write(shell: Shell, *documents: str, tree: str = "manifests", source: str = "default") -> None:
    folder = shell.folder / tree / source
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "all.yaml").write_text(together(*documents))
    (shell.folder / tree / "acme.yaml").unlink(missing_ok=True)
    spec = manifest("Source", source, f"{{path: {source}}}")
    (shell.folder / tree / "sources.yaml").write_text(spec)


def found(shell: Shell, *arguments: str) -> dict[str, str]:
    changes = json.loads(shell.succeed("plan", *arguments, "-o", "json"))["resource_changes"]
    return {f"{it['kind']} {it['name']}": it["change"]["actions"][0] for it in changes}


def test_a_subscription_reads_a_topic_that_the_api_made(shell: Shell) -> None:
    write(shell, HERE, source="here")
    shell.succeed("apply", "--auto-approve")
    made_over_api("Topic", "acme", "clicks", {})
    write(shell, HERE, READER, source="here")
    assert found(shell) == {"Subscription counts": "create", "Topic clicks.deadletter": "create"}
    shell.succeed("apply", "--auto-approve")
    assert shell.succeed("plan").endswith("No changes. What is applied matches the manifests.\n")
    assert json.loads(shell.succeed("get", "topic", "acme/clicks", "-o", "json"))["status"]["managedBy"] == "api"
    with pytest.raises(AssertionError, match="Subscription acme/counts needs it"):
        deleted_over_api("Topic", "acme", "clicks")


def test_dead_letters_that_the_api_brought_along_stay_its_own(shell: Shell) -> None:
    write(shell, HERE, source="here")
    shell.succeed("apply", "--auto-approve")
    made_over_api("Topic", "acme", "clicks", {})
    made_over_api("Subscription", "acme", "zero", {"topic": "clicks"})
    letters = manifest("Subscription", "letters", "{topic: clicks.deadletter}")
    write(shell, HERE, READER, letters, source="here")
    assert found(shell) == {"Subscription counts": "create", "Subscription letters": "create"}
    shell.succeed("apply", "--auto-approve")
    shown = json.loads(shell.succeed("get", "subscription", "acme/letters", "-o", "json"))
    assert shown["spec"]["deadLetter"] is None
    assert shell.succeed("plan").endswith("No changes. What is applied matches the manifests.\n")


def test_a_handler_and_a_tenant_may_be_the_apis_too(shell: Shell) -> None:
    made_over_api("Tenant", "", "acme", {})
    made_over_api("Handler", "acme", "hook", {"type": "http", "http": {"url": "https://acme.example/"}})
    write(
        shell,
        manifest("Topic", "orders"),
        manifest("Subscription", "billing", "{topic: orders, handler: hook}"),
        source="here",
    )
    shell.succeed("apply", "--auto-approve")
    assert shell.succeed("plan").endswith("No changes. What is applied matches the manifests.\n")


def test_what_nobody_has_is_a_mistake_as_before(shell: Shell) -> None:
    made_over_api("Tenant", "", "acme", {})
    write(shell, HERE, manifest("Subscription", "counts", "{topic: ordrs}"), source="here")
    done = shell.run("plan")
    assert done.returncode == 1
    assert "spec.topic: acme has no Topic ordrs; did you mean orders?" in done.stderr


def test_what_the_tree_itself_had_and_declares_no_more_does_not_count(shell: Shell) -> None:
    write(shell, HERE, manifest("Topic", "clicks"), READER, source="here")
    shell.succeed("apply", "--auto-approve")
    write(shell, HERE, READER, source="here")
    done = shell.run("plan")
    assert done.returncode == 1
    assert "acme has no Topic clicks" in done.stderr


def test_a_subscription_waits_for_the_topic_of_another_tree_and_is_made_when_that_is_there(shell: Shell) -> None:
    write(shell, FAR, source="there")
    shown = shell.succeed("apply", "--auto-approve")
    assert "  … Subscription globex/far waits  manifests/there/all.yaml:6\n" in shown
    assert "there is no topic acme/orders that globex may read yet\n" in shown
    assert "Plan: 2 to create, 0 to update, 0 to delete, 0 to repair. 1 waiting." in shown
    document = json.loads(shell.succeed("plan", "-o", "json"))
    assert [(it["name"], it["message"]) for it in document["waiting"]] == [
        ("far", "there is no topic acme/orders that globex may read yet")
    ]
    public = together(manifest("Tenant", "acme"), manifest("Topic", "orders", "{public: true}"))
    write(shell, public, tree="others", source="here")
    shell.succeed("apply", "others", "--auto-approve")
    assert found(shell) == {"Topic orders.deadletter": "create", "Subscription far": "create"}
    shell.succeed("apply", "--auto-approve")
    assert shell.succeed("plan").endswith("No changes. What is applied matches the manifests.\n")

    private = public.replace("public: true", "public: false")
    write(shell, private, tree="others", source="here")
    shell.succeed("apply", "others", "--auto-approve")
    kept = shell.succeed("plan")
    assert "Subscription globex/far waits" in kept
    assert "delete" not in kept.replace("0 to delete", "")


def test_validate_knows_what_others_have_when_it_is_told_to_ask(shell: Shell) -> None:
    made_over_api("Tenant", "", "acme", {})
    made_over_api("Topic", "acme", "clicks", {})
    write(shell, READER, manifest("Subscription", "far", "{topic: globex/orders}"), source="here")
    assert shell.run("validate").returncode == 1
    waits = "there is no topic globex/orders that acme may read yet"
    assert shell.succeed("validate", "--applied").splitlines() == [
        f"manifests/here/all.yaml:6: Subscription acme/far waits: {waits}",
        "3 resources in 2 files, 1 source: valid",
    ]


def test_the_watch_says_what_waits_once_and_goes_on_with_it_by_itself(shell: Shell) -> None:
    write(shell, FAR, source="there")
    said: list[str] = []
    settings = current_settings()
    upkeep = Upkeep(Path("manifests"), settings, lambda: open_stores(settings), said.append)
    assert upkeep.look() is Verdict.SETTLED
    assert upkeep.look() is Verdict.SETTLED
    waits = "Subscription globex/far waits: there is no topic acme/orders that globex may read yet"
    assert said.count(waits) == 1
    made_over_api("Tenant", "", "acme", {})
    made_over_api("Topic", "acme", "orders", {"public": True})
    assert upkeep.look() is Verdict.SETTLED
    assert any(line.startswith("created Subscription globex/far") for line in said)
    assert (
        json.loads(shell.succeed("get", "subscription", "globex/far", "-o", "json"))["spec"]["topic"] == "acme/orders"
    )


def test_export_of_what_the_api_made_in_a_tenant_of_a_source_stands_alone(shell: Shell) -> None:
    write(shell, HERE, source="here")
    shell.succeed("apply", "--auto-approve")
    made_over_api("Topic", "acme", "clicks", {"partitions": 2})
    made_over_api("Subscription", "acme", "counts", {"topic": "clicks"})
    shell.succeed("export", "found", "--source", "web")
    shown = found(shell, "found", "--adopt")
    assert shown.pop("Source web") == "create"
    assert set(shown.values()) == {"adopt"}
    shell.succeed("apply", "found", "--adopt", "--auto-approve")
    for tree in ("found", "manifests"):
        assert shell.succeed("plan", tree).endswith("No changes. What is applied matches the manifests.\n")
