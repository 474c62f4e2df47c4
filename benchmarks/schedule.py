"""A million messages waiting for their time, and 2,000 due a second: how late they come.

No peer: the figure stands beside what it may be at most. All go in over HTTP. How late one is, is the time in its
entry's id (the clock of the Redis server, when it was stored in its partition) less the time that it was scheduled for.
"""

import asyncio
import hashlib
import json
import math
import secrets
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from benchmarks.report import Row, within
from benchmarks.stack import Stack, running
from mqops import __version__

WAITING = 1_000_000
DUE_A_SECOND = 2_000
MOST_LATE_MS = 50
PARTITIONS = 4

_FILL_MESSAGES = 1_000
_FILLERS = 8
_EACH_MS = 10
"""From one time to the next; what is due at one time is one request."""
_AHEAD_SECONDS = 2.0

_MANIFESTS = """
apiVersion: mqops/v1
kind: Tenant
metadata: {{name: bench}}
spec: {{}}
---
apiVersion: mqops/v1
kind: Topic
metadata: {{tenant: bench, name: later}}
spec: {{partitions: {partitions}, retention: 1h}}
---
apiVersion: mqops/v1
kind: Credential
metadata: {{tenant: bench, name: publisher}}
spec: {{principal: publisher, roles: [publisher, consumer], keys: [{{sha256: "{digest}"}}]}}
"""


def run(*, rounds: int, seconds: int, waiting: int = WAITING) -> tuple[list[Row], list[str]]:
    """Rows for the slowest of ``rounds`` of ``seconds`` each. ``RuntimeError`` when a message is missing, comes twice
    or comes early."""
    key = "mqk_" + secrets.token_urlsafe(32)
    digest = hashlib.sha256(key.encode()).hexdigest()
    with running(_MANIFESTS.format(digest=digest, partitions=PARTITIONS)) as stack:
        stack.redis.config_set("auto-aof-rewrite-percentage", 0)
        before = stack.redis.info("memory")["used_memory"]
        filled_seconds = asyncio.run(_fill(stack, key, waiting))
        per_message = (stack.redis.info("memory")["used_memory"] - before) / max(1, waiting)
        late = [_measure(stack, key, seconds) for _ in range(rounds)]
        left = sum(stack.redis.zcard(name) for name in stack.redis.keys("mq:{b*}:*:delay"))
        if left != waiting:
            raise RuntimeError(f"{waiting:,} are to wait on, {left:,} do")
        version = stack.redis.info("server").get("valkey_version", "?")
    case = f"{waiting:,} waiting, {DUE_A_SECOND:,} due a second: late, p99"
    rows = [
        within(case, _worst(late, 0.99), "ms", MOST_LATE_MS),
        Row("the same, p50", _worst(late, 0.5), None, "ms", None, None),
        Row("the same, the latest", _worst(late, 1.0), None, "ms", None, None),
        Row("scheduled over HTTP, 1,000 a request", waiting / filled_seconds, None, "messages/s", None, None),
        Row("memory of a message of 120 B that waits", per_message, None, "bytes", None, None),
    ]
    return rows, [
        f"mqops {__version__}, 2 gunicorn workers; Valkey {version}, appendfsync everysec",
        "the slowest round counts; the peer is what it may be at most",
    ]


async def _fill(stack: Stack, key: str, waiting: int) -> float:
    """Schedules ``waiting`` messages for the days to come; how long that took (s)."""
    payload = {"text": "x" * 100}
    numbers = iter(range(0, waiting, _FILL_MESSAGES))

    async def fill() -> None:
        async with _Client(stack, key) as client:
            for number in numbers:
                messages = [{"payload": payload}] * min(_FILL_MESSAGES, waiting - number)
                await client.post("delayed", {"messages": messages, "delayMs": 86_400_000 + number})

    started = time.perf_counter()
    await asyncio.gather(*(fill() for _ in range(_FILLERS)))
    return time.perf_counter() - started


def _measure(stack: Stack, key: str, seconds: int) -> list[int]:
    """How late each message was (ms), in order."""
    ends = [_last(stack, number) for number in range(PARTITIONS)]
    due = asyncio.run(_schedule(stack, key, seconds))
    stored: dict[bytes, int] = {}
    for number, end in enumerate(ends):
        for entry_id, fields in _entries(stack, number, end):
            if stored.setdefault(fields[b"i"], entry_id) != entry_id:
                raise RuntimeError("a message came twice")
    if stored.keys() != due.keys():
        raise RuntimeError(f"{len(due):,} were scheduled, {len(stored):,} came")
    late = sorted(stored[message] - time_ms for message, time_ms in due.items())
    if late[0] < 0:
        raise RuntimeError(f"a message came {-late[0]} ms early")
    return late


async def _schedule(stack: Stack, key: str, seconds: int) -> dict[bytes, int]:
    """Schedules what is due in the ``seconds`` to come, each a while before; message id → when it is due."""
    due: dict[bytes, int] = {}
    first_ms = int((time.time() + _AHEAD_SECONDS + 1) * 1000)
    times = iter(range(first_ms, first_ms + seconds * 1000, _EACH_MS))

    async def schedule() -> None:
        async with _Client(stack, key) as client:
            for time_ms in times:
                await asyncio.sleep(time_ms / 1000 - _AHEAD_SECONDS - time.time())
                messages = [{"payload": {"n": n}} for n in range(DUE_A_SECOND * _EACH_MS // 1000)]
                body = {"messages": messages, "scheduledAt": _rfc3339(time_ms)}
                answer = await client.post("scheduled", body)
                due.update((bytes.fromhex(each.replace("-", "")), time_ms) for each in answer["messageIds"])

    await asyncio.gather(*(schedule() for _ in range(_FILLERS)))
    await asyncio.sleep(_AHEAD_SECONDS + 2)
    return due


def _rfc3339(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds")


class _Client:
    """A connection that posts one request at a time."""

    def __init__(self, stack: Stack, key: str) -> None:
        self._address = ("127.0.0.1", int(stack.url.rpartition(":")[2]))
        self._key = key

    async def __aenter__(self) -> "_Client":
        self._reader, self._writer = await asyncio.open_connection(*self._address)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    async def post(self, path: str, body: dict[str, Any]) -> Any:
        """The answer's JSON; ``RuntimeError`` for one that is not 200."""
        data = json.dumps({"topic": "later", **body}).encode()
        head = (
            f"POST /api/v1/mq/publish/{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self._key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
        )
        self._writer.write(head.encode() + data)
        head_back = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        length = next(line for line in head_back.split(b"\r\n") if line.startswith(b"content-length:"))
        answer = json.loads(await self._reader.readexactly(int(length.partition(b":")[2])))
        if b" 200 " not in head_back.partition(b"\r\n")[0]:
            raise RuntimeError(f"{path}: {answer}")
        return answer


def _stream(stack: Stack, partition: int) -> Any:
    [name] = stack.redis.keys(f"mq:{{b*}}:*:{partition}:s")
    return name


def _last(stack: Stack, partition: int) -> str:
    info: Any = stack.redis.xinfo_stream(_stream(stack, partition))
    return str(info["last-generated-id"], "ascii")


def _entries(stack: Stack, partition: int, after: str) -> Iterator[tuple[int, dict[bytes, bytes]]]:
    """What came to a partition: when (ms), and its fields."""
    name = _stream(stack, partition)
    while True:
        entries: Any = stack.redis.xrange(name, f"({after}", count=5_000)
        if not entries:
            return
        for entry_id, fields in entries:
            yield int(entry_id.partition(b"-")[0]), fields
        after = str(entries[-1][0], "ascii")


def _worst(rounds: list[list[int]], part: float) -> float:
    """The largest of the quantiles of ``rounds``."""
    return float(max(late[max(0, math.ceil(len(late) * part) - 1)] for late in rounds))
