"""The JSON Schemas: they are what the model says, hold for the example manifests, and refuse what the model refuses."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from trees import DIGESTS, loaded, manifest, validated

from mqops.model import KINDS
from reconciler.manifests.load import load
from reconciler.manifests.schema import kind_schema, main, schemas
from reconciler.manifests.validate import Declared, Rejected

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "manifests").rglob("*.yaml"))


def refused_by_schemas(value: Any) -> list[bool]:
    """By that for any manifest, and by that of its kind."""
    files = schemas()
    return [
        not Draft202012Validator(files[name]).is_valid(value)
        for name in ("manifest.schema.json", f"{str(value['kind']).lower()}.schema.json")
    ]


def test_the_committed_schemas_are_what_the_model_says(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"]) == 0, capsys.readouterr().err


def test_the_check_names_each_stale_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--directory", str(tmp_path)]) == 0
    assert main(["--directory", str(tmp_path), "--check"]) == 0
    (tmp_path / "topic.schema.json").write_text("{}")
    (tmp_path / "queue.schema.json").unlink()
    (tmp_path / "gone.schema.json").write_text("{}")
    capsys.readouterr()
    assert main(["--directory", str(tmp_path), "--check"]) == 1
    told = capsys.readouterr().err
    assert re.findall(r"(\w+)\.schema\.json", told) == ["gone", "queue", "topic"]
    assert main(["--directory", str(tmp_path)]) == 0
    assert main(["--directory", str(tmp_path), "--check"]) == 0


@pytest.mark.parametrize("name", sorted(schemas()))
def test_each_schema_is_one(name: str) -> None:
    Draft202012Validator.check_schema(schemas()[name])


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_field_is_described(kind: str) -> None:
    schema = kind_schema(kind)
    for definition in [schema, *schema["$defs"].values()]:
        assert definition["description"]
        for name, field in definition["properties"].items():
            described = field.get("description") or schema["$defs"][field["$ref"].split("/")[-1]]["description"]
            assert described, name
            assert "\n" not in described


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_examples_hold_against_the_schema_that_they_name(path: Path) -> None:
    text = path.read_text()
    named = re.match(r"# yaml-language-server: \$schema=(\S+)\n", text)
    assert named, "the first line tells editors the schema"
    schema = json.loads((path.parent / named[1]).read_text())
    for document in load(path.name, text.encode()).documents:
        Draft202012Validator(schema).validate(document.value)
        assert refused_by_schemas(document.value) == [False, False]


ACCEPTED = [
    manifest("Tenant", "x"),
    "apiVersion: mqops/v1\nkind: Tenant\nmetadata: {name: x}\n",
    manifest("Topic", "x", "{retention: 1.5h, maxBacklog: null, public: true, producers: [a]}"),
    manifest("Topic", "x").replace("name: x", "name: x, labels: {a.b/c: d}, annotations: {note: e}"),
    manifest("Topic", "x").replace("name: x", "name: x, annotations: {mqops/internal-api: 'user-events , audit-logs'}"),
    manifest("Queue", "x", "{ackDeadline: 30s, maxMessageSize: 1MiB}"),
    manifest("Subscription", "x", "{topic: a/b, filter: payload.x > 1, retry: {multiplier: 1.5, jitter: 0}}"),
    manifest("Handler", "x", "{type: http, http: {url: http://x, headers: {A: b}, signingSecret: {file: a}}}"),
    manifest("Handler", "x", '{type: http, http: {url: "${AUDIT_SERVICE_URL:-http://x}/a"}}'),
    manifest("Credential", "x", f"{{principal: a, keys: [{{sha256: {DIGESTS[1]}, expiresAt: 2030-01-01T00:00:00Z}}]}}"),
    manifest("Source", "x", "{path: a/b, tenants: [c], selfHeal: false}"),
]

REFUSED = [
    manifest("Topic", "x").replace("mqops/v1", "mqops/v2"),
    manifest("Topic", "x") + "more: 1\n",
    manifest("Topic", "X"),
    manifest("Topic", "x").replace("tenant: acme, ", ""),
    manifest("Tenant", "x").replace("{name", "{tenant: y, name"),
    manifest("Topic", "x").replace("name: x", "name: x, annotations: {mqops/protect: a}"),
    manifest("Topic", "x").replace("name: x", "name: x, annotations: {mqops/internal-api: orders}"),
    manifest("Topic", "x").replace("name: x", "name: x, annotations: {mqops/internal-api: ' user-events'}"),
    manifest("Topic", "x").replace("name: x", "name: x, annotations: {mqops/other: a}"),
    manifest("Topic", "x").replace("name: x", "name: x, labels: {'a b': c}"),
    manifest("Topic", "x").replace("name: x", "name: x, labels: {a: 1}"),
    manifest("Topic", "x", "[]"),
    manifest("Topic", "x", "null"),
    manifest("Topic", "x", "{zzz: 1}"),
    manifest("Topic", "x", "{retention: 7 days}"),
    manifest("Topic", "x", "{retention: 30}"),
    manifest("Topic", "x", "{partitions: '4'}"),
    manifest("Topic", "x", "{partitions: 0}"),
    manifest("Topic", "x", "{partitions: yes}"),
    manifest("Topic", "x", "{maxBacklog: 0}"),
    manifest("Topic", "x", "{maxMessageSize: 1MB}"),
    manifest("Topic", "x", "{state: gone}"),
    manifest("Topic", "x", "{engine: kafka}"),
    manifest("Topic", "x", "{public: 'yes'}"),
    manifest("Topic", "x", "{displayName: 1}"),
    manifest("Topic", "x", "{description: null}"),
    manifest("Topic", "x", "{producers: a}"),
    manifest("Topic", "x", "{producers: [A]}"),
    manifest("Queue", "x", "{public: true}"),
    manifest("Queue", "x", "{maxAttempts: 101}"),
    manifest("Subscription", "x", "{}"),
    "apiVersion: mqops/v1\nkind: Subscription\nmetadata: {tenant: a, name: x}\n",
    manifest("Subscription", "x", "{topic: a/b/c}"),
    manifest("Subscription", "x", "{topic: a, filter: ''}"),
    manifest("Subscription", "x", "{topic: a, startFrom: now}"),
    manifest("Subscription", "x", "{topic: a, retry: {maxAttempt: 1}}"),
    manifest("Subscription", "x", "{topic: a, retry: {multiplier: 0}}"),
    manifest("Handler", "x", "{type: function, http: {url: http://x}}"),
    manifest("Handler", "x", "{http: {url: http://x}}"),
    manifest("Handler", "x", "{type: http, http: {url: ftp://x}}"),
    manifest("Handler", "x", "{type: http, http: {url: http://x, headers: {'a b': c}}}"),
    manifest("Handler", "x", "{type: http, http: {url: http://x, signingSecret: {env: FOO}}}"),
    manifest("Handler", "x", "{type: http, http: {url: http://x, signingSecret: {file: ../a}}}"),
    manifest("Credential", "x", "{principal: a, keys: []}"),
    manifest("Credential", "x", "{principal: a, keys: [{sha256: abc}]}"),
    manifest("Credential", "x", f"{{principal: a, roles: [owner], keys: [{{sha256: {DIGESTS[1]}}}]}}"),
    manifest("Credential", "x", f"{{principal: a, keys: [{{sha256: {DIGESTS[1]}, expiresAt: 1893456000}}]}}"),
    manifest("Source", "x", "{path: ../b}"),
    manifest("Source", "x", "{path: a, tenants: []}"),
]


@pytest.mark.parametrize("text", ACCEPTED)
def test_model_and_schemas_accept_the_same(text: str) -> None:
    [document] = loaded(text).documents
    assert refused_by_schemas(document.value) == [False, False]
    [result] = validated(text)
    assert isinstance(result, Declared)


@pytest.mark.parametrize("text", REFUSED)
def test_model_and_schemas_refuse_the_same(text: str) -> None:
    [document] = loaded(text).documents
    assert refused_by_schemas(document.value) == [True, True]
    [result] = validated(text)
    assert isinstance(result, Rejected)
