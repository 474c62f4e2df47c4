"""The embedded servers: started for real, killed for real."""

import os
import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from redis import Redis
from waiting import eventually

from mqops.embedded import process as processes
from mqops.embedded.directory import SOCKET_PATH_BYTES, StateDirectory, held_lock, open_state_directory
from mqops.embedded.postgres import find_postmaster, postgres_url, start_postgres
from mqops.embedded.process import Process, Program, Started, find
from mqops.embedded.running import (
    Running,
    find_leftovers,
    find_running,
    forget_running,
    settings_variables,
    stop_leftovers,
    write_running,
)
from mqops.embedded.supervisor import Supervisor, back_off_seconds
from mqops.embedded.valkey import start_valkey, valkey_socket, valkey_url
from mqops.errors import ConfigurationError

STARTER = """
import sys, time
from pathlib import Path
from mqops.embedded.directory import open_state_directory
from mqops.embedded.postgres import start_postgres
from mqops.embedded.valkey import start_valkey
directory = open_state_directory(Path(sys.argv[1]))
servers = start_postgres(directory), start_valkey(directory)
print(*(server.pid for server in servers), flush=True)
time.sleep(600)
"""


@pytest.fixture
def directory(tmp_path: Path) -> StateDirectory:
    return open_state_directory(tmp_path / ".mqops")


@pytest.fixture
def started() -> Iterator[Callable[[Process], Process]]:
    """Notes what a test started, and stops it afterwards."""
    running: list[Process] = []

    def note(process: Process) -> Process:
        running.append(process)
        return process

    yield note
    for process in running:
        process.stop()


def sleeper(name: str = "sleeper", seconds: int = 600) -> Program:
    code = f"import time; time.sleep({seconds})  # {name}"
    return Program(name=name, command=(sys.executable, "-c", code), mark=f"# {name}")


def answer(redis_url: str, *command: str) -> object:
    with Redis.from_url(redis_url) as client:
        return client.execute_command(*command)


def test_data_outlives_a_stop_and_a_start(directory: StateDirectory) -> None:
    for is_first in (True, False):
        postgres, valkey = start_postgres(directory), start_valkey(directory)
        try:
            with psycopg.connect(postgres_url(directory), autocommit=True) as connection:
                if is_first:
                    connection.execute("CREATE TABLE kept (n integer)")
                assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)
            if is_first:
                answer(valkey_url(directory), "SET", "kept", "yes")
            assert answer(valkey_url(directory), "GET", "kept") == b"yes"
        finally:
            valkey.stop()
            postgres.stop()
        assert (postgres.exit_code, valkey.exit_code) == (0, 0)


def test_valkey_throws_nothing_away_and_listens_to_nobody_else(
    directory: StateDirectory, started: Callable[[Process], Process]
) -> None:
    valkey = started(start_valkey(directory))
    settings = {
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",
        "save": "",
        "port": "0",
    }
    with Redis.from_url(valkey_url(directory)) as client:
        assert {name: client.config_get(name)[name] for name in settings} == settings
    assert psutil.Process(valkey.pid).net_connections("inet") == []
    assert stat.S_IMODE(directory.sockets().stat().st_mode) == 0o700


def test_postgresql_never_runs_as_root_and_listens_to_nobody_else(
    directory: StateDirectory, started: Callable[[Process], Process]
) -> None:
    postgres = psutil.Process(started(start_postgres(directory)).pid)
    assert postgres.uids().effective != 0
    assert directory.postgres.stat().st_uid == postgres.uids().effective
    assert stat.S_IMODE(directory.postgres.stat().st_mode) == 0o700
    assert postgres.net_connections("inet") == []


def test_a_deep_private_checkout_works_and_its_modes_stay(
    tmp_path: Path, started: Callable[[Process], Process]
) -> None:
    home = tmp_path / "home"
    deep = home / ("d" * 150) / "with space, comma" / "checkout"
    deep.mkdir(parents=True)
    home.chmod(0o700)
    directory = open_state_directory(deep / ".mqops")
    servers = [started(start_postgres(directory)), started(start_valkey(directory))]
    with psycopg.connect(postgres_url(directory)) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert answer(valkey_url(directory), "PING") == b"PONG" or answer(valkey_url(directory), "PING") is True
    assert len(os.fsencode(valkey_socket(directory))) <= SOCKET_PATH_BYTES
    assert [stat.S_IMODE(path.stat().st_mode) for path in (home, directory.root)] == [0o700, 0o700]
    assert open_state_directory(tmp_path / "other" / ".mqops").sockets() != directory.sockets()
    outside = directory.sockets()
    assert not outside.is_relative_to(directory.root)
    for process in reversed(servers):
        process.stop()
    directory.remove_sockets()
    assert not outside.exists()


def test_somebody_elses_directory_in_the_place_of_the_sockets_is_not_used(tmp_path: Path) -> None:
    directory = open_state_directory(tmp_path / ("d" * 120))
    trap = directory.sockets()
    trap.chmod(0o755)
    try:
        with pytest.raises(ConfigurationError, match="not a private directory of this user"):
            directory.sockets()
    finally:
        trap.rmdir()


def test_killing_the_starter_stops_its_servers_and_the_next_start_works(
    directory: StateDirectory, started: Callable[[Process], Process]
) -> None:
    starter = subprocess.Popen([sys.executable, "-c", STARTER, str(directory.root)], stdout=subprocess.PIPE)
    assert starter.stdout is not None
    servers = [psutil.Process(int(pid)) for pid in starter.stdout.readline().split()]
    answer(valkey_url(directory), "SET", "written", "before")
    starter.kill()
    starter.wait()
    starter.stdout.close()
    # At once, while they are still going down.
    with held_lock(directory):
        stop_leftovers(directory)
        eventually(lambda: not any(processes.is_running(server) for server in servers))
        started(start_postgres(directory))
        started(start_valkey(directory))
    assert answer(valkey_url(directory), "GET", "written") == b"before"


def test_a_first_start_that_was_killed_half_way_is_made_good(
    directory: StateDirectory, started: Callable[[Process], Process]
) -> None:
    unfinished = directory.root / "postgres.new-killed"
    unfinished.mkdir()
    (unfinished / "PG_VERSION").write_text("18\n")
    started(start_postgres(directory))
    assert find_postmaster(directory) is not None
    assert not unfinished.exists()


def test_lock_files_that_name_a_foreign_process_do_not_stop_a_start(
    directory: StateDirectory, started: Callable[[Process], Process]
) -> None:
    start_postgres(directory).stop()
    stale = f"{os.getppid()}\n{directory.postgres}\n1\n5432\n{directory.sockets()}\n\n1 1\n"
    (directory.postgres / "postmaster.pid").write_text(stale)
    (directory.sockets() / ".s.PGSQL.5432.lock").write_text(stale)
    assert find_leftovers(directory) == []
    started(start_postgres(directory))
    assert psutil.pid_exists(os.getppid())


def test_a_write_that_was_cut_off_does_not_stop_a_start(
    directory: StateDirectory, started: Callable[[Process], Process]
) -> None:
    valkey = start_valkey(directory)
    answer(valkey_url(directory), "SET", "kept", "yes")
    valkey.stop()
    (file,) = (directory.valkey / "appendonlydir").glob("*.incr.aof")
    with file.open("ab") as appended:
        appended.write(b"*3\r\n$3\r\nSET\r\n$4\r\nto")
    started(start_valkey(directory))
    assert answer(valkey_url(directory), "GET", "kept") == b"yes"


def test_data_of_another_postgresql_is_left_alone(directory: StateDirectory) -> None:
    start_postgres(directory).stop()
    (directory.postgres / "PG_VERSION").write_text("17\n")
    with pytest.raises(ConfigurationError, match="was made by PostgreSQL 17, and the embedded one is 18"):
        start_postgres(directory)


def test_a_directory_that_is_no_database_is_left_alone(directory: StateDirectory) -> None:
    directory.postgres.mkdir()
    with pytest.raises(ConfigurationError, match="is not PostgreSQL's data"):
        start_postgres(directory)


def test_a_server_that_does_not_start_says_why(directory: StateDirectory) -> None:
    with pytest.raises(ConfigurationError, match=r"embedded postgres did not start(?s:.*)no_such_setting"):
        start_postgres(directory, {"no_such_setting": "1"})


def test_a_second_holder_of_the_lock_is_told_who_the_first_is(directory: StateDirectory) -> None:
    with (
        held_lock(directory),
        pytest.raises(ConfigurationError, match=f"already running.*process {os.getpid()}"),
        held_lock(directory),
    ):
        pass
    with held_lock(directory):
        assert True


def test_what_runs_is_found_by_other_commands_until_it_is_gone(directory: StateDirectory) -> None:
    up = Process.start(sleeper(), directory.log("up"))
    try:
        running = Running("run", up.record(), {"PORT": "3010"}, ())
        write_running(directory, running)
        eventually(lambda: find_running(directory.root) == running)
        assert stat.S_IMODE(directory.run.stat().st_mode) == 0o600
    finally:
        up.stop()
    assert find_running(directory.root) is None
    forget_running(directory)
    assert find_running(directory.root) is None


def test_only_the_very_process_on_record_is_taken_for_a_leftover(directory: StateDirectory) -> None:
    foreign = Process.start(sleeper("foreign"), directory.log("foreign"))
    try:
        record = foreign.record()
        earlier = Started(record.name, record.pid, record.created_at - 60, record.mark, record.stop_signal)
        other_command = Started(record.name, record.pid, record.created_at, "# ours", record.stop_signal)
        write_running(directory, Running("run", earlier, {}, (earlier, other_command)))
        eventually(lambda: find(record) is not None)  # not while it becomes the program
        assert find_leftovers(directory) == []
        stop_leftovers(directory)
        assert foreign.exit_code is None
    finally:
        foreign.stop()


def test_what_a_dead_process_left_in_its_group_is_found_and_stopped(directory: StateDirectory) -> None:
    code = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])  # parent"
    program = Program(
        "parent", (sys.executable, "-W", "ignore", "-c", code), "# parent", {processes.RUN_VARIABLE: "r1"}
    )
    parent = Process.start(program, directory.log("parent"))
    record = parent.record()
    eventually(lambda: parent.exit_code == 0)
    write_running(directory, Running("another run", record, {}, (record,)))
    assert find_leftovers(directory) == []
    write_running(directory, Running("r1", record, {}, (record,)))
    ((child, number),) = find_leftovers(directory)
    assert number == signal.SIGTERM
    stop_leftovers(directory)
    assert not processes.is_running(child)


def test_a_process_that_ignores_being_asked_is_killed(directory: StateDirectory) -> None:
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print('ready', flush=True); time.sleep(600)"
    program = Program("deaf", (sys.executable, "-c", code), "deaf", grace_seconds=0.3)
    process = Process.start(program, directory.log("deaf"))
    eventually(lambda: directory.log("deaf").read_text() == "ready\n")
    process.stop()
    assert process.exit_code == -signal.SIGKILL


def test_a_process_that_dies_is_started_again_with_growing_patience(directory: StateDirectory) -> None:
    said: list[str] = []
    recorded: list[tuple[Started, ...]] = []
    supervisor = Supervisor(directory, said.append, recorded.append)
    code = "import sys; print('out of luck'); sys.exit(3)"
    supervisor.start(Program("unlucky", (sys.executable, "-c", code), "unlucky"))
    supervisor.start(sleeper())
    steady = recorded[-1][1].pid

    def has_ended(times: int) -> bool:
        supervisor.tick()
        return len(said) >= times

    try:
        eventually(lambda: has_ended(3))
    finally:
        supervisor.stop(lambda: False)
    assert [re.findall(r"exit code 3\); starting it again in ([0-9.]+) s", text) for text in said] == [
        ["0.5"],
        ["1"],
        ["2"],
    ]
    assert "out of luck" in said[0]
    assert recorded[-1][1].pid == steady
    assert not psutil.pid_exists(steady)


def test_patience_has_a_limit() -> None:
    assert [back_off_seconds(failures) for failures in (1, 2, 3, 7, 50)] == [0.5, 1.0, 2.0, 30.0, 30.0]


def test_only_what_settings_are_read_from_is_put_on_record() -> None:
    environment = {"PORT": "3999", "HOME": "/home/x", "MQOPS_ACME_KEY": "secret", "MQOPS_STATE_DIR": "/x"}
    assert settings_variables(environment) == {"PORT": "3999", "MQOPS_STATE_DIR": "/x"}


def test_another_users_state_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"belongs to user .*MQOPS_STATE_DIR"):
        open_state_directory(Path("/usr") if os.geteuid() else _given_away(tmp_path / ".mqops"))


def _given_away(path: Path) -> Path:
    path.mkdir()
    os.chown(path, 65_534, 65_534)
    return path


def test_the_holder_of_a_port_is_named() -> None:
    from mqops.embedded.port import check_port_is_free, free_port

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(ConfigurationError, match=rf"port {port} is taken by process {os.getpid()} .*PORT="):
            check_port_is_free("127.0.0.1", port)
    check_port_is_free("127.0.0.1", free_port("127.0.0.1"))
