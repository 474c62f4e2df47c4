"""Changing what is declared over HTTP: through the reconciler's plan, over real stores."""

import hashlib
import threading
from typing import Any

import pytest
from api_platform import ADMIN, SYSTEM_ADMIN, Platform
from managing import delete, made, put
from served import API, Answer, Client


@pytest.fixture(scope="module")
def admin(platform: Platform) -> Client:
    return platform.client.with_key(ADMIN)


# Creating


def test_a_queue_made_over_http_takes_messages_and_hands_them_out(platform: Platform, admin: Client) -> None:
    name = platform.name("made")
    answer = admin.post("/queues", {"name": name, "labels": {"team": "a"}, "spec": {"maxAttempts": 2}})
    assert answer.status == 201
    assert answer.headers["location"] == f"{API}/queues/{name}"
    body = answer.body
    assert (body["name"], body["labels"], body["managedBy"], body["generation"]) == (name, {"team": "a"}, "api", 1)
    assert (body["spec"]["maxAttempts"], body["spec"]["deadLetter"]) == (2, f"{name}.deadletter")
    shown = admin.get(f"{API}/queues/{name}")
    assert (shown.body, shown.headers["etag"]) == (body, answer.headers["etag"])
    assert admin.get(f"{API}/topics/{name}.deadletter").body["impliedBy"] == {"kind": "Subscription", "name": name}
    assert platform.acme.post(f"/queues/{name}/publish", {"payload": 7}).status == 200
    pulled = platform.acme.post(f"/queues/{name}/pull").body["messages"]
    assert [message["payload"] for message in pulled] == [7]


def test_every_kind_can_be_made_changed_and_deleted(platform: Platform, admin: Client) -> None:
    topic = made(platform, admin, "topics", partitions=2)
    handler = made(platform, admin, "handlers", type="http", http={"url": "https://acme.example/"})
    subscription = made(platform, admin, "subscriptions", topic=topic, handler=handler)
    digest = hashlib.sha256(platform.name("key").encode()).hexdigest()
    credential = made(platform, admin, "credentials", principal="x", keys=[{"sha256": digest}])
    changes: list[tuple[str, str, dict[str, Any]]] = [
        ("subscriptions", subscription, {"topic": topic, "handler": handler, "concurrency": 7}),
        ("credentials", credential, {"principal": "y", "keys": [{"sha256": digest}]}),
        ("handlers", handler, {"type": "http", "http": {"url": "https://acme.example/other"}}),
        ("topics", topic, {"partitions": 3}),
    ]
    for plural, name, spec in changes:
        before = admin.get(f"{API}/{plural}/{name}").body
        answer = put(admin, f"/{plural}/{name}", {"spec": spec, "annotations": {"note": "x"}})
        assert answer.status == 200, answer
        assert (answer.body["id"], answer.body["generation"]) == (before["id"], before["generation"] + 1)
        assert answer.body["annotations"] == {"note": "x"}
        assert digest.encode() not in answer.raw
    for plural, name, _ in changes:
        answer = delete(admin, f"/{plural}/{name}")
        assert answer.status == 200, answer
        assert admin.get(f"{API}/{plural}/{name}").status == 404


def test_the_system_makes_tenants_and_others_do_not(platform: Platform, admin: Client) -> None:
    name = platform.name("tenant")
    system = platform.client.with_key(SYSTEM_ADMIN)
    assert admin.post("/tenants", {"name": name}).status == 403
    assert put(admin, "/tenants/acme", {"spec": {"displayName": "X"}}).status == 403
    assert put(admin, "/tenants/globex", {"spec": {"displayName": "X"}}).status == 404
    assert delete(admin, "/tenants/acme").status == 403
    assert system.post("/tenants", {"name": name, "spec": {"displayName": "New"}}).status == 201
    theirs = system.with_key(SYSTEM_ADMIN, tenant=name)
    topic = made(platform, theirs, "topics")
    refused = delete(system, f"/tenants/{name}")
    assert (refused.status, refused.code) == (409, "REFUSED")
    assert refused.body["details"]["refused"][0]["obstacle"] == "still_needed"
    assert delete(theirs, f"/topics/{topic}").status == 200
    assert delete(system, f"/tenants/{name}").status == 200


def test_sources_are_not_made_over_http(platform: Platform) -> None:
    system = platform.client.with_key(SYSTEM_ADMIN)
    assert system.post("/sources", {"name": "x", "spec": {"path": "x"}}).status == 405
    assert put(system, "/sources/x", {"spec": {"path": "x"}}).status == 405
    assert delete(system, "/sources/x").status == 405


def test_what_exists_is_not_made_again(platform: Platform, admin: Client) -> None:
    topic = made(platform, admin, "topics")
    for plural in ("topics", "queues"):
        answer = admin.post(f"/{plural}", {"name": topic})
        assert (answer.status, answer.code) == (409, "CONFLICT")
    answer = admin.post("/topics", {"name": platform.untouched})
    assert (answer.status, answer.code) == (409, "CONFLICT")


def test_the_history_says_who_did_it(platform: Platform, admin: Client) -> None:
    topic = made(platform, admin, "topics")
    with platform.installation._database() as database:
        found = database.execute(
            "SELECT actor, trigger, action, managed_by FROM mq_revisions JOIN mq_changes USING (revision)"
            " WHERE name = %s",
            (topic,),
        ).fetchall()
    assert found == [("acme/admin", "api", "create", "api")]


# Deleting


def test_a_delete_says_what_it_destroyed(platform: Platform, admin: Client) -> None:
    queue = made(platform, admin, "queues")
    uid = admin.get(f"{API}/queues/{queue}").body["id"]
    assert (
        platform.acme.post(f"/queues/{queue}/publish", {"messages": [{"payload": n} for n in range(3)]}).status == 200
    )
    refused = delete(admin, f"/queues/{queue}")
    assert refused.status == 409
    assert refused.body["message"].startswith(f"3 unfinished messages in Queue acme/{queue} would be lost")
    assert refused.body["message"].endswith("pass ?allowDataLoss=true")
    answer = delete(admin, f"/queues/{queue}?allowDataLoss=true")
    assert answer.status == 200
    deleted = {(one["kind"], one["name"]): one for one in answer.body["deleted"]}
    assert set(deleted) == {("Queue", queue), ("Subscription", queue), ("Topic", f"{queue}.deadletter")}
    assert deleted["Queue", queue]["id"] == uid
    numbers = {of: (one["messages"], one["unfinished"]) for (of, _), one in deleted.items()}
    assert numbers == {"Queue": (3, 3), "Subscription": (0, 3), "Topic": (0, 0)}
    assert platform.acme.post(f"/queues/{queue}/publish", {"payload": 1}).status == 404


def test_a_deleted_topic_that_nobody_reads_says_what_it_held(platform: Platform, admin: Client) -> None:
    topic = made(platform, admin, "topics")
    assert platform.acme.publish(topic, {"messages": [{"payload": 1}, {"payload": 2}]}).status == 200
    [deleted] = delete(admin, f"/topics/{topic}?allowDataLoss=true").body["deleted"]
    assert (deleted["messages"], deleted["unfinished"]) == (2, 2)


def test_a_change_that_replaces_says_what_it_destroyed(platform: Platform, admin: Client) -> None:
    topic = made(platform, admin, "topics", partitions=3)
    uid = admin.get(f"{API}/topics/{topic}").body["id"]
    assert "destroyed" not in put(admin, f"/topics/{topic}", {"spec": {"partitions": 3, "maxBacklog": 9}}).body
    assert platform.acme.publish(topic, {"payload": 1}).status == 200
    answer = put(admin, f"/topics/{topic}?allowDataLoss=true", {"spec": {"partitions": 2}})
    gone = {"kind": "Topic", "name": topic, "id": uid, "messages": 1, "unfinished": 1}
    assert answer.body["destroyed"] == [gone]


def test_what_is_protected_is_not_deleted_unasked(platform: Platform, admin: Client) -> None:
    topic = platform.name("protected")
    body = {"name": topic, "spec": {}, "annotations": {"mqops/protect": "true"}}
    assert admin.post("/topics", body).status == 201
    refused = delete(admin, f"/topics/{topic}")
    assert (refused.status, refused.body["details"]["refused"][0]["obstacle"]) == (409, "protected")
    assert refused.body["message"].endswith("pass ?unprotect=true")
    assert delete(admin, f"/topics/{topic}?unprotect=true").status == 200


# States


def test_a_change_is_made_only_in_the_state_that_is_named(platform: Platform, admin: Client) -> None:
    topic = made(platform, admin, "topics")
    path = f"/topics/{topic}"
    first = admin.get(API + path).headers["etag"]
    second = put(admin, path, {"labels": {"a": "b"}}, If_Match=first).headers["etag"]
    assert second != first
    for answer in (
        put(admin, path, {}, If_Match=first),
        put(admin, path, {}, If_Match=f"W/{second}"),
        put(admin, f"{path}?dryRun=true", {}, If_Match=first),
        delete(admin, path, If_Match=first),
    ):
        assert (answer.status, answer.code) == (412, "PRECONDITION_FAILED")
    for answer in (put(admin, path, {}, If_None_Match="*"), delete(admin, path, If_None_Match="*")):
        assert (answer.status, answer.code) == (412, "PRECONDITION_FAILED")
        assert "POST creates" in answer.body["message"]
    unmet = put(admin, path, {}, If_None_Match=first)
    assert (unmet.status, unmet.code) == (400, "INVALID_REQUEST")
    assert admin.get(API + path).headers["etag"] == second
    assert put(admin, path, {"labels": {"a": "b"}}, If_Match="*").headers["etag"] == second
    assert delete(admin, path, If_Match=f'"x", {second}').status == 200


def test_of_changes_at_once_one_wins(platform: Platform, admin: Client) -> None:
    topic = made(platform, admin, "topics")
    tag = admin.get(f"{API}/topics/{topic}").headers["etag"]
    answers: list[tuple[str, Answer]] = []

    def change(value: str) -> None:
        answer = put(admin, f"/topics/{topic}", {"labels": {"winner": value}}, If_Match=tag)
        answers.append((value, answer))

    threads = [threading.Thread(target=change, args=(str(number),)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.status for _, answer in answers) == [200, 412, 412, 412, 412, 412]
    [winner] = [value for value, answer in answers if answer.status == 200]
    assert admin.get(f"{API}/topics/{topic}").body["labels"] == {"winner": winner}


def test_changes_at_once_of_different_things_are_all_made(platform: Platform, admin: Client) -> None:
    names = [platform.name("made") for _ in range(8)]
    answers: list[Answer] = []
    threads = [
        threading.Thread(target=lambda name=name: answers.append(admin.post("/topics", {"name": name})))
        for name in names
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.status for answer in answers] == [201] * 8
    assert all(admin.get(f"{API}/topics/{name}").status == 200 for name in names)


def test_what_was_shown_can_be_put_back_unchanged(platform: Platform, admin: Client) -> None:
    topic = made(platform, admin, "topics", partitions=2, producers=["checkout"])
    paths = (
        f"/topics/{topic}",
        f"/queues/{made(platform, admin, 'queues')}",
        f"/subscriptions/{made(platform, admin, 'subscriptions', topic=topic, filter='payload.x > 1')}",
        f"/handlers/{made(platform, admin, 'handlers', type='http', http={'url': 'https://acme.example/'})}",
    )
    for path in paths:
        shown = admin.get(API + path)
        body = {name: shown.body[name] for name in ("name", "labels", "annotations", "spec")}
        again = put(admin, path, body)
        assert (again.status, again.raw, again.headers["etag"]) == (200, shown.raw, shown.headers["etag"])
