"""Dead letters that are redriven and discarded: where they go, who hears of it, and what counts as unfinished."""

import time
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from api_platform import ADMIN, Platform
from failing import ONCE, act, backlog, counts, fail, failed, letters, payloads
from managing import made
from pydantic import TypeAdapter, ValidationError
from redis import Redis
from served import API
from waiting import eventually

from mqops.lua import load_script
from mqops.model import TopicSpec
from mqops.streams import REMEMBERED_MS


def test_redriving_hands_it_to_the_subscription_that_failed_and_to_nobody_else(platform: Platform) -> None:
    topic, reader = failed(platform, "a", "b")
    other = platform.name("reader")
    platform.installation.subscription("acme", other, topic=topic, deadLetter=f"{topic}.deadletter")
    platform.wait_for_subscription(other)
    seen = platform.acme.pull(other)
    assert platform.acme.settle("ack", other, *(message["ackId"] for message in seen)) == ["acked"] * 2
    before = letters(platform.acme, reader)
    assert counts(act(platform.acme, reader, "redrive", all=True, dryRun=True)) == (2, 0)
    assert (letters(platform.acme, reader), backlog(platform, reader)) == (before, 0)
    assert counts(act(platform.acme, reader, "redrive", all=True)) == (2, 0)
    assert (letters(platform.acme, reader), backlog(platform, reader)) == ([], 2)
    again = platform.acme.pull(reader)
    assert sorted(payloads(again)) == ["a", "b"]
    assert {message["id"] for message in again} == {letter["deadLetter"]["messageId"] for letter in before}
    assert {message["offset"] for message in again} == {1, 2}
    assert {message["attempt"] for message in again} == {1}
    assert platform.acme.pull(other) == []
    assert backlog(platform, other) == 0
    assert platform.acme.settle("ack", reader, *(message["ackId"] for message in again)) == ["acked"] * 2
    assert backlog(platform, reader) == 0


def test_what_fails_again_keeps_saying_where_it_came_from(platform: Platform) -> None:
    _, reader = failed(platform, 1)
    [first] = letters(platform.acme, reader)
    assert counts(act(platform.acme, reader, "redrive", ids=[first["id"]])) == (1, 0)
    [pulled] = platform.acme.pull(reader)
    assert platform.acme.settle("nack", reader, pulled["ackId"]) == ["dead_lettered"]
    [second] = letters(platform.acme, reader)
    assert second["id"] != first["id"]
    for letter in (first, second):
        del letter["deadLetter"]["failedAt"]
    assert second["deadLetter"] == {**first["deadLetter"], "redrives": 1}


def test_redriving_goes_by_ids_by_filter_and_up_to_a_number(platform: Platform) -> None:
    topic, reader = platform.topic_with_reader(reader=ONCE)
    fail(platform, topic, reader, *({"payload": n, "key": f"k{n}"} for n in range(5)))
    chosen = letters(platform.acme, reader)[1]["id"]
    nobodys = str(uuid4())
    answer = act(platform.acme, reader, "redrive", ids=[chosen, nobodys, "x"])
    assert counts(answer) == (1, 2)
    assert [(one["id"], one["code"]) for one in answer.body["skipped"]] == [(nobodys, "NOT_FOUND"), ("x", "NOT_FOUND")]
    assert counts(act(platform.acme, reader, "redrive", filter={"key": "k3"})) == (1, 0)
    answer = act(platform.acme, reader, "redrive", all=True, max=2)
    assert counts(answer) == (2, 0)
    assert payloads(letters(platform.acme, reader)) == [4]
    assert counts(act(platform.acme, reader, "redrive", all=True, cursor=answer.body["cursor"])) == (1, 0)
    assert sorted(payloads(platform.acme.pull(reader))) == [0, 1, 2, 3, 4]


def test_what_fails_meanwhile_is_not_redriven_by_the_same_look(platform: Platform) -> None:
    """Or redriving what always fails would never end."""
    _, reader = failed(platform, 1, 2)
    answer = act(platform.acme, reader, "redrive", all=True, max=1)
    [pulled] = platform.acme.pull(reader)
    time.sleep(0.005)
    platform.acme.settle("nack", reader, pulled["ackId"])
    answer = act(platform.acme, reader, "redrive", all=True, cursor=answer.body["cursor"])
    assert (counts(answer), answer.body["cursor"]) == ((1, 0), None)
    assert len(letters(platform.acme, reader)) == 1


@pytest.mark.parametrize("wish", [{}, {"republish": True}], ids=["to the subscription", "republished"])
def test_several_who_redrive_the_same_redrive_each_once(platform: Platform, wish: dict[str, bool]) -> None:
    _, reader = failed(platform, *range(300))
    with ThreadPoolExecutor(3) as together:
        answers = together.map(lambda _: act(platform.acme, reader, "redrive", all=True, **wish), range(3))
        assert sum(counts(answer)[0] for answer in answers) == 300
    assert letters(platform.acme, reader) == []
    pulled = [platform.acme.pull(reader, 100) for _ in range(4)]
    assert sorted(payloads([message for messages in pulled for message in messages])) == list(range(300))


def test_a_rate_is_kept(platform: Platform) -> None:
    _, reader = failed(platform, *range(6))
    started = time.monotonic()
    assert counts(act(platform.acme, reader, "redrive", all=True, ratePerSecond=10)) == (6, 0)
    assert 0.5 <= time.monotonic() - started < 3


def test_a_single_one_is_edited(platform: Platform) -> None:
    _, reader = failed(platform, {"total": "ten"})
    [letter] = letters(platform.acme, reader)
    edit = {"payload": {"total": 10}, "headers": {"fixed": "yes"}}
    assert counts(act(platform.acme, reader, "redrive", ids=[letter["id"]], **edit)) == (1, 0)
    [message] = platform.acme.pull(reader)
    assert (message["payload"], message["headers"]) == (edit["payload"], edit["headers"])
    assert message["id"] != letter["deadLetter"]["messageId"]
    assert message["producer"] == "checkout"


def test_republishing_is_for_all_subscriptions_of_the_topic(platform: Platform) -> None:
    topic, reader = failed(platform, 1)
    other = platform.name("reader")
    platform.installation.subscription("acme", other, topic=topic, deadLetter=f"{topic}.deadletter", startFrom="latest")
    platform.wait_for_subscription(other)
    assert counts(act(platform.acme, reader, "redrive", all=True, republish=True)) == (1, 0)
    assert payloads(platform.acme.pull(reader)) == payloads(platform.acme.pull(other)) == [1]
    assert letters(platform.acme, reader) == []


def test_it_goes_to_another_topic(platform: Platform) -> None:
    _, reader = failed(platform, 1)
    elsewhere, at_it = platform.topic_with_reader()
    assert counts(act(platform.acme, reader, "redrive", all=True, toTopic=elsewhere)) == (1, 0)
    assert payloads(platform.acme.pull(at_it)) == [1]
    assert platform.acme.pull(reader) == letters(platform.acme, reader) == []


def test_a_full_topic_takes_no_more_and_what_is_left_stays(platform: Platform) -> None:
    _, reader = failed(platform, 1, 2)
    elsewhere, _ = platform.topic_with_reader(maxBacklog=1)
    answer = act(platform.acme, reader, "redrive", all=True, toTopic=elsewhere)
    assert counts(answer) == (1, 1)
    assert answer.body["skipped"][0]["code"] == "QUOTA_EXCEEDED"
    assert len(letters(platform.acme, reader)) == 1


def test_discarding_is_for_good(platform: Platform) -> None:
    topic, reader = platform.topic_with_reader(reader=ONCE)
    fail(platform, topic, reader, *({"payload": n, "key": f"k{n}"} for n in range(4)))
    assert counts(act(platform.acme, reader, "discard", all=True, dryRun=True)) == (4, 0)
    assert counts(act(platform.acme, reader, "discard", filter={"key": "k0"})) == (1, 0)
    [first, *_] = letters(platform.acme, reader)
    assert counts(act(platform.acme, reader, "discard", ids=[first["id"]])) == (1, 0)
    assert counts(act(platform.acme, reader, "discard", ids=[first["id"]])) == (0, 1)
    assert counts(act(platform.acme, reader, "discard", all=True, max=1)) == (1, 0)
    assert counts(act(platform.acme, reader, "discard", all=True)) == (1, 0)
    assert letters(platform.acme, reader) == platform.acme.pull(reader) == []


def test_whoever_reads_the_dead_letter_topic_is_done_with_what_goes(platform: Platform) -> None:
    """Neither as lost nor as backlog; and what somebody holds is nobody's any more."""
    topic, reader = failed(platform, 1, 2, 3)
    notified = f"{topic}.deadletter"
    [held] = platform.acme.pull(notified, 1)
    assert backlog(platform, notified) == 3
    assert counts(act(platform.acme, reader, "redrive", all=True, max=2)) == (2, 0)
    assert backlog(platform, notified) == 1
    assert platform.acme.settle("ack", notified, held["ackId"]) == ["lost"]
    [last] = platform.acme.pull(notified)
    assert last["payload"] == 3
    assert platform.acme.settle("ack", notified, last["ackId"]) == ["acked"]
    assert backlog(platform, notified) == 0
    assert len(letters(platform.acme, reader)) == 1, "reading it does not finish it"
    installation = platform.installation
    with Redis.from_url(installation.redis_url) as redis:
        uid = installation.uid("Subscription", "acme", notified)
        keys, bucket = installation.keys, installation.bucket("acme")
        assert redis.hget(keys.meta(bucket, uid), "lost") is None
        look = load_script("reconciler.scripts", "look").source
        topic_uid = installation.uid("Topic", "acme", notified)
        [(*_, pending, is_claimed, missing)] = redis.eval(look, 1, keys.epoch(bucket), topic_uid, 0)
        assert (pending, is_claimed, missing) == (0, 1, 0), "what was removed is no drift"


def test_no_letter_is_kept_for_longer_than_its_token() -> None:
    """Or one that was redriven by somebody who died in between would be redriven twice."""
    longest_ms = 3_650 * 86_400_000
    assert TypeAdapter(TopicSpec).validate_python({"retention": "3650d"})
    with pytest.raises(ValidationError):
        TypeAdapter(TopicSpec).validate_python({"retention": "3651d"})
    assert longest_ms < REMEMBERED_MS


def test_what_is_redriven_holds_publishers_back_like_all_that_is_unfinished(platform: Platform) -> None:
    topic, reader = failed(platform, 1, 2, maxBacklog=2)
    assert platform.acme.publish(topic, {"payload": 3}).status == 200
    [pulled] = platform.acme.pull(reader)
    assert platform.acme.settle("ack", reader, pulled["ackId"]) == ["acked"]
    assert counts(act(platform.acme, reader, "redrive", all=True)) == (2, 0)
    answer = platform.acme.publish(topic, {"payload": 4})
    assert (answer.status, answer.code) == (429, "QUOTA_EXCEEDED")


def test_whoever_waits_for_messages_gets_what_is_redriven_at_once(platform: Platform) -> None:
    _, reader = failed(platform, 1)
    waiting = ThreadPoolExecutor(1)
    with waiting:
        path = f"/subscriptions/{reader}/pull"
        pulled = waiting.submit(lambda: platform.acme.post(path, {"maxMessages": 1, "waitMs": 10_000}))
        time.sleep(0.2)
        started = time.monotonic()
        assert counts(act(platform.acme, reader, "redrive", all=True)) == (1, 0)
        assert payloads(pulled.result(10).body["messages"]) == [1]
    assert time.monotonic() - started < 5


def test_what_is_redriven_is_purged_with_the_rest(platform: Platform) -> None:
    queue = platform.queue(maxAttempts=1)
    assert platform.acme.post(f"/queues/{queue}/publish", {"payload": 1}).status == 200
    [pulled] = platform.acme.pull(queue)
    assert platform.acme.settle("nack", queue, pulled["ackId"]) == ["dead_lettered"]
    assert counts(act(platform.acme, queue, "redrive", all=True)) == (1, 0)
    admin = platform.client.with_key(ADMIN)
    assert admin.post(f"/queues/{queue}/purge").body["purged"] == 1
    assert platform.acme.pull(queue) == letters(platform.acme, queue) == []
    assert backlog(platform, queue) == 0


def test_deleting_is_told_how_many_are_unfinished(platform: Platform) -> None:
    """Until they are redriven or discarded, whoever has read them."""
    admin = platform.client.with_key(ADMIN)
    queue = made(platform, admin, "queues", maxAttempts=1)
    assert (
        platform.acme.post(f"/queues/{queue}/publish", {"messages": [{"payload": n} for n in range(3)]}).status == 200
    )
    ids = [message["ackId"] for message in platform.acme.pull(queue)]
    assert platform.acme.settle("nack", queue, *ids) == ["dead_lettered"] * 3

    def unfinished() -> dict[str, int]:
        plan = admin.send("DELETE", f"{API}/queues/{queue}?dryRun=true").body
        return {
            change["name"]: change["cost"]["unfinished"]
            for change in plan["resource_changes"] + plan["refused"]
            if change["kind"] in ("Topic", "Queue")
        }

    assert unfinished() == {queue: 0, f"{queue}.deadletter": 3}
    assert counts(act(platform.acme, queue, "discard", all=True, max=1)) == (1, 0)
    assert unfinished() == {queue: 0, f"{queue}.deadletter": 2}
    assert counts(act(platform.acme, queue, "redrive", all=True, max=1)) == (1, 0)
    assert unfinished() == {queue: 1, f"{queue}.deadletter": 1}


def test_of_a_foreign_topic_they_are_the_subscribers(platform: Platform) -> None:
    """The letter is in the subscriber's bucket, what is redriven in the topic's: the owner notices nothing."""
    installation = platform.installation
    topic, own = platform.topic_with_reader(public=True, maxBacklog=1)
    reader = platform.name("foreign")
    installation.topic("globex", f"{reader}.letters", maxBacklog=None)
    spec = {"topic": f"acme/{topic}", "deadLetter": f"{reader}.letters", **ONCE}
    installation.subscription("globex", reader, **spec)
    platform.wait_for_subscription(reader, "globex")
    assert platform.acme.publish(topic, {"payload": 1}).status == 200
    [held] = platform.acme.pull(own)
    assert platform.acme.settle("ack", own, held["ackId"]) == ["acked"]
    [pulled] = platform.globex.pull(reader)
    assert platform.globex.settle("nack", reader, pulled["ackId"]) == ["dead_lettered"]
    assert platform.acme.get(f"{API}/subscriptions/{reader}/deadletters").status == 404
    refused = act(platform.globex, reader, "redrive", all=True, republish=True)
    assert [one["code"] for one in refused.body["skipped"]] == ["TOPIC_NOT_FOUND"]
    assert counts(act(platform.globex, reader, "redrive", all=True)) == (1, 0)
    assert platform.acme.publish(topic, {"payload": 2}).status == 200, "it holds no publisher back"
    assert sorted(payloads(platform.globex.pull(reader))) == [1, 2]
    assert payloads(platform.acme.pull(own)) == [2]
    looked = platform.acme.get(f"{API}/topics/{topic}/messages").body["messages"]
    assert payloads(looked) == [1, 2]


def test_one_whose_subscription_is_gone_stays_until_it_is_sent_elsewhere(platform: Platform) -> None:
    topic, reader = failed(platform, 1)
    platform.installation.delete("Subscription", "acme", reader)
    path = f"/topics/{topic}.deadletter/deadletters/redrive"
    gone = f"{API}/subscriptions/{reader}/deadletters"
    eventually(lambda: platform.acme.get(gone).status == 404, "the subscription to be gone", 5)
    answer = platform.acme.post(path, {"all": True})
    assert [one["code"] for one in answer.body["skipped"]] == ["SUBSCRIPTION_NOT_FOUND"]
    elsewhere, at_it = platform.topic_with_reader()
    assert counts(platform.acme.post(path, {"all": True, "toTopic": elsewhere})) == (1, 0)
    assert payloads(platform.acme.pull(at_it)) == [1]
