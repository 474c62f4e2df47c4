"""The fields of a kind's manifests as people ask for them: type, limits, default, meaning, how each may change. Pure.

All of it comes from the model and its schema. ``mqops explain`` shows it; nothing of it is written down here again.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from mqops.durations import DURATION_PATTERN, SIZE_PATTERN, Within
from mqops.model import KINDS, Mutability, Strict, manifest_model, mutability_of
from mqops.model.metadata import NAME_PATTERN
from reconciler.manifests.schema import Schema, schema_at

_TYPES = {DURATION_PATTERN: "duration", SIZE_PATTERN: "size", NAME_PATTERN: "name"}
"""Texts that have a name of their own, by pattern."""

_PLAIN_TYPES = {"boolean": "true or false", "integer": "whole number", "number": "number", "object": "mapping"}

_PLURALS = {"name": "names", "mapping": "mappings"}

_INSTEAD = re.compile(r"\b[Ww]ithout it, `?([^\s,`]*[^\s,.`])")
"""How a description says what stands in for a default: a setting, or a name made from another."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field. ``path`` begins at the manifest, with ``[]`` behind a list: ``spec.keys[].sha256``."""

    path: str
    type: str
    """In words: ``duration``, ``list of names``, ``mapping``."""
    meaning: str
    mutability: Mutability | None
    """``None`` of ``metadata`` and ``spec``, which change as what is in them does."""
    is_required: bool = False
    default: Any = None
    """As a manifest would write it; ``None`` for none."""
    instead: str = ""
    """What stands in for a default: a setting's name, or how a name is made."""
    limits: str = ""
    choices: tuple[str, ...] = ()
    form: str = ""
    """What a text has to look like, in words."""
    fields: tuple["Field", ...] = ()
    """Those of a mapping, or of each item of a list."""


def walk(fields: tuple[Field, ...]) -> Iterator[Field]:
    """Each of ``fields``, followed by those within it."""
    for field in fields:
        yield field
        yield from walk(field.fields)


@cache
def fields_of(kind: str) -> tuple[Field, ...]:
    """The fields of the kind's manifests. Raises ``KeyError`` for an unknown kind, ``LookupError`` for a field of which
    the model does not say how it may change."""
    return tuple(_fields(manifest_model(kind), kind, ()))


def meaning_of(kind: str) -> str:
    """What the kind is. Raises ``KeyError`` for an unknown one."""
    return _on_one_line(KINDS[kind].spec.__doc__)


def _fields(model: type[Strict], kind: str, above: tuple[str | int, ...]) -> Iterator[Field]:
    defaults = model.model_construct().model_dump(mode="json", warnings=False)
    for field in model.model_fields.values():
        name = field.alias or ""
        yield _field(field, kind, (*above, name), defaults.get(name))


def _field(field: FieldInfo, kind: str, path: tuple[str | int, ...], default: Any) -> Field:
    schema = schema_at(kind, path)
    inner = model_in(field.annotation)
    is_list = schema.get("type") == "array"
    item = schema_at(kind, (*path, 0)) if is_list else schema
    meaning = _on_one_line(field.description)
    if not meaning and inner is not None:
        meaning = _on_one_line(inner.__doc__)
    instead = _INSTEAD.search(meaning) if default is None and not field.is_required() else None
    return Field(
        path=_spelled(path),
        type=f"list of {_PLURALS.get(_type(item), _type(item))}" if is_list else _type(item),
        meaning=meaning,
        mutability=mutability_of(field) if len(path) > 1 or inner is None else None,
        is_required=field.is_required(),
        default=_default(default),
        instead=instead[1] if instead else "",
        limits=_limits(schema, field),
        choices=tuple(str(choice) for choice in item.get("enum", [item["const"]] if "const" in item else [])),
        form=_form(item),
        fields=() if inner is None else tuple(_fields(inner, kind, (*path, 0) if is_list else path)),
    )


def _default(value: Any) -> Any:
    """As short as a manifest may write it: an empty mapping has the defaults of its fields."""
    if isinstance(value, dict):
        return {}
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _spelled(path: tuple[str | int, ...]) -> str:
    return "".join("[]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def _on_one_line(text: str | None) -> str:
    return " ".join((text or "").split())


def model_in(annotation: Any) -> type[Strict] | None:
    """The model that a field holds, or a list's items are."""
    if isinstance(annotation, type) and issubclass(annotation, Strict):
        return annotation
    return next((found for part in get_args(annotation) if (found := model_in(part)) is not None), None)


def _type(schema: Schema) -> str:
    if "patternProperties" in schema or isinstance(schema.get("additionalProperties"), dict):
        return "map of text"
    if schema.get("format") == "date-time":
        return "time"
    return _TYPES.get(schema.get("pattern", "")) or _PLAIN_TYPES.get(schema.get("type", ""), "text")


def _form(schema: Schema) -> str:
    if schema.get("pattern") in (DURATION_PATTERN, SIZE_PATTERN):
        return ""
    for values in schema.get("patternProperties", {}).values():
        limit = f"at most {values['maxLength']} characters" if "maxLength" in values else ""
        value = _form(values) or limit
        return f"each key {_form(schema['propertyNames'])}" + (f"; each value {value}" if value else "")
    return str(schema.get("patternErrorMessage", "")).removeprefix("This is not ")


def _limits(schema: Schema, field: FieldInfo) -> str:
    within = _within(field.annotation) or next(filter(None, map(_within_entry, field.metadata)), None)
    if within is not None:
        return f"{within.low} to {within.high}"
    if "minimum" in schema:
        return f"{schema['minimum']} to {schema['maximum']}"
    counted = ("Items", "entries") if schema.get("type") == "array" else ("Length", "characters")
    low, high = schema.get(f"min{counted[0]}"), schema.get(f"max{counted[0]}")
    if low is not None:
        return f"{low} to {high} {counted[1]}" if high is not None else f"{low} or more {counted[1]}"
    return f"at most {high} {counted[1]}" if high is not None else ""


def _within(annotation: Any) -> Within | None:
    """The limits of a duration or a size, which its schema, that of a text, does not tell."""
    if get_origin(annotation) is Annotated:
        own = next(filter(None, map(_within_entry, annotation.__metadata__)), None)
        return own or _within(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return next(filter(None, map(_within, get_args(annotation))), None)
    return None


def _within_entry(entry: Any) -> Within | None:
    checks = getattr(entry, "func", None)
    return checks if isinstance(checks, Within) else None
