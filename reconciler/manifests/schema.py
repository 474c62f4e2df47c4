"""The JSON Schemas of manifests, made from the model.

``python -m reconciler.manifests.schema`` writes them to ``schemas/``.

Editors read them, and so do programs that write manifests. What only the model can tell (that a filter compiles, that
a retry's delays are in order) they leave open; what they refuse, the model refuses too. They describe manifests as they
are written, with a URL's `${NAME}` not yet filled in.
"""

import argparse
import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

from mqops.durations import DURATION_PATTERN, format_duration
from mqops.model import API_VERSION, KINDS, manifest_model

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_DIRECTORY = Path(__file__).resolve().parents[2] / "schemas"

_NOT_OF_MANIFESTS = ("plan.schema.json",)
"""What else is in the directory: see ``reconciler.planning.document``."""

Schema = dict[str, Any]


@cache
def kind_schema(kind: str) -> Schema:
    """The schema of the kind's manifests. Raises ``KeyError`` for an unknown kind."""
    schema: Schema = _tidied(manifest_model(kind).model_json_schema())
    return {"title": kind, **{key: value for key, value in schema.items() if key != "title"}}


def schemas() -> dict[str, Schema]:
    """Every schema by the name of its file: one a kind, and one for a manifest of any."""
    files = {f"{kind.lower()}.schema.json": {"$schema": _DIALECT, **kind_schema(kind)} for kind in KINDS}
    files["manifest.schema.json"] = _any_manifest()
    return files


def _any_manifest() -> Schema:
    """Decided by ``kind``, so that an editor shows the errors of that kind, not of all."""
    definitions: Schema = {}
    branches = []
    for kind in KINDS:
        schema = dict(kind_schema(kind))
        definitions |= schema.pop("$defs", {})
        definitions[kind] = schema
        when = {"properties": {"kind": {"const": kind}}, "required": ["kind"]}
        branches.append({"if": when, "then": {"$ref": f"#/$defs/{kind}"}})
    return {
        "$schema": _DIALECT,
        "title": "Manifest",
        "description": "A manifest of mqops, of any kind.",
        "type": "object",
        "properties": {
            "apiVersion": {"const": API_VERSION, "description": "Of the manifest format."},
            "kind": {"enum": list(KINDS), "description": "What this declares."},
            "metadata": {"type": "object", "description": "What it is called."},
            "spec": {"type": "object", "description": "What it is."},
        },
        "required": ["apiVersion", "kind", "metadata"],
        "allOf": branches,
        "$defs": dict(sorted(definitions.items())),
    }


def _tidied(node: Any) -> Any:
    """Without the titles that pydantic makes up, with descriptions on one line and defaults as manifests write them."""
    if isinstance(node, list):
        return [_tidied(item) for item in node]
    if not isinstance(node, dict):
        return node
    tidy = {key: _tidied(value) for key, value in node.items() if not _is_noise(key, value)}
    if isinstance(tidy.get("description"), str):
        tidy["description"] = " ".join(tidy["description"].split())
    if tidy.get("pattern") == DURATION_PATTERN and isinstance(tidy.get("default"), int):
        tidy["default"] = format_duration(tidy["default"])
    if "patternProperties" in tidy:
        tidy["additionalProperties"] = False
    return tidy


def _is_noise(key: str, value: Any) -> bool:
    return (key == "title" and isinstance(value, str)) or (key == "default" and value is None)


def schema_at(kind: str, path: tuple[str | int, ...]) -> Schema:
    """The part of the kind's schema that describes the value at ``path``; empty when nothing does."""
    whole = kind_schema(kind)
    node = whole
    for part in path:
        node = _resolved(whole, node)
        if isinstance(part, int):
            node = node.get("items", {})
        else:
            node = node.get("properties", {}).get(part) or next(iter(node.get("patternProperties", {}).values()), {})
    return _resolved(whole, node)


def _resolved(whole: Schema, node: Schema) -> Schema:
    """``node`` without its reference, and without the null that an optional value may be."""
    for branch in node.get("anyOf", ()):
        if branch.get("type") != "null":
            return _resolved(whole, branch)
    if "$ref" in node:
        found: Schema = whole["$defs"][node["$ref"].removeprefix("#/$defs/")]
        return found
    return node


def main(arguments: list[str] | None = None) -> int:
    """Writes the schemas; with ``--check`` it only says which are not as the model has them, and returns 1."""
    parser = argparse.ArgumentParser(description="Writes schemas/ from the model.")
    parser.add_argument("--check", action="store_true", help="change nothing; fail when a file is out of date")
    parser.add_argument("--directory", type=Path, default=_DIRECTORY, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    directory: Path = options.directory
    wanted = {name: json.dumps(schema, indent=2, ensure_ascii=False) + "\n" for name, schema in schemas().items()}
    present = {
        path.name: path.read_text("utf-8")
        for path in directory.glob("*.schema.json")
        if path.name not in _NOT_OF_MANIFESTS
    }
    stale = sorted(name for name in wanted.keys() | present.keys() if wanted.get(name) != present.get(name))
    if options.check:
        for name in stale:
            message = f"{directory.name}/{name} is not as the model has it: run python -m reconciler.manifests.schema"
            print(message, file=sys.stderr)
        return 1 if stale else 0
    directory.mkdir(parents=True, exist_ok=True)
    for name in stale:
        if name in wanted:
            (directory / name).write_text(wanted[name], "utf-8")
        else:
            (directory / name).unlink()
        print(f"{directory.name}/{name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
