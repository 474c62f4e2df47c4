"""The API's description: complete, well formed, and as it is committed."""

import re
from pathlib import Path

import falcon.inspect
import pytest
from jsonschema import Draft202012Validator

from mqops.api.openapi.__main__ import main
from mqops.api.openapi.document import PARAMETERS, description
from mqops.api.openapi.operations import operations
from mqops.api.openapi.serve import description_text
from mqops.bootstrap.serve import create_service
from mqops.settings import Settings

COMMITTED = Path(__file__).parents[2] / "schemas" / "openapi.json"


def test_the_committed_copy_is_as_it_is_generated() -> None:
    assert COMMITTED.read_bytes() == description_text()


def test_a_stale_copy_is_told_and_written_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = tmp_path / "openapi.json"
    copy.write_text("{}")
    assert main(["--check", "--file", str(copy)]) == 1
    assert "python -m mqops.api.openapi" in capsys.readouterr().err
    assert copy.read_text() == "{}"
    assert main(["--file", str(copy)]) == 0
    assert main(["--check", "--file", str(copy)]) == 0
    assert copy.read_bytes() == description_text()


def test_every_route_is_described_and_nothing_else() -> None:
    settings = Settings(redis_url="redis://127.0.0.1:1", database_url="postgresql://127.0.0.1:1/none")
    routes = {
        f"{method.method} {route.path}"
        for route in falcon.inspect.inspect_app(create_service(settings, "none")).routes or ()
        for method in route.methods
        if not method.internal and method.method not in ("HEAD", "WEBSOCKET")  # OpenAPI has no words for the latter
    }
    assert {operation.key for operation in operations()} == routes


def test_every_reference_leads_somewhere_and_everything_is_referred_to() -> None:
    referred = set(re.findall(r'"#/components/(\w+)/([^"]+)"', description_text().decode()))
    components = description()["components"]
    defined = {(kind, name) for kind in ("parameters", "responses", "schemas") for name in components[kind]}
    assert referred == defined


def test_every_schema_is_one() -> None:
    components = description()["components"]
    for schema in (*components["schemas"].values(), *(schema for _, _, schema in PARAMETERS.values())):
        Draft202012Validator.check_schema(schema)


def test_operations_have_ids_of_their_own() -> None:
    ids = [operation["operationId"] for path in description()["paths"].values() for operation in path.values()]
    assert len(ids) == len(set(ids)) == len(list(operations()))


def test_digests_of_keys_are_taken_and_never_shown() -> None:
    schemas = description()["components"]["schemas"]
    assert "sha256" in schemas["CredentialKey"]["properties"]
    assert "sha256" not in str(schemas["ShownCredentialSpec"])
