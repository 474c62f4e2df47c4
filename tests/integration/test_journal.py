"""What logs and Prometheus learn of applies and of the watch loop."""

import json
import re
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis
from shell import MANIFEST, Shell, command
from waiting import eventually

from mqops.bootstrap.control import current_settings, open_stores
from mqops.cli.log_lines import LogLines
from reconciler.stores.observe import observe

TOKEN = "hunter2-not-for-logs"
HANDLER = (
    "---\napiVersion: mqops/v1\nkind: Handler\nmetadata: {tenant: acme, name: hook}\n"
    f"spec: {{type: http, http: {{url: 'https://acme.example/h', headers: {{X-Token: {TOKEN}}}}}}}\n"
)

GLOBEX = "apiVersion: mqops/v1\nkind: Tenant\nmetadata: {name: globex}\nspec: {}\n"


def test_an_apply_writes_a_line_a_change(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MQOPS_LOG_FORMAT", "json")
    shell.manifest.write_text(MANIFEST + HANDLER)
    done = shell.run("apply", "--auto-approve")
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert len(lines) == 6
    [orders] = [line for line in lines if line["resource"] == "Topic acme/orders"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", orders.pop("time"))
    assert orders.pop("durationMs") >= 0
    assert re.fullmatch(r"\S+@\S+", orders.pop("actor"))
    assert orders == {
        "msg": "change",
        "action": "create",
        "outcome": "done",
        "resource": "Topic acme/orders",
        "reason": "declared",
        "source": "default",
        "revision": 1,
        "trigger": "apply",
    }
    shell.manifest.write_text(MANIFEST + HANDLER.replace("/h'", "/other'"))
    monkeypatch.setenv("MQOPS_LOG_FORMAT", "logfmt")
    (line,) = shell.run("apply", "--auto-approve").stderr.splitlines()
    assert 'action=update outcome=done resource="Handler acme/hook" reason=changed source=default revision=2' in line
    (line,) = shell.run("rollback", "1", "--auto-approve").stderr.splitlines()
    assert "trigger=rollback" in line
    assert TOKEN not in done.stderr + line


def test_without_a_form_an_apply_writes_none(shell: Shell) -> None:
    assert shell.run("apply", "--auto-approve").stderr == ""


@pytest.mark.parametrize(
    ("value", "shown"),
    [("bare", "msg=bare"), ("two words", 'msg="two words"'), ('a="b"\n', r'msg="a=\"b\"\n"'), ("", 'msg=""')],
)
def test_logfmt_quotes_what_would_be_read_otherwise(value: str, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    LogLines("logfmt").say(value)
    assert capsys.readouterr().out.partition(" ")[2] == f"{shown}\n"


@contextmanager
def watching(*arguments: str) -> Iterator[Iterator[Any]]:
    """A real watch loop, and the lines that it writes."""
    watch = command("reconcile", "--watch", "--interval", "1s", *arguments)
    process = subprocess.Popen(watch, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield (json.loads(line) for line in iter(process.stdout.readline, ""))
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    assert process.returncode == 0


def scraped(url: str) -> dict[tuple[str, ...], float]:
    """Name and labels' values → value."""
    with urllib.request.urlopen(url, timeout=5) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def destroy_group(redis: Redis) -> None:
    with open_stores(current_settings()) as stores:
        (live,) = observe(stores).subscriptions.values()
        assert redis.xgroup_destroy(stores.keys.stream(live.bucket, live.meta["topic"], 0), live.uid) == 1


def test_prometheus_finds_the_figures_of_a_running_watch_loop(
    shell: Shell, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MQOPS_LOG_FORMAT", "json")
    (shell.folder / "manifests/sources.yaml").write_text(
        "apiVersion: mqops/v1\nkind: Source\nmetadata: {name: other}\nspec: {path: other, selfHeal: false}\n---\n"
        "apiVersion: mqops/v1\nkind: Source\nmetadata: {name: shop}\nspec: {path: shop}\n"
    )
    (shell.folder / "manifests/other").mkdir()
    (shell.folder / "manifests/other/globex.yaml").write_text(GLOBEX)
    (shell.folder / "manifests/shop").mkdir()
    shell.manifest.rename(shell.folder / "manifests/shop/acme.yaml")
    with watching("--metrics-port", "0") as lines:
        next(lines)
        said = next(lines)["msg"]
        assert said.startswith("metrics at http://127.0.0.1:")
        look = partial(scraped, said.removeprefix("metrics at "))
        created = [next(lines) for _ in range(8)]
        assert {line.get("action") for line in created} == {"create"}
        assert created[0]["trigger"] == "watch"
        eventually(lambda: ("mq_reconciler_passes_total", "settled") in look())
        found = look()
        assert found["mq_reconciler_changes_total", "create", "done", "shop"] == 6
        assert found["mq_reconciler_drift", "shop"] == found["mq_reconciler_drift", "other"] == 0
        settled_at = found["mq_reconciler_last_success_timestamp_seconds", "shop"]
        assert found["mq_reconciler_pass_seconds_count",] >= 1
        destroy_group(redis_client)
        repair = next(line for line in lines if line["msg"] == "change")
        assert (repair["action"], repair["reason"], repair["trigger"]) == ("repair", "group_missing", "repair")
        eventually(lambda: look().get(("mq_reconciler_changes_total", "repair", "done", "shop")) == 1)
        shell.succeed("suspend", "shop")
        eventually(lambda: look()["mq_reconciler_held", "shop"] == 1)
        destroy_group(redis_client)
        eventually(lambda: look()["mq_reconciler_passes_total", "stuck"] >= 2)
        found = look()
        assert found["mq_reconciler_last_success_timestamp_seconds", "shop"] >= settled_at
        assert (
            found["mq_reconciler_last_success_timestamp_seconds", "other"]
            > found["mq_reconciler_last_success_timestamp_seconds", "shop"]
        )


def test_a_port_that_is_taken_is_said(shell: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = shell.run("reconcile", "--watch", "--metrics-port", str(port))
    assert done.returncode == 1
    assert f"error: port {port} of 127.0.0.1 cannot be had for metrics" in done.stderr
