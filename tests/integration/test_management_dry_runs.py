"""What a change over HTTP would do, asked before it is made."""

import hashlib

import pytest
from api_platform import ADMIN, Platform
from managing import delete, made, put
from served import API, Client


@pytest.fixture(scope="module")
def admin(platform: Platform) -> Client:
    return platform.client.with_key(ADMIN)


def test_a_dry_run_answers_the_plan_and_changes_nothing(platform: Platform, admin: Client) -> None:
    name = platform.name("made")
    answer = admin.post("/queues?dryRun=true", {"name": name})
    assert answer.status == 200
    plan = answer.body
    assert plan["summary"]["create"] == 3
    assert [change["kind"] for change in plan["resource_changes"]] == ["Topic", "Queue", "Subscription"]
    assert admin.get(f"{API}/queues/{name}").status == 404
    topic = made(platform, admin, "topics")
    changed = put(admin, f"/topics/{topic}?dryRun=true", {"spec": {"partitions": 5}}).body
    assert changed["resource_changes"][0]["fields"] == [{"path": "spec.partitions", "before": 1, "after": 5}]
    assert delete(admin, f"/topics/{topic}?dryRun=true").body["summary"]["delete"] == 1
    assert admin.get(f"{API}/topics/{topic}").body["spec"]["partitions"] == 1


def test_a_plan_shows_no_digests(platform: Platform, admin: Client) -> None:
    digests = [hashlib.sha256(platform.name("key").encode()).hexdigest() for _ in range(3)]
    keys = [{"sha256": digest} for digest in digests]
    credential = made(platform, admin, "credentials", principal="x", keys=keys[:1])
    body = {"spec": {"principal": "x", "keys": [keys[1], keys[2]]}}
    answer = put(admin, f"/credentials/{credential}?dryRun=true", body)
    assert [field["path"] for field in answer.body["resource_changes"][0]["fields"]] == [
        "spec.keys[0].sha256",
        "spec.keys[1]",
    ]
    assert not any(digest.encode() in answer.raw for digest in digests)


@pytest.mark.parametrize("query", ["dryRun=yes", "dryRun=true&dryRun=true", "colour=red"])
def test_parameters_that_mean_nothing_are_refused(admin: Client, query: str) -> None:
    assert admin.post(f"/topics?{query}", {"name": "x"}).status == 400
