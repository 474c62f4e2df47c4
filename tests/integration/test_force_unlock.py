"""`mqops force-unlock`: taking the lock from an apply that hangs, which then changes nothing more."""

import os
import pty
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import psycopg
import pytest
from redis import Redis
from shell import Shell, command
from stores import TESTER
from waiting import eventually

from mqops.bootstrap.control import current_settings, open_stores
from mqops.errors import ConfigurationError, Conflict
from reconciler.oversight import Progress
from reconciler.pipeline import apply_manifests
from reconciler.reading import check_manifests
from reconciler.request import Execution, Request
from reconciler.stores import lock, provision
from reconciler.stores.observe import observe

HELD = (
    r"The lock of source default is held: mqops apply \S+, database process \d+, since \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ."
)


@contextmanager
def hanging(database_url: str) -> Iterator["subprocess.Popen[str]"]:
    """A real apply that hangs as it commits: somebody else keeps the catalog's row."""
    with psycopg.connect(database_url) as other:
        other.execute("INSERT INTO mq_instance (installation, environment) VALUES (gen_random_uuid(), 'default')")
        other.commit()
        other.execute("SELECT FROM mq_instance FOR UPDATE")
        process = subprocess.Popen(
            command("apply", "--auto-approve"), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        try:
            eventually(lambda: _is_waited_for(database_url))
            yield process
        finally:
            process.kill()
            process.communicate()


def _is_waited_for(database_url: str) -> bool:
    with psycopg.connect(database_url) as connection:
        waiting = "SELECT FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'"
        return bool(connection.execute(waiting).fetchall())


def test_an_apply_that_lost_its_lock_does_not_commit(shell: Shell, database_url: str) -> None:
    with hanging(database_url) as process:
        waited = shell.run("apply", "--auto-approve", "--lock-timeout", "250ms")
        assert waited.returncode == 1
        assert "where it is out of reach, `mqops force-unlock default`" in waited.stderr
        done = shell.succeed("force-unlock", "default", "--auto-approve")
        shown, freed = done.splitlines()
        assert re.fullmatch(HELD, shown)
        assert freed == "The lock of source default is free. Run the apply again."
        _, errors = process.communicate(timeout=10)
        assert process.returncode == 1
        assert errors.startswith("error: PostgreSQL ended this session, and its locks with it: `mqops force-unlock`")
    assert shell.succeed("get", "topics") == "No topics.\n"
    assert "Applied revision 1: " in shell.succeed("apply", "--auto-approve")
    assert "No changes." in shell.succeed("plan")
    assert shell.succeed("force-unlock", "default") == "No apply of source default is under way: its lock is free.\n"


def test_it_goes_no_further_on_redis_either(shell: Shell, redis_client: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """It hangs between two calls, and is let go on when its lock is another's."""
    monkeypatch.setattr(provision, "_CALLS_AT_ONCE", 1)
    reached, go_on = threading.Event(), threading.Event()

    class Hangs:
        under_way = staticmethod(nullcontext)
        is_stopped = staticmethod(lambda: False)

        def advanced(self, progress: Progress) -> None:
            if progress.done == 1:
                reached.set()
                assert go_on.wait(20)

    settings = current_settings()
    request = Request(check_manifests(shell.folder / "manifests", settings), settings)
    ended: list[BaseException] = []

    def hang() -> None:
        try:
            with open_stores(settings) as stores:
                apply_manifests(request, stores, Execution(TESTER, oversight=Hangs()))
        except Conflict as error:
            ended.append(error)

    thread = threading.Thread(target=hang)
    thread.start()
    assert reached.wait(20)
    shell.succeed("force-unlock", "default", "--auto-approve")
    with open_stores(settings) as stores, lock.hold(stores.database, ["default"], TESTER, 0):
        before = set(redis_client.keys())
        go_on.set()
        thread.join(20)
        assert len(ended) == 1
        # The call that it was about to make when it hung is the last one.
        assert len(set(redis_client.keys()) - before) <= 4
        assert observe(stores).applied == {}
    shell.succeed("apply", "--auto-approve")
    assert "No changes." in shell.succeed("plan")


def test_only_yes_ends_it(shell: Shell, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as other, lock.hold(other, ["default"], TESTER, 0):
        nobody = shell.run("force-unlock", "default")
        assert (nobody.returncode, nobody.stderr) == (
            1,
            "error: nobody is there to approve it: pass --auto-approve\n",
        )
        for answer, code in (("y", 1), ("yes", 0)):
            screen, terminal = pty.openpty()
            process = subprocess.Popen(
                command("force-unlock", "default"), stdin=terminal, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            os.close(terminal)
            os.write(screen, f"{answer}\n".encode())
            process.communicate(timeout=20)
            os.close(screen)
            assert process.returncode == code
            with psycopg.connect(database_url, autocommit=True) as looking:
                assert (lock.find_holder(looking, "default") is None) == (answer == "yes")


def test_who_may_not_end_it_is_told_how_it_can_be(shell: Shell, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as other, lock.hold(other, ["default"], TESTER, 0):
        other.execute("DROP ROLE IF EXISTS mq_test_weak")
        other.execute("CREATE ROLE mq_test_weak")
        try:
            with psycopg.connect(database_url, autocommit=True) as weak:
                weak.execute("SET ROLE mq_test_weak")
                holder = lock.find_holder(weak, "default")
                assert holder is not None
                with pytest.raises(
                    ConfigurationError, match=rf"as {holder.user} or a superuser: SELECT pg_terminate_backend"
                ):
                    lock.end(weak, "default", holder)
            assert lock.find_holder(other, "default") is not None
        finally:
            other.execute("DROP ROLE mq_test_weak")


def test_a_source_that_is_none_is_said_so(shell: Shell) -> None:
    shell.succeed("apply", "--auto-approve")
    done = shell.run("force-unlock", "defualt")
    assert (done.returncode, done.stderr) == (1, "error: there is no source 'defualt': did you mean default?\n")
