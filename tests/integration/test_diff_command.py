"""`mqops diff` as it is run: what it shows, and how it ends."""

import os
import pty
import re
import subprocess
from pathlib import Path

import pytest
from commands import MQOPS, Desk, environment
from redis import Redis
from typer.testing import CliRunner

from mqops.cli import diff
from mqops.cli.app import app


@pytest.fixture
def started(tmp_path: Path, database_url: str, redis_url: str) -> Desk:
    """With the starter tree in ``manifests``, and nothing applied."""
    desk = Desk(tmp_path, {"DATABASE_URL": database_url, "REDIS_URL": redis_url})
    desk.succeed("init")
    return desk


def test_diff_tells_by_its_exit_code_and_shows_yaml(started: Desk) -> None:
    new = started.run("diff")
    assert (new.returncode, new.stderr) == (1, "")
    assert "--- /dev/null\n+++ manifests/acme/orders.yaml:3\n" in new.stdout
    assert started.succeed("get", "topics") == "No topics.\n"

    started.succeed("apply", "--auto-approve")
    assert started.succeed("diff") == ""

    started.edit("retention: 7d", "retention: 8d")
    changed = started.run("diff")
    assert changed.returncode == 1
    assert changed.stdout.splitlines()[:2] == ["--- applied: Topic acme/orders", "+++ manifests/acme/orders.yaml:3"]
    assert re.findall(r"^[-+]  .*$", changed.stdout, re.MULTILINE) == ["-  retention: 7d", "+  retention: 8d"]
    assert started.run("diff", "-o", "name").stdout == "Topic acme/orders\n"


def test_diff_shows_what_was_destroyed_outside(started: Desk, redis_client: Redis) -> None:
    started.succeed("apply", "--auto-approve")
    [(key, group)] = [
        (key, found["name"])
        for key in redis_client.scan_iter(_type="stream")
        for found in redis_client.xinfo_groups(key)
    ][:1]
    redis_client.xgroup_destroy(key, group)
    found = started.run("diff")
    assert found.returncode == 1
    assert re.search(r"^\+live:\n\+  partitions\[\d\]\.group: ", found.stdout, re.MULTILINE)


def test_diff_fails_with_two(started: Desk) -> None:
    started.edit("  name: reports\n", "  name: reports\n  annotations: {mqops/protect: 'true'}\n")
    started.succeed("apply", "--auto-approve")
    path = started.folder / "manifests/acme/orders.yaml"
    path.write_text(path.read_text().partition("---\n# Pulled over HTTP")[0])
    refused = started.run("diff")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith("error: cannot delete Subscription acme/reports: Subscription acme/reports is")

    away = started.run("diff", DATABASE_URL="postgresql://127.0.0.1:1/none")
    assert (away.returncode, away.stdout) == (2, "")
    assert "PostgreSQL does not answer" in away.stderr

    started.edit("partitions: 2", "partitons: 2")
    broken = started.run("diff")
    assert (broken.returncode, broken.stdout) == (2, "")
    assert "manifests/acme/orders.yaml:10:3: spec.partitons" in broken.stderr
    assert started.run("diff", "-o", "json").returncode == 2


def test_diff_fails_with_two_whatever_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("nobody thought of this")

    monkeypatch.setattr(diff, "_planned", fail)
    done = CliRunner().invoke(app, ["diff"])
    assert done.exit_code == 2
    assert "RuntimeError: nobody thought of this" in done.stderr


def test_diff_has_colours_on_a_terminal_alone(started: Desk) -> None:
    assert "\x1b" not in started.run("diff").stdout
    keyboard, terminal = pty.openpty()
    settings = environment(**started.stores, TERM="xterm-256color")
    settings.pop("NO_COLOR", None)
    with subprocess.Popen([*MQOPS, "diff"], cwd=started.folder, env=settings, stdout=terminal) as process:
        os.close(terminal)
        shown = _read_all(keyboard)
    assert process.returncode == 1
    assert "\x1b[32m+kind: Topic" in shown


def _read_all(terminal: int) -> str:
    shown = b""
    try:
        while piece := os.read(terminal, 65536):
            shown += piece
    except OSError:  # how a terminal says that nobody writes to it any more
        pass
    finally:
        os.close(terminal)
    return shown.decode()
