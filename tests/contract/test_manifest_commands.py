"""`mqops validate` and `mqops credentials create`: what they print, where, and how they exit."""

import hashlib
import json
from pathlib import Path

import pytest
import yaml
from trees import checked, manifest, tree
from typer.testing import CliRunner, Result

from mqops.cli.app import app

MANIFESTS = Path(__file__).parents[2] / "manifests"


def run(*arguments: str | Path, **environment: str) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env=environment)


def test_valid_manifests_are_counted() -> None:
    result = run("validate", MANIFESTS)
    assert (result.exit_code, result.stdout) == (0, "29 resources in 11 files, 2 sources: valid\n")


def test_one_of_each_is_counted_in_the_singular(tmp_path: Path) -> None:
    tree(tmp_path, {"a.yaml": manifest("Tenant", "acme")})
    assert run("validate", tmp_path).stdout == "1 resource in 1 file, 1 source: valid\n"


def test_problems_go_to_stdout_with_a_place_to_click_on(tmp_path: Path) -> None:
    tree(tmp_path, {"a.yaml": manifest("Tenant", "acme", "{zzz: 1}"), "b.yaml": "a: [1"})
    result = run("validate", tmp_path)
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        f"{tmp_path}/a.yaml:4:8: spec.zzz: there is no such field; there are displayName, description, state",
        f"{tmp_path}/b.yaml:1:4: a list opened with [ is not closed with ]",
    ]
    assert result.stderr == "error: 2 problems\n"


def test_the_json_form_says_the_same(tmp_path: Path) -> None:
    tree(tmp_path, {"a.yaml": manifest("Tenant", "acme", "{displayNam: x}")})
    result = run("validate", tmp_path, "-o", "json")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {
        "formatVersion": 1,
        "valid": False,
        "resources": 0,
        "files": 1,
        "sources": ["default"],
        "waiting": [],
        "problems": [
            {
                "file": "a.yaml",
                "line": 4,
                "column": 8,
                "path": "spec.displayNam",
                "rule": "field",
                "message": "there is no such field",
                "suggestion": "displayName",
            }
        ],
    }
    assert json.loads(run("validate", MANIFESTS, "-o", "json").stdout)["valid"]


def test_a_directory_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    result = run("validate", tmp_path / "nothing")
    assert (result.exit_code, result.stdout) == (1, f"{tmp_path}/nothing: no such directory\n")


def test_variables_come_from_the_environment() -> None:
    result = run("validate", MANIFESTS, SERVICE_DISCOVERY_MODE="static", AUDIT_SERVICE_URL="http://audit")
    assert result.exit_code == 1
    assert "${NOTIFICATION_SERVICE_URL} is not set" in result.stdout
    assert "AUDIT" not in result.stdout


def test_a_key_is_printed_once_beside_the_manifest_that_holds_its_digest(tmp_path: Path) -> None:
    result = run("credentials", "create", "acme", "checkout", "--role", "publisher", "--expires-in", "90d")
    assert result.exit_code == 0
    [key] = [word for word in result.stderr.split() if word.startswith("mqk_")]
    assert key not in result.stdout
    made = yaml.safe_load(result.stdout)
    assert made["spec"]["roles"] == ["publisher"]
    assert made["spec"]["keys"][0]["sha256"] == hashlib.sha256(key.encode()).hexdigest()
    tree(tmp_path, {"tenant.yaml": manifest("Tenant", "acme"), "checkout.yaml": result.stdout})
    assert checked(tmp_path, {}).problems == ()


def test_keys_are_long_and_never_the_same() -> None:
    keys = {json.loads(run("credentials", "create", "acme", "x", "-o", "json").stdout)["key"] for _ in range(3)}
    assert len(keys) == 3
    assert all(key.startswith("mqk_") and len(key) == 4 + 43 for key in keys)


def test_the_json_form_has_the_manifest_ready_to_write(tmp_path: Path) -> None:
    made = json.loads(run("credentials", "create", "no", "on", "--name", "off", "-o", "json").stdout)
    assert made["sha256"] == hashlib.sha256(made["key"].encode()).hexdigest()
    tree(tmp_path, {"tenant.yaml": manifest("Tenant", '"no"'), "off.yaml": made["manifest"]})
    result = checked(tmp_path, {})
    assert [str(problem) for problem in result.problems] == []
    assert "Credential no/off" in [str(resource.identity) for resource in result.resources]


@pytest.mark.parametrize(
    "arguments",
    [("Acme", "x"), ("acme", "x y"), ("acme", "x", "--name", "X"), ("acme", "x", "--expires-in", "90 days")],
)
def test_names_that_no_manifest_could_have_make_no_key(arguments: tuple[str, ...]) -> None:
    result = run("credentials", "create", *arguments)
    assert result.exit_code != 0
    assert "mqk_" not in result.output


def test_a_key_can_be_limited_to_topics() -> None:
    result = run("credentials", "create", "acme", "checkout", "--topic", "orders", "--topic", "audit-*")
    assert yaml.safe_load(result.stdout)["spec"]["topics"] == ["orders", "audit-*"]
    refused = run("credentials", "create", "acme", "checkout", "--topic", "orders", "--role", "admin")
    assert refused.exit_code != 0
    assert "mqk_" not in refused.output
