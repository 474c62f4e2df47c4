"""Consumers that wait, and publishers that wake them: one process, so that one clock times both.

Reads an order from stdin (JSON), prints what it got as one JSON object.
"""

import asyncio
import gc
import json
import re
import resource
import sys
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import msgspec
import psutil

CONNECTING_AT_ONCE = 200
PUBLISHERS = 20
WAIT_MS = 30_000
WARM_SECONDS = 2.0
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *([0-9]+)")


@dataclass
class Load:
    """What is to be done, and what came of it."""

    host: str
    port: int
    key: str
    queues: int
    consumers: int
    per_second: int
    seconds: float
    latencies_ms: list[float] = field(default_factory=list)
    lateness_ms: list[float] = field(default_factory=list)
    """How much later than planned messages were sent: the load's own share."""
    published: int = 0
    sent: int = 0
    """With those that were not measured."""
    is_measuring: bool = False

    def request(self, queue: int, verb: str, body: bytes) -> bytes:
        path = f"/api/v1/mq/queues/queue-{queue}/{verb}"
        head = f"POST {path} HTTP/1.1\r\nHost: {self.host}\r\nAuthorization: Bearer {self.key}\r\n"
        return head.encode() + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


class _Client(asyncio.Protocol):
    """One connection, one request at a time; little code, as 3,000 answers a second come to this process."""

    def __init__(self) -> None:
        self._received = b""
        self._answer: asyncio.Future[tuple[float, bytes]] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def ask(self, request: bytes) -> "asyncio.Future[tuple[float, bytes]]":
        """The answer's body, and when it was there."""
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answer

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end or len(body) < int(_LENGTH.search(head)[1]):  # type: ignore[index]
            return
        self._received = b""
        if self._answer is not None and not self._answer.done():
            if head[9:12] == b"200":
                self._answer.set_result((time.perf_counter(), body))
            else:
                self._answer.set_exception(RuntimeError(body.decode()))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionError("the server has closed the connection"))


async def _connected(load: Load) -> _Client:
    _, client = await asyncio.get_running_loop().create_connection(_Client, load.host, load.port)
    return client


async def _consume(load: Load, queue: int, gate: asyncio.Semaphore) -> None:
    """Wait, acknowledge, wait again."""
    async with gate:
        client = await _connected(load)
    pull = load.request(queue, "pull", b'{"maxMessages":1,"waitMs":%d}' % WAIT_MS)
    while True:
        arrived, body = await client.ask(pull)
        for message in msgspec.json.decode(body)["messages"]:
            if message["payload"]["measured"]:
                load.latencies_ms.append((arrived - message["payload"]["sent"]) * 1000)
            await client.ask(load.request(queue, "ack", b'{"ackIds":["%b"]}' % message["ackId"].encode()))


async def _publish(load: Load, number: int, started: float) -> None:
    """Each publisher sends its share, at its own even pace, to one queue after the other."""
    client = await _connected(load)
    step = PUBLISHERS / load.per_second
    due = started + step * number / PUBLISHERS
    queue = number
    while due < started + WARM_SECONDS + load.seconds:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        sent = time.perf_counter()
        is_measured = due >= started + WARM_SECONDS
        payload = {"payload": {"sent": sent, "measured": is_measured}}
        await client.ask(load.request(queue % load.queues, "publish", msgspec.json.encode(payload)))
        load.sent += 1
        if is_measured:
            load.published += 1
            load.lateness_ms.append((sent - due) * 1000)
        queue += PUBLISHERS
        due += step


async def _run(load: Load, server: int) -> dict[str, float]:
    gate = asyncio.Semaphore(CONNECTING_AT_ONCE)
    consumers = [asyncio.create_task(_consume(load, n % load.queues, gate)) for n in range(load.consumers)]
    process = psutil.Process(server)
    while len(process.net_connections("tcp")) < load.consumers:  # noqa: ASYNC110 - another process's
        await asyncio.sleep(0.2)
    await asyncio.sleep(3)
    before = process.cpu_times()
    await asyncio.sleep(3)
    after = process.cpu_times()
    started = time.perf_counter()
    await asyncio.gather(*(_publish(load, n, started) for n in range(PUBLISHERS)))
    await asyncio.sleep(1)
    worked = process.cpu_times()
    memory = process.memory_full_info().pss / 2**20
    failed = [task for task in consumers if task.done()]
    if failed:
        await failed[0]
    for task in consumers:
        task.cancel()
    load.latencies_ms.sort()
    load.lateness_ms.sort()
    at = len(load.latencies_ms) - 1
    return {
        "published": load.published,
        "arrived": len(load.latencies_ms),
        "p50_ms": load.latencies_ms[at // 2],
        "p99_ms": load.latencies_ms[at * 99 // 100],
        "late_p99_ms": load.lateness_ms[(len(load.lateness_ms) - 1) * 99 // 100],
        "memory_mib": memory,
        "message_cpu_us": (worked.user + worked.system - after.user - after.system) / load.sent * 1e6,
        "waiting_cpu_percent": (after.user + after.system - before.user - before.system) / 3 * 100,
    }


def main() -> None:
    import uvloop

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    order = json.load(sys.stdin)
    server, url = order.pop("server"), urlsplit(order.pop("url"))
    gc.freeze()
    gc.disable()
    load = Load(host=str(url.hostname), port=url.port or 80, **order)
    print(json.dumps(uvloop.run(_run(load, server))))


if __name__ == "__main__":
    main()
