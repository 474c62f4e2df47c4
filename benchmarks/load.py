"""Load over HTTP: wrk where it is installed, a small generator of our own where it is not."""

import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

CONNECTIONS = 32

_REPORT = """
done = function(summary, latency, requests)
  local e = summary.errors
  local form = '{"requests": %d, "refused": %d, "broken": %d, "seconds": %f, "p50_ms": %f, "p99_ms": %f}'
  io.write(string.format('\\nRESULT ' .. form .. '\\n', summary.requests, e.status,
    e.connect + e.read + e.write + e.timeout, summary.duration / 1e6,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
"""


@dataclass(frozen=True, slots=True)
class Load:
    """What a load got. ``requests`` were answered, ``refused`` of them with a status of 400 or more."""

    requests: int
    refused: int
    broken: int
    seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def per_second(self) -> float:
        return (self.requests - self.refused) / self.seconds


def post(url: str, body: str, headers: Mapping[str, str], seconds: int) -> Load:
    """POST ``body`` to ``url`` over 32 connections, as fast as it goes."""
    wrk = shutil.which("wrk")
    if wrk is None:
        return _generate(url, body, headers, seconds)
    lines = [f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}" for name, value in headers.items()]
    with tempfile.TemporaryDirectory() as directory:
        script = Path(directory) / "post.lua"
        script.write_text(f'wrk.method = "POST"\nwrk.body = [==[{body}]==]\n' + "\n".join(lines) + _REPORT)
        command = [wrk, "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "-s", str(script), url]
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    result = next(line for line in output.splitlines() if line.startswith("RESULT "))
    return Load(**json.loads(result.removeprefix("RESULT ")))


def generator() -> str:
    """What ``post`` uses here, for the report."""
    return "wrk" if shutil.which("wrk") else "the built-in generator (for wrk: apt-get install wrk)"


def _generate(url: str, body: str, headers: Mapping[str, str], seconds: int) -> Load:
    """In a process of its own, as wrk would be."""
    order = json.dumps({"url": url, "body": body, "headers": dict(headers), "seconds": seconds})
    command = [sys.executable, "-m", "benchmarks.load"]
    output = subprocess.run(command, input=order, capture_output=True, text=True, check=True).stdout
    return Load(**json.loads(output))


async def _client(host: str, port: int, request: bytes, until: float, latencies: list[float]) -> int:
    reader, writer = await asyncio.open_connection(host, port)
    refused = 0
    while (started := time.perf_counter()) < until:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.partition(b":")[2]))
        refused += head[9:12] >= b"400"
        latencies.append((time.perf_counter() - started) * 1000)
    writer.close()
    return refused


async def _run(order: dict[str, object]) -> Load:
    parts = urlsplit(str(order["url"]))
    headers = order["headers"]
    assert isinstance(headers, dict)
    body = str(order["body"]).encode()
    lines = [f"POST {parts.path} HTTP/1.1", f"Host: {parts.netloc}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    request = "\r\n".join(lines).encode() + b"\r\n\r\n" + body
    latencies: list[float] = []
    started = time.perf_counter()
    until = started + float(str(order["seconds"]))
    clients = (_client(str(parts.hostname), parts.port or 80, request, until, latencies) for _ in range(CONNECTIONS))
    refused = sum(await asyncio.gather(*clients))
    seconds = time.perf_counter() - started
    latencies.sort()
    at = len(latencies) - 1
    return Load(len(latencies), refused, 0, seconds, latencies[at // 2], latencies[at * 99 // 100])


if __name__ == "__main__":
    import uvloop

    load = uvloop.run(_run(json.load(sys.stdin)))
    print(json.dumps({name: getattr(load, name) for name in Load.__slots__}))
