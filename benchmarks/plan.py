"""Planning and applying 40,000 resources: 100 tenants, 100 topics each with 4 partitions, 3 subscriptions a topic.

No peer: each figure stands beside what it may take at most, and the ratio is how many times it fits in. The tree is
written as 100 files and as 10,000; PostgreSQL and Valkey are the embedded ones, freshly started for each.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.report import Row, within
from benchmarks.stack import Stack, running
from mqops import __version__

TENANTS, TOPICS, SUBSCRIPTIONS, PARTITIONS = 100, 100, 3, 4
COUNT = TENANTS * (1 + TOPICS * (1 + SUBSCRIPTIONS))

_NOTHING = "apiVersion: mqops/v1\nkind: Tenant\nmetadata: {name: bench}\n"


def run(*, rounds: int, seconds: int) -> tuple[list[Row], list[str]]:
    """Rows for both ways to write the tree. ``seconds`` has no meaning here; ``rounds`` no-op plans are made, and the
    slowest counts."""
    rows: list[Row] = []
    for files in (100, 10_000):
        with running(_NOTHING, web_workers=1) as stack:
            rows.extend(_measured(stack, files, rounds))
    implied = TENANTS * TOPICS
    return rows, [
        f"{COUNT:,} resources and {implied:,} dead-letter topics that they imply; mqops {__version__}",
        "seconds by the clock, the start of Python included; the peer is what it may take at most",
    ]


def _measured(stack: Stack, files: int, rounds: int) -> Iterator[Row]:
    tree = stack.directory / "tree"
    _write(tree, files)
    applied, _ = _timed(stack, "apply", str(tree), "--auto-approve")
    stack.settle()
    plans = [_timed(stack, "plan", str(tree), "--detailed-exitcode") for _ in range(rounds)]
    yield within(f"apply to an empty system, {files:,} files", applied, "s", 90)
    yield within(f"no-op plan, {files:,} files", max(taken for taken, _ in plans), "s", 10)
    yield within(f"its memory, {files:,} files", max(memory for _, memory in plans), "MiB", 512)
    changed = sorted((tree / "load").iterdir())[files // 2]
    stack.settle()
    watched = json.loads(_run(stack, "-m", "benchmarks.watching", str(tree), str(changed)).splitlines()[-1])
    yield within(f"no-op look of the watch loop, {files:,} files", watched["warm"], "s", 1)
    yield within(f"one file of {files:,} changed, planned and applied", watched["changed"], "s", 2)
    yield within(f"memory of the watch loop, {files:,} files", watched["memory"], "MiB", 512)


def _timed(stack: Stack, *arguments: str) -> tuple[float, float]:
    """Seconds that a command takes, and the most memory (MiB) that it has."""
    started = time.perf_counter()
    memory = float(_run(stack, "-c", _COMMAND, *arguments).splitlines()[-1])
    return time.perf_counter() - started, memory


_COMMAND = """
import resource, sys
from mqops.cli import main
try:
    main()
except SystemExit as ended:
    if ended.code:
        raise
print()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def _run(stack: Stack, *arguments: str) -> str:
    run_file = json.loads((stack.directory / ".mqops" / "run.json").read_text())
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=stack.directory,
        env={**os.environ, **run_file["environment"], "PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(
            f"{' '.join(arguments)} exited with {done.returncode}: {done.stdout[-500:]}{done.stderr[-2000:]}"
        )
    return done.stdout


def _write(tree: Path, files: int) -> None:
    """The tree of a source of its own, in so many files."""
    folder = tree / "load"
    folder.mkdir(parents=True)
    (tree / "sources.yaml").write_text(_document("Source", "{name: load}", "{path: load}"))
    per_file = TENANTS * TOPICS // files
    for number in range(files):
        topics = range(number * per_file, (number + 1) * per_file)
        (folder / f"{number:05d}.yaml").write_text("---\n".join(part for topic in topics for part in _topic(topic)))


def _topic(number: int) -> Iterator[str]:
    """Topic ``number`` with its subscriptions; the first of a tenant brings the tenant along."""
    tenant, name = f"tenant-{number // TOPICS:03d}", f"topic-{number % TOPICS:03d}"
    if number % TOPICS == 0:
        yield _document("Tenant", f"{{name: {tenant}}}", "{}")
    yield _document("Topic", f"{{tenant: {tenant}, name: {name}}}", f"{{partitions: {PARTITIONS}, retention: 7d}}")
    for reader in range(SUBSCRIPTIONS):
        metadata = f"{{tenant: {tenant}, name: {name}.reader-{reader}}}"
        yield _document("Subscription", metadata, f"{{topic: {name}}}")


def _document(kind: str, metadata: str, spec: str) -> str:
    return f"apiVersion: mqops/v1\nkind: {kind}\nmetadata: {metadata}\nspec: {spec}\n"
