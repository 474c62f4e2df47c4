"""Manifests of what exists, and that applying them changes only whose it is."""

import json
from pathlib import Path

import pytest
import yaml
from over_api import made_over_api
from shell import Shell


@pytest.fixture
def made(shell: Shell) -> Shell:
    """The shell's manifests applied; and a tenant of the API's own with something of each kind."""
    shell.succeed("apply", "--auto-approve")
    made_over_api("Tenant", "", "globex", {"displayName": "Globex"})
    made_over_api("Topic", "globex", "clicks", {"partitions": 2, "public": True}, team="web")
    made_over_api("Topic", "globex", "failures", {"retention": "1d"}, team="web")
    http = {"url": "https://globex.example/", "signingSecret": {"env": "MQOPS_GLOBEX_KEY"}}
    made_over_api("Handler", "globex", "hook", {"type": "http", "http": http})
    made_over_api("Subscription", "globex", "counts", {"topic": "clicks", "handler": "hook", "filter": 'key != "${"'})
    made_over_api("Subscription", "globex", "more", {"topic": "clicks", "deadLetter": "failures"})
    made_over_api("Queue", "globex", "jobs", {"maxAttempts": 2})
    return shell


def fields(shown: str) -> dict[str, list[str]]:
    changes = json.loads(shown)["resource_changes"]
    assert {action for it in changes for action in it["change"]["actions"]} == {"adopt"}
    return {f"{it['kind']} {it['name']}": [field["path"] for field in it["fields"]] for it in changes}


def test_applying_what_was_exported_changes_only_ownership(made: Shell) -> None:
    made.succeed("export", "manifests")
    shown = fields(made.succeed("plan", "--adopt", "-o", "json"))
    assert set(shown) >= {"Tenant globex", "Topic clicks", "Handler hook", "Subscription counts", "Queue jobs"}
    assert {paths[0] for paths in shown.values() if len(paths) == 1} == {"managedBy"}
    assert all(len(paths) == 1 for paths in shown.values()), shown
    made.succeed("apply", "--adopt", "--auto-approve")
    assert made.succeed("plan").startswith("No changes.")


def test_an_export_is_a_tree_with_a_folder_for_each_tenant_and_a_source_when_asked(made: Shell) -> None:
    shown = made.succeed("export", "found", "--source", "web")
    tree = {path.relative_to(made.folder / "found").as_posix() for path in (made.folder / "found").rglob("*.yaml")}
    kinds = ("tenant", "topics", "handlers", "subscriptions", "queues")
    assert tree == {"sources.yaml", *(f"web/globex/{kind}.yaml" for kind in kinds)}
    assert shown.endswith("\nNext:\n  mqops plan found --adopt  # what adopting them changes\n")
    assert fields(made.succeed("plan", "found", "--adopt", "--target", "topic/globex/clicks", "-o", "json")) == {
        "Tenant globex": ["managedBy"],
        "Topic clicks": ["managedBy"],
    }
    (source,) = yaml.safe_load_all((made.folder / "found/sources.yaml").read_text())
    assert source["spec"] == {"path": "web", "tenants": ["globex"]}


@pytest.mark.parametrize("options", [(), ("--source", "default")])
def test_no_command_is_printed_that_would_delete_what_else_a_source_has(made: Shell, options: tuple[str, ...]) -> None:
    shown = made.succeed("export", "found", *options)
    assert "mqops plan" not in shown
    assert "\nNext: these files go into the folder of the source that shall have what they declare" in shown
    assert "plan its whole tree with --adopt" in shown


def names(text: str) -> list[str]:
    return [f"{it['kind']} {it['metadata']['name']}" for it in yaml.safe_load_all(text)]


def test_options_choose_what_is_exported(made: Shell) -> None:
    assert names(made.succeed("export", "--kind", "topic", "--tenant", "globex")) == ["Topic clicks", "Topic failures"]
    assert names(made.succeed("export", "-l", "team=web")) == ["Topic clicks", "Topic failures"]
    assert names(made.succeed("export", "--tenant", "acme", "--all")) == ["Tenant acme", "Topic orders", "Queue jobs"]
    nothing = made.run("export", "--tenant", "acme")
    assert (nothing.returncode, nothing.stdout) == (0, "")
    assert "nothing to export" in nothing.stderr


def test_a_secret_is_exported_as_the_reference_that_it_is(made: Shell) -> None:
    (handler,) = yaml.safe_load_all(made.succeed("export", "--kind", "handler"))
    assert handler["spec"]["http"]["signingSecret"] == {"env": "MQOPS_GLOBEX_KEY"}


def test_files_are_not_overwritten_without_force(made: Shell) -> None:
    made.succeed("export", "found")
    clicks = made.folder / "found/globex/topics.yaml"
    clicks.write_text("mine")
    refused = made.run("export", "found")
    assert refused.returncode == 1
    assert "would be overwritten: name another directory, or pass --force" in refused.stderr
    assert clicks.read_text() == "mine"
    made.succeed("export", "found", "--force")
    assert names(clicks.read_text()) == ["Topic clicks", "Topic failures"]


@pytest.mark.parametrize("name", ["api", "No Name"])
def test_a_name_that_no_source_can_have_writes_nothing(made: Shell, name: str) -> None:
    assert made.run("export", "found", "--source", name).returncode == 1
    assert not (made.folder / "found").exists()


def test_importing_one_resource_prints_its_manifest_and_says_how_to_adopt_it(made: Shell) -> None:
    done = made.run("import", "queue", "globex/jobs")
    assert done.returncode == 0
    assert yaml.safe_load(done.stdout) == {
        "apiVersion": "mqops/v1",
        "kind": "Queue",
        "metadata": {"tenant": "globex", "name": "jobs"},
        "spec": {"maxAttempts": 2},
    }
    assert done.stderr == (
        "\nWith this in a file of the source that shall have it and with its whole tree as TREE:\n"
        "  mqops plan TREE --adopt --target queue/globex/jobs   # what adopting it changes\n"
        "  mqops apply TREE --adopt --target queue/globex/jobs\n"
    )


def test_importing_into_a_tree_names_it(made: Shell) -> None:
    (made.folder / "manifests/sources.yaml").write_text("")
    done = made.run("import", "queue", "globex/jobs", "--out", "manifests/globex/jobs.yaml")
    assert done.stderr == (
        "\nWith this in manifests/globex/jobs.yaml:\n"
        "  mqops plan manifests --adopt --target queue/globex/jobs   # what adopting it changes\n"
        "  mqops apply manifests --adopt --target queue/globex/jobs\n"
    )


def test_importing_into_a_file_adds_to_it_once(made: Shell) -> None:
    file = Path("manifests/acme.yaml")
    for kind, name in (("tenant", "globex"), ("topic", "globex/clicks")):
        assert made.run("import", kind, name, "--out", str(file)).returncode == 0
    assert names(made.manifest.read_text())[-2:] == ["Tenant globex", "Topic clicks"]
    text = made.manifest.read_text()
    again = made.run("import", "topic", "globex/clicks", "--out", str(file))
    assert again.returncode == 1
    assert "it declares Topic globex/clicks already" in again.stderr
    assert made.manifest.read_text() == text
    target = ("--adopt", "--target", "topic/globex/clicks")
    assert "2 adopted" in made.succeed("apply", *target, "--auto-approve")


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("topic", "acme/orders", "declared at acme.yaml:6 by source 'default' already: there is nothing to import"),
        ("subscription", "globex/jobs", "is brought along by Queue globex/jobs: import that"),
        ("topic", "globex/click", "there is no Topic globex/click: did you mean Topic globex/clicks?"),
    ],
)
def test_what_cannot_be_imported_says_why(made: Shell, kind: str, name: str, message: str) -> None:
    done = made.run("import", kind, name)
    assert (done.returncode, done.stdout) == (1, "")
    assert message in done.stderr
