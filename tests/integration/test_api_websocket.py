"""WebSockets: messages one way, what became of them the other."""

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from api_platform import ACME, GLOBEX, PUBLISHER, Platform
from served import API, served
from waiting import eventually
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from mqops.api import joined_writes

SOON_SECONDS = 5.0


class Conversation:
    """A client's side."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    def hear(self, seconds: float = SOON_SECONDS) -> dict[str, Any]:
        """The next text. Raises ``TimeoutError``."""
        said: dict[str, Any] = json.loads(self.connection.recv(seconds))
        return said

    def message(self) -> dict[str, Any]:
        said = self.hear()
        assert said["type"] == "message", said
        message: dict[str, Any] = said["message"]
        return message

    def say(self, what: Any) -> None:
        self.connection.send(what if isinstance(what, bytes | str) else json.dumps(what))

    def settle(self, verb: str, *ack_ids: str, **more: Any) -> list[str]:
        self.say({"type": verb, "ackIds": list(ack_ids), **more})
        said = self.hear()
        assert said["type"] == "settled", said
        assert [result["ackId"] for result in said["results"]] == list(ack_ids)
        return [result["status"] for result in said["results"]]

    def hears_nothing(self, seconds: float = 0.4) -> bool:
        with contextlib.suppress(TimeoutError):
            self.hear(seconds)
            return False
        return True

    def closed_with(self) -> int:
        with pytest.raises(ConnectionClosed) as closed:
            self.hear()
        assert closed.value.rcvd is not None
        return closed.value.rcvd.code


@contextlib.contextmanager
def conversing(
    port: int, subscription: str, query: str = "", key: str | None = ACME, plural: str = "subscriptions"
) -> Iterator[Conversation]:
    headers = {"Authorization": f"Bearer {key}"} if key is not None else {}
    url = f"ws://127.0.0.1:{port}{API}/{plural}/{subscription}/stream{query}"
    with connect(url, additional_headers=headers, proxy=None, close_timeout=2) as connection:
        yield Conversation(connection)


def publish(platform: Platform, topic: str, *payloads: Any) -> None:
    messages = [{"payload": payload} for payload in payloads]
    assert platform.acme.publish(topic, {"messages": messages}).status == 200


def test_messages_come_and_are_settled_over_one_connection(platform: Platform) -> None:
    retry = {"maxAttempts": 3, "initialDelay": "10s", "maxDelay": "10s", "jitter": 0}
    topic, subscription = platform.topic_with_reader(reader={"retry": retry, "ackDeadline": "2s"})
    with conversing(platform.client.port, subscription) as client:
        publish(platform, topic, "a", "b")
        a, b = client.message(), client.message()
        assert (a["payload"], b["payload"], a["attempt"]) == ("a", "b", 1)
        assert client.settle("ack", a["ackId"], a["ackId"], "x") == ["acked", "lost", "invalid"]
        assert client.settle("extend", b["ackId"], leaseMs=20_000) == ["extended"]
        assert client.settle("nack", b["ackId"], delayMs=0) == ["nacked"]
        again = client.message()
        assert (again["payload"], again["attempt"]) == ("b", 2)
        assert platform.acme.settle("ack", subscription, again["ackId"]) == ["acked"]
    assert platform.acme.pull(subscription) == []


def test_a_message_comes_at_once(platform: Platform) -> None:
    queue = platform.queue()
    with conversing(platform.client.port, queue, plural="queues") as client:
        time.sleep(0.2)
        for number in range(5):
            started = time.monotonic()
            platform.acme.post(f"/queues/{queue}/publish", {"payload": number})
            assert client.message()["payload"] == number
            assert time.monotonic() - started < 0.5


def test_no_more_are_out_than_agreed(platform: Platform, tmp_path: Path) -> None:
    topic, subscription = platform.topic_with_reader(partitions=2)
    installation = platform.installation
    publish(platform, topic, *range(10))
    with (
        served(installation.database_url, installation.redis_url, tmp_path, installation.id) as other,
        conversing(platform.client.port, subscription, "?maxUnacked=3") as client,
    ):
        held = [client.message() for _ in range(3)]
        assert client.hears_nothing()
        assert client.settle("ack", held[0]["ackId"]) == ["acked"]
        held.append(client.message())
        assert client.hears_nothing()
        assert other.with_key(ACME).settle("ack", subscription, held[1]["ackId"]) == ["acked"]
        client.message()
        assert client.hears_nothing()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("hello", "SERIALIZATION_ERROR"),
        (b"\x00\x01", "SERIALIZATION_ERROR"),
        ("[" * 5_000, "INVALID_REQUEST"),
        ({"ackIds": ["x"]}, "INVALID_REQUEST"),
        ({"type": "steal", "ackIds": ["x"]}, "INVALID_REQUEST"),
        ({"type": "ack", "ackIds": []}, "INVALID_REQUEST"),
        ({"type": "ack", "ackIds": ["x"], "delayMs": 1}, "INVALID_REQUEST"),
        ({"type": "nack", "ackIds": ["x"], "delayMs": -1}, "INVALID_REQUEST"),
        ({"type": "extend", "ackIds": ["x"], "leaseMs": 1}, "INVALID_REQUEST"),
    ],
)
def test_a_wrong_text_is_answered_and_the_conversation_goes_on(platform: Platform, text: Any, code: str) -> None:
    with conversing(platform.client.port, platform.untouched) as client:
        client.say(text)
        said = client.hear()
        assert (said["type"], said["code"]) == ("error", code)
        assert client.settle("ack", "x") == ["invalid"]


@pytest.mark.parametrize(
    ("key", "query", "code", "closed_with"),
    [
        (None, "", "UNAUTHENTICATED", 4401),
        ("no-key", "", "UNAUTHENTICATED", 4401),
        (PUBLISHER, "", "FORBIDDEN", 4403),
        (GLOBEX, "", "SUBSCRIPTION_NOT_FOUND", 4404),
        (ACME, "?maxUnacked=0", "INVALID_REQUEST", 4400),
    ],
)
def test_who_is_refused_is_told_why(
    platform: Platform, key: str | None, query: str, code: str, closed_with: int
) -> None:
    with conversing(platform.client.port, platform.untouched, query, key) as client:
        said = client.hear()
        assert (said["type"], said["code"]) == ("error", code)
        assert client.closed_with() == closed_with


def test_where_nothing_is_said_the_refusal_says_so(platform: Platform) -> None:
    for path, code in (("nothing-here", 4404), (f"subscriptions/{platform.untouched}/pull", 4405)):
        url = f"ws://127.0.0.1:{platform.client.port}{API}/{path}"
        with connect(url, proxy=None) as connection:
            client = Conversation(connection)
            assert client.hear()["type"] == "error"
            assert client.closed_with() == code


def test_another_tenants_subscription_is_refused_like_none(platform: Platform) -> None:
    said = []
    for name in (platform.untouched, "z" * len(platform.untouched)):
        with conversing(platform.client.port, name, key=GLOBEX) as client:
            said.append(json.dumps(client.hear()).replace(name, "NAME"))
    assert said[0] == said[1]


def test_a_pause_ends_the_conversation_and_so_does_its_time(platform: Platform) -> None:
    topic, subscription = platform.topic_with_reader()
    with conversing(platform.client.port, subscription, "?forMs=300") as client:
        assert client.closed_with() == 1000
    with conversing(platform.client.port, subscription) as client:
        time.sleep(0.2)
        platform.installation.put("Subscription", "acme", subscription, {"topic": topic, "state": "paused"})
        assert client.hear()["code"] == "CONFLICT"
        assert client.closed_with() == 4409


def test_a_key_that_was_revoked_settles_nothing_and_is_told_so_once(platform: Platform) -> None:
    """It was told without end: who asks was looked up before anything had been said."""
    topic, subscription = platform.topic_with_reader()
    platform.installation.credential("acme", "leaver-who-talks", "key-of-a-talker")
    talker = platform.client.with_key("key-of-a-talker")
    eventually(lambda: talker.post(f"/subscriptions/{subscription}/pull").status == 200, "the credential", 5)
    with conversing(platform.client.port, subscription, key="key-of-a-talker") as client:
        publish(platform, topic, 1)
        message = client.message()
        platform.installation.delete("Credential", "acme", "leaver-who-talks")
        eventually(lambda: talker.post(f"/subscriptions/{subscription}/pull").status == 401, "the revocation", 5)
        client.say({"type": "ack", "ackIds": [message["ackId"]]})
        assert client.hear()["code"] == "UNAUTHENTICATED"
        assert client.hears_nothing()
        publish(platform, topic, 2)
        assert client.hear()["code"] == "UNAUTHENTICATED"
        assert client.closed_with() == 4401
    assert platform.acme.settle("ack", subscription, message["ackId"]) == ["acked"]


def test_a_pause_ends_a_conversation_that_never_runs_dry(platform: Platform) -> None:
    topic, subscription = platform.topic_with_reader(maxBacklog=None)
    publish(platform, topic, *range(100))
    with conversing(platform.client.port, subscription, "?maxUnacked=1") as client:
        held = client.message()
        platform.installation.put("Subscription", "acme", subscription, {"topic": topic, "state": "paused"})
        pull = f"/subscriptions/{subscription}/pull"
        eventually(lambda: platform.acme.post(pull).status == 409, "the pause", 5)
        client.say({"type": "ack", "ackIds": [held["ackId"]]})
        assert [client.hear()["type"], client.hear()["type"]] == ["settled", "error"]
        assert client.closed_with() == 4409


def test_a_client_that_went_away_takes_nothing_with_it(platform: Platform) -> None:
    topic, subscription = platform.topic_with_reader()
    for _ in range(5):
        with conversing(platform.client.port, subscription):
            time.sleep(0.05)
    time.sleep(0.2)
    publish(platform, topic, 1)
    [message] = platform.acme.pull(subscription)
    assert message["attempt"] == 1


def test_a_server_that_stops_says_so(platform: Platform, tmp_path: Path) -> None:
    installation = platform.installation
    _, subscription = platform.topic_with_reader()
    with contextlib.ExitStack() as stack:
        with served(installation.database_url, installation.redis_url, tmp_path, installation.id) as other:
            client = stack.enter_context(conversing(other.port, subscription))
            assert client.settle("ack", "x") == ["invalid"]
            started = time.monotonic()
        assert time.monotonic() - started < 5
        assert client.closed_with() == 1012


def test_a_conversation_outlives_the_idle_time_of_connections(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The timer of the HTTP connection that it began as closed it."""
    made = joined_writes.JoinedWritesProtocol.connection_made

    def impatient(self: Any, transport: Any) -> None:
        self.timeout_keep_alive = 0.3
        made(self, transport)

    monkeypatch.setattr(joined_writes.JoinedWritesProtocol, "connection_made", impatient)
    topic, subscription = platform.topic_with_reader()
    with conversing(platform.client.port, subscription) as client:
        time.sleep(2.0)
        publish(platform, topic, 1)
        assert client.message()["payload"] == 1
