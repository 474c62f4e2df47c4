"""Public topics of other tenants: read through subscriptions and looked at, and nothing beyond that."""

from uuid import uuid4

import pytest
from api_platform import SYSTEM, Platform
from served import API, Answer
from waiting import eventually

LONGER = {"ackIds": ["x"], "leaseMs": 30_000}


def public(platform: Platform, word: str = "news") -> tuple[str, str]:
    """Name and uid of a new public topic of acme."""
    name = platform.name(word)
    uid = platform.installation.topic("acme", name, public=True, consumers=["billing"])
    platform.wait_for_topic(name)
    return name, uid


def look(platform: Platform, name: str, query: str = "?topicTenant=acme") -> Answer:
    return platform.globex.get(f"{API}/topics/{name}/messages{query}")


def test_a_public_topic_is_looked_at_by_name_and_by_uid(platform: Platform) -> None:
    name, uid = public(platform)
    sent = platform.acme.publish(name, {"payload": "news"})
    message_id = sent.body["messageIds"][0]
    for known_as in (name, uid):
        [message] = look(platform, known_as).body["messages"]
        assert (message["payload"], message["topic"]) == ("news", f"acme/{name}")
        one = platform.globex.get(f"{API}/topics/{known_as}/messages/{message_id}?topicTenant=acme")
        assert (one.body["payload"], one.body["topic"]) == ("news", f"acme/{name}")
    cursor = look(platform, name).body["cursor"]
    assert look(platform, name, f"?topicTenant=acme&after={cursor}").body["messages"] == []


def test_what_is_not_public_cannot_be_told_from_nothing(platform: Platform) -> None:
    topic, _ = platform.topic_with_reader()
    queue = platform.queue()
    system = platform.client.with_key(SYSTEM, "acme")
    absent = "z" * len(topic)
    names = [topic, queue, platform.installation.uid("Topic", "acme", topic)]
    assert system.get(f"{API}/topics/{topic}/messages").status == 200
    for name in names:
        nothing = str(uuid4()) if len(name) == 36 else "z" * len(name)
        for path, query in (("", "?topicTenant=acme"), (f"/{uuid4()}", "?topicTenant=acme")):
            answers = [
                platform.globex.get(f"{API}/topics/{known_as}/messages{path}{query}") for known_as in (name, nothing)
            ]
            told = [answer.raw.decode().replace(it, "#") for answer, it in zip(answers, (name, nothing), strict=True)]
            assert told[0] == told[1]
            assert answers[0].code == "TOPIC_NOT_FOUND"
    for tenant in ("acme", "nobody"):
        answer = look(platform, absent, f"?topicTenant={tenant}")
        assert (answer.status, answer.code) == (404, "TOPIC_NOT_FOUND")


def test_without_the_parameter_it_is_a_topic_of_ones_own(platform: Platform) -> None:
    name, _ = public(platform)
    assert look(platform, name, "").code == "TOPIC_NOT_FOUND"
    own = platform.acme.get(f"{API}/topics/{name}/messages?topicTenant=acme")
    assert own.code == "FORBIDDEN"  # the tenant's own consumers are still named
    assert look(platform, name, "?topicTenant=acme&topicTenant=acme").code == "INVALID_REQUEST"


def test_nothing_is_published_to_anothers_topic(platform: Platform) -> None:
    name, uid = public(platform)
    platform.installation.topic("globex", name)
    globex = platform.globex
    eventually(lambda: globex.get(f"{API}/topics/{name}/messages").status == 200, "globex's own", 5)
    for query in ("?topicTenant=acme", "?topicTenant=globex", "?x=1"):
        answer = globex.send("POST", f"{API}/topics/{name}/publish{query}", {"payload": 1})
        assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
    for path in ("/publish", "/publish/batch", "/publish/delayed", "/publish/scheduled"):
        assert globex.post(f"{path}?topicTenant=acme", {"topic": name, "payload": 1}).status == 400
    assert globex.publish(uid, {"payload": 1}).code == "TOPIC_NOT_FOUND"
    assert globex.publish(f"acme%2F{name}", {"payload": 1}).status == 404
    assert look(platform, name).body["messages"] == []
    assert globex.get(f"{API}/topics/{name}/messages").body["messages"] == []


def test_a_topic_that_is_public_no_more_is_gone(platform: Platform) -> None:
    name, _ = public(platform)
    assert look(platform, name).status == 200
    platform.installation.topic("acme", name, public=False)
    eventually(lambda: look(platform, name).status == 404, "the change", 5)


def test_the_role_is_needed_and_the_limit_of_a_credential_holds(platform: Platform) -> None:
    name, _ = public(platform)
    publisher, limited, wide = (platform.name(word) for word in ("publisher", "limited", "wide"))
    platform.installation.credential("globex", publisher, publisher, roles=["publisher"])
    platform.installation.credential("globex", limited, limited, topics=["news-*"])
    platform.installation.credential("globex", wide, wide, topics=["acme/news-*"])
    path = f"{API}/topics/{name}/messages?topicTenant=acme"
    eventually(lambda: platform.client.with_key(wide).get(path).status == 200, "the credentials", 5)
    assert platform.client.with_key(publisher).get(path).code == "FORBIDDEN"
    assert platform.client.with_key(limited).get(path).code == "TOPIC_NOT_FOUND"


@pytest.mark.parametrize("query", ["?topicTenant=acme", "?x=1"])
def test_queues_are_never_public(platform: Platform, query: str) -> None:
    queue = platform.queue()
    assert platform.globex.get(f"{API}/queues/{queue}/messages/{uuid4()}{query}").status == 400


def test_what_takes_and_settles_messages_knows_no_parameters(platform: Platform) -> None:
    _, reader = platform.topic_with_reader()
    for path, body in (("pull", {}), ("ack", {"ackIds": ["x"]}), ("nack", {"ackIds": ["x"]}), ("extend", LONGER)):
        assert platform.acme.post(f"/subscriptions/{reader}/{path}", body).status == 200
        answer = platform.acme.post(f"/subscriptions/{reader}/{path}?topicTenant=globex", body)
        assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
