"""What embedded servers get without anybody asking: a credential, secrets, leave to reach `mqops listen`; and what is
shown of the processes' logs."""

import base64
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mqops.bootstrap.ready import Example, choose_example
from mqops.embedded import logs
from mqops.embedded.development import development_credential, ensure_development_secrets, with_listen_target
from mqops.embedded.logs import LogFollower, is_trouble
from mqops.errors import ConfigurationError
from mqops.model import Identity
from mqops.settings import settings_from
from reconciler.manifests.secrets import secret_files
from reconciler.state import Origin, Resource


def resource(
    kind: str, tenant: str, name: str, spec: Mapping[str, Any], implied_by: Identity | None = None
) -> Resource:
    return Resource(Identity(kind, tenant, name), spec, {}, {}, "main", Origin("a.yaml", 1), implied_by)


def handler(tenant: str, name: str, secret: Mapping[str, Any] | None) -> Resource:
    return resource("Handler", tenant, name, {"type": "http", "http": {"url": "http://x", "signingSecret": secret}})


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# --- credential and secrets -----------------------------------------------------------------------------------------


def test_the_credential_is_random_private_and_kept(tmp_path: Path) -> None:
    first = development_credential(tmp_path / "credential")
    assert len(first) >= 43
    assert mode(tmp_path / "credential") == 0o600
    assert development_credential(tmp_path / "credential") == first
    assert development_credential(tmp_path / "other") != first


def test_a_credential_that_was_cut_off_or_left_open_is_made_good(tmp_path: Path) -> None:
    path = tmp_path / "credential"
    path.write_text("")
    path.chmod(0o644)
    assert len(development_credential(path)) >= 43
    assert mode(path) == 0o600


def test_every_referenced_file_gets_a_secret_of_its_own_once(tmp_path: Path) -> None:
    wanted = [("acme", "billing"), ("globex", "billing")]
    made = ensure_development_secrets(tmp_path / "secrets", wanted)
    assert made == [tmp_path / "secrets" / tenant / name for tenant, name in wanted]
    values = [path.read_text().strip() for path in made]
    assert [len(base64.b64decode(value.removeprefix("whsec_"))) for value in values] == [32, 32]
    assert values[0] != values[1]
    assert [mode(path) for path in made] == [0o600, 0o600]
    assert mode(made[0].parent) == mode(made[0].parent.parent) == 0o700
    assert ensure_development_secrets(tmp_path / "secrets", wanted) == []
    assert [path.read_text().strip() for path in made] == values


def test_secret_files_are_those_that_handlers_name() -> None:
    resources = [
        handler("globex", "b", {"file": "signing", "env": None}),
        handler("acme", "a", {"file": "signing", "env": None}),
        handler("acme", "b", {"file": "signing", "env": None}),
        handler("acme", "c", {"file": None, "env": "MQOPS_ACME_C"}),
        handler("acme", "d", None),
        resource("Topic", "acme", "orders", {}),
    ]
    assert secret_files(resources) == [("acme", "signing"), ("globex", "signing")]


# --- private targets ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "url", "expected"),
    [
        ("", "http://127.0.0.1:3011", {"*": ("127.0.0.1:3011",)}),
        ("", "https://localhost/hooks", {"*": ("localhost:443",)}),
        ("", "http://[::1]:3011", {"*": ("[::1]:3011",)}),
        ("acme=10.0.0.1:80;*=a:1", "http://127.0.0.1:1", {"acme": ("10.0.0.1:80",), "*": ("a:1", "127.0.0.1:1")}),
        ("*=127.0.0.1:1", "http://127.0.0.1:1", {"*": ("127.0.0.1:1",)}),
    ],
)
def test_exactly_the_listen_address_joins_the_private_targets(
    given: str, url: str, expected: dict[str, tuple[str, ...]]
) -> None:
    before = settings_from({"MQOPS_PRIVATE_TARGETS": given}).private_targets
    after = settings_from({"MQOPS_PRIVATE_TARGETS": with_listen_target(before, url)}).private_targets
    assert after == expected


@pytest.mark.parametrize("url", ["nonsense", "http://", "http://x:99999"])
def test_a_listen_url_without_a_place_is_said_so(url: str) -> None:
    with pytest.raises(ConfigurationError, match="MQOPS_LISTEN_URL"):
        with_listen_target({}, url)


# --- the example ----------------------------------------------------------------------------------------------------


def topic(tenant: str, name: str) -> Resource:
    return resource("Topic", tenant, name, {})


def subscription(tenant: str, name: str, read: str, handler: str | None) -> Resource:
    return resource("Subscription", tenant, name, {"topic": read, "handler": handler})


def test_the_example_is_the_one_that_shows_most() -> None:
    plain, pushed = topic("a", "plain"), topic("b", "pushed")
    webhook = subscription("b", "hook", "pushed", "hook")
    assert choose_example([]) is None
    assert choose_example([plain]) == Example("a", "plain")
    assert choose_example([plain, pushed, webhook]) == Example("b", "pushed")
    assert choose_example([plain, pushed, webhook, topic("acme", "orders")]) == Example("acme", "orders")
    queues = [resource("Queue", "a", "q", {}), resource("Queue", "b", "jobs", {})]
    assert choose_example([plain, pushed, webhook, *queues]) == Example("b", "pushed", "jobs")


# --- logs -----------------------------------------------------------------------------------------------------------


def test_only_what_is_new_and_complete_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "work.log"
    path.write_text("2026-01-01 ERROR   from before\n")
    follower = LogFollower("work", path, is_trouble)
    assert follower.new_lines() == []
    with path.open("a") as file:
        file.write("INFO    all is well\nWARNING not so well\nerror: at all\nERROR   and this is not fin")
        file.flush()
        assert follower.new_lines() == ["WARNING not so well", "error: at all"]
        file.write("ished\n")
        file.flush()
        assert follower.new_lines() == ["ERROR   and this is not finished"]


def test_a_flood_is_counted_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "work.log"
    follower = LogFollower("work", path, is_trouble)
    assert follower.new_lines() == []
    path.write_text("ERROR   again\n" * 1000)
    lines = follower.new_lines()
    assert len(lines) == logs.MAX_LINES + 1
    assert lines[-1] == f"… and {1000 - logs.MAX_LINES} more lines in {path}"


def test_a_log_does_not_grow_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MAX_LOG_BYTES", 1000)
    path = tmp_path / "work.log"
    follower = LogFollower("work", path, is_trouble)
    with path.open("a") as writer:
        writer.write("INFO    ....\n" * 100)
        writer.flush()
        assert follower.new_lines() == []
        assert path.stat().st_size == 0
        assert path.with_name("work.log.1").stat().st_size == 1300
        writer.write("ERROR   after\n")
        writer.flush()
    assert follower.new_lines() == ["ERROR   after"]
