"""`mqops serve` as a process: starting without a store, draining, and leaving nobody behind."""

import contextlib
import http.client
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from commands import MQOPS, environment
from installation import Installation
from redis import Redis
from served import Answer, Client

from mqops.embedded.directory import open_state_directory
from mqops.embedded.port import free_port
from mqops.embedded.valkey import start_valkey, valkey_url

KEY = "key-of-acme"
AWAY_DATABASE = "postgresql://postgres@127.0.0.1:1/mqops"


@pytest.fixture
def installation(database_url: str, redis_url: str) -> Installation:
    return populated(database_url, redis_url)


def populated(database_url: str, redis_url: str) -> Installation:
    installation = Installation(database_url, redis_url)
    installation.tenant("acme")
    installation.credential("acme", "checkout", KEY)
    installation.topic("acme", "orders")
    installation.subscription("acme", "reader", topic="orders")
    return installation


class Served:
    """One `mqops serve`."""

    def __init__(self, log: Path, settings: dict[str, str], command: list[str]) -> None:
        self.log = log
        self.port = int(settings["PORT"])
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                env=environment(**settings),
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.client = Client(self.port, KEY)

    def wait(self, holds: Callable[[], bool], seconds: float = 20.0) -> None:
        deadline = time.monotonic() + seconds
        while True:
            with contextlib.suppress(OSError):
                if holds():
                    return
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)

    def wait_until_ready(self) -> None:
        self.wait(lambda: self.client.get("/readyz").status == 200)

    def wait_for_workers(self, without: psutil.Process | None = None) -> list[psutil.Process]:
        """Both of them."""
        master = psutil.Process(self.process.pid)
        self.wait(lambda: len(workers := master.children()) == 2 and without not in workers)
        return master.children()

    def publish(self) -> Answer:
        return self.client.publish("orders", {"payload": 1})

    def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Starts `mqops serve` on given stores; all are ended with the test."""
    running: list[Served] = []

    def start(database_url: str, redis_url: str, command: list[str] | None = None, **more: str) -> Served:
        settings = {
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "PORT": str(free_port("127.0.0.1")),
            "MQOPS_STATE_DIR": str(tmp_path / "state"),
            "MQOPS_ACCEPT_RISK": "1",
            **more,
        }
        running.append(Served(tmp_path / f"serve-{len(running)}.log", settings, command or [*MQOPS, "serve"]))
        return running[-1]

    yield start
    for served in running:
        served.end()


def test_there_can_be_more_connections_than_a_shell_allows(
    installation: Installation, database_url: str, redis_url: str, serve: Callable[..., Served]
) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    command = ["sh", "-c", 'ulimit -S -n 256; exec "$@"', "sh", *MQOPS, "serve"]
    served = serve(database_url, redis_url, command)
    served.wait_until_ready()
    for worker in served.wait_for_workers():
        assert worker.rlimit(psutil.RLIMIT_NOFILE)[0] >= min(hard, 4_096)


def test_whoever_waits_for_messages_is_answered_when_it_drains(
    installation: Installation, database_url: str, redis_url: str, serve: Callable[..., Served]
) -> None:
    served = serve(database_url, redis_url, MQOPS_DRAIN_TIMEOUT="15s")
    served.wait_until_ready()
    answers: list[Answer] = []

    def wait() -> None:
        answers.append(served.client.post("/subscriptions/reader/pull", {"waitMs": 20_000}))

    threads = [threading.Thread(target=wait) for _ in range(10)]
    for thread in threads:
        thread.start()
    time.sleep(1.0)
    assert answers == []
    started = time.monotonic()
    served.process.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join()
    assert served.process.wait(10) == 0
    assert time.monotonic() - started < 8
    assert [(answer.status, answer.body) for answer in answers] == [(200, {"messages": []})] * 10


def test_it_drains_and_every_answer_2xx_is_stored(
    installation: Installation, database_url: str, redis_url: str, serve: Callable[..., Served]
) -> None:
    served = serve(database_url, redis_url)
    served.wait_until_ready()
    accepted, stop = [0], threading.Event()

    def keep_publishing() -> None:
        while not stop.is_set():
            with contextlib.suppress(OSError):
                accepted[0] += served.publish().status == 200

    publishers = [threading.Thread(target=keep_publishing) for _ in range(4)]
    for publisher in publishers:
        publisher.start()
    time.sleep(0.5)
    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(15) == 0
    stop.set()
    for publisher in publishers:
        publisher.join()
    assert accepted[0] > 0
    again = serve(database_url, redis_url)
    again.wait_until_ready()
    stored = 0
    while messages := again.client.pull("reader", 100):
        stored += len(messages)
    assert stored >= accepted[0]


def test_workers_do_not_outlive_a_killed_master_and_the_port_is_free_again(
    installation: Installation, database_url: str, redis_url: str, serve: Callable[..., Served]
) -> None:
    served = serve(database_url, redis_url)
    served.wait_until_ready()
    workers = served.wait_for_workers()
    served.process.kill()
    served.process.wait()
    gone, alive = psutil.wait_procs(workers, timeout=5)
    assert (len(gone), alive) == (2, [])
    again = serve(database_url, redis_url, PORT=str(served.port))
    again.wait_until_ready()


SLOW_TO_SET_HANDLERS = """
import sys, time
from mqops.bootstrap import serve
from mqops.cli.app import main
load_config = serve._Service.load_config
def slowly(self):
    load_config(self)
    self.cfg.set("post_fork", lambda arbiter, worker: time.sleep(1.5))
serve._Service.load_config = slowly
sys.argv = ["mqops", "serve"]
main()
"""


def test_workers_hear_a_signal_that_comes_before_their_handlers(
    installation: Installation, database_url: str, redis_url: str, serve: Callable[..., Served]
) -> None:
    served = serve(database_url, redis_url, [sys.executable, "-c", SLOW_TO_SET_HANDLERS])
    served.wait(lambda: "listening on http://127.0.0.1:" in served.log.read_text())
    served.wait_for_workers()
    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(8) == 0  # those that did not hear it are killed half a minute later


def test_a_killed_worker_is_replaced(
    installation: Installation, database_url: str, redis_url: str, serve: Callable[..., Served]
) -> None:
    served = serve(database_url, redis_url)
    served.wait_until_ready()
    victim = served.wait_for_workers()[0]
    victim.kill()
    assert victim not in served.wait_for_workers(without=victim)
    served.wait(lambda: served.publish().status == 200)


def test_it_starts_from_the_snapshot_while_the_database_is_away(
    installation: Installation, database_url: str, redis_url: str, serve: Callable[..., Served], tmp_path: Path
) -> None:
    first = serve(database_url, redis_url)
    first.wait_until_ready()
    first.process.terminate()
    first.process.wait(15)
    assert (tmp_path / "state" / "catalog.snapshot").exists()
    served = serve(AWAY_DATABASE, redis_url)
    served.wait_until_ready()
    assert served.publish().status == 200
    health = served.client.get("/health")
    assert (health.status, health.body["status"]) == (200, "degraded")
    assert health.body["checks"]["database"] == {"status": "down"}


def test_health_is_degraded_while_a_server_that_lost_its_data_is_not_prepared(
    database_url: str, serve: Callable[..., Served], tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = open_state_directory(tmp_path_factory.mktemp("v"))
    valkey = start_valkey(directory)
    try:
        installation = populated(database_url, valkey_url(directory))
        served = serve(database_url, valkey_url(directory), MQOPS_WEB_WORKERS="1")  # each has a verdict of its own
        served.wait_until_ready()
        served.wait(lambda: served.client.get("/health").body["checks"]["queues"] == {"status": "up"})
        with Redis.from_url(valkey_url(directory)) as redis:
            epoch = installation.keys.epoch(installation.bucket("acme"))
            prepared = redis.dump(epoch)
            redis.flushall()
            assert served.publish().code == "BROKER_NOT_AVAILABLE"
            served.wait(lambda: served.client.get("/health").body["checks"]["queues"] == {"status": "degraded"})
            health, ready = served.client.get("/health"), served.client.get("/readyz")
            assert (health.status, health.body["status"]) == (200, "degraded")
            assert health.body["checks"]["redis"] == {"status": "up"}
            assert (ready.status, ready.body) == (200, {"status": "degraded"})
            redis.restore(epoch, 0, prepared)
        served.wait(lambda: served.client.get("/health").body["status"] == "up")
    finally:
        valkey.stop()
        directory.remove_sockets()


def test_it_starts_with_redis_away_and_recovers_by_itself(
    database_url: str, serve: Callable[..., Served], tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = open_state_directory(tmp_path_factory.mktemp("v"))
    url = valkey_url(directory)
    valkey = start_valkey(directory)
    try:
        populated(database_url, url)
        valkey.stop()
        served = serve(database_url, url, MQOPS_DRAIN_TIMEOUT="1s")
        served.wait(lambda: served.client.get("/livez").status == 200)
        served.wait(lambda: served.publish().status == 503)
        answer = served.publish()
        assert (answer.code, answer.body["retryAfter"]) == ("BROKER_NOT_AVAILABLE", 1)
        assert served.client.post("/subscriptions/reader/pull").code == "BROKER_NOT_AVAILABLE"
        assert served.client.get("/health").status == 503
        assert served.client.get("/readyz").status == 503
        valkey = start_valkey(directory)
        served.wait(lambda: served.publish().status == 200, seconds=10)
        served.wait_until_ready()
        os.kill(valkey.pid, signal.SIGSTOP)  # hung: it takes requests and answers nothing
        answer = served.client.publish("orders", {"payload": 2, "options": {"timeout": 300}})
        assert (answer.status, answer.code) == (503, "OUTCOME_UNKNOWN")
        assert len(answer.body["details"]["messageIds"]) == 1
        os.kill(valkey.pid, signal.SIGCONT)
        served.wait(lambda: served.publish().status == 200, seconds=10)
        assert not drains_with_an_answer(served, valkey.pid)
    finally:
        os.kill(valkey.pid, signal.SIGCONT)
        valkey.stop()
        directory.remove_sockets()


def drains_with_an_answer(served: Served, hung: int) -> bool:
    """Ends ``served`` while a request waits for the hung Redis server; whether that was answered 200."""
    statuses: list[int] = []

    def publish() -> None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            statuses.append(served.publish().status)

    os.kill(hung, signal.SIGSTOP)
    publisher = threading.Thread(target=publish)
    publisher.start()
    time.sleep(0.3)
    served.process.send_signal(signal.SIGTERM)
    served.process.wait(10)
    publisher.join()
    return 200 in statuses


def test_a_taken_port_is_told_with_its_holder(
    installation: Installation, database_url: str, redis_url: str, serve: Callable[..., Served]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        served = serve(database_url, redis_url, PORT=str(holder.getsockname()[1]))
        assert served.process.wait(10) == 1
    said = served.log.read_text()
    assert said.startswith("error: port ")
    assert f"process {os.getpid()}" in said


def test_stores_of_two_installations_are_refused(
    installation: Installation, database_url: str, redis_url: str, serve: Callable[..., Served], redis_client: Redis
) -> None:
    redis_client.hset("mq:stamp", "installation", "another")
    served = serve(database_url, redis_url)
    assert served.process.wait(20) == 1
    assert "do not belong together" in served.log.read_text()


def test_another_environment_is_refused(
    installation: Installation, database_url: str, redis_url: str, serve: Callable[..., Served]
) -> None:
    served = serve(database_url, redis_url, MQOPS_ENVIRONMENT="production")
    assert served.process.wait(20) == 1
    assert "environment 'default'" in served.log.read_text()
