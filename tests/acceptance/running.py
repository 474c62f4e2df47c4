"""The real commands as subprocesses, as a user has them: ``mqops up`` and what is run beside it."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path

import psutil
from commands import MQOPS, environment
from waiting import eventually

from mqops.embedded.port import free_port

START_SECONDS = 90.0


def free_ports(count: int) -> int:
    """The first of ``count`` ports in a row that nobody uses."""
    for _ in range(100):
        first = free_port("127.0.0.1")
        with contextlib.suppress(OSError), contextlib.ExitStack() as taken:
            for port in range(first, first + count):
                taken.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return first
    raise AssertionError("no free ports")


class Command:
    """A subprocess whose output is gathered line by line."""

    def __init__(self, *arguments: str, directory: Path, environment: Mapping[str, str]) -> None:
        self.process = subprocess.Popen(
            [*MQOPS, *arguments],
            cwd=directory,
            env=dict(environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def wait_for(self, text: str, seconds: float = START_SECONDS) -> str:
        """The first line that has ``text``; fails when the process ends without it."""

        def found() -> str | None:
            line = next((line for line in list(self.lines) if text in line), None)
            if line is None and self.process.poll() is not None:
                self._reader.join(5)
                raise AssertionError(f"ended with {self.process.returncode} before {text!r}:\n{self.output}")
            return line

        try:
            return eventually(found, text, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.output}") from None

    def stop(self, number: signal.Signals = signal.SIGINT, seconds: float = 40.0) -> int:
        """Signal it and wait; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            code = self.process.wait(seconds)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self._reader.join(5)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code


class Platform:
    """``mqops up`` in a directory of its own, with ``manifests/`` in it. Use as a context manager."""

    def __init__(self, directory: Path, variables: Mapping[str, str] | None = None) -> None:
        self.directory = directory
        self.port = free_ports(2)
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = environment(**{"PORT": str(self.port), **(variables or {})})
        self.up: Command | None = None

    def __enter__(self) -> "Platform":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.up is not None:
            self.up.stop()

    def start(self) -> None:
        """Returns when it says that it is ready."""
        self.up = Command("up", "manifests", directory=self.directory, environment=self.environment)
        self.up.wait_for("Ctrl-C stops everything")

    def kill(self) -> None:
        """kill -9 of ``mqops up`` itself."""
        assert self.up is not None
        self.up.stop(signal.SIGKILL)

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """A command beside it, to its end."""
        return subprocess.run(
            [*MQOPS, *arguments],
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def listen(self) -> Command:
        """``mqops listen``, printing a line of JSON a request."""
        command = Command("listen", "-o", "json", directory=self.directory, environment=self.environment)
        command.wait_for("listening on", 20)
        return command

    def process(self, name: str) -> psutil.Process:
        """The process that runs as ``name`` now: serve, work, reconcile, valkey or postgres."""

        def found() -> psutil.Process | None:
            record = json.loads((self.directory / ".mqops" / "run.json").read_text())
            pid = next((each["pid"] for each in record["processes"] if each["name"] == name), None)
            with contextlib.suppress(psutil.NoSuchProcess):
                return psutil.Process(pid)
            return None

        return eventually(found, f"a process {name}")

    def processes_here(self) -> list[psutil.Process]:
        """Every process that works in this directory or its state directory."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if str(self.directory) in " ".join(process.cmdline()) or process.cwd() == str(self.directory):
                    found.append(process)
        return [process for process in found if process.pid != os.getpid()]
