"""Runs the whole platform on this machine: what `mqops up` does.

Gathers what is wanted, starts it in order, looks after it, stops it in reverse; each part is in `mqops.embedded`.
"""

import os
import secrets
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import psutil

from mqops.bootstrap.control import Stores, open_database, open_stores, refuse_unsafe_stores
from mqops.bootstrap.ready import ready_text
from mqops.embedded.development import development_credential, ensure_development_secrets, with_listen_target
from mqops.embedded.directory import StateDirectory, held_lock, open_state_directory
from mqops.embedded.interrupts import Interrupted, Interrupts
from mqops.embedded.logs import LogFollower, is_trouble
from mqops.embedded.port import check_port_is_free, free_port, reachable_host
from mqops.embedded.postgres import postgres_url, start_postgres
from mqops.embedded.process import RUN_VARIABLE, Started
from mqops.embedded.programs import platform_programs
from mqops.embedded.running import (
    Running,
    find_leftovers,
    forget_running,
    settings_variables,
    stop_leftovers,
    write_running,
)
from mqops.embedded.supervisor import Supervisor
from mqops.embedded.valkey import start_valkey, valkey_url
from mqops.errors import ConfigurationError
from mqops.settings import Settings, settings_from
from reconciler.manifests.secrets import secret_files
from reconciler.pipeline import apply_manifests, author_of
from reconciler.reading import ManifestsRejected, applied_in, check_manifests
from reconciler.request import Execution, Request
from reconciler.state import Resource
from reconciler.stores.migrate import migrate
from reconciler.stores.observe import observe_rows

_READY_SECONDS = 120.0
_TICK_SECONDS = 0.2


class Voice(Protocol):
    """How a person is told what happens."""

    def say(self, text: str) -> None: ...

    def step(self, text: str) -> AbstractContextManager[None]: ...


def run_platform(manifests: Path, voice: Voice, variables: Mapping[str, str]) -> None:
    """Start everything, stay until SIGINT or SIGTERM, stop everything. ``variables`` go before the environment's.

    Raises ``ConfigurationError`` when it cannot start.
    """
    if not manifests.is_dir():
        raise ConfigurationError(f"{manifests} is not a directory: name the one with the manifests: `mqops up DIR`")
    directory = open_state_directory(settings_from({**os.environ, **variables}).state_dir)
    with held_lock(directory), Interrupts() as interrupts:
        platform = _Platform(manifests, directory, voice, variables)
        try:
            platform.start()
            platform.look_after()
        except Interrupted:
            voice.say("stopping; interrupt again to hurry")
        finally:
            interrupts.finish()
            platform.supervisor.stop(interrupts.is_hurried)
            forget_running(directory)
            directory.remove_sockets()
    voice.say("stopped")


class _Platform:
    """One run of everything. ``variables`` is what differs from this process's environment, in it and in what it
    starts."""

    def __init__(self, manifests: Path, directory: StateDirectory, voice: Voice, variables: Mapping[str, str]) -> None:
        self._manifests = manifests
        self._directory = directory
        self._voice = voice
        self._variables = {
            **variables,
            RUN_VARIABLE: secrets.token_hex(8),
            "MQOPS_STATE_DIR": str(directory.root),
            "PYTHONUNBUFFERED": "1",
        }
        self._logs: list[LogFollower] = []
        self.supervisor = Supervisor(directory, voice.say, self._record)

    def start(self) -> None:
        """Everything, in order, and say that it is ready. Raises ``ConfigurationError`` for what is in the way."""
        self._stop_leftovers()
        self._choose_port()
        self._start_servers()
        with open_database(self._settings) as database, self._voice.step("preparing the database"):
            migrate(database)
        refuse_unsafe_stores(self._settings)
        with open_stores(self._settings) as stores:
            resources = self._apply_manifests(stores)
        self._make_secrets(resources)
        with self._voice.step("starting reconcile, work and serve"):
            self._start_processes()
            self._wait_until_ready()
        self._voice.say(ready_text(self._settings, self._directory, resources))

    def look_after(self) -> None:
        """Until somebody interrupts."""
        while True:
            self._tick()
            time.sleep(_TICK_SECONDS)

    @property
    def _settings(self) -> Settings:
        """As what is started next will read them."""
        return settings_from({**os.environ, **self._variables})

    @property
    def _is_development(self) -> bool:
        return bool(self._variables.get("MQOPS_DEVELOPMENT_CREDENTIAL"))

    def _stop_leftovers(self) -> None:
        if find_leftovers(self._directory):
            with self._voice.step("waiting for what an earlier `mqops up` left behind to stop"):
                stop_leftovers(self._directory)
        forget_running(self._directory)

    def _choose_port(self) -> None:
        """Before anything is started: a taken port is the commonest thing in the way."""
        settings = self._settings
        if settings.port:
            check_port_is_free(settings.host, settings.port)
        else:
            self._variables["PORT"] = str(free_port(settings.host))

    def _start_servers(self) -> None:
        given = self._settings
        if given.database_url is None:
            with self._voice.step("starting PostgreSQL"):
                self.supervisor.adopt(start_postgres(self._directory))
            self._variables["DATABASE_URL"] = postgres_url(self._directory)
        if given.redis_url is None:
            with self._voice.step("starting Valkey"):
                self.supervisor.adopt(start_valkey(self._directory))
            self._variables["REDIS_URL"] = valkey_url(self._directory)
        # On other servers no credential for everything may exist, whatever this environment says.
        self._variables["MQOPS_DEVELOPMENT_CREDENTIAL"] = ""
        if given.database_url is None and given.redis_url is None:
            self._variables["MQOPS_DEVELOPMENT_CREDENTIAL"] = development_credential(self._directory.credential)
            self._variables["MQOPS_PRIVATE_TARGETS"] = with_listen_target(given.private_targets, given.listen_url)

    def _apply_manifests(self, stores: Stores) -> Sequence[Resource]:
        """What is in force afterwards. Broken manifests change nothing: what was applied last goes on, if it was."""
        settings = self._settings
        try:
            with self._voice.step(f"applying {self._manifests}"):
                checked = check_manifests(self._manifests, settings, lookup=applied_in(stores.database))
                planned, report = apply_manifests(Request(checked, settings), stores, Execution(author_of("apply")))
        except ManifestsRejected as error:
            applied = observe_rows(stores).applied
            if not applied:
                raise
            self._voice.say(f"error: {error}\nGoing on with what was applied last; mend the manifests and save.")
            return [row.resource for row in applied.values()]
        self._voice.say(report.summary)
        for failure in report.failed:
            self._voice.say(f"error: could not {failure.action.verb} {failure.identity}: {failure.message}")
        for hold in planned.holds:
            self._voice.say(f"not reconciled: {hold}")
        return checked.resources

    def _make_secrets(self, resources: Sequence[Resource]) -> None:
        if self._is_development:
            for path in ensure_development_secrets(self._settings.secrets_dir, secret_files(resources)):
                self._voice.say(f"made the development secret {path}")

    def _start_processes(self) -> None:
        settings = self._settings
        for program in platform_programs(str(self._manifests), settings.drain_seconds, self._variables):
            # What the reconciler does with a saved manifest is news; of the others only trouble is.
            shows = is_trouble if program.name != "reconcile" else lambda line: bool(line.strip())
            self._logs.append(LogFollower(program.name, self._directory.log(program.name), shows))
            self.supervisor.start(program)

    def _wait_until_ready(self) -> None:
        """Raises ``ConfigurationError`` when the data plane is not healthy in time."""
        settings = self._settings
        url = f"http://{reachable_host(settings.host)}:{settings.port}/health"
        deadline = time.monotonic() + _READY_SECONDS
        while not _is_healthy(url):
            self._tick()
            if time.monotonic() > deadline:
                raise ConfigurationError(
                    f"{url} is not healthy after {_READY_SECONDS:.0f} s: see {self._directory.logs}"
                )
            time.sleep(_TICK_SECONDS)

    def _tick(self) -> None:
        self.supervisor.tick()
        for log in self._logs:
            for line in log.new_lines():
                self._voice.say(f"{log.name}: {line}")

    def _record(self, processes: tuple[Started, ...]) -> None:
        own = Started("up", os.getpid(), psutil.Process().create_time(), " ".join(psutil.Process().cmdline()), 15)
        variables = settings_variables({**os.environ, **self._variables})
        write_running(self._directory, Running(self._variables[RUN_VARIABLE], own, variables, processes))


def _is_healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:  # noqa: S310 - our own address
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False
