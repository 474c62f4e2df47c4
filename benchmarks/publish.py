"""HTTP publish, authenticated and access-checked, beside Webdis forwarding XADD to the same server.

Peer: ``apt-get install wrk webdis``. Both are loaded in turn by wrk (1 thread, 32 connections) against one Valkey with
``appendonly yes``, ``appendfsync everysec``; what the server holds afterwards is checked against what was answered 2xx.
"""

import hashlib
import json
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from benchmarks.load import CONNECTIONS, Load, generator, post
from benchmarks.report import Row, compare
from benchmarks.stack import Stack, running
from mqops import __version__

BAR = 0.4
PEER_STREAM = "benchmark:webdis"
_API = "/api/v1/mq"

MANIFESTS = """
apiVersion: mqops/v1
kind: Tenant
metadata: {{name: bench}}
spec: {{}}
---
apiVersion: mqops/v1
kind: Topic
metadata: {{tenant: bench, name: events}}
spec: {{producers: [publisher], retention: 1h}}
---
apiVersion: mqops/v1
kind: Credential
metadata: {{tenant: bench, name: publisher}}
spec: {{principal: publisher, roles: [publisher], keys: [{{sha256: "{digest}"}}]}}
"""


def run(*, rounds: int, seconds: int) -> tuple[list[Row], list[str]]:
    """Rows for bodies of 120 bytes and 1 KB, with the latencies beside the rates."""
    key = "mqk_" + secrets.token_urlsafe(32)
    notes = [f"load: {generator()}; mqops {__version__}, 2 gunicorn workers; appendfsync everysec"]
    with running(MANIFESTS.format(digest=hashlib.sha256(key.encode()).hexdigest())) as stack, _webdis(stack) as peer:
        # The append-only file is written all the time, but rewritten only afterwards: a rewrite would fall to whoever
        # is measured just then.
        stack.redis.config_set("auto-aof-rewrite-percentage", 0)
        if peer is None:
            notes.append("peer missing: apt-get install webdis")
        notes.append(f"server: Valkey {stack.redis.info('server').get('valkey_version', '?')}")
        rows = []
        for name, body in (("120 B", body_of(120)), ("1 KB", body_of(1024))):
            pairs = []
            for _ in range(rounds):
                ours = load_counted(stack, f"{_API}/topics/events/publish", key, body, seconds)
                clear(stack)
                pairs.append((ours, peer and _theirs_as_counted(stack, peer, body, seconds, notes)))
                clear(stack)
            rates = [(ours.per_second, theirs.per_second if theirs else None) for ours, theirs in pairs]
            rows.append(compare(f"publish {name}", rates, "messages/s", BAR))
            p99 = [(ours.p99_ms, theirs.p99_ms if theirs else None) for ours, theirs in pairs]
            rows.append(compare(f"publish {name}, p99", p99, "ms", None))
    return rows, notes


def clear(stack: Stack) -> None:
    """Both start from streams that are empty: neither pays for what the other left in memory."""
    for stream in (*stack.redis.keys("mq:{b*}:*:s"), PEER_STREAM):
        stack.redis.xtrim(stream, maxlen=0)


def body_of(size_bytes: int) -> str:
    """A request of about ``size_bytes``, as an application would send it."""
    frame = {"payload": {"type": "user_notification", "data": {"user": "u-12345", "text": ""}}, "headers": {"k": "v"}}
    frame["payload"]["data"]["text"] = "x" * (size_bytes - len(json.dumps(frame)))  # type: ignore[index]
    return json.dumps(frame)


def load_counted(stack: Stack, path: str, key: str, body: str, seconds: int, *, messages: int = 1) -> Load:
    """A load of requests with so many ``messages`` each; ``RuntimeError`` when not all that was answered 2xx is
    stored."""
    before = stored_by(stack)
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    load = post(stack.url + path, body, headers, seconds)
    time.sleep(0.2)
    stored = stored_by(stack) - before
    answered = (load.requests - load.refused) * messages
    # The load stops with a request on its way on each connection: those may be stored without having been counted.
    if load.refused or load.broken or not answered <= stored <= answered + CONNECTIONS * messages:
        raise RuntimeError(
            f"{answered} were answered 2xx, {stored} are stored, {load.refused} refused, {load.broken} broken"
        )
    return load


def stored_by(stack: Stack) -> int:
    keys = stack.redis.keys("mq:{b*}:*:meta")
    return sum(int(total) for key in keys if (total := stack.redis.hget(key, "total")))


class _Miscounted(RuntimeError):
    """Fewer are stored than the peer has answered for."""


def _theirs_as_counted(stack: Stack, url: str, body: str, seconds: int, notes: list[str]) -> Load:
    """Now and then Webdis answers for one more than it stored: such a measurement is told, and made again."""
    for _ in range(2):
        try:
            return _theirs(stack, url, body, seconds)
        except _Miscounted as error:
            notes.append(f"a measurement was thrown away: {error}")
            clear(stack)
    return _theirs(stack, url, body, seconds)


def _theirs(stack: Stack, url: str, body: str, seconds: int) -> Load:
    command = f"XADD/{PEER_STREAM}/MAXLEN/~/100000/*/p/{quote(body, safe='')}"
    before = stack.redis.xinfo_stream(PEER_STREAM)["entries-added"] if stack.redis.exists(PEER_STREAM) else 0
    load = post(url, command, {}, seconds)
    time.sleep(0.2)
    stored = stack.redis.xinfo_stream(PEER_STREAM)["entries-added"] - before
    if load.broken or not load.requests - load.refused <= stored <= load.requests + CONNECTIONS:
        raise _Miscounted(f"webdis: {load.requests} were answered, {stored} are stored, {load.broken} broken")
    return load


@contextmanager
def _webdis(stack: Stack) -> Iterator[str | None]:
    """Webdis in front of the stack's server; ``None`` where it is not installed."""
    program = shutil.which("webdis")
    if program is None:
        yield None
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {
        "redis_host": stack.redis_socket,
        "redis_port": 0,
        "http_host": "127.0.0.1",
        "http_port": port,
        "threads": 2,
        "daemonize": False,
        "verbosity": 0,
        "logfile": str(stack.directory / "webdis.log"),
    }
    config = Path(stack.directory) / "webdis.json"
    config.write_text(json.dumps(settings))
    process = subprocess.Popen([program, str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.kill()
        process.wait()
