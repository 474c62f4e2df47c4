"""5,000 consumers that wait on one web process, woken by 1,000 messages a second: how soon, and in how much memory.

No peer: each figure stands beside what it may be at most, and the ratio is how many times it fits in. 100 queues have
50 consumers each; a consumer pulls one message with ``waitMs``, acknowledges it and waits again. Messages are published
over the same process. A wake-up is timed from before the publish is sent to when the consumer has the message.
"""

import hashlib
import json
import resource
import secrets
import subprocess
import sys

import psutil

from benchmarks.report import Row, within
from benchmarks.stack import Stack, running
from mqops import __version__

QUEUES, CONSUMERS, PER_SECOND = 100, 5_000, 1_000

_HEAD = """
apiVersion: mqops/v1
kind: Tenant
metadata: {{name: bench}}
spec: {{}}
---
apiVersion: mqops/v1
kind: Credential
metadata: {{tenant: bench, name: both}}
spec: {{principal: both, roles: [publisher, consumer], keys: [{{sha256: "{digest}"}}]}}
"""
_QUEUE = """---
apiVersion: mqops/v1
kind: Queue
metadata: {{tenant: bench, name: queue-{number}}}
spec: {{}}
"""


def run(*, rounds: int, seconds: int) -> tuple[list[Row], list[str]]:
    """Rows for the wake-ups and the memory; the median round of each counts."""
    key = "mqk_" + secrets.token_urlsafe(32)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # the server has it from here
    manifests = _HEAD.format(digest=hashlib.sha256(key.encode()).hexdigest())
    manifests += "".join(_QUEUE.format(number=number) for number in range(QUEUES))
    with running(manifests, web_workers=1) as stack:
        got = sorted((_measured(stack, key, seconds) for _ in range(rounds)), key=lambda each: each["p99_ms"])
    middle = got[len(got) // 2]
    rows = [
        within("wake-up, p50", middle["p50_ms"], "ms", None),
        within("wake-up, p99", middle["p99_ms"], "ms", 20),
        within("memory of the process (PSS)", max(each["memory_mib"] for each in got), "MiB", 200),
        within("CPU of the process while all wait", middle["waiting_cpu_percent"], "% of a core", None),
        within("CPU a message: publish, wake-up, ack, wait", middle["message_cpu_us"], "µs", None),
    ]
    return rows, [
        f"{CONSUMERS:,} consumers of {QUEUES} queues, {PER_SECOND:,} messages/s; mqops {__version__}, 1 web worker",
        f"the load was late itself by {middle['late_p99_ms']:.1f} ms (p99), which is not in the wake-ups",
    ]


def _measured(stack: Stack, key: str, seconds: int) -> dict[str, float]:
    stack.settle()
    order = {
        "url": stack.url,
        "server": _web_worker(stack),
        "key": key,
        "queues": QUEUES,
        "consumers": CONSUMERS,
        "per_second": PER_SECOND,
        "seconds": seconds,
    }
    command = [sys.executable, "-m", "benchmarks.consuming"]
    done = subprocess.run(command, input=json.dumps(order), stdout=subprocess.PIPE, text=True, check=True)
    got: dict[str, float] = json.loads(done.stdout)
    if got["arrived"] != got["published"]:
        raise RuntimeError(f"{got['published']:.0f} were published, {got['arrived']:.0f} arrived")
    return got


def _web_worker(stack: Stack) -> int:
    """Of `mqops serve`: its only child."""
    for process in psutil.Process(stack.pid).children(recursive=True):
        if "serve" in process.cmdline() and (workers := process.children()):
            return workers[0].pid
    raise RuntimeError("mqops serve has no worker")
