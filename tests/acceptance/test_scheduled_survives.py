"""Messages for later, and everything killed while they wait and while they come: none is lost, none comes twice."""

import itertools
import time
from collections import Counter
from pathlib import Path

import pytest
from ledgers import call
from running import Platform
from waiting import eventually

pytestmark = pytest.mark.acceptance

MANIFESTS = """
apiVersion: mqops/v1
kind: Tenant
metadata: {name: shop}
spec: {}
---
apiVersion: mqops/v1
kind: Queue
metadata: {tenant: shop, name: jobs}
spec: {partitions: 2}
"""
MESSAGES = 400
SPREAD_MS = 8_000


def test_everything_is_killed_while_messages_wait_and_come(tmp_path: Path) -> None:
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests" / "shop.yaml").write_text(MANIFESTS)
    platform = Platform(tmp_path)
    platform.start()
    key = (tmp_path / ".mqops" / "credential").read_text().strip()
    mine = {"Authorization": f"Bearer {key}", "X-Mqops-Tenant": "shop"}
    mq = f"{platform.url}/api/v1/mq"
    started = time.monotonic()
    delays = itertools.islice(itertools.cycle(range(0, SPREAD_MS, 20)), MESSAGES)
    accepted: Counter[str] = Counter()
    for delay_ms in delays:
        # "all": it is on disk, so the server may be killed, too.
        body = {"queue": "jobs", "payload": delay_ms, "delayMs": 2_000 + delay_ms, "options": {"acks": "all"}}
        status, answer = call(f"{mq}/publish/delayed", body, mine)
        assert status == 200, answer
        accepted.update(answer["messageIds"])
    eventually(lambda: time.monotonic() - started > 5, "some to be due", 10)
    platform.kill()
    platform.start()
    found: Counter[str] = Counter()

    def are_all_there() -> bool:
        status, answer = call(f"{mq}/queues/jobs/pull", {"maxMessages": 100}, mine)
        if status == 200:
            found.update(message["id"] for message in answer["messages"])
        return found.keys() >= accepted.keys()

    try:
        eventually(are_all_there, "all messages", 30)
        time.sleep(0.5)
        are_all_there()
        assert found == accepted
        assert platform.process("valkey").is_running()
    finally:
        assert platform.up is not None
        platform.up.stop()
