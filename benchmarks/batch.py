"""Batches of 100 messages over HTTP, beside ``redis-benchmark -P 100`` adding the same bodies to a stream.

Peer: ``apt-get install redis-tools``. Both are loaded in turn, over 32 connections, against one Valkey with
``appendonly yes``, ``appendfsync everysec``; what the server holds afterwards is checked against what was answered 2xx.
"""

import hashlib
import json
import secrets
import shutil
import subprocess

from benchmarks.load import CONNECTIONS, generator
from benchmarks.publish import MANIFESTS, body_of, clear, load_counted
from benchmarks.report import Row, compare
from benchmarks.stack import Stack, running
from mqops import __version__

BAR = 0.5
MESSAGES = 100
PEER_STREAM = "benchmark:xadd"
_PEER_PER_SECOND = 200_000
"""About what the peer does: how much it is asked to do in the seconds of a measurement."""


def run(*, rounds: int, seconds: int) -> tuple[list[Row], list[str]]:
    """Rows for messages of 120 bytes and 1 KB, with the requests' latency beside the rates."""
    key = "mqk_" + secrets.token_urlsafe(32)
    notes = [f"load: {generator()}; mqops {__version__}, 2 gunicorn workers; appendfsync everysec"]
    program = shutil.which("redis-benchmark")
    if program is None:
        notes.append("peer missing: apt-get install redis-tools")
    with running(MANIFESTS.format(digest=hashlib.sha256(key.encode()).hexdigest())) as stack:
        stack.redis.config_set("auto-aof-rewrite-percentage", 0)
        notes.append(f"server: Valkey {stack.redis.info('server').get('valkey_version', '?')}")
        rows = []
        for name, size_bytes in (("120 B", 120), ("1 KB", 1024)):
            message = body_of(size_bytes)
            body = json.dumps({"topic": "events", "messages": [json.loads(message)] * MESSAGES})
            pairs: list[tuple[float, float | None]] = []
            p99: list[tuple[float, float | None]] = []
            for _ in range(rounds):
                ours = load_counted(stack, "/api/v1/mq/publish/batch", key, body, seconds, messages=MESSAGES)
                _clear(stack)
                theirs = None if program is None else _theirs(stack, program, message, seconds)
                _clear(stack)
                pairs.append((ours.per_second * MESSAGES, theirs))
                p99.append((ours.p99_ms, None))
            rows.append(compare(f"batch of {MESSAGES}, {name}", pairs, "messages/s", BAR))
            rows.append(compare(f"batch of {MESSAGES}, {name}, p99", p99, "ms", None))
    return rows, notes


def _clear(stack: Stack) -> None:
    clear(stack)
    stack.redis.delete(PEER_STREAM)


def _theirs(stack: Stack, program: str, message: str, seconds: int) -> float:
    """Messages a second."""
    count = _PEER_PER_SECOND * seconds * 120 // max(120, len(message))
    command = [
        program,
        "-s",
        stack.redis_socket,
        "-P",
        str(MESSAGES),
        "-c",
        str(CONNECTIONS),
        "-n",
        str(count),
        "--csv",
    ]
    output = subprocess.run(
        [*command, "XADD", PEER_STREAM, "*", "p", message], capture_output=True, text=True, check=True
    ).stdout
    stored = stack.redis.xlen(PEER_STREAM)
    if not count <= stored <= count + MESSAGES * CONNECTIONS:  # it ends with whole pipelines
        raise RuntimeError(f"redis-benchmark: {count} were asked for, {stored} are stored")
    return _rate(output)


def _rate(output: str) -> float:
    """Of its CSV: seven figures stand at the end of the line, the first of them is requests per second. What it was
    asked stands in front, and may have commas of its own."""
    return float(output.strip().splitlines()[-1].split('","')[-7])
