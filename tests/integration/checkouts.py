"""A checkout of manifests, what is applied from it, and committing to it."""

import json
import subprocess

from shell import MANIFEST, Shell

MORE = "---\napiVersion: mqops/v1\nkind: Topic\nmetadata: {tenant: acme, name: more}\nspec: {}\n"
OTHER = MANIFEST.replace("partitions: 2", "partitions: 2, maxBacklog: 7") + MORE


def git(shell: Shell, *arguments: str) -> str:
    who = ("-c", "user.name=Ann", "-c", "user.email=ann@acme.example", "-c", "commit.gpgsign=false")
    done = subprocess.run(
        ("git", "-C", str(shell.folder), *who, *arguments), capture_output=True, text=True, timeout=30, check=True
    )
    return done.stdout.strip()


def commit(shell: Shell, text: str | None = None) -> str:
    """The id of a new commit of the manifests."""
    if text is not None:
        shell.manifest.write_text(text)
    git(shell, "add", "manifests")
    git(shell, "commit", "-qm", "manifests")
    return git(shell, "rev-parse", "HEAD")


def applied(shell: Shell) -> dict[str, object]:
    """What is applied of topics: name → maxBacklog."""
    items = json.loads(shell.succeed("get", "topics", "-o", "json"))["items"]
    return {item["metadata"]["name"]: item["spec"]["maxBacklog"] for item in items}


BEFORE = {"jobs.deadletter": None, "orders": 10_000}
AFTER = {"jobs.deadletter": None, "more": 10_000, "orders": 7}
