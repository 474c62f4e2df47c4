"""The management API over real stores: what is declared, as those see it who may."""

import hashlib
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from api_platform import ACME, ADMIN, GLOBEX_ADMIN, NOT_A_KEY, PUBLISHER, SYSTEM, SYSTEM_ADMIN, Platform
from databases import away
from served import API, Client
from waiting import eventually

from mqops.model import KINDS

PLURALS = [kind.plural for kind in KINDS.values()]


@pytest.fixture(scope="module")
def admin(platform: Platform) -> Client:
    """An administrator of acme, which has something of every kind that belongs to a tenant."""
    installation = platform.installation
    installation.put("Source", "", "shops", {"path": "shops"})
    installation.handler("acme", "hook", "https://acme.example/hook")
    installation.queue("acme", "fulfilment", deadLetter=platform.dead_letters("fulfilment"))
    platform.wait_for_subscription("fulfilment")
    return platform.client.with_key(ADMIN)


def items(client: Client, path: str) -> list[dict[str, Any]]:
    answer = client.get(API + path)
    assert answer.status == 200, answer
    found: list[dict[str, Any]] = answer.body["items"]
    return found


def names(client: Client, path: str) -> list[str]:
    return [item["name"] for item in items(client, path)]


def of_each_kind(platform: Platform) -> Iterator[tuple[str, str, str]]:
    """Of each kind: its plural, and the name and uid of what acme has of it."""
    for kind, name in (
        ("Topic", platform.untouched),
        ("Queue", "fulfilment"),
        ("Subscription", platform.untouched),
        ("Handler", "hook"),
        ("Credential", "leaver"),
    ):
        yield KINDS[kind].plural, name, platform.installation.uid(kind, "acme", name)
    yield "tenants", "acme", platform.installation.uid("Tenant", "", "acme")


# Reading


def test_a_resource_is_shown_as_it_was_declared_and_how_it_fares(platform: Platform, admin: Client) -> None:
    topic, subscription = platform.topic_with_reader(partitions=3)
    answer = admin.get(f"{API}/topics/{topic}")
    assert answer.status == 200
    body = answer.body
    assert body["id"] == platform.installation.uid("Topic", "acme", topic)
    assert (body["name"], body["generation"], body["managedBy"], body["impliedBy"]) == (topic, 1, "test", None)
    assert (body["labels"], body["annotations"]) == ({}, {})
    assert list(body["spec"])[:3] == ["displayName", "description", "engine"]
    assert (body["spec"]["partitions"], body["spec"]["retention"]) == (3, "7d")
    told = [(one["type"], one["status"], one["reason"], one["message"]) for one in body["status"]["conditions"]]
    assert told == [
        ("Ready", "True", "Applied", ""),
        ("Reconciling", "False", "Applied", ""),
        ("Stalled", "False", "Applied", ""),
    ]
    assert {one["observedGeneration"] for one in body["status"]["conditions"]} == {1}
    since = {one["lastTransitionTime"] for one in body["status"]["conditions"]}
    assert since == {f"{body['createdAt'][:19]}Z"}
    assert body["createdAt"].endswith("Z")
    assert body["createdAt"] <= body["updatedAt"]
    assert admin.get(f"{API}/subscriptions/{subscription}").body["spec"]["topic"] == topic


def note(platform: Platform, uid: str, message: str) -> None:
    """As the reconciler does for what it finds broken."""
    with platform.installation._database() as database:
        database.execute(
            "INSERT INTO mq_conditions VALUES (%s, 'Drifted', %s, 1, false, true, false, now(), now(), now())"
            " ON CONFLICT (uid) DO UPDATE SET message = excluded.message",
            (uid, message),
        )


def test_what_the_reconciler_noted_is_shown_at_once_and_changes_the_tag(platform: Platform, admin: Client) -> None:
    topic, _ = platform.topic_with_reader()
    before = admin.get(f"{API}/topics/{topic}")
    note(platform, before.body["id"], "stream missing")
    shown = admin.get(f"{API}/topics/{topic}", **{"If-None-Match": before.headers["etag"]})
    assert (shown.status, shown.headers["etag"] != before.headers["etag"]) == (200, True)
    ready, reconciling, _ = shown.body["status"]["conditions"]
    assert (ready["status"], ready["reason"], ready["message"]) == ("False", "Drifted", "stream missing")
    assert reconciling["status"] == "True"
    listed = admin.get(f"{API}/topics?limit=500").body["items"]
    assert [it["status"]["conditions"][0]["status"] for it in listed if it["name"] == topic] == ["False"]


def test_a_message_that_names_what_another_tenant_has_is_not_shown(platform: Platform, admin: Client) -> None:
    topic, _ = platform.topic_with_reader()
    uid = platform.installation.uid("Topic", "acme", topic)
    for message, shown in (
        ("Subscription globex/spy needs it", "it depends on something of another tenant"),
        ("or pass --unprotect Topic/globex/secret", "it depends on something of another tenant"),
        ("Tenant globex is closing", "it depends on something of another tenant"),
        (f"Topic acme/{topic} needs Handler acme/hook", f"Topic acme/{topic} needs Handler acme/hook"),
    ):
        note(platform, uid, message)
        assert admin.get(f"{API}/topics/{topic}").body["status"]["conditions"][0]["message"] == shown


def test_with_postgresql_away_it_is_unknown_how_a_resource_fares(platform: Platform, admin: Client) -> None:
    topic, _ = platform.topic_with_reader()
    with away(platform.installation.database_url):
        answer = admin.get(f"{API}/topics/{topic}")
        assert answer.status == 200
        assert {one["status"] for one in answer.body["status"]["conditions"]} == {"Unknown"}
        assert admin.get(f"{API}/topics").status == 200
    # Who sees a new revision has noticed that the connection was cut, and has another: the tests to come rely on it.
    platform.installation.label("Topic", "acme", topic, seen="again")

    def is_followed() -> bool:
        body = admin.get(f"{API}/topics/{topic}").body
        return body["labels"] == {"seen": "again"} and body["status"]["conditions"][0]["status"] == "True"

    eventually(is_followed, "PostgreSQL", 10)


def test_everything_is_found_by_name_and_by_uid_and_in_its_list(platform: Platform, admin: Client) -> None:
    for plural, name, uid in of_each_kind(platform):
        by_name = admin.get(f"{API}/{plural}/{name}")
        assert by_name.status == 200, (plural, by_name)
        assert admin.get(f"{API}/{plural}/{uid}").raw == by_name.raw
        assert by_name.body in items(admin, f"/{plural}?limit=500")


def test_what_a_queue_brings_along_names_it(admin: Client) -> None:
    assert admin.get(f"{API}/subscriptions/fulfilment").body["impliedBy"] == {"kind": "Queue", "name": "fulfilment"}


def test_topics_and_queues_are_not_taken_for_each_other(platform: Platform, admin: Client) -> None:
    uid = platform.installation.uid("Queue", "acme", "fulfilment")
    for wrong in ("fulfilment", uid):
        assert admin.get(f"{API}/topics/{wrong}").code == "TOPIC_NOT_FOUND"
    assert admin.get(f"{API}/queues/{platform.untouched}").code == "MQ_QUEUE_NOT_FOUND"
    assert admin.get(f"{API}/subscriptions/none").code == "SUBSCRIPTION_NOT_FOUND"
    assert admin.get(f"{API}/handlers/none").code == "NOT_FOUND"
    assert "fulfilment" not in names(admin, "/topics?limit=500")


def test_no_digest_of_a_key_is_shown(platform: Platform, admin: Client) -> None:
    digest = hashlib.sha256(ACME.encode()).hexdigest()
    for path in ("/credentials/checkout", "/credentials?limit=500"):
        answer = admin.get(API + path)
        assert answer.status == 200
        assert digest.encode() not in answer.raw
        assert b"sha256" not in answer.raw
    spec = admin.get(f"{API}/credentials/leaver").body["spec"]
    assert spec["principal"] == "leaver"
    assert len(spec["keys"]) == 1
    assert set(spec["keys"][0]) == {"expiresAt"}


def test_a_resource_that_cannot_be_used_says_why(platform: Platform, admin: Client) -> None:
    lost, secret = platform.name("lost"), "f" * 63 + "Z"
    platform.installation.put("Subscription", "acme", lost, {"topic": "not-there"})
    platform.installation.put("Credential", "acme", lost, {"principal": "x", "keys": [{"sha256": "f" * 64}]})
    with platform.installation._database() as database:
        database.execute("UPDATE mq_instance SET revision = revision + 1")
        database.execute(
            "UPDATE mq_resources SET revision = (SELECT revision FROM mq_instance),"
            " spec = jsonb_set(spec, '{keys,0,sha256}', to_jsonb(%s::text)) WHERE kind = 'Credential' AND name = %s",
            (secret, lost),
        )

    def condition(plural: str) -> Any:
        answer = admin.get(f"{API}/{plural}/{lost}")
        return answer.status == 200 and answer.body["status"]["conditions"][0]

    eventually(lambda: condition("credentials") and condition("credentials")["status"] == "False", "the change", 5)
    assert condition("subscriptions")["message"] == "its topic 'not-there' is not in the catalog"
    assert secret.encode() not in admin.get(f"{API}/credentials/{lost}").raw
    before = admin.get(f"{API}/subscriptions/{lost}").headers["etag"]
    platform.installation.topic("acme", "not-there")
    eventually(lambda: condition("subscriptions")["status"] == "True", "the topic", 5)
    assert admin.get(f"{API}/subscriptions/{lost}").headers["etag"] != before
    for kind, name in (("Subscription", lost), ("Credential", lost), ("Topic", "not-there")):
        platform.installation.delete(kind, "acme", name)


# Who sees what


def test_what_belongs_to_another_tenant_is_answered_like_nothing(platform: Platform, admin: Client) -> None:
    stranger = platform.client.with_key(GLOBEX_ADMIN)
    missing = str(uuid4())
    for plural, name, uid in of_each_kind(platform):
        for known, unknown in ((name, "nowhere"), (uid, missing)):
            found, absent = (stranger.get(f"{API}/{plural}/{one}") for one in (known, unknown))
            assert found.status == absent.status == 404
            assert found.raw == absent.raw.replace(unknown.encode(), known.encode())
            differing = {"content-length", "date"}
            assert {k: v for k, v in found.headers.items() if k not in differing} == {
                k: v for k, v in absent.headers.items() if k not in differing
            }
    for plural in ("topics", "queues", "subscriptions", "handlers"):
        assert names(stranger, f"/{plural}?limit=500") == []
    assert set(names(stranger, "/credentials")) == {"checkout", "admin"}
    assert names(stranger, "/tenants") == ["globex"]


def test_sources_and_all_tenants_are_the_systems_to_see(platform: Platform, admin: Client) -> None:
    system = platform.client.with_key(SYSTEM_ADMIN)
    assert names(system, "/tenants") == ["acme", "globex", "system"]
    assert names(system, "/sources") == ["shops"]
    assert system.get(f"{API}/sources/shops").body["spec"]["path"] == "shops"
    for who in (admin, platform.client.with_key(SYSTEM_ADMIN, tenant="acme")):
        assert names(who, "/tenants") == ["acme"]
        assert names(who, "/sources") == []
        assert who.get(f"{API}/sources/shops").status == 404


def test_a_principal_of_the_system_chooses_whose_things_it_sees(platform: Platform, admin: Client) -> None:
    system = platform.client.with_key(SYSTEM_ADMIN)
    assert names(system, "/queues") == []
    assert names(replace_tenant(system, "acme"), "/queues?limit=500") == names(admin, "/queues?limit=500")
    assert replace_tenant(admin, "globex").get(f"{API}/queues").status == 403
    assert replace_tenant(system, "nobody").get(f"{API}/queues").status == 404


def replace_tenant(client: Client, tenant: str) -> Client:
    return client.with_key(client.key, tenant=tenant)


@pytest.mark.parametrize("role", ["viewer", "planner", "deployer", "admin"])
def test_these_roles_read(platform: Platform, role: str) -> None:
    key = platform.name("key")
    platform.installation.credential("acme", key, key, roles=[role])
    client = platform.client.with_key(key)
    eventually(lambda: client.get(f"{API}/topics").status == 200, "the credential", 5)
    assert client.publish(platform.untouched, {"payload": 1}).status == 403
    assert client.post(f"/subscriptions/{platform.untouched}/pull").status == 403


@pytest.mark.parametrize("plural", PLURALS)
def test_others_do_not(platform: Platform, plural: str) -> None:
    for key in (ACME, PUBLISHER, SYSTEM):
        for path in (f"/{plural}", f"/{plural}/acme", f"/{plural}/none"):
            answer = platform.client.with_key(key).get(API + path)
            assert (answer.status, answer.code) == (403, "FORBIDDEN")
    for stranger in (NOT_A_KEY, None):
        assert platform.client.with_key(stranger).get(f"{API}/{plural}").status == 401


# Lists


@pytest.fixture(scope="module")
def listed(platform: Platform, admin: Client) -> list[str]:
    """Handlers in the order in which they were made, which is not that of their names; every second is of team a."""
    made = [f"list-{letter}" for letter in "dbeac"]
    for index, name in enumerate(made):
        platform.installation.handler("acme", name, "https://acme.example/")
        platform.installation.label("Handler", "acme", name, team="ab"[index % 2], list="yes")
    eventually(lambda: len(names(admin, "/handlers?labelSelector=list=yes")) == 5, "the handlers", 5)
    return made


@pytest.mark.parametrize("sort", ["name", "-name", "createdAt", "-createdAt", "updatedAt", "-updatedAt"])
@pytest.mark.parametrize("limit", [1, 2, 5, 500])
def test_pages_together_are_the_whole_list_in_order(admin: Client, listed: list[str], sort: str, limit: int) -> None:
    expected = sorted(listed) if sort.endswith("name") else listed
    if sort.startswith("-"):
        expected = expected[::-1]
    path = f"/handlers?labelSelector=list=yes&sort={sort}&limit={limit}"
    found, cursor, pages = list[str](), "", 0
    while cursor is not None:
        answer = admin.get(API + path + (f"&cursor={cursor}" if cursor else ""))
        assert answer.status == 200
        page = [item["name"] for item in answer.body["items"]]
        assert 0 < len(page) <= limit
        found, cursor, pages = found + page, answer.body["cursor"], pages + 1
    assert found == expected
    assert pages == -(-len(expected) // limit)


def test_a_page_goes_on_where_the_last_one_ended_whatever_went_away(platform: Platform, admin: Client) -> None:
    prefix = platform.name("gone")
    for letter in "abcd":
        platform.installation.handler("acme", f"{prefix}-{letter}", "https://acme.example/")
        platform.installation.label("Handler", "acme", f"{prefix}-{letter}", gone="yes")
    path = "/handlers?labelSelector=gone=yes&limit=2"
    eventually(lambda: len(names(admin, "/handlers?labelSelector=gone=yes")) == 4, "the handlers", 5)
    cursor = admin.get(API + path).body["cursor"]
    for letter in "ab":
        platform.installation.delete("Handler", "acme", f"{prefix}-{letter}")
    eventually(lambda: len(names(admin, "/handlers?labelSelector=gone=yes")) == 2, "the deletes", 5)
    assert names(admin, f"{path}&cursor={cursor}") == [f"{prefix}-c", f"{prefix}-d"]


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("team=a", "cde"),
        ("team=b", "ab"),
        ("team==b", "ab"),
        ("team!=a", "ab"),
        ("team!=none", "abcde"),
        ("team!=a,team!=b", ""),
        ("team=none", ""),
        ("none=a", ""),
    ],
)
def test_labels_select(admin: Client, listed: list[str], selector: str, expected: str) -> None:
    found = names(admin, f"/handlers?labelSelector=list=yes,{selector}")
    assert found == [f"list-{letter}" for letter in expected]


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("limit=ten", "limit"),
        ("limit=1&limit=2", "limit"),
        ("sort=colour", "sort"),
        ("cursor=x", "cursor"),
        ("cursor=%FF%00", "cursor"),
        ("cursor=WzFd", "cursor"),
        ("labelSelector=team", "labelSelector"),
        ("labelSelector=!=a", "labelSelector"),
        ("colour=red", "colour"),
    ],
)
def test_what_a_list_cannot_be_asked_is_named(admin: Client, query: str, word: str) -> None:
    answer = admin.get(f"{API}/handlers?{query}")
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
    assert word in answer.body["message"]


def test_a_cursor_is_for_the_order_it_was_made_in(admin: Client, listed: list[str]) -> None:
    cursor = admin.get(f"{API}/handlers?limit=1").body["cursor"]
    for sort in ("-name", "createdAt"):
        assert admin.get(f"{API}/handlers?limit=1&sort={sort}&cursor={cursor}").status == 400


def test_one_resource_takes_no_parameters(platform: Platform, admin: Client) -> None:
    assert admin.get(f"{API}/topics/{platform.untouched}?limit=1").status == 400


# Tags


def test_what_has_not_changed_is_not_sent_again(platform: Platform, admin: Client) -> None:
    topic, _ = platform.topic_with_reader()
    path = f"{API}/topics/{topic}"
    tag = admin.get(path).headers["etag"]
    for known in (tag, f'"other", {tag}', f"W/{tag}", "*"):
        again = admin.get(path, **{"If-None-Match": known})
        assert (again.status, again.raw, again.headers["etag"]) == (304, b"", tag)
    assert admin.get(path, **{"If-None-Match": '"other"'}).status == 200
    platform.installation.label("Topic", "acme", topic, team="a")
    eventually(lambda: admin.get(path, **{"If-None-Match": tag}).status == 200, "the label", 5)
    assert admin.get(path).body["labels"] == {"team": "a"}


def test_a_tag_does_not_tell_what_may_not_be_seen(platform: Platform, admin: Client) -> None:
    path = f"{API}/topics/{platform.untouched}"
    tag = admin.get(path).headers["etag"]
    stranger = platform.client.with_key(GLOBEX_ADMIN)
    for known in (tag, "*"):
        assert stranger.get(path, **{"If-None-Match": known}).status == 404


def test_many_who_look_at_once_while_postgresql_hangs_wait_once_and_not_in_turn(
    platform: Platform, admin: Client
) -> None:
    topic, _ = platform.topic_with_reader()
    with platform.installation._database() as database, ThreadPoolExecutor(6) as many:
        database.execute("LOCK TABLE mq_conditions IN ACCESS EXCLUSIVE MODE")
        started = time.monotonic()
        answers = list(many.map(lambda _: admin.get(f"{API}/topics/{topic}"), range(6)))
        took_seconds = time.monotonic() - started
    assert {answer.status for answer in answers} == {200}
    assert {one["status"] for answer in answers for one in answer.body["status"]["conditions"]} == {"Unknown"}
    assert took_seconds < 8
    eventually(
        lambda: admin.get(f"{API}/topics/{topic}").body["status"]["conditions"][0]["status"] == "True", "the table", 10
    )
