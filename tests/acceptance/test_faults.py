"""Everything that can be killed is killed, under load; what was answered 2xx arrives all the same."""

import hashlib
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from ledgers import Publisher, Puller, Webhook, call
from running import Platform
from waiting import eventually

from mqops.embedded.directory import StateDirectory, open_state_directory
from mqops.embedded.postgres import postgres_url, start_postgres
from mqops.embedded.process import Process
from mqops.embedded.valkey import start_valkey, valkey_url

pytestmark = pytest.mark.acceptance

KEY = "mqk_for-this-test-alone"
MINE = {"Authorization": f"Bearer {KEY}"}
MANIFESTS = """
apiVersion: mqops/v1
kind: Tenant
metadata: {{name: shop}}
spec: {{}}
---
apiVersion: mqops/v1
kind: Credential
metadata: {{tenant: shop, name: tester}}
spec: {{principal: tester, keys: [{{sha256: "{digest}"}}]}}
---
apiVersion: mqops/v1
kind: Topic
metadata: {{tenant: shop, name: events}}
spec: {{partitions: 2, maxBacklog: 100000}}
---
apiVersion: mqops/v1
kind: Handler
metadata: {{tenant: shop, name: hook}}
spec: {{type: http, http: {{url: "http://127.0.0.1:{port}/hook", timeout: 5s}}}}
---
apiVersion: mqops/v1
kind: Subscription
metadata: {{tenant: shop, name: push}}
spec: {{topic: events, handler: hook, concurrency: 20, retry: {{maxAttempts: 100, initialDelay: 200ms, maxDelay: 1s}}}}
---
apiVersion: mqops/v1
kind: Queue
metadata: {{tenant: shop, name: jobs}}
spec: {{ackDeadline: 3s, maxAttempts: 100, maxBacklog: 100000}}
"""


class Servers:
    """PostgreSQL and Valkey of this test's own, which it can stop and start."""

    def __init__(self, directory: StateDirectory) -> None:
        self.directory = directory
        self.valkey = start_valkey(directory)
        self.postgres = start_postgres(directory)

    @property
    def variables(self) -> dict[str, str]:
        return {"REDIS_URL": valkey_url(self.directory), "DATABASE_URL": postgres_url(self.directory)}

    def stop(self, process: Process) -> None:
        process.stop(lambda: True)

    def stop_all(self) -> None:
        self.stop(self.valkey)
        self.stop(self.postgres)


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    servers = Servers(open_state_directory(tmp_path / "servers"))
    yield servers
    servers.stop_all()


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    webhook = Webhook()
    yield webhook
    webhook.stop()


@pytest.fixture
def platform(tmp_path: Path, servers: Servers, webhook: Webhook) -> Iterator[Platform]:
    directory = tmp_path / "checkout"
    (directory / "manifests").mkdir(parents=True)
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    (directory / "manifests" / "shop.yaml").write_text(MANIFESTS.format(digest=digest, port=webhook.port))
    variables = {**servers.variables, "MQOPS_PRIVATE_TARGETS": f"shop=127.0.0.1:{webhook.port}"}
    with Platform(directory, variables) as platform:
        yield platform


def test_every_message_answered_2xx_arrives_through_every_fault(
    platform: Platform, servers: Servers, webhook: Webhook
) -> None:
    events = Publisher(f"{platform.url}/api/v1/mq/topics/events/publish", MINE)
    jobs = Publisher(f"{platform.url}/api/v1/mq/queues/jobs/publish", MINE, pause_seconds=0.02)
    puller = Puller(f"{platform.url}/api/v1/mq/queues/jobs", MINE)
    workers = (events, jobs, puller)
    for worker in workers:
        worker.start()

    _flows(events, webhook)
    _kill_the_worker_in_mid_delivery(platform, webhook)
    _flows(events, webhook)
    _kill_the_web_processes(platform)
    _flows(events, webhook)
    _stop_redis(platform, servers, events)
    _flows(events, webhook)
    _restart_everything_without_postgresql(platform, servers, events, webhook)
    _flows(events, webhook)
    _kill_up(platform)
    _flows(events, webhook)

    for worker in (events, jobs):
        worker.stop()
    eventually(lambda: set(events.accepted) <= set(webhook.delivered), "all deliveries", 60)
    eventually(lambda: set(jobs.accepted) <= set(puller.settled), "all jobs", 60)
    puller.stop()
    assert len(events.accepted) > 200
    assert len(jobs.accepted) > 50
    assert len(set(events.accepted)) == len(events.accepted)
    assert len(puller.settled) == len(set(puller.settled)), "settled once"
    assert set(events.refusals) <= {"BROKER_NOT_AVAILABLE", "OUTCOME_UNKNOWN", "NO_ANSWER"}


def _flows(publisher: Publisher, webhook: Webhook) -> None:
    """Publishing and delivery are both going on."""
    accepted, delivered = len(publisher.accepted), len(webhook.delivered)
    eventually(lambda: len(publisher.accepted) > accepted + 20, "publishing", 30)
    eventually(lambda: len(webhook.delivered) > delivered + 20, "delivery", 30)


def _kill_the_worker_in_mid_delivery(platform: Platform, webhook: Webhook) -> None:
    started = len(webhook.under_way)
    eventually(lambda: len(webhook.under_way) > started, "a delivery under way")
    platform.process("work").kill()


def _kill_the_web_processes(platform: Platform) -> None:
    master = platform.process("serve")
    children = master.children()
    assert children
    children[0].kill()
    time.sleep(0.5)
    orphans = master.children()
    master.kill()
    eventually(lambda: not any(_is_alive(orphan) for orphan in orphans), "workers to go with their master")


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _stop_redis(platform: Platform, servers: Servers, publisher: Publisher) -> None:
    servers.stop(servers.valkey)
    url = f"{platform.url}/api/v1/mq/topics/events/publish"
    refused = eventually(
        lambda: (answer := call(url, {"payload": {"number": 1}}, MINE))[0] == 503 and answer[1], "503 without Redis"
    )
    assert refused["code"] == "BROKER_NOT_AVAILABLE"
    assert refused["retryAfter"] >= 1
    assert call(f"{platform.url}/api/v1/mq/queues/jobs/pull", {}, MINE)[0] == 503
    servers.valkey = start_valkey(servers.directory)


def _restart_everything_without_postgresql(
    platform: Platform, servers: Servers, publisher: Publisher, webhook: Webhook
) -> None:
    servers.stop(servers.postgres)
    _flows(publisher, webhook)
    before = platform.process("serve").pid, platform.process("work").pid
    platform.process("serve").kill()
    platform.process("work").kill()
    eventually(
        lambda: platform.process("serve").pid != before[0] and platform.process("work").pid != before[1],
        "serve and work to be started again",
    )
    _flows(publisher, webhook)
    servers.postgres = start_postgres(servers.directory)


def _kill_up(platform: Platform) -> None:
    others = [platform.process(name) for name in ("serve", "work", "reconcile")]
    platform.kill()
    eventually(lambda: not any(_is_alive(process) for process in others), "no orphan", 30)
    platform.start()


def test_a_killed_up_on_embedded_servers_starts_again_and_keeps_what_it_had(tmp_path: Path) -> None:
    shutil.copytree(Path(__file__).parents[2] / "manifests", tmp_path / "manifests")
    platform = Platform(tmp_path)
    platform.start()
    published = platform.run("publish", "--queue", "fulfilment", "--tenant", "acme", "--data", '{"order": "kept"}')
    assert published.returncode == 0, published.stderr
    time.sleep(1.5)  # appendfsync everysec: the embedded server goes down with `mqops up`
    pids = [each["pid"] for each in json.loads((tmp_path / ".mqops" / "run.json").read_text())["processes"]]
    platform.kill()
    started = time.monotonic()
    platform.start()
    assert time.monotonic() - started < 30
    try:
        now = [each["pid"] for each in json.loads((tmp_path / ".mqops" / "run.json").read_text())["processes"]]
        assert not set(pids) & set(now)
        assert "kept" in platform.run("pull", "--queue", "fulfilment", "--tenant", "acme", "--ack").stdout
    finally:
        assert platform.up is not None
        assert platform.up.stop() == 0
    assert platform.processes_here() == []
