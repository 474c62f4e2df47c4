"""The project's own files: what a newcomer, a CI machine and a container build rely on."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from mqops.embedded.running import settings_variables

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def run(*command: str | Path, cwd: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pairs = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {canonicalize_name(name): version for name, version in pairs}


# --- make -----------------------------------------------------------------------------------------------------------


def test_make_alone_lists_its_targets() -> None:
    listed = run("make", "--no-print-directory", cwd=ROOT)
    assert listed.returncode == 0
    assert re.findall(r"^  make (\w+)", listed.stdout, re.MULTILINE) == [
        "help",
        "install",
        "up",
        "test",
        "check",
        "bench",
    ]


def test_without_a_python_that_is_new_enough_the_message_says_so(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "dirname", "cat"):
        (tools / name).symlink_to(shutil.which(name) or name)
    for name in ("python3", "python3.13"):  # one that is too old, as a version switcher would leave it
        (tools / name).write_text("#!/bin/sh\nexit 1\n")
        (tools / name).chmod(0o755)
    shutil.copytree(ROOT / ".ci", tmp_path / "checkout" / ".ci")
    result = run(tmp_path / "checkout" / ".ci" / "install", cwd=tmp_path, PATH=str(tools))
    assert result.returncode == 1
    assert "no Python 3.11 or newer found" in result.stderr


# --- .ci/run --------------------------------------------------------------------------------------------------------


@pytest.fixture
def ci(tmp_path: Path) -> Any:
    """Runs .ci/run over a Makefile whose `test` prints a summary and ends with a status."""
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci" / "run")

    def run_ci(summary: str, *, check: int = 0, test: int = 0, CI: str = "") -> "subprocess.CompletedProcess[str]":  # noqa: N803
        makefile = f"check:\n\t@exit {check}\ntest:\n\t@echo '{summary}'\n\t@exit {test}\n"
        (tmp_path / "Makefile").write_text(makefile)
        return run(tmp_path / ".ci" / "run", cwd=tmp_path, CI=CI)

    return run_ci


PASSED = "======= 12 passed in 3.21s ======="
SKIPPED = "======= 12 passed, 1 skipped in 61.02s (0:01:01) ======="


def test_ci_passes_and_its_last_line_is_the_tests_summary(ci: Any) -> None:
    result = ci(PASSED)
    assert (result.returncode, result.stdout.splitlines()[-1]) == (0, PASSED)


@pytest.mark.parametrize(
    ("summary", "how"),
    [
        (PASSED, {"check": 1}),
        ("======= 1 failed, 12 passed in 3.21s =======", {"test": 1}),
        ("======= no tests ran in 0.01s =======", {"test": 5}),
        ("======= no tests ran in 0.01s =======", {}),
        ("", {}),
        (SKIPPED, {"CI": "true"}),
    ],
)
def test_ci_fails_when_anything_did_or_nothing_ran(ci: Any, summary: str, how: dict[str, Any]) -> None:
    assert ci(summary, **how).returncode == 1


def test_a_skipped_test_is_for_ci_alone_to_refuse(ci: Any) -> None:
    assert ci(SKIPPED).returncode == 0


# --- dependencies and the wheel -------------------------------------------------------------------------------------


def test_every_dependency_is_pinned_to_a_version_that_is_allowed() -> None:
    extras = PROJECT["optional-dependencies"]
    requirements = [Requirement(text) for text in (*PROJECT["dependencies"], *extras["embedded"], *extras["dev"])]
    known = pins()
    for requirement in requirements:
        name = canonicalize_name(requirement.name)
        if name != "mqops":
            assert requirement.specifier.contains(known[name]), requirement


def test_everything_that_is_installed_for_mqops_is_pinned() -> None:
    """The whole closure, so that two machines install the same."""
    known, seen, todo = pins(), set(), [("mqops", frozenset({"dev", "embedded"}))]
    while todo:
        name, extras = todo.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        if name != "mqops":
            assert metadata.version(name) == known.get(name), f"{name} is not at the version of constraints.txt"
        for text in metadata.requires(name) or []:
            requirement = Requirement(text)
            marker = requirement.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in (*extras, "")):
                todo.append((canonicalize_name(requirement.name), frozenset(requirement.extras)))
    assert len(seen) > 40


def test_the_wheel_has_what_is_not_python_too(tmp_path: Path) -> None:
    built = run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path, cwd=ROOT)
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    data = [
        path.relative_to(ROOT)
        for folder in ("mqops", "reconciler")
        for pattern in ("*.sql", "*.lua", "*.yaml")
        for path in (ROOT / folder).rglob(pattern)
    ]
    schemas = [Path("mqops", "schemas", path.name) for path in (ROOT / "schemas").glob("*.json")]
    assert {str(path) for path in (*data, *schemas)} <= names
    assert schemas
    assert "mqops/migrations/0001_catalog.sql" in names
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/", "manifests/"))]


# --- containers -----------------------------------------------------------------------------------------------------


def test_compose_runs_the_three_roles_on_the_owners_servers() -> None:
    services = COMPOSE["services"]
    assert {name: services[name]["command"][0] for name in ("migrate", "serve", "work", "reconcile")} == {
        name: name for name in ("migrate", "serve", "work", "reconcile")
    }
    assert services["postgres"]["image"] == "postgres:15"
    assert services["redis"]["image"] == "redis:7-alpine"
    command = services["redis"]["command"]
    assert command[command.index("--appendonly") + 1] == "yes"
    assert command[command.index("--maxmemory-policy") + 1] == "noeviction"
    assert services["postgres"]["environment"]["POSTGRES_DB"] == "platform"
    assert COMPOSE["networks"] == {"platform-network": {"name": "platform-network"}}
    assert all(service["networks"] == ["platform-network"] for service in services.values())
    assert all("healthcheck" in services[name] for name in ("serve", "postgres", "redis"))


def test_compose_keeps_data_in_named_volumes() -> None:
    mounts = [mount for service in COMPOSE["services"].values() for mount in service.get("volumes", [])]
    named = {mount.split(":")[0] for mount in mounts if not mount.startswith(".")}
    assert named == set(COMPOSE["volumes"])
    assert "postgres-data:/var/lib/postgresql/data" in mounts
    assert "redis-data:/data" in mounts


def test_every_variable_in_compose_is_one_that_settings_read() -> None:
    variables = COMPOSE["x-environment"]
    values = {name: re.sub(r"\$\{\w+(?::-([^}]*)|:\?[^}]*)?\}", r"\1", str(value)) for name, value in variables.items()}
    assert settings_variables(values) == values
    assert values["PORT"] == "3010"
    assert values["REDIS_URL"].endswith("/5")
    assert values["REDIS_KEY_PREFIX"] == "mq:"


def test_the_image_is_built_from_what_is_there_and_is_not_root() -> None:
    lines = (ROOT / "Dockerfile").read_text("utf-8").splitlines()
    copied = [source for line in lines if re.match(r"COPY (?!--from)", line) for source in line.split()[1:-1]]
    allowed = {line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines()}
    assert copied
    assert [source for source in copied if not (ROOT / source).exists() or source not in allowed] == []
    stages = [index for index, line in enumerate(lines) if line.startswith("FROM ")]
    assert "USER mqops" in lines[stages[-1] :]
    bases = {match[1] for line in lines if (match := re.match(r"FROM python:([0-9.]+)-slim", line))}
    assert len(bases) == 1
    assert SpecifierSet(PROJECT["requires-python"]).contains(bases.pop())
