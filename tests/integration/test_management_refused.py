"""Changes over HTTP that are wrong, or not the API's to make: what is answered, and that nothing is changed."""

import hashlib
from typing import Any

import pytest
from api_platform import ACME, ADMIN, GLOBEX_ADMIN, Platform
from managing import delete, made, put
from served import API, Client


@pytest.fixture(scope="module")
def admin(platform: Platform) -> Client:
    return platform.client.with_key(ADMIN)


# What is wrong


@pytest.mark.parametrize(
    ("plural", "body", "path"),
    [
        ("topics", {"name": "Bad Name"}, "name"),
        ("topics", {"name": "x", "labels": {"a": 7}}, "labels.a"),
        ("topics", {"name": "x", "annotations": {"mqops/x": "y"}}, "annotations"),
        ("topics", {"name": "x", "spec": {"partitions": 0}}, "spec.partitions"),
        ("topics", {"name": "x", "spec": {"colour": "red"}}, "spec.colour"),
        (
            "topics",
            {"name": "x", "spec": {"displayName": "a: b\n- {\u0000"}, "labels": {"b\ud83d\ude00": "x"}},
            "labels",
        ),
        ("subscriptions", {"name": "x", "spec": {"topic": "not-there"}}, "spec.topic"),
        ("subscriptions", {"name": "x", "spec": {"topic": "globex/secret"}}, "spec.topic"),
        ("subscriptions", {"name": "x", "spec": {"topic": "untouched", "filter": "payload.+"}}, "spec.filter"),
        ("credentials", {"name": "x", "spec": {"principal": "x", "keys": [{"sha256": "x"}]}}, "spec.keys[0].sha256"),
        ("handlers", {"name": "x", "spec": {"type": "http", "http": {"url": "${HOST}"}}}, "spec.http.url"),
    ],
)
def test_what_is_wrong_is_named_by_its_path(
    platform: Platform, admin: Client, plural: str, body: dict[str, Any], path: str
) -> None:
    for dry in ("", "?dryRun=true"):
        answer = admin.post(f"/{plural}{dry}", body)
        assert (answer.status, answer.code) == (400, "INVALID_REQUEST"), answer
        problems = answer.body["details"]["problems"]
        assert problems[0]["path"].startswith(path)
        assert answer.body["message"].startswith(path)
    assert admin.get(f"{API}/{plural}/x").status == 404


def test_all_problems_are_reported_with_what_was_probably_meant(admin: Client) -> None:
    answer = admin.post("/topics", {"name": "x", "spec": {"partitons": 2, "retention": "soon"}})
    problems = {problem["path"]: problem for problem in answer.body["details"]["problems"]}
    assert set(problems) == {"spec.partitons", "spec.retention"}
    assert problems["spec.partitons"]["suggestion"] == "partitions"


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'{"name": 7}', b'{"name": null}', b'{"id": "x", "name": "x"}', b'{"spec": []}', b"{}"]
)
def test_a_body_that_is_no_resource_is_refused(admin: Client, body: bytes) -> None:
    assert admin.post("/topics", body).status == 400


def test_a_key_of_another_tenant_is_refused_without_saying_whose(platform: Platform, admin: Client) -> None:
    stranger = platform.client.with_key(GLOBEX_ADMIN)
    digest = hashlib.sha256(ACME.encode()).hexdigest()
    answer = stranger.post("/credentials", {"name": "x", "spec": {"principal": "x", "keys": [{"sha256": digest}]}})
    assert answer.status == 400
    assert b"acme" not in answer.raw


def test_a_put_does_not_rename_or_create(platform: Platform, admin: Client) -> None:
    topic = made(platform, admin, "topics")
    assert put(admin, f"/topics/{topic}", {"name": "other"}).status == 400
    assert put(admin, f"/topics/{topic}", {"name": None}).status == 400
    assert put(admin, f"/topics/{topic}", {"name": topic}).status == 200
    assert put(admin, "/topics/not-there", {}).status == 404
    assert delete(admin, "/topics/not-there").status == 404


# What is not the API's to change


def test_what_a_source_owns_is_changed_where_it_is_declared(platform: Platform, admin: Client) -> None:
    with platform.installation._database() as database:
        database.execute(
            "UPDATE mq_resources SET file = 'acme/x.yaml', line = 7 WHERE kind = 'Topic' AND name = %s",
            (platform.untouched,),
        )
    path = f"/topics/{platform.untouched}"
    for answer in (put(admin, path, {}), delete(admin, path), put(admin, f"{path}?dryRun=true", {})):
        assert (answer.status, answer.code) == (409, "MANAGED_BY_SOURCE")
        assert answer.body["details"] == {"managedBy": "test", "file": "acme/x.yaml", "line": 7}
        assert "acme/x.yaml:7" in answer.body["message"]
    platform.assert_untouched()


def test_what_was_brought_along_goes_with_what_brought_it(platform: Platform, admin: Client) -> None:
    queue = made(platform, admin, "queues")
    for path in (f"/subscriptions/{queue}", f"/topics/{queue}.deadletter"):
        answer = delete(admin, path)
        assert (answer.status, answer.code) == (409, "CONFLICT")
    assert put(admin, f"/subscriptions/{queue}", {"spec": {"topic": queue}}).code == "CONFLICT"
    answer = put(admin, f"/topics/{queue}.deadletter", {"spec": {"retention": "60d"}})
    assert (answer.status, answer.body["impliedBy"]) == (200, None)
    assert answer.body["spec"]["retention"] == "60d"


def test_a_refused_change_names_the_guard_and_changes_nothing(platform: Platform, admin: Client) -> None:
    topic = made(platform, admin, "topics", partitions=3)
    assert platform.client.with_key(ACME).publish(topic, {"messages": [{"payload": 1}]}).status == 200
    fewer = {"spec": {"partitions": 2}, "labels": {"a": "b"}}
    answer = put(admin, f"/topics/{topic}", fewer)
    assert (answer.status, answer.code) == (409, "REFUSED")
    [refused] = answer.body["details"]["refused"]
    assert refused["obstacle"] == "data_loss"
    assert refused["message"] == answer.body["message"]
    assert refused["message"].endswith("or pass ?allowDataLoss=true")
    before = admin.get(f"{API}/topics/{topic}").body
    assert before["labels"] == {}
    [planned] = put(admin, f"/topics/{topic}?dryRun=true&allowDataLoss=true", fewer).body["resource_changes"]
    assert (planned["change"]["actions"], planned["replaces"]["uid"]) == (["replace"], before["id"])
    after = put(admin, f"/topics/{topic}?allowDataLoss=true", fewer)
    assert (after.status, after.body["spec"]["partitions"], after.body["generation"]) == (200, 2, 1)
    assert after.body["id"] != before["id"]
    assert platform.client.with_key(ACME).publish(topic, {"messages": [{"payload": 1}]}).status == 200


def test_a_replaced_topic_takes_its_readers_along_and_a_protected_one_keeps_it(
    platform: Platform, admin: Client
) -> None:
    topic = made(platform, admin, "topics", partitions=3)
    reader = made(platform, admin, "subscriptions", topic=topic)
    kept = {"spec": {"topic": topic}, "annotations": {"mqops/protect": "true"}}
    assert put(admin, f"/subscriptions/{reader}", kept).status == 200
    answer = put(admin, f"/topics/{topic}?unprotect=true", {"spec": {"partitions": 2}})
    assert (answer.status, answer.code) == (409, "REFUSED")
    told = {refused["resource"]: refused["message"] for refused in answer.body["details"]["refused"]}
    assert told[f"Subscription acme/{reader}"].endswith('put back what it was; or apply it as "false" first')
    before = admin.get(f"{API}/subscriptions/{reader}").body["id"]
    assert put(admin, f"/subscriptions/{reader}", {"spec": {"topic": topic}}).status == 200
    assert put(admin, f"/topics/{topic}", {"spec": {"partitions": 2}}).status == 200
    assert admin.get(f"{API}/subscriptions/{reader}").body["id"] != before


def test_a_topic_that_another_tenant_reads_is_not_deleted_and_the_reader_not_named(
    platform: Platform, admin: Client
) -> None:
    topic = made(platform, admin, "topics", public=True)
    stranger = platform.client.with_key(GLOBEX_ADMIN)
    reader = made(platform, stranger, "subscriptions", topic=f"acme/{topic}")
    answer = delete(admin, f"/topics/{topic}")
    assert (answer.status, answer.code) == (409, "REFUSED")
    assert "of another tenant needs it" in answer.body["message"]
    dry = delete(admin, f"/topics/{topic}?dryRun=true")
    for raw in (answer.raw, dry.raw):
        assert reader.encode() not in raw
        assert b"globex" not in raw
    assert delete(stranger, f"/subscriptions/{reader}").status == 200
    assert delete(admin, f"/topics/{topic}").status == 200


def test_one_change_touches_nothing_else_that_the_api_owns(platform: Platform, admin: Client) -> None:
    topic = made(platform, admin, "topics")
    queue = made(platform, admin, "queues")
    stranger = platform.client.with_key(GLOBEX_ADMIN)
    theirs = made(platform, stranger, "queues")

    def states() -> list[bytes]:
        ours = [admin.get(API + path).raw for path in (f"/queues/{queue}", f"/topics/{queue}.deadletter")]
        return [*ours, stranger.get(f"{API}/queues/{theirs}").raw, stranger.get(f"{API}/subscriptions/{theirs}").raw]

    before = states()
    other = made(platform, admin, "subscriptions", topic=topic)
    assert put(admin, f"/subscriptions/{other}", {"spec": {"topic": topic, "concurrency": 3}}).status == 200
    assert delete(admin, f"/subscriptions/{other}").status == 200
    assert states() == before


def test_dead_letters_stay_while_another_subscription_needs_them(platform: Platform, admin: Client) -> None:
    topic = made(platform, admin, "topics")
    first = made(platform, admin, "subscriptions", topic=topic)
    second = made(platform, admin, "subscriptions", topic=topic)
    letters = f"{topic}.deadletter"
    for gone, left in ((first, second), (second, None)):
        answer = delete(admin, f"/subscriptions/{gone}")
        assert answer.status == 200, answer
        shown = admin.get(f"{API}/topics/{letters}")
        assert shown.status == (404 if left is None else 200)
        if left is not None:
            assert shown.body["impliedBy"] == {"kind": "Subscription", "name": left}
    assert [one["kind"] for one in answer.body["deleted"]] == ["Subscription", "Topic"]
