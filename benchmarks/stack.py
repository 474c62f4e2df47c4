"""A whole platform for a benchmark: ``mqops up`` on embedded servers, in a directory that goes away afterwards."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import redis

START_SECONDS = 120
_SETTLE_SECONDS = 180
_STILL_SECONDS = 3
_IDLE_SHARE = 0.25
"""Of one core: what the loops of a platform at rest may use of it."""


@dataclass(frozen=True, slots=True)
class Stack:
    """A platform that runs. ``redis_socket`` is the path of the embedded server's socket."""

    url: str
    redis: "redis.Redis"
    redis_socket: str
    directory: Path
    pid: int

    def settle(self) -> None:
        """Returns when the platform is at rest: after a large apply its own watch loop and its web workers have a lot
        to take in, which is not what is to be measured. ``RuntimeError`` when it does not come to rest."""
        deadline = time.monotonic() + _SETTLE_SECONDS
        still = 0
        while still < _STILL_SECONDS:
            if time.monotonic() > deadline:
                raise RuntimeError(f"the platform is still busy after {_SETTLE_SECONDS} s")
            before = _worked_seconds(self.pid)
            time.sleep(1.0)
            still = still + 1 if _worked_seconds(self.pid) - before < _IDLE_SHARE else 0


@contextmanager
def running(manifests: str, *, web_workers: int = 2) -> Iterator[Stack]:
    """Start with ``manifests`` (YAML), stop in the end; ``RuntimeError`` with the output if it does not start."""
    with tempfile.TemporaryDirectory(prefix="mqops-") as name:
        directory = Path(name)
        (directory / "manifests").mkdir()
        (directory / "manifests" / "benchmark.yaml").write_text(manifests)
        port = _free_port()
        environment = {
            **{key: value for key, value in os.environ.items() if key not in {"REDIS_URL", "DATABASE_URL"}},
            "PORT": str(port),
            "MQOPS_WEB_WORKERS": str(web_workers),
        }
        with (directory / "up.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "mqops.cli", "up", "manifests"],
                cwd=directory,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_until_ready(process, url, directory / "up.log")
            redis_url = json.loads((directory / ".mqops" / "run.json").read_text())["environment"]["REDIS_URL"]
            path = redis_url.removeprefix("unix://").partition("?")[0]
            yield Stack(url, redis.Redis(unix_socket_path=path), path, directory, process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def _worked_seconds(pid: int) -> float:
    """Of processor time, by the process and all below it."""
    parent = psutil.Process(pid)
    worked = 0.0
    for process in (parent, *parent.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            worked += times.user + times.system
    return worked


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_ready(process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise RuntimeError(f"mqops up did not start:\n{log.read_text()}")
