"""The direct way in for publishes: its answers are those of the application, and it leaves what is not plain to it."""

import json
import re
import socket
from contextlib import closing
from typing import Any

import pytest
from api_platform import ACME, GLOBEX, PUBLISHER, SYSTEM, Platform
from waiting import eventually

from mqops.api import direct
from mqops.api.app import App

BEARER = {"Authorization": f"Bearer {ACME}"}
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
VARYING = (r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f-]{21}", r'"offset":\d+', r"\d{4}-\d\d-\d\dT[\d:.]+Z", r"date: [^\r]+")


@pytest.fixture
def routed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of the publishes that the application answered."""
    paths: list[str] = []

    async def spy(self: App, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"].endswith("/publish"):
            paths.append(scope["path"])
        await super(App, self).__call__(scope, receive, send)

    monkeypatch.setattr(App, "__call__", spy)
    return paths


def connect(platform: Platform) -> socket.socket:
    return socket.create_connection(("127.0.0.1", platform.client.port), 10)


def request(path: str, body: bytes, headers: dict[str, str], *, version: str = "1.1") -> bytes:
    lines = {"Host": "test", "Content-Type": "application/json", "Content-Length": str(len(body)), **headers}
    head = f"POST /api/v1/mq{path} HTTP/{version}\r\n" + "".join(
        f"{name}: {value}\r\n" for name, value in lines.items()
    )
    return head.encode() + b"\r\n" + body


def answer(connection: socket.socket) -> bytes:
    """One whole answer; what is left of it when the server ends the connection."""
    text = b""
    while True:
        text = text.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
        head, end, rest = text.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        if end and length and len(rest) >= int(length[1]):
            return text
        received = connection.recv(65_536)
        if not received:
            return text
        text += received


def asked(platform: Platform, sent: bytes) -> bytes:
    with closing(connect(platform)) as connection:
        connection.sendall(sent)
        return answer(connection)


def comparable(text: bytes) -> str:
    """An answer without what differs from one publish to the next."""
    result = text.decode()
    for pattern in VARYING:
        result = re.sub(pattern, "#", result)
    head, _, body = re.sub(r"content-length: \d+", "content-length: #", result).partition("\r\n\r\n")
    status, *headers = head.split("\r\n")
    return "\n".join([status, *sorted(headers), body])


def one(**fields: Any) -> bytes:
    return json.dumps({"payload": 1, **fields}).encode()


CASES: dict[str, tuple[str, bytes, dict[str, str]]] = {
    "one": ("/topics/{topic}/publish", one(), BEARER),
    "several": ("/topics/{topic}/publish", b'{"messages":[{"payload":1},{"payload":{"a":2}}]}', BEARER),
    "of the body": ("/publish", b'{"topic":"{topic}","payload":1}', BEARER),
    "to a queue": ("/queues/{queue}/publish", one(), BEARER),
    "with all that a message has": (
        "/topics/{topic}/publish",
        one(key="k", headers={"region": "eu"}, timestamp="2026-01-01T00:00:00Z", options={"timeout": 2000}),
        {**BEARER, "Traceparent": TRACEPARENT, "Idempotency-Key": "once"},
    ),
    "another message under the key": ("/topics/{topic}/publish", one(key="j"), {**BEARER, "Idempotency-Key": "once"}),
    "a bad idempotency key": ("/topics/{topic}/publish", one(), {**BEARER, "Idempotency-Key": "é"}),
    "for a tenant": ("/topics/{topic}/publish", one(), {"Authorization": f"Bearer {SYSTEM}", "X-Mqops-Tenant": "acme"}),
    "without a credential": ("/topics/{topic}/publish", one(), {}),
    "with another scheme": ("/topics/{topic}/publish", one(), {"Authorization": "Basic abc"}),
    "of another tenant": ("/topics/{topic}/publish", one(), {"Authorization": f"Bearer {GLOBEX}"}),
    "to nothing": ("/topics/nowhere/publish", one(), BEARER),
    "to a queue that is a topic": ("/queues/{topic}/publish", one(), BEARER),
    "by who may not": ("/topics/{private}/publish", one(), {"Authorization": f"Bearer {PUBLISHER}"}),
    "broken": ("/topics/{topic}/publish", b'{"payload":', BEARER),
    "not UTF-8": ("/topics/{topic}/publish", b'{"payload":"\xff"}', BEARER),
    "empty": ("/topics/{topic}/publish", b"", BEARER),
    "with an unknown field": ("/topics/{topic}/publish", one(colour="red"), BEARER),
    "with a partition that is not there": ("/topics/{topic}/publish", one(partition=9), BEARER),
    "to a topic that is full": ("/topics/{full}/publish", one(), BEARER),
    "some to a topic that gets full": (
        "/topics/{filling}/publish",
        b'{"messages":[{"payload":1},{"payload":2}]}',
        BEARER,
    ),
}


@pytest.fixture(scope="module")
def names(platform: Platform) -> dict[str, str]:
    """Of the topics and queues of the cases."""
    topic, _ = platform.topic_with_reader()
    full, _ = platform.topic_with_reader(maxBacklog=1)
    private = platform.name("private")
    platform.installation.topic("acme", private, producers=["nobody"])
    platform.wait_for_topic(private)
    platform.acme.publish(full, {"payload": 1})
    return {"topic": topic, "full": full, "private": private, "queue": platform.queue()}


def filled(text: str, places: dict[str, str]) -> str:
    for name, value in places.items():
        text = text.replace(f"{{{name}}}", value)
    return text


@pytest.mark.parametrize("case", CASES)
def test_both_ways_in_answer_alike(case: str, platform: Platform, names: dict[str, str], routed: list[str]) -> None:
    path, body, headers = CASES[case]
    answers = []
    for query in ("", "?"):  # a query takes the way through the application
        places = names
        if "{filling}" in path:
            places = {"filling": platform.topic_with_reader(maxBacklog=1)[0]}
        sent = request(filled(path, places) + query, filled(body.decode("latin-1"), places).encode("latin-1"), headers)
        answers.append(comparable(asked(platform, sent)))
        assert len(routed) == len(query)
    direct, application = (re.sub(r"topic-\d+|reader-\d+", "#", text) for text in answers)
    assert direct == application


LEFT_TO_THE_APPLICATION = {
    "chunked": lambda path: (
        request(path, b"", {**BEARER, "Transfer-Encoding": "chunked"}).replace(b"Content-Length: 0\r\n", b"")
        + b'5\r\n{"pay\r\n8\r\nload":1}\r\n0\r\n\r\n'
    ),
    "large": lambda path: request(path, one(key="k", headers={"h": "x" * 30_000}) + b" " * 40_000, BEARER),
    "expecting": lambda path: request(path, one(), {**BEARER, "Expect": "100-continue"}),
    "with a header twice": lambda path: request(path, one(), {**BEARER, "X-A": "1", "x-a": "2"}),
    "of HTTP/1.0": lambda path: request(path, one(), BEARER, version="1.0"),
    "with an escape in its path": lambda path: request(path.replace("-", "%2D"), one(), BEARER),
}


@pytest.mark.parametrize("case", LEFT_TO_THE_APPLICATION)
def test_what_is_not_plain_is_left_to_the_application(
    case: str, platform: Platform, names: dict[str, str], routed: list[str]
) -> None:
    with closing(connect(platform)) as connection:
        connection.sendall(LEFT_TO_THE_APPLICATION[case](f"/topics/{names['topic']}/publish"))
        text = answer(connection)
    assert b" 200 OK" in text.partition(b"\r\n")[0], text
    assert routed


def test_requests_sent_without_waiting_are_answered_in_order(
    platform: Platform, names: dict[str, str], routed: list[str]
) -> None:
    path = f"/topics/{names['topic']}/publish"
    sent = [
        request(path, one(), BEARER),
        request(path, b"{", BEARER),
        request("/topics/nowhere/publish", one(), BEARER),
    ]
    with closing(connect(platform)) as connection:
        connection.sendall(b"".join([*sent, request(path, one(), {**BEARER, "Connection": "close"})]))
        text = b""
        while received := connection.recv(65_536):
            text += received
    assert re.findall(rb"HTTP/1.1 (\d+)", text) == [b"200", b"400", b"404", b"200"]
    assert text.count(b"connection: close") == 1


def test_a_connection_is_used_again_and_closed_when_asked(platform: Platform, names: dict[str, str]) -> None:
    path = f"/topics/{names['topic']}/publish"
    with closing(connect(platform)) as connection:
        for _ in range(3):
            connection.sendall(request(path, one(), BEARER))
            assert answer(connection).startswith(b"HTTP/1.1 200")
        sent = request(path, one(), {**BEARER, "Connection": "close"})
        connection.sendall(sent[:-5])
        connection.sendall(sent[-5:])
        text = answer(connection)
        assert b"connection: close\r\n" in text
        assert connection.recv(10) == b""


def test_who_leaves_without_waiting_has_published_all_the_same(platform: Platform) -> None:
    topic, reader = platform.topic_with_reader()
    with closing(connect(platform)) as connection:
        connection.sendall(request(f"/topics/{topic}/publish", one(), BEARER))
    eventually(lambda: len(platform.acme.pull(reader)) == 1, "the message", 5)
    assert platform.acme.publish(topic, {"payload": 2}).status == 200


def test_a_head_that_is_known_answers_for_each_body_as_when_it_was_parsed(
    platform: Platform, names: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(direct, "_known_heads", {})
    path, bodies = f"/topics/{names['topic']}/publish", [b'{"payload":1}', b'{"payload":!}', b'{"payloax":1}']
    sent = [request(path, body, BEARER) for body in bodies]
    with closing(connect(platform)) as connection:
        statuses = []
        for whole in [*sent, *sent]:
            connection.sendall(whole)
            statuses.append(answer(connection)[9:12])
        assert len(direct._known_heads) == 1
        connection.sendall(sent[0][:-5])  # known, and yet to be waited for
        connection.sendall(sent[0][-5:] + sent[1])
        statuses += [answer(connection)[9:12]]
    assert statuses == [b"200", b"400", b"400", b"200", b"400", b"400", b"200"]


def test_a_known_head_lets_nobody_in_whose_key_is_not_known(platform: Platform, names: dict[str, str]) -> None:
    sent = request(f"/topics/{names['topic']}/publish", one(), {"Authorization": "Bearer never-heard-of"})
    with closing(connect(platform)) as connection:
        for _ in range(3):
            connection.sendall(sent)
            assert answer(connection).startswith(b"HTTP/1.1 401")
