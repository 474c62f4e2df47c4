"""Pausing and resuming a subscription over HTTP: an operator's word, whoever owns the configuration."""

import json
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from api_platform import ACME, ADMIN, GLOBEX_ADMIN, Platform
from commands import MQOPS, environment
from served import API, Client
from waiting import eventually

from mqops.runtime import consumed


@pytest.fixture(scope="module")
def admin(platform: Platform) -> Client:
    return platform.client.with_key(ADMIN)


@contextmanager
def database(platform: Platform) -> Iterator["psycopg.Connection[Any]"]:
    with psycopg.connect(platform.installation.database_url, autocommit=True) as connection:
        yield connection


def published(platform: Platform, **reader: Any) -> tuple[str, str]:
    """A topic with one message, and its reader; both belong to a source."""
    topic, subscription = platform.topic_with_reader(reader=reader)
    assert platform.acme.publish(topic, {"payload": 1}).status == 200
    return topic, subscription


def test_what_a_source_owns_is_paused_by_an_operator_and_resumed(platform: Platform, admin: Client) -> None:
    topic, reader = published(platform)
    path = f"/subscriptions/{reader}"
    before = admin.get(API + path)
    for reason in ("first", "incident 7"):
        paused = admin.post(f"{path}/pause", {"reason": reason})
        override = paused.body["status"]["override"]
        told = {"state": "paused", "by": "acme/admin", "reason": reason, "until": None}
        assert (paused.status, {name: override[name] for name in told}) == (200, told)
    assert {**paused.body, "status": None} == {**before.body, "status": None}  # no change of configuration
    shown = admin.get(API + path)
    assert (shown.body, shown.headers["etag"]) == (paused.body, paused.headers["etag"])
    assert before.headers["etag"] != paused.headers["etag"]
    refused = platform.acme.post(f"{path}/pull")
    assert (refused.code, refused.body["message"]) == ("CONFLICT", f"subscription {reader!r} is paused")
    assert platform.acme.publish(topic, {"payload": 2}).status == 200  # the backlog is kept
    resumed = admin.post(f"{path}/resume")
    assert (resumed.status, resumed.raw, resumed.headers["etag"]) == (200, before.raw, before.headers["etag"])
    assert [message["payload"] for message in platform.acme.pull(reader)] == [1, 2]


def test_a_paused_subscription_still_holds_publishers_to_its_backlog(platform: Platform, admin: Client) -> None:
    topic, reader = platform.topic_with_reader(maxBacklog=2)
    assert admin.post(f"/subscriptions/{reader}/pause").status == 200
    assert [platform.acme.publish(topic, {"payload": n}).status for n in range(3)] == [200, 200, 429]


@pytest.mark.parametrize("until", ["forMs", "expiresAt"])
def test_a_pause_ends_by_itself_when_its_time_is_up(platform: Platform, admin: Client, until: str) -> None:
    _, reader = published(platform)
    path = f"/subscriptions/{reader}"
    end = datetime.now(UTC) + timedelta(seconds=1.5)
    given = 1500 if until == "forMs" else end.isoformat()
    paused = admin.post(f"{path}/pause", {until: given})
    assert abs(datetime.fromisoformat(paused.body["status"]["override"]["until"]) - end) < timedelta(seconds=0.5)
    assert platform.acme.post(f"{path}/pull").code == "CONFLICT"
    time.sleep(max(0.0, (end - datetime.now(UTC)).total_seconds() - 0.3))
    assert platform.acme.post(f"{path}/pull").code == "CONFLICT"
    eventually(lambda: platform.acme.post(f"{path}/pull").status == 200, "the end of the pause", 1.5)
    assert "override" not in admin.get(API + path).body["status"]


def test_the_subscription_of_a_queue_is_paused_under_the_queues_name(platform: Platform, admin: Client) -> None:
    queue = platform.queue()
    assert platform.acme.post(f"/queues/{queue}/publish", {"payload": 1}).status == 200
    assert admin.post(f"/subscriptions/{queue}/pause").status == 200
    assert platform.acme.post(f"/queues/{queue}/pull").code == "CONFLICT"
    assert admin.post(f"/subscriptions/{queue}/resume").status == 200
    assert len(platform.acme.post(f"/queues/{queue}/pull").body["messages"]) == 1


def test_what_is_declared_as_paused_goes_on_when_an_operator_resumes_it(platform: Platform, admin: Client) -> None:
    _, reader = published(platform, state="paused")
    path = f"/subscriptions/{reader}"
    assert platform.acme.post(f"{path}/pull").code == "CONFLICT"
    resumed = admin.post(f"{path}/resume").body
    assert (resumed["spec"]["state"], resumed["status"]["override"]["state"]) == ("paused", "active")
    assert len(platform.acme.pull(reader)) == 1
    assert admin.post(f"{path}/pause").body["status"]["override"]["state"] == "paused"
    assert platform.acme.post(f"{path}/pull").code == "CONFLICT"


def test_a_pause_can_be_bound_to_the_configuration_that_was_seen(platform: Platform, admin: Client) -> None:
    _, reader = published(platform)
    path = f"/subscriptions/{reader}"
    tag = admin.get(API + path).headers["etag"]
    assert admin.post(f"{path}/pause", If_Match=tag).status == 200
    assert admin.post(f"{path}/pause", If_Match=tag).status == 200  # nothing of the configuration has changed
    platform.installation.label("Subscription", "acme", reader, team="checkout")
    eventually(lambda: admin.get(API + path).body["labels"] == {"team": "checkout"}, "the label", 5)
    assert admin.post(f"{path}/resume", If_Match=tag).code == "PRECONDITION_FAILED"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"forMs": 0}, "forMs"),
        ({"forMs": 1, "expiresAt": "2999-01-01T00:00:00Z"}, "leave one out"),
        ({"expiresAt": "2020-01-01T00:00:00Z"}, "a time to come, within a year"),
        ({"expiresAt": "2999-01-01T00:00:00Z"}, "a time to come, within a year"),
        ({"expiresAt": "2030-01-01T00:00:00"}, "expiresAt"),
        ({"reason": "x" * 1001}, "reason"),
        ({"reason": "a\x00"}, "reason"),
        ({"why": "x"}, "why"),
    ],
)
def test_a_pause_that_cannot_be_meant_is_refused(
    platform: Platform, admin: Client, body: dict[str, Any], words: str
) -> None:
    refused = admin.post(f"/subscriptions/{platform.untouched}/pause", body)
    assert refused.status == 400
    assert words in refused.body["message"]
    assert "override" not in admin.get(f"{API}/subscriptions/{platform.untouched}").body["status"]


def test_pausing_takes_the_role_and_the_tenant(platform: Platform, admin: Client) -> None:
    _, reader = platform.topic_with_reader()
    stranger = platform.client.with_key(GLOBEX_ADMIN)
    for verb in ("pause", "resume"):
        path = f"/subscriptions/{reader}/{verb}"
        assert platform.acme.post(path).status == 403
        assert admin.post(f"{path}?dryRun=true").status == 400
        found, absent = stranger.post(path), stranger.post(f"/subscriptions/{'n' * len(reader)}/{verb}")
        assert found.status == 404
        assert found.raw == absent.raw.replace(b"n" * len(reader), reader.encode())
    assert admin.post(f"/subscriptions/{reader}/resume", {"reason": "x"}).status == 400


def test_a_pause_goes_with_the_subscription_that_is_deleted(platform: Platform, admin: Client) -> None:
    topic, name = platform.name("topic"), platform.name("reader")
    assert admin.post("/topics", {"name": topic}).status == 201
    made = admin.post("/subscriptions", {"name": name, "spec": {"topic": topic}})
    assert admin.post(f"/subscriptions/{name}/pause").status == 200
    with database(platform) as connection:
        count = "SELECT count(*) FROM mq_runtime WHERE uid = %s"
        assert connection.execute(count, (made.body["id"],)).fetchone() == (1,)
        assert admin.send("DELETE", f"{API}/subscriptions/{name}").status == 200
        assert connection.execute(count, (made.body["id"],)).fetchone() == (0,)
    again = admin.post("/subscriptions", {"name": name, "spec": {"topic": topic}})
    assert "override" not in again.body["status"]


def test_when_something_was_last_consumed_is_noted_a_few_seconds_later(platform: Platform) -> None:
    _, reader = published(platform)
    uid = platform.installation.uid("Subscription", "acme", reader)
    with database(platform) as connection:

        def noted() -> float:
            found = connection.execute(
                "SELECT extract(epoch FROM last_consumed_at) FROM mq_runtime WHERE uid = %s", (uid,)
            ).fetchone()
            return float(found[0]) if found is not None else 0.0

        [message] = platform.acme.pull(reader)
        assert noted() == 0  # handed out is not consumed
        before = time.time()
        assert platform.acme.settle("ack", reader, message["ackId"]) == ["acked"]
        after = time.time()
        eventually(lambda: noted() > 0, "the note", consumed.FLUSH_SECONDS + 5)
        assert before - 0.01 <= noted() <= after + 0.01


# --- the commands -----------------------------------------------------------------------------------------------------


def mqops(platform: Platform, *arguments: str, key: str = ADMIN) -> "subprocess.CompletedProcess[str]":
    settings = {"MQOPS_URL": f"http://127.0.0.1:{platform.client.port}", "MQOPS_CREDENTIAL": key}
    return subprocess.run(
        [*MQOPS, *arguments], env=environment(**settings), capture_output=True, text=True, timeout=30, check=False
    )


def test_pausing_by_hand_says_until_when_and_how_to_end_it(platform: Platform, admin: Client) -> None:
    _, reader = published(platform)
    paused = mqops(platform, "pause", "subs", f"acme/{reader}", "--reason", "incident 7", "--for", "90m")
    assert (paused.returncode, paused.stderr) == (0, "")
    ending = rf"or `mqops unpause subs acme/{reader}`: it hands nothing out\.\n"
    assert re.fullmatch(rf"Subscription acme/{reader} is paused until \S+Z, {ending}", paused.stdout)
    override = admin.get(f"{API}/subscriptions/{reader}").body["status"]["override"]
    lasting = datetime.fromisoformat(override["until"]) - datetime.fromisoformat(override["since"])
    assert abs(lasting - timedelta(minutes=90)) < timedelta(seconds=2)
    resumed = mqops(platform, "unpause", "subscription", reader, "--tenant", "acme")
    assert (resumed.returncode, resumed.stdout) == (0, f"Subscription acme/{reader} hands out again.\n")
    assert "override" not in admin.get(f"{API}/subscriptions/{reader}").body["status"]


def test_a_queue_is_paused_by_hand_for_good_and_a_declared_pause_is_overruled(platform: Platform) -> None:
    queue = platform.queue()
    paused = mqops(platform, "pause", "queue", f"acme/{queue}")
    assert paused.stdout.startswith(f"Queue acme/{queue} is paused until `mqops unpause queue acme/{queue}`: ")
    assert platform.acme.post(f"/queues/{queue}/pull").code == "CONFLICT"
    _, reader = published(platform, state="paused")
    resumed = mqops(platform, "unpause", "subscription", f"acme/{reader}", "-o", "json")
    assert json.loads(resumed.stdout)["status"]["override"]["by"] == "acme/admin"
    again = mqops(platform, "unpause", "subscription", f"acme/{reader}").stdout
    assert "hands out again, though it is declared as paused" in again


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("pause", "topic", "acme/x"), "a topic hands nothing out: subscriptions and queues are paused"),
        (("pause", "subscription", "x"), "whose Subscription 'x'? Write TENANT/x, or add --tenant"),
        (("unpause", "subscription", "acme/nobody"), "there is no subscription 'nobody' (SUBSCRIPTION_NOT_FOUND)"),
        (("pause", "subscription", "globex/x"), "only principals of the tenant system act for other tenants"),
    ],
)
def test_what_cannot_be_paused_by_hand_is_said(platform: Platform, arguments: tuple[str, ...], words: str) -> None:
    done = mqops(platform, *arguments)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {words}")


@pytest.mark.parametrize("lasting", ["0", "367d", "99999d"])
def test_how_long_a_pause_by_hand_may_last_is_said_in_the_terms_of_the_option(platform: Platform, lasting: str) -> None:
    done = mqops(platform, "pause", "subscription", f"acme/{platform.untouched}", "--for", lasting)
    said = " ".join(done.stderr.replace("│", " ").split())
    assert done.returncode == 2
    assert "Invalid value for --for: a pause lasts 1ms to 366d; without --for, for good" in said


def test_pausing_by_hand_takes_the_role(platform: Platform) -> None:
    done = mqops(platform, "pause", "subscription", f"acme/{platform.untouched}", key=ACME)
    assert (done.returncode, "has none of the roles admin" in done.stderr) == (1, True)
