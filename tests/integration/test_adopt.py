"""What is there and no source's becomes a source's, when somebody says so, with all that it holds."""

import json

import psycopg
import pytest
from over_api import made_over_api
from shell import Shell
from traffic import publish, take

from mqops.keys import bucket_of
from mqops.streams import Lane

ADDED = """\
---
apiVersion: mqops/v1
kind: Topic
metadata: {tenant: acme, name: clicks, labels: {team: web}}
spec: {partitions: 2}
---
apiVersion: mqops/v1
kind: Subscription
metadata: {tenant: acme, name: counts}
spec: {topic: clicks, startFrom: earliest}
"""


@pytest.fixture
def made(shell: Shell) -> Shell:
    """The shell's manifests applied, and clicks with a reader made over the API."""
    shell.succeed("apply", "--auto-approve")
    made_over_api("Topic", "acme", "clicks", {"partitions": 2}, team="web")
    made_over_api("Subscription", "acme", "counts", {"topic": "clicks", "startFrom": "earliest"})
    return shell


def uids(database_url: str) -> dict[str, str]:
    with psycopg.connect(database_url) as database:
        rows = database.execute("SELECT kind || ' ' || name, uid::text FROM mq_resources").fetchall()
    return dict(rows)


def lane(database_url: str, topic: str, subscription: str, partition: int = 0) -> Lane:
    found = uids(database_url)
    bucket = bucket_of(found["Tenant acme"])
    return Lane(bucket, found[f"Subscription {subscription}"], found[f"Topic {topic}"], partition)


def actions(shown: str) -> dict[str, list[str]]:
    changes = json.loads(shown)["resource_changes"]
    return {f"{it['kind']} {it['name']}": it["change"]["actions"] for it in changes}


def test_what_the_api_made_is_adopted_only_when_told_and_keeps_its_uid_backlog_and_positions(
    made: Shell, database_url: str, redis_url: str
) -> None:
    reader = lane(database_url, "clicks", "counts")
    publish(redis_url, reader, 1, [b"1", b"2", b"3"])
    assert take(redis_url, reader, 1) == [b"1"]
    before = uids(database_url)
    made.manifest.write_text(made.manifest.read_text() + ADDED)

    refused = made.run("apply", "--auto-approve")
    assert refused.returncode == 3
    assert "Topic acme/clicks was made over the management API: pass --adopt" in refused.stdout
    assert "api" in made.succeed("get", "topic", "acme/clicks", "-o", "json")

    shown = json.loads(made.succeed("plan", "--adopt", "-o", "json"))
    assert {it["name"]: [field["path"] for field in it["fields"]] for it in shown["resource_changes"]} == {
        "clicks": ["managedBy"],
        "clicks.deadletter": ["managedBy"],
        "counts": ["managedBy"],
    }
    assert "Applied revision 4: 3 adopted." in made.succeed("apply", "--adopt", "--auto-approve")
    assert uids(database_url) == before
    assert take(redis_url, reader, 9) == [b"2", b"3"]
    assert made.succeed("plan").startswith("No changes.")
    history = made.succeed("history", "show", "4")
    assert "adopt Topic acme/clicks (made over the API)" in history


def test_a_saved_plan_remembers_that_adopting_was_allowed(made: Shell) -> None:
    made.manifest.write_text(made.manifest.read_text() + ADDED)
    made.succeed("plan", "--adopt", "--out", "plan.json")
    assert "3 adopted" in made.succeed("apply", "plan.json", "--auto-approve")


def test_the_watch_adopts_nothing_by_itself_and_says_so(made: Shell) -> None:
    made.manifest.write_text(made.manifest.read_text() + ADDED)
    done = made.run("reconcile")
    assert done.returncode == 3
    assert "cannot adopt Topic acme/clicks: Topic acme/clicks was made over the management API" in done.stdout
    assert json.loads(made.succeed("get", "topic", "acme/clicks", "-o", "json"))["status"]["managedBy"] == "api"


def test_what_moves_to_another_source_of_the_tree_is_handed_over(shell: Shell) -> None:
    shell.succeed("apply", "--auto-approve")
    tree = shell.folder / "manifests"
    documents = shell.manifest.read_text().split("---\n")
    shell.manifest.unlink()
    for folder, texts in (("one", documents[:2]), ("two", documents[2:])):
        (tree / folder).mkdir()
        (tree / folder / "all.yaml").write_text("---\n".join(texts))
    sources = (
        f"apiVersion: mqops/v1\nkind: Source\nmetadata: {{name: {it}}}\nspec: {{path: {it}}}\n" for it in ("one", "two")
    )
    (tree / "sources.yaml").write_text("---\n".join(sources))
    shown = shell.succeed("apply", "--take-over", "default", "--auto-approve")
    assert "» hand over Topic acme/orders" in shown
    assert "2 created, 5 handed over." in shown
    (tree / "two/orders.yaml").write_text(documents[1])
    (tree / "one/all.yaml").write_text(documents[0])
    assert actions(shell.succeed("plan", "-o", "json")) == {"Topic orders": ["handover"]}
    assert "1 handed over" in shell.succeed("apply", "--auto-approve")
    assert shell.succeed("plan").startswith("No changes.")
