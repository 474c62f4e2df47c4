"""Renaming and replacing by the real command line, while messages go in and out over HTTP."""

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from served import API, Client, served
from typer.testing import CliRunner
from waiting import eventually

from mqops.catalog import feed
from mqops.cli.app import app as command_line
from reconciler.stores import instance

KEY = "key-of-the-shop"


def declared(tenant: str, topic: str) -> str:
    """``topic`` in ``tenant``, with a reader; both with what they say they were called."""
    name = topic.partition(",")[0]
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    owner = tenant.partition(",")[0]
    return f"""\
apiVersion: mqops/v1
kind: Tenant
metadata: {{name: {tenant}}}
---
apiVersion: mqops/v1
kind: Credential
metadata: {{tenant: {owner}, name: shop}}
spec: {{principal: shop, keys: [{{sha256: {digest}}}]}}
---
apiVersion: mqops/v1
kind: Subscription
metadata: {{tenant: {owner}, name: reader}}
spec: {{topic: {name}, startFrom: earliest}}
---
apiVersion: mqops/v1
kind: Topic
metadata: {{tenant: {owner}, name: {topic}}}
spec: {{maxBacklog: 100000}}
"""


class Traffic(threading.Thread):
    """Publishes to one name after the other, or takes what comes, for as long as it is let."""

    def __init__(self, client: Client, *topics: str) -> None:
        super().__init__(name=f"traffic: {topics}")
        self.client, self.topics = client, topics
        self.stop = threading.Event()
        self.messages: list[str] = []
        self.statuses: list[tuple[str, int]] = []

    def run(self) -> None:
        while not self.stop.is_set():
            if not self.topics:
                self.take()
            for topic in self.topics:
                answer = self.client.publish(topic, {"messages": [{"payload": 1}]})
                self.statuses.append((topic, answer.status))
                if answer.status == 200:
                    self.messages += answer.body["messageIds"]

    def take(self) -> int:
        """How many there were."""
        pulled = self.client.pull("reader", 100)
        if pulled:
            assert set(self.client.settle("ack", "reader", *(one["ackId"] for one in pulled))) == {"acked"}
        self.messages += [one["id"] for one in pulled]
        return len(pulled)

    def last(self, topic: str) -> int:
        """The status that ``topic`` was last answered with; 0 before there was one."""
        return next((status for name, status in reversed(self.statuses) if name == topic), 0)


class Shell:
    """The command line in a folder with one manifest."""

    def __init__(self, folder: Path) -> None:
        self.manifests = folder / "manifests"
        self.manifests.mkdir()

    def run(self, *arguments: str) -> str:
        result = CliRunner().invoke(command_line, arguments)
        assert result.exit_code == 0, result.output
        return result.output

    def apply(self, manifests: str) -> str:
        (self.manifests / "acme.yaml").write_text(manifests)
        return self.run("apply", "--auto-approve")


@pytest.fixture
def shell(tmp_path: Path, database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Shell:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.chdir(tmp_path)
    return Shell(tmp_path)


@pytest.fixture
def client(
    shell: Shell, database_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Client]:
    monkeypatch.setattr(feed, "POLL_SECONDS", 0.05)
    shell.apply(declared("acme", "orders"))
    with psycopg.connect(database_url) as database:
        stamp = instance.read_database(database)
    assert stamp is not None
    with served(database_url, redis_url, tmp_path / "state", stamp.installation) as client:
        yield client.with_key(KEY)


def test_publishing_and_delivery_go_on_and_every_message_arrives_once(shell: Shell, client: Client) -> None:
    publisher, reader = Traffic(client, "orders", "purchases"), Traffic(client)
    for thread in (publisher, reader):
        thread.start()
    try:
        names = ("orders", "purchases")
        for old, new in (names, names[::-1], names):
            eventually(lambda old=old, new=new: (publisher.last(old), publisher.last(new)) == (200, 404), f"{old}")
            told = shell.apply(declared("acme", f"{new}, renamedFrom: {old}"))
            assert f"  > rename Topic acme/{old} → acme/{new}  " in told
            assert shell.run("plan", "--detailed-exitcode") == "No changes. What is applied matches the manifests.\n"
        eventually(lambda: (publisher.last("orders"), publisher.last("purchases")) == (404, 200), "the new name")
    finally:
        for thread in (publisher, reader):
            thread.stop.set()
            thread.join()
    while reader.take():
        pass
    assert {status for _, status in publisher.statuses} == {200, 404}
    assert sorted(reader.messages) == sorted(publisher.messages)
    assert "rename" in shell.run("describe", "topic", "acme/purchases")


def test_what_waits_for_its_time_goes_by_the_new_name(shell: Shell, client: Client) -> None:
    answer = client.post("/publish/delayed", {"topic": "orders", "payload": "kept", "delayMs": 3_600_000})
    [message] = answer.body["messageIds"]
    shell.apply(declared("acme", "purchases, renamedFrom: orders"))
    path = f"{API}/topics/purchases/scheduled/{message}"
    eventually(lambda: client.get(path).status == 200, "the new name")
    assert client.send("PATCH", path, {"delayMs": 0}).status == 200
    [pulled] = eventually(lambda: client.pull("reader"), "the message")
    assert (pulled["id"], pulled["topic"], pulled["payload"]) == (message, "purchases", "kept")


def test_a_topic_is_replaced_under_traffic_and_what_it_answers_is_honest(shell: Shell, client: Client) -> None:
    """While one gives way to the other, publishers are told to come again; what is then answered 200 is there."""
    publisher = Traffic(client, "orders")
    manifest = declared("acme", "orders")
    publisher.start()
    try:
        for partitions in (3, 2, 1):
            (shell.manifests / "acme.yaml").write_text(
                manifest.replace("maxBacklog: 100000", f"maxBacklog: 100000, partitions: {partitions}")
            )
            told = shell.run("apply", "--auto-approve", "--allow-data-loss")
            assert ("-/+ replace Topic acme/orders" in told) == (partitions < 3)
            seen = len(publisher.statuses) + 20
            eventually(lambda n=seen: len(publisher.statuses) > n and publisher.last("orders") == 200, "again")
            assert shell.run("plan", "--detailed-exitcode") == "No changes. What is applied matches the manifests.\n"
    finally:
        publisher.stop.set()
        publisher.join()
    reader = Traffic(client)
    while reader.take():
        pass
    assert {status for _, status in publisher.statuses} <= {200, 503}
    assert reader.messages
    assert set(reader.messages) == set(publisher.messages[-len(reader.messages) :])
    assert "replace" in shell.run("describe", "topic", "acme/orders")


def test_a_tenants_key_goes_on_working_under_its_new_name(shell: Shell, client: Client) -> None:
    publisher, reader = Traffic(client, "orders"), Traffic(client)
    for thread in (publisher, reader):
        thread.start()
    try:
        eventually(lambda: publisher.last("orders") == 200)
        told = shell.apply(declared("globex, renamedFrom: acme", "orders"))
        assert "  > rename Tenant acme → globex  " in told
        assert "0 to delete, 0 to repair, 5 to rename." in told
        seen = len(reader.messages)
        eventually(lambda: len(reader.messages) > seen + 20, "messages after the rename")
    finally:
        for thread in (publisher, reader):
            thread.stop.set()
            thread.join()
    while reader.take():
        pass
    assert {status for _, status in publisher.statuses} == {200}
    assert sorted(reader.messages) == sorted(publisher.messages)
