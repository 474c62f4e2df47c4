"""An apply that somebody stops, and one whose store is killed: what it leaves, what it says, and that the next one does
the rest."""

import json
import os
import pty
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
import traffic
from declared import SOURCES, dead_letters, implied, queue, respecified, subscription, tenant, topic
from redis import Redis
from rich.console import Console
from shell import Shell, command
from stores import TESTER, Opened, applied, opened, planned, uid
from waiting import eventually

from mqops.cli import under_way
from mqops.cli.progress import is_drawn_on
from mqops.embedded.directory import StateDirectory, open_state_directory
from mqops.embedded.postgres import postgres_url, start_postgres
from mqops.embedded.process import Process
from mqops.embedded.valkey import start_valkey, valkey_url
from mqops.keys import bucket_of
from mqops.streams import Lane
from reconciler.apply import Outcome, Report, apply
from reconciler.oversight import Progress, Stage
from reconciler.planning.change import Action
from reconciler.planning.plan import plan
from reconciler.state import Resource
from reconciler.stores import provision
from reconciler.stores.observe import observe
from reconciler.stores.revisions import read_changes, read_revisions

ORDERS = topic("orders", partitions=2)
BILLING = subscription("billing", "orders", startFrom="earliest")
LATER = respecified(BILLING, startFrom="latest")
LETTERS = implied(dead_letters("orders.deadletter"), BILLING)
BEFORE = (
    *(tenant(), ORDERS, LETTERS, BILLING),
    *(queue("jobs", deadLetter=None), implied(subscription("jobs", "jobs", deadLetter=None), queue("jobs"))),
)
AFTER = (
    *(tenant(), respecified(ORDERS, partitions=3), LETTERS, BILLING, topic("new")),
    subscription("reader", "new", deadLetter="orders.deadletter"),
)


@pytest.fixture
def stores(database_url: str, redis_url: str) -> Iterator[Opened]:
    with opened(database_url, redis_url) as stores:
        yield stores


@dataclass
class StopsAfter:
    """Stops an apply when so many calls are begun."""

    calls: int
    seen: list[Progress] = field(default_factory=list)

    def under_way(self) -> nullcontext[None]:
        return nullcontext()

    def advanced(self, progress: Progress) -> None:
        self.seen.append(progress)

    def is_stopped(self) -> bool:
        return len([one for one in self.seen if one.stage is not Stage.COMMITTING]) >= self.calls


def apply_until(stores: Opened, desired: tuple[Resource, ...], oversight: StopsAfter) -> Report:
    seen = observe(stores)
    return apply(plan(desired, seen, SOURCES), seen, stores, TESTER, oversight)


@pytest.mark.parametrize("calls", range(9))
def test_stopped_between_any_two_changes_what_is_done_is_committed_and_the_next_apply_does_the_rest(
    stores: Opened, redis_url: str, monkeypatch: pytest.MonkeyPatch, calls: int
) -> None:
    applied(stores, BEFORE)
    here = Lane(bucket_of(uid(stores, tenant())), uid(stores, BILLING), uid(stores, ORDERS), 0)
    traffic.publish(redis_url, here, 1, [b"1", b"2"])
    whole = planned(stores, AFTER).changes
    with monkeypatch.context() as patched:
        patched.setattr(provision, "_CALLS_AT_ONCE", 1)
        report = apply_until(stores, AFTER, StopsAfter(calls))
    assert {change.identity for change in whole} == {result.identity for result in report.results}
    assert {result.outcome for result in report.not_done} <= {Outcome.NOT_DONE}
    assert report.is_complete == (calls == 8), "the number of calls has changed: extend the range of this test"
    _holds_what_it_says(stores, report)
    left = {result.identity for result in report.not_done}
    assert {change.identity for change in planned(stores, AFTER).changes} >= left
    applied(stores, AFTER)
    assert planned(stores, AFTER).is_empty
    assert traffic.take(redis_url, here, 10) == [b"1", b"2"]


def _holds_what_it_says(stores: Opened, report: Report) -> None:
    """The catalog and its history have what was done, and nothing else of it."""
    there = observe(stores).applied
    for change in report.done:
        assert (change.identity in there) == (change.action is not Action.DELETE)
    assert not {result.identity for result in report.not_done if result.action is Action.CREATE} & set(there)
    if report.revision is None:
        assert not report.done
        return
    told = read_changes(stores.database, report.revision)
    assert [one.change.identity for one in told if one.error is None] == [it.identity for it in report.done]
    (revision,) = read_revisions(stores.database, 1)
    assert revision.summary.get("not_done", 0) == len(report.not_done)


@pytest.mark.parametrize("calls", range(12))
def test_stopped_in_the_midst_of_replacing_there_is_one_or_the_other_and_the_next_apply_does_the_rest(
    stores: Opened, redis_url: str, monkeypatch: pytest.MonkeyPatch, calls: int
) -> None:
    applied(stores, BEFORE)
    wanted = (tenant(), respecified(ORDERS, partitions=1), LETTERS, BILLING, *BEFORE[4:])
    before = uid(stores, ORDERS)
    with monkeypatch.context() as patched:
        patched.setattr(provision, "_CALLS_AT_ONCE", 1)
        report = apply_until(stores, wanted, StopsAfter(calls))
    is_replaced = ORDERS.identity in {change.identity for change in report.done}
    assert (uid(stores, ORDERS) != before) == is_replaced
    assert is_replaced or report.not_done
    assert report.is_complete or calls < 11, "the number of calls has changed: extend the range of this test"
    applied(stores, wanted)
    assert planned(stores, wanted).is_empty
    assert uid(stores, ORDERS) != before
    here = Lane(bucket_of(uid(stores, tenant())), uid(stores, BILLING), uid(stores, ORDERS), 0)
    traffic.publish(redis_url, here, 2, [b"1"])
    assert traffic.take(redis_url, here, 10) == [b"1"]


def test_progress_names_what_is_done_and_how_much_there_is(stores: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    applied(stores, BEFORE)
    monkeypatch.setattr(provision, "_CALLS_AT_ONCE", 1)
    oversight = StopsAfter(99)
    apply_until(stores, tuple(LATER if one is BILLING else one for one in AFTER), oversight)
    assert oversight.seen[0] == Progress(Stage.PREPARING, 0, 3, topic("new").identity)
    assert oversight.seen[1] == Progress(Stage.PREPARING, 1, 3, ORDERS.identity)
    assert list(dict.fromkeys(one.stage for one in oversight.seen)) == list(Stage)


# As a person does it

MANY = 3_000


def many() -> str:
    spec = "apiVersion: mqops/v1\nkind: {}\nmetadata: {}\nspec: {{}}\n"
    documents = [spec.format("Tenant", "{name: acme}")]
    documents += [spec.format("Topic", f"{{tenant: acme, name: t{number}}}") for number in range(MANY)]
    return "---\n".join(documents)


@contextmanager
def paused(shell: Shell, redis: Redis, stderr: int = subprocess.PIPE) -> Iterator["subprocess.Popen[str]"]:
    """An apply of many topics that waits for Redis in the midst of preparing them, until the block ends."""
    shell.manifest.write_text(many())
    process = start_apply(shell, stderr)
    try:
        eventually(lambda: redis.dbsize() > 20)
        redis.client_pause(60_000, all=False)
        time.sleep(0.3)  # until it waits
        yield process
    except BaseException:
        process.kill()
        process.communicate()
        raise
    finally:
        redis.client_unpause()


def start_apply(shell: Shell, stderr: int = subprocess.PIPE) -> "subprocess.Popen[str]":
    with (shell.folder / "out").open("w") as out:
        return subprocess.Popen(command("apply", "--auto-approve"), stdout=out, stderr=stderr, text=True)


def topics(shell: Shell) -> int:
    return len(shell.succeed("get", "topics", "-o", "name").splitlines())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_stops_it_between_changes(shell: Shell, redis_client: Redis, number: signal.Signals) -> None:
    with paused(shell, redis_client) as process:
        process.send_signal(number)
        assert process.stderr is not None
        assert process.stderr.readline() == "\n"
        assert process.stderr.readline() == "stopping after what is under way; interrupt again to abort at once\n"
    _, errors = process.communicate(timeout=30)
    out = (shell.folder / "out").read_text()
    assert process.returncode == 1
    done = topics(shell)
    assert 0 < done < MANY
    assert out.endswith(f"Applied revision 1: {done + 1} created, {MANY - done} not done.\n")
    assert errors.endswith("Stopped: run it again to do the rest.\n")
    revisions = json.loads(shell.succeed("history", "-o", "json"))["revisions"]
    assert [(one["result"], one["summary"]) for one in revisions] == [
        ("stopped", {"create": done + 1, "not_done": MANY - done})
    ]
    # The tenant takes messages when all that it is declared with is there.
    rest = f"Applied revision 2: {MANY - done} created, 1 repaired.\n"
    assert shell.succeed("apply", "--auto-approve").endswith(rest)
    assert "No changes." in shell.succeed("plan")


def test_a_second_interrupt_ends_it_at_once(shell: Shell, redis_client: Redis) -> None:
    with paused(shell, redis_client) as process:
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        process.stderr.readline()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=5)  # while Redis does not answer
        assert process.returncode == -signal.SIGINT
    assert topics(shell) == 0
    shell.succeed("apply", "--auto-approve")
    assert "No changes." in shell.succeed("plan")


def test_on_a_terminal_a_bar_shows_how_far_it_is(
    shell: Shell, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    screen, terminal = pty.openpty()
    shown = bytearray()

    def watch() -> None:
        try:
            while piece := os.read(screen, 4096):
                shown.extend(piece)
        except OSError:  # its other end is closed
            return

    thread = threading.Thread(target=watch)
    thread.start()
    with paused(shell, redis_client, stderr=terminal) as process:
        os.close(terminal)
        eventually(lambda: b"preparing Topic acme/" in shown and f"/{MANY}".encode() in shown)
    process.communicate(timeout=30)
    thread.join(10)
    os.close(screen)
    assert process.returncode == 0


def test_a_dumb_terminal_gets_lines_as_a_file_does() -> None:
    assert not is_drawn_on(Console(force_terminal=True, _environ={"TERM": "dumb"}))
    assert is_drawn_on(Console(force_terminal=True, _environ={"TERM": "xterm"}))


def test_elsewhere_a_line_now_and_then(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_way, "_BETWEEN_LINES_SECONDS", 0.0)
    done = shell.run("apply", "--auto-approve")
    assert done.stderr.startswith("preparing Topic acme/jobs.deadletter: 0 of 3 done\n")
    assert "committing: 0 of 5 done\n" in done.stderr


# A store that is killed in the midst of it


def test_a_redis_that_is_killed_is_converged_from(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = open_state_directory(tmp_path / "own")
    server = start_valkey(own)
    try:
        monkeypatch.setenv("REDIS_URL", valkey_url(own))
        with Redis.from_url(valkey_url(own)) as redis:
            shell.manifest.write_text(many())
            process = start_apply(shell)
            eventually(lambda: redis.dbsize() > 20)
            server.kill_group()
        _, errors = process.communicate(timeout=30)
        assert (process.returncode, "error: Redis does not answer" in errors) == (1, True)
        server.stop(lambda: True)
        server = start_valkey(own)
        shell.succeed("apply", "--auto-approve")
        assert "No changes." in shell.succeed("plan")
        assert topics(shell) == MANY
    finally:
        server.stop(lambda: True)


def test_a_postgresql_that_is_killed_is_converged_from(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = open_state_directory(tmp_path / "own")
    server = start_postgres(own)
    try:
        monkeypatch.setenv("DATABASE_URL", postgres_url(own))
        shell.succeed("migrate")
        with closing(psycopg.connect(postgres_url(own))) as other:  # not committed in the end: its server is gone
            other.execute("SELECT FROM mq_instance FOR UPDATE")  # so that the commit waits
            process = start_apply(shell)
            eventually(lambda: _is_waited_for(postgres_url(own)))
            server.kill_group()
        _, errors = process.communicate(timeout=30)
        assert (process.returncode, "error: PostgreSQL " in errors) == (1, True)
        server = restarted(server, own)
        shell.succeed("apply", "--auto-approve")
        assert "No changes." in shell.succeed("plan")
    finally:
        server.stop(lambda: True)


def restarted(server: Process, own: StateDirectory) -> Process:
    server.stop(lambda: True)
    return start_postgres(own)


def _is_waited_for(url: str) -> bool:
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT FROM pg_locks WHERE NOT granted").fetchall()
    return bool(found)
