"""Changing what is declared over HTTP: through the reconciler's plan, over real stores."""

import hashlib
import threading
from typing import Any

import pytest
from api_platform import ACME, ADMIN, GLOBEX_ADMIN, SYSTEM_ADMIN, Platform
from redis import Redis
from served import API, Answer, Client
from waiting import eventually

from mqops.model import KINDS


@pytest.fixture(scope="module")
def admin(platform: Platform) -> Client:
    return platform.client.with_key(ADMIN)


def put(client: Client, path: str, body: Any, **headers: str) -> Answer:
    return client.send("PUT", API + path, body, {name.replace("_", "-"): value for name, value in headers.items()})


def delete(client: Client, path: str, **headers: str) -> Answer:
    return client.send("DELETE", API + path, None, {name.replace("_", "-"): value for name, value in headers.items()})


def made(platform: Platform, client: Client, plural: str, **spec: Any) -> str:
    """The name of a new resource."""
    name = platform.name("made")
    answer = client.post(f"/{plural}", {"name": name, "spec": spec})
    assert answer.status == 201, answer
    return name


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
    assert deleted["Subscription", queue]["unfinished"] == 3
    assert platform.acme.post(f"/queues/{queue}/publish", {"payload": 1}).status == 404


def test_what_is_protected_is_not_deleted_unasked(platform: Platform, admin: Client) -> None:
    topic = platform.name("protected")
    body = {"name": topic, "spec": {}, "annotations": {"mqops/protect": "true"}}
    assert admin.post("/topics", body).status == 201
    refused = delete(admin, f"/topics/{topic}")
    assert (refused.status, refused.body["details"]["refused"][0]["obstacle"]) == (409, "protected")
    assert refused.body["message"].endswith("pass ?unprotect=true")
    assert delete(admin, f"/topics/{topic}?unprotect=true").status == 200


# Dry runs


@pytest.mark.parametrize("role", ["planner", "deployer", "admin"])
def test_a_dry_run_answers_the_plan_and_changes_nothing(platform: Platform, admin: Client, role: str) -> None:
    key = platform.name("key")
    platform.installation.credential("acme", key, key, roles=[role])
    client = platform.client.with_key(key)
    eventually(lambda: client.get(f"{API}/topics").status == 200, "the credential", 5)
    name = platform.name("made")
    answer = client.post("/queues?dryRun=true", {"name": name})
    assert answer.status == 200
    plan = answer.body
    assert plan["summary"]["create"] == 3
    assert [change["kind"] for change in plan["resource_changes"]] == ["Topic", "Queue", "Subscription"]
    assert admin.get(f"{API}/queues/{name}").status == 404
    topic = made(platform, admin, "topics")
    changed = put(client, f"/topics/{topic}?dryRun=true", {"spec": {"partitions": 5}}).body
    assert changed["resource_changes"][0]["fields"] == [{"path": "spec.partitions", "before": 1, "after": 5}]
    assert delete(client, f"/topics/{topic}?dryRun=true").body["summary"]["delete"] == 1
    assert admin.get(f"{API}/topics/{topic}").body["spec"]["partitions"] == 1
    if role != "admin":
        assert client.post("/queues", {"name": name}).status == 403
        assert put(client, f"/topics/{topic}", {}).status == 403
        assert delete(client, f"/topics/{topic}").status == 403


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


# Others


def test_another_tenants_things_cannot_be_touched_nor_told_from_nothing(platform: Platform, admin: Client) -> None:
    stranger = platform.client.with_key(GLOBEX_ADMIN)
    topic = made(platform, admin, "topics")
    made_of_each = {
        "topics": topic,
        "queues": made(platform, admin, "queues"),
        "subscriptions": made(platform, admin, "subscriptions", topic=topic),
        "handlers": made(platform, admin, "handlers", type="http", http={"url": "https://acme.example/"}),
        "credentials": "leaver",
        "tenants": "acme",
    }
    assert set(made_of_each) == {kind.plural for kind in KINDS.values()} - {"sources"}
    for plural, name in made_of_each.items():
        uid = admin.get(f"{API}/{plural}/{name}").body["id"]
        for known in (name, uid):
            for ask in (
                lambda path: put(stranger, path, {}),
                lambda path: delete(stranger, path),
                lambda path: put(stranger, f"{path}?dryRun=true", {}),
                lambda path: put(stranger, path, {}, If_Match='"x"'),
            ):
                found, absent = ask(f"/{plural}/{known}"), ask(f"/{plural}/{'n' * len(known)}")
                assert found.status == absent.status == 404
                assert found.raw == absent.raw.replace(b"n" * len(known), known.encode())
        assert admin.get(f"{API}/{plural}/{name}").status == 200


@pytest.mark.parametrize("plural", [kind.plural for kind in KINDS.values() if kind.name != "Source"])
def test_only_administrators_change_anything(platform: Platform, plural: str) -> None:
    key = platform.name("key")
    platform.installation.credential("acme", key, key, roles=["viewer", "publisher", "consumer"])
    client = platform.client.with_key(key)
    eventually(lambda: client.get(f"{API}/topics").status == 200, "the credential", 5)
    for answer in (
        client.post(f"/{plural}", {"name": "x"}),
        client.post(f"/{plural}?dryRun=true", {"name": "x"}),
        put(client, f"/{plural}/x", {}),
        delete(client, f"/{plural}/x"),
    ):
        assert (answer.status, answer.code) == (403, "FORBIDDEN")


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


# Purging


def live_numbers(platform: Platform, queue: str) -> tuple[int, int, int]:
    """Of a queue's subscription: backlog by the counters, pending entries, and what its groups have not read."""
    uid = {name: platform.client.with_key(ADMIN).get(f"{API}/{name}/{queue}").body["id"] for name in PAIR}
    keys, bucket = platform.installation.keys, platform.installation.bucket("acme")
    prefix = keys.bucket(bucket)
    with Redis.from_url(platform.installation.redis_url) as redis:
        topic, meta = (redis.hgetall(f"{prefix}{uid[name]}:meta") for name in PAIR)
        pending = unread = 0
        for partition in range(int(topic[b"partitions"])):
            stream = f"{prefix}{uid['queues']}:{partition}:s"
            [group] = redis.xinfo_groups(stream)
            pending += group["pending"]
            unread += len(redis.xrange(stream, b"(" + group["last-delivered-id"]))
    return int(topic[b"total"]) - int(meta[b"base"]) - int(meta[b"done"]), pending, unread


PAIR = ("queues", "subscriptions")


def test_a_purged_queue_is_empty_whoever_held_what(platform: Platform, admin: Client) -> None:
    queue = made(platform, admin, "queues", partitions=3, maxBacklog=12)
    messages = [{"payload": number} for number in range(12)]
    assert platform.acme.post(f"/queues/{queue}/publish", {"messages": messages}).status == 200
    held = platform.acme.post(f"/queues/{queue}/pull", {"maxMessages": 6}).body["messages"]
    assert len(held) == 6
    ack_ids = [message["ackId"] for message in held]
    assert platform.acme.settle("ack", queue, ack_ids[0]) == ["acked"]
    assert platform.acme.settle("nack", queue, ack_ids[1]) == ["nacked"]
    assert platform.acme.post(f"/queues/{queue}/publish", {"messages": messages}).status == 207
    before = live_numbers(platform, queue)[0]
    purged = admin.post(f"/queues/{queue}/purge")
    assert (purged.status, purged.body) == (200, {"purged": before})
    assert live_numbers(platform, queue) == (0, 0, 0)
    assert admin.post(f"/queues/{queue}/purge").body == {"purged": 0}
    assert platform.acme.settle("ack", queue, *ack_ids[2:4]) == ["lost", "lost"]
    assert live_numbers(platform, queue) == (0, 0, 0)
    assert platform.acme.post(f"/queues/{queue}/publish", {"payload": "new"}).status == 200
    assert [message["payload"] for message in platform.acme.pull(queue)] == ["new"]


def test_a_purged_queue_can_be_one_that_a_source_owns(platform: Platform, admin: Client) -> None:
    queue = platform.queue()
    assert platform.acme.post(f"/queues/{queue}/publish", {"payload": 1}).status == 200
    assert admin.post(f"/queues/{queue}/purge").body == {"purged": 1}
    assert platform.acme.pull(queue) == []


def test_acting_on_things_takes_the_role_the_tenant_and_no_body(platform: Platform, admin: Client) -> None:
    queue = made(platform, admin, "queues")
    topic = made(platform, admin, "topics")
    reader = made(platform, admin, "subscriptions", topic=topic)
    stranger = platform.client.with_key(GLOBEX_ADMIN)
    for plural, name, verb in (
        ("queues", queue, "purge"),
        ("subscriptions", reader, "pause"),
        ("subscriptions", reader, "resume"),
    ):
        path = f"/{plural}/{name}/{verb}"
        assert platform.acme.post(path).status == 403
        assert admin.post(path, {"why": "x"}).status == 400
        assert admin.post(f"{path}?dryRun=true").status == 400
        found, absent = stranger.post(path), stranger.post(f"/{plural}/{'n' * len(name)}/{verb}")
        assert found.status == 404
        assert found.raw == absent.raw.replace(b"n" * len(name), name.encode())
