"""Whatever is applied after whatever, and wherever it is interrupted: the next apply converges.

Pairs of trees are drawn (``generated``). For each, an apply of the second upon the first is counted through: every call
of PostgreSQL and of Redis is a boundary. Then it is made again as often as there are boundaries, once dying before each
call, and once with the connection lost after the server has done it. The next apply has to leave nothing to do, no key
that nobody has, and everything unfinished of what was not to go. Last, processes that apply are killed at random.
"""

import json
import multiprocessing
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from generated import IS_LONG, Pair, Tree, examples, features, pairs, report
from hypothesis import given
from stores import TESTER, Opened, opened
from trees import tree

from mqops.codec.envelope import encode_envelope
from mqops.errors import BrokerNotAvailable
from mqops.keys import bucket_of
from mqops.lua import load_script
from mqops.message import Envelope, new_message_id
from mqops.settings import Settings
from reconciler.manifests.check import Checked
from reconciler.pipeline import apply_manifests, plan_manifests
from reconciler.planning.guard import Allowances
from reconciler.request import Execution, Planned, Request
from reconciler.stores.observe import observe
from reconciler.stores.revisions import read_state

PUBLISH, FETCH = (load_script("mqops.streams.scripts", name).source for name in ("publish", "fetch"))
SETTINGS = Settings(environment="test")
_MOVING = ("ready", "due", "epoch", "index")


class Killed(BaseException):
    """As if the process had ended here."""


Fault = Callable[[Callable[[], Any]], Any]
"""Does a call, or not, and fails."""


@dataclass
class Boundaries:
    """Counts the calls of both stores; at one of them, there is a fault."""

    at: int = -1
    fault: Fault | None = None
    count: int = 0
    read: int = 0
    """Calls until something is changed of what is there."""

    @contextmanager
    def under_way(self) -> Iterator[None]:
        self.read = self.count
        yield

    def advanced(self, progress: object) -> None:
        pass

    def is_stopped(self) -> bool:
        return False

    def pass_through(self, call: Callable[[], Any], lost: Exception) -> Any:
        number, self.count = self.count, self.count + 1
        if number != self.at or self.fault is None:
            return call()
        self.fault(call)
        raise lost


def dies(call: Callable[[], Any]) -> None:
    raise Killed


def loses_the_answer(call: Callable[[], Any]) -> None:
    call()


@contextmanager
def watched(boundaries: Boundaries) -> Iterator[None]:
    """Every round trip of the real drivers goes through ``boundaries``."""
    wait, command, pipeline = psycopg.Connection.wait, redis.Redis.execute_command, redis.client.Pipeline.execute

    def waited(self: Any, *arguments: Any, **named: Any) -> Any:
        lost = psycopg.OperationalError("the connection is lost")
        try:
            return boundaries.pass_through(lambda: wait(self, *arguments, **named), lost)
        except psycopg.OperationalError:
            if not self.closed:
                self.close()
            raise

    def commanded(self: Any, *arguments: Any, **named: Any) -> Any:
        lost = redis.ConnectionError("the connection is lost")
        return boundaries.pass_through(lambda: command(self, *arguments, **named), lost)

    def executed(self: Any, *arguments: Any, **named: Any) -> Any:
        lost = redis.ConnectionError("the connection is lost")
        return boundaries.pass_through(lambda: pipeline(self, *arguments, **named), lost)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(psycopg.Connection, "wait", waited)
        patched.setattr(redis.Redis, "execute_command", commanded)
        patched.setattr(redis.client.Pipeline, "execute", executed)
        yield


@dataclass
class Platform:
    """The stores, and what is known of them between two applies."""

    database_url: str
    redis_url: str
    seen: Counter[str] = field(default_factory=Counter)

    def stores(self) -> Any:
        return opened(self.database_url, self.redis_url)

    def request(self, checked: Checked, stores: Opened) -> Request:
        rows = observe(stores).applied
        numbers = frozenset(range(len(rows) + 1))
        return Request(checked, SETTINGS, allowed=Allowances(True, numbers, frozenset(rows)))

    def apply(self, checked: Checked) -> Planned:
        with self.stores() as stores:
            planned, report = apply_manifests(self.request(checked, stores), stores, Execution(TESTER))
        assert report.is_complete, (report.failed, report.not_done)
        return planned

    def apply_with(self, checked: Checked, boundaries: Boundaries) -> None:
        """With the fault in it, however it shows."""
        with self.stores() as stores:
            request = self.request(checked, stores)
            with watched(boundaries):
                apply_manifests(request, stores, Execution(TESTER, oversight=boundaries))

    def settle(self, checked: Checked) -> None:
        """Brings the stores where they shall be at the beginning."""
        for _ in range(4):
            self.apply(checked)
            with self.stores() as stores:
                if plan_manifests(self.request(checked, stores), stores).plan.is_empty:
                    return
        raise AssertionError("the first tree does not settle")


def fill(stores: Opened) -> None:
    """A message into every partition of every topic that takes one, and a lease of every subscription on one."""
    seen = observe(stores)
    for uid, topic in seen.topics.items():
        run = 0, topic.meta.get("min_generation", "1"), 0
        for partition in range(int(topic.meta["partitions"])):
            message = (new_message_id(partition), "", encode_envelope(Envelope()), b"1", "", "")
            arguments = (uid, 1_000, partition, 1, *message)
            stores.redis.eval(PUBLISH, 1, stores.keys.epoch(topic.bucket), "bell", *arguments)
        assert run
    for uid, reader in seen.subscriptions.items():
        stores.redis.eval(FETCH, 1, stores.keys.epoch(reader.bucket), uid, 0, "pull", 1, 3_600_000, 1 << 20, "bell")


def held(stores: Opened) -> dict[str, tuple[Any, ...]]:
    """By uid of a subscription: what of each partition it holds unfinished, and how much in all."""
    seen = observe(stores)
    found: dict[str, tuple[Any, ...]] = {}
    for uid, reader in seen.subscriptions.items():
        topic = seen.topics[reader.meta["topic"]]
        backlog = int(topic.meta.get("total", 0)) - int(reader.meta.get("base", 0)) - int(reader.meta.get("done", 0))
        lanes = [
            stores.redis.hgetall(stores.keys.flight(reader.bucket, uid, partition))
            for partition in sorted(topic.groups)
        ]
        read = {name: value for name, value in reader.meta.items() if name.startswith("pos:") and value != "0-0"}
        found[uid] = topic.uid, backlog, [lane for lane in lanes if lane], read
    for uid, topic in seen.topics.items():
        found[uid] = (sum(stores.redis.xlen(stores.keys.stream(topic.bucket, uid, number)) for number in topic.groups),)
    return found


def check(
    stores: Opened, platform: Platform, checked: Checked, before: dict[str, tuple[Any, ...]], gone: set[str]
) -> None:
    """Everything that has to hold after the apply that came after a fault."""
    left = plan_manifests(platform.request(checked, stores), stores).plan
    assert left.is_empty, (left.changes, left.leftovers)
    kept = {uid: value for uid, value in before.items() if uid not in gone}
    after = held(stores)
    assert {uid: after.get(uid) for uid in kept} == kept
    rows = observe(stores).applied
    uids = {row.uid for row in rows.values()}
    for key in stores.redis.scan_iter():
        name = key.decode()
        parts = name.removeprefix("mq:").split(":")
        is_shared = name == "mq:stamp" or parts[1] in _MOVING or parts[1] == "held"
        assert is_shared or parts[1] in uids, f"{name} is nobody's"
    for bucket in {bucket_of(row.uid) for identity, row in rows.items() if identity.kind == "Tenant"}:
        lanes = stores.redis.zrange(stores.keys.ready(bucket), 0, -1) + stores.redis.zrange(
            stores.keys.due(bucket), 0, -1
        )
        assert {lane.decode().partition(":")[0] for lane in lanes} <= uids
        assert {uid.decode() for uid in stores.redis.hkeys(stores.keys.index(bucket))} <= uids
    revision = stores.database.execute("SELECT revision FROM mq_instance").fetchone()
    assert revision is not None
    told = read_state(stores.database, revision[0])
    assert {uid: (it.identity, it.spec, it.managed_by, it.implied_by) for uid, it in told.items()} == {
        row.uid: (row.resource.identity, row.resource.spec, row.resource.managed_by, row.resource.implied_by)
        for row in rows.values()
    }


def gone_with(found: Planned) -> set[str]:
    return {change.gone.uid for change in found.plan.changes if change.gone is not None}


@pytest.fixture
def platform(database_url: str, redis_url: str) -> Platform:
    return Platform(database_url, redis_url)


def start(platform: Platform, before: Checked) -> dict[str, tuple[Any, ...]]:
    """Empty stores, then the first tree, then messages."""
    with redis.Redis.from_url(platform.redis_url) as client:
        client.flushdb()
    with psycopg.connect(platform.database_url, autocommit=True) as database:
        database.execute("TRUNCATE mq_resources, mq_changes, mq_revisions, mq_sources, mq_instance, mq_runtime CASCADE")
    platform.settle(before)
    with platform.stores() as stores:
        fill(stores)
        return held(stores)


def test_an_apply_converges_from_a_fault_at_every_call(platform: Platform, capsys: pytest.CaptureFixture[str]) -> None:
    @examples(1)
    @given(pairs())
    def converges(pair: Pair) -> None:
        converges_from_everywhere(platform, pair)

    converges_from_everywhere(platform, Pair(Tree(_FROM), Tree(_TO)))
    converges()
    with capsys.disabled():
        print(report("pairs of states with a fault at every call", platform.seen))
    assert platform.seen["replaced: kind"]
    assert platform.seen["rename"]


def converges_from_everywhere(platform: Platform, pair: Pair) -> None:
    before, now = pair.before.checked(), pair.after.checked()
    start(platform, before)
    with platform.stores() as stores:
        found = plan_manifests(platform.request(now, stores), stores)
    platform.seen["examples"] += 1
    platform.seen.update(features(found.plan, found.observed, now))
    counting = Boundaries()
    platform.apply_with(now, counting)
    platform.seen["boundaries"] += counting.count
    there = start(platform, before)
    for number in range(counting.read):
        for fault in (dies, loses_the_answer):
            interrupted(platform, now, Boundaries(number, fault))
    with platform.stores() as stores:
        assert held(stores) == there, "something is changed before an apply is under way"
    for number in range(counting.read, counting.count):
        for fault in (dies, loses_the_answer):
            there = start(platform, before)
            with platform.stores() as stores:
                gone = gone_with(plan_manifests(platform.request(now, stores), stores))
            interrupted(platform, now, Boundaries(number, fault))
            platform.apply(now)
            with platform.stores() as stores:
                check(stores, platform, now, there, gone)


def interrupted(platform: Platform, now: Checked, boundaries: Boundaries) -> None:
    with suppress(Killed, BrokerNotAvailable, psycopg.Error, redis.RedisError):
        platform.apply_with(now, boundaries)


def _apply(directory: str, environment: dict[str, str], output: str) -> None:
    """What the process does that will be killed."""
    import sys

    os.environ.update(environment)
    with Path(output).open("w") as sink:
        sys.stdout = sys.stderr = sink
        sys.argv = ["mqops", "apply", directory, "--auto-approve", "--allow-data-loss"]
        from mqops.cli import main

        main()


def test_a_killed_process_leaves_what_the_next_apply_finishes(
    platform: Platform, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """``mqops apply``, in processes of its own, killed with SIGKILL while it holds the lock."""
    seed = random.SystemRandom().randrange(1 << 32) if IS_LONG else 3
    chance = random.Random(seed)
    kills, moments = 100 if IS_LONG else 24, Counter[str]()
    before, now = (Tree(files).checked() for files in (_FROM, _TO))
    directory = tree(tmp_path / "manifests", _TO)
    environment = {
        "DATABASE_URL": platform.database_url,
        "REDIS_URL": platform.redis_url,
        "MQOPS_ENVIRONMENT": "test",
    }
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["mqops.cli", "mqops.cli.app", "reconciler.pipeline", "mqops.cli.plan"])
    longest = 0.3
    for _ in range(kills):
        there = start(platform, before)
        with platform.stores() as stores:
            gone = gone_with(plan_manifests(platform.request(now, stores), stores))
            process = context.Process(target=_apply, args=(str(directory), environment, str(tmp_path / "output")))
            process.start()
            began = _when_locked(stores)
            time.sleep(chance.uniform(0, longest))
            process.kill()
            process.join()
            if process.exitcode == 0:
                longest = max(0.02, (time.monotonic() - began) * 0.8)
            moments["killed" if process.exitcode == -9 else "finished before"] += 1
            revision = stores.database.execute("SELECT max(revision) FROM mq_revisions").fetchone()
            moments[f"committed: {revision is not None and revision[0] > 1}"] += 1
        platform.apply(now)
        with platform.stores() as stores:
            check(stores, platform, now, there, gone)
    with capsys.disabled():
        print(f"\nkill -9 of mqops apply, seed {seed}: {json.dumps(dict(moments))}")
    assert moments["killed"] >= kills // 4


def _when_locked(stores: Opened) -> float:
    """Waits until somebody holds a source's lock; the time since."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        row = stores.database.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").fetchone()
        if row is not None and row[0]:
            return time.monotonic()
    raise AssertionError("no apply takes the lock")


_DOCUMENT = "---\napiVersion: mqops/v1\nkind: {}\nmetadata: {}\nspec: {}\n"


def _documents(*documents: tuple[str, str, str]) -> dict[str, str]:
    return {"all.yaml": "".join(_DOCUMENT.format(*document) for document in documents)}


_TENANT = ("Tenant", "{name: t}", "{}")
_FROM = _documents(
    _TENANT,
    ("Topic", "{tenant: t, name: orders}", "{partitions: 3}"),
    ("Topic", "{tenant: t, name: news}", "{}"),
    ("Topic", "{tenant: t, name: old}", "{}"),
    ("Topic", "{tenant: t, name: turns}", "{}"),
    ("Queue", "{tenant: t, name: jobs}", "{partitions: 2}"),
    ("Subscription", "{tenant: t, name: billing}", "{topic: orders, startFrom: earliest}"),
    ("Subscription", "{tenant: t, name: moves}", "{topic: news, startFrom: earliest}"),
    ("Subscription", "{tenant: t, name: stays}", "{topic: news, startFrom: earliest}"),
)
_TO = _documents(
    _TENANT,
    ("Topic", "{tenant: t, name: orders}", "{partitions: 1}"),
    ("Topic", "{tenant: t, name: tidings, renamedFrom: news}", "{partitions: 2}"),
    ("Topic", "{tenant: t, name: new}", "{}"),
    ("Queue", "{tenant: t, name: turns}", "{}"),
    ("Queue", "{tenant: t, name: jobs}", "{partitions: 1}"),
    ("Subscription", "{tenant: t, name: billing}", "{topic: orders, startFrom: earliest}"),
    ("Subscription", "{tenant: t, name: moves}", "{topic: new, startFrom: earliest}"),
    ("Subscription", "{tenant: t, name: stays}", "{topic: tidings, startFrom: earliest}"),
)
