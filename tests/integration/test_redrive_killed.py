"""A long redrive, and `mqops serve` killed in the midst of it again and again: each message comes once."""

import contextlib
import http.client
import os
import random
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from api_platform import ACME, Platform
from commands import MQOPS, environment
from failing import failed
from served import Client
from waiting import eventually

from mqops.embedded.port import free_port

LETTERS = 1_500
KILLS = 4


class Serve:
    """One `mqops serve`, which can be killed with all its workers."""

    def __init__(self, platform: Platform, folder: Path) -> None:
        installation = platform.installation
        self.client = Client(free_port("127.0.0.1"), ACME)
        settings = {
            "DATABASE_URL": installation.database_url,
            "REDIS_URL": installation.redis_url,
            "PORT": str(self.client.port),
            "MQOPS_STATE_DIR": str(folder),
            "MQOPS_ACCEPT_RISK": "1",
        }
        self._process = subprocess.Popen(
            [*MQOPS, "serve"],
            env=environment(**settings),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def is_ready(self) -> bool:
        with contextlib.suppress(OSError):
            return self.client.get("/readyz").status == 200
        return False

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(10)


def redrive(client: Client, reader: str, wish: dict[str, Any], answers: list[int]) -> None:
    """Until the server is gone or there is nothing left."""
    cursor = None
    with contextlib.suppress(OSError, http.client.HTTPException):
        while True:
            body = {"all": True, **wish, **({} if cursor is None else {"cursor": cursor})}
            answer = client.post(f"/subscriptions/{reader}/deadletters/redrive", body)
            answers.append(answer.status)
            cursor = answer.body["cursor"]
            if cursor is None:
                return


@pytest.mark.parametrize("wish", [{}, {"republish": True}], ids=["to the subscription", "republished"])
def test_each_message_is_redriven_once_through_kill_9(platform: Platform, tmp_path: Path, wish: dict[str, Any]) -> None:
    seed = int(os.environ.get("MQOPS_TEST_SEED", "0")) or random.randrange(1 << 32)
    print(f"MQOPS_TEST_SEED={seed}")
    chance = random.Random(seed)
    _, reader = failed(platform, *range(LETTERS))
    letters = f"/api/v1/mq/subscriptions/{reader}/deadletters?limit=1"
    kills = 0
    for _ in range(KILLS):
        serve = Serve(platform, tmp_path)
        try:
            eventually(serve.is_ready, "the server", 30)
            thread = threading.Thread(target=redrive, args=(serve.client, reader, {"ratePerSecond": 500, **wish}, []))
            thread.start()
            time.sleep(chance.uniform(0.05, 0.5))
            kills += bool(platform.acme.get(letters).body["items"])
        finally:
            serve.kill()
        thread.join(30)
    assert kills == KILLS, "each kill met a redrive that was not done"
    answers: list[int] = []
    redrive(platform.acme, reader, wish, answers)
    assert set(answers) == {200}
    assert platform.acme.get(letters).body["items"] == []
    pulled: list[int] = []
    while messages := platform.acme.pull(reader, 100):
        pulled += [message["payload"] for message in messages]
        settled = platform.acme.settle("ack", reader, *(message["ackId"] for message in messages))
        assert set(settled) == {"acked"}
    assert sorted(pulled) == list(range(LETTERS))
